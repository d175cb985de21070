"""Section 3: pairs per second, in memory and from tars, against `open_clip_train.main` on the same card and shards."""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch
from torch import Tensor

from stages.tools import cost
from stages.tools.gpu_check import corpus
from stages.tools.gpu_check.bench import Bench
from stages.tools.gpu_check.report import Figure, Report, SkipError
from stages.tools.gpu_check.sizes import Training
from stages.tools.gpu_check.training_run import QuietRun, TimedRun, set_up
from stages.tools.params import Params
from stages.train import data
from stages.train.__main__ import Progress

SECTION = "train"


class Peak(NamedTuple):
    """Memory of a training: pairs per batch, its peak, and what it takes whatever the batch, GB."""

    batch: int
    peak: float
    fixed: float


def check(bench: Bench, report: Report) -> dict[str, Peak]:
    """Measure both trainers; return the memory that each model takes."""
    folder = bench.scratch / "train" / "data" / "cc3m"
    report.ask(SECTION, "shards of JPEGs", lambda: _shards(bench, folder))
    peaks: dict[str, Peak] = {}
    with chdir(bench.scratch / "train"):
        for model in bench.sizes.models:
            peaks |= _model(bench, report, folder, model)
        _readers(bench, report, folder)
    return peaks


def settings(bench: Bench, model: Training, batch: int, workers: int, rows: int = 0) -> Params:
    """Make the parameters of a run over all rows, or so many, again and again."""
    sizes = bench.sizes
    steps = sizes.warm + sizes.timed + 2 * workers + 2
    # the published RN50 with its own vocabulary; that of SigLIP is on the hub only
    vocabulary = "model" if model.model == "RN50" else "corpus"
    train = {
        "model": model.model,
        "tokenizer": vocabulary,
        "loss": model.loss,
        "batch_size": batch,
        "epochs": steps * batch / (rows or sizes.shards * sizes.rows),
        "precision": "float16" if bench.accelerated else "float32",
        "workers": workers,
        "probe": 0,
        "memory": 0.0,
        "on_bad_sample": "fail",
    }
    return bench.params("cc3m", train=train)


def _shards(bench: Bench, folder: Path) -> Figure:
    sizes = bench.sizes
    with bench.clock() as seconds:
        corpus.write_shards(folder, sizes.shards, sizes.rows, sizes.jpeg)
    stored = sum(path.stat().st_size for path in folder.glob("real/*.tar"))
    detail = {"GB": stored / 1e9, "kB each": stored / sizes.shards / sizes.rows / 1e3}
    return Figure(seconds[0], "s", note=f"{sizes.jpeg[0]} × {sizes.jpeg[1]} pixels, quality 90", detail=detail)


def _model(bench: Bench, report: Report, folder: Path, model: Training) -> dict[str, Peak]:
    """Ask all questions of a model; return its memory, where it was measured."""
    sizes, rates, peaks = bench.sizes, dict[str, float](), dict[str, Peak]()

    def ours(held: bool, batch: int, workers: int) -> Figure:
        params = settings(bench, model, batch, workers)
        accelerator = bench.accelerator(params.train.precision)
        torch.backends.cudnn.benchmark = bench.accelerated
        bench.clear()
        warm = sizes.warm + (0 if held else 2 * workers)  # what was read ahead must be used up
        run = set_up(
            TimedRun, params, 0, accelerator, warm=warm, timed=sizes.timed, held=held, pinned=bench.accelerated
        )
        run.execute()
        rates["held" if held else "tars"] = run.speed.rate
        detail = {"peak GB": bench.peak(), "waited for data, share": run.speed.waited / run.speed.seconds}
        note = f"batch {batch}, {params.train.precision}" + ("" if held else f", {workers} workers")
        if held:
            peaks[model.name] = Peak(batch, bench.peak(), run.speed.fixed)
            if bench.accelerated:
                flops = cost.training_flops(params.train)[0]
                detail["% of the stated peak"] = 100 * flops * run.speed.rate / cost.RATES[params.train.precision]
        return Figure(run.speed.rate, "pairs/s", note=note, detail=detail)

    def theirs(held: bool, batch: int) -> Figure:
        seconds, waited = open_clip_speed(bench, model, folder, batch, held)
        rates["their held" if held else "their tars"] = batch / seconds
        note = f"batch {batch}" + ("" if held else f", {sizes.workers} workers")
        return Figure(batch / seconds, "pairs/s", note=note, detail={"waited for data, share": waited / seconds})

    def ratio(own: str, other: str, goal: float) -> Figure:
        if own not in rates or other not in rates:
            raise SkipError("one of the two was not measured")
        return Figure(rates[own] / rates[other], "×", goal if bench.accelerated else None)

    def ask(what: str, measure: Callable[[], Figure]) -> None:
        report.ask(SECTION, f"{model.name}: {what}", measure, 5)

    ask("stage, batches in memory", lambda: ours(True, model.batch, 2))
    ask("open_clip_train, batches in memory", lambda: theirs(True, model.batch))
    ask("stage over open_clip_train, in memory", lambda: ratio("held", "their held", 1.0))
    if model is sizes.models[0]:
        half = model.batch // 2  # as many batches are read ahead as there are workers, twice
        ask("stage, from tars", lambda: ours(False, half, sizes.workers))
        ask("open_clip_train, from tars", lambda: theirs(False, half))
        ask("stage over open_clip_train, from tars", lambda: ratio("tars", "their tars", 1.2))
    return peaks


def _readers(bench: Bench, report: Report, folder: Path) -> None:
    """Read without a model: what a number of processes can give."""
    sizes = bench.sizes
    stored = bench.scratch / "png" / "data" / "cc3m"

    def read(place: Path, rows: int = 0) -> Figure:
        model, workers = sizes.models[0], sizes.workers
        params = settings(bench, model, model.batch, workers, rows)
        with chdir(place.parents[1]):
            run = set_up(Reading, params, 0, bench.accelerator(params.train.precision), warm=workers)
            run.timed = 2 * workers
            run.execute()
        return Figure(run.rate, "pairs/s", detail={"per process": run.rate / workers})

    report.ask(SECTION, f"the reader alone, JPEG, {sizes.workers} workers", lambda: read(folder), 5)
    what = f"the reader alone, 256 px PNG as the pipeline stores, {sizes.workers} workers"
    if report.wants(SECTION, what):
        corpus.write_shards(stored, 1, sizes.rows, (256, 256), "png")
        report.ask(SECTION, what, lambda: read(stored, sizes.rows), 5)


class Reading(QuietRun):
    """A run that reads batches and trains nothing; `rate` is in pairs per second."""

    warm: int = 0
    timed: int = 0
    rate: float = 0.0

    def _train(self, trainer: Any, batches: data.Batches, before: Any, curves: Any, images: Any) -> set[str]:
        stream = iter(data.loader(batches, 0, self.section.workers))
        for _ in islice(stream, self.warm):
            pass
        begun, pairs = time.perf_counter(), 0
        for batch in islice(stream, self.timed):
            pairs += len(batch.rows)
        self.rate = pairs / (time.perf_counter() - begun)
        curves.add(1, {"loss": 0.0})
        return set()

    def _trainer(self, model: torch.nn.Module, preprocess: dict, price: Any) -> Any:
        """Make none."""
        return None, Progress()

    def _write(self, *_given: Any, **_more: Any) -> None:
        """Write nothing."""


class DoneError(Exception):
    """Ends open_clip's trainer after its epoch, before it writes a checkpoint of a gigabyte."""


def open_clip_speed(bench: Bench, model: Training, folder: Path, batch: int, held: bool) -> tuple[float, float]:
    """
    Train one short epoch with `open_clip_train.main` in this process.

    Returns
    -------
    tuple of float
        Seconds per step and of these spent waiting for data, means over its last steps, as it logs them.
    """
    import open_clip_train.main as trainer

    sizes, workers = bench.sizes, bench.sizes.workers
    warm = sizes.warm + (0 if held else 2 * workers)
    steps = warm + sizes.timed
    params = settings(bench, model, batch, workers)
    named = _named(bench, model, params)
    train = params.train
    arguments = {
        "train-data": str(folder / "real" / f"{{00000..{sizes.shards - 1:05d}}}.tar"), "dataset-type": "webdataset",
        "train-num-samples": steps * batch, "model": named, "device": bench.device.type,
        "batch-size": batch, "epochs": 1, "lr": train.learning_rate, "warmup": train.warmup,
        "beta1": train.betas[0], "beta2": train.betas[1], "eps": train.epsilon, "wd": train.weight_decay,
        "precision": {"float32": "fp32", "float16": "amp"}[train.precision], "workers": workers, "seed": 0,
        "logs": bench.scratch / "logs", "name": f"{named}-{batch}-{held}", "zeroshot-frequency": 0, "save-frequency": 0,
        "log-every-n-steps": warm,  # at the first step, after these, and at the last one
    }  # fmt: skip
    command = [part for key, value in arguments.items() for part in (f"--{key}", str(value))]
    command += ["--siglip"] if model.loss == "siglip" else []
    epoch, get_data = trainer.train_one_epoch, trainer.get_data

    def once(*given: Any, **more: Any) -> None:
        epoch(*given, **more)
        raise DoneError

    def fixed(args: Any, transforms: Any, tokenizer: Any = None, **_more: Any) -> dict[str, Any]:
        del transforms
        config: Any = open_clip.get_model_config(args.model)
        side = config["vision_cfg"]["image_size"]
        texts = tokenizer([corpus.caption(index) for index in range(batch)])
        return {"train": Fixed([torch.randn(batch, 3, side, side), texts], steps, batch)}

    with _logged() as lines:
        trainer.train_one_epoch = once
        trainer.get_data = fixed if held else get_data
        try:
            trainer.main(command)
        except DoneError:
            pass
        finally:
            trainer.train_one_epoch, trainer.get_data = epoch, get_data
    said = [re.search(r"Data \(t\): ([\d.]+) Batch \(t\): ([\d.]+)", line) for line in lines]
    found = [match for match in said if match]
    if not found:
        raise RuntimeError("open_clip_train logged no step")
    waited, seconds = (float(part) for part in found[-1].groups())
    return seconds, waited


class Fixed:
    """The data of open_clip's trainer: one batch, prepared and pinned, again and again."""

    def __init__(self, batch: Any, steps: int, size: int) -> None:
        self.batch = [part.pin_memory() if torch.cuda.is_available() else part for part in batch]
        self.dataloader, self.num_batches, self.num_samples = self, steps, steps * size
        self.sampler = None

    def set_epoch(self, _epoch: int) -> None:
        """Nothing changes."""

    def __iter__(self) -> Iterator[list[Tensor]]:
        return islice(cycle([self.batch]), self.num_batches)


@contextmanager
def _logged() -> Iterator[list[str]]:
    """Collect what open_clip's trainer logs, and give the loggers and torch's switches back as they were."""
    import open_clip_train.main as trainer

    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    level, handlers, setup = logging.root.level, logging.root.handlers[:], trainer.setup_logging
    switches = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.benchmark
    logging.root.handlers = [Keep()]
    logging.root.setLevel(logging.INFO)
    trainer.setup_logging = lambda *_: None
    try:
        yield lines
    finally:
        trainer.setup_logging = setup
        logging.root.handlers = handlers
        logging.root.setLevel(level)
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.benchmark = switches


def _named(bench: Bench, model: Training, params: Params) -> str:
    """Register the architecture that the stage trains, with its vocabulary, under a name of its own."""
    from stages.train import models, tokens

    shape = models.architecture(params.train.model, params.train.loss)
    name = f"gpu-check-{re.sub('[^a-z0-9]+', '-', model.name.lower())}"
    folder = bench.scratch / name
    if params.train.tokenizer == "corpus":
        said = [corpus.caption(index) for index in range(bench.sizes.shards * bench.sizes.rows)]
        vocabulary = tokens.learn(said, params.train.vocabulary, shape.context)
        shape = shape.with_vocabulary(vocabulary, folder.as_posix())
        folder.mkdir(exist_ok=True)
        tokens.save(vocabulary, folder, shape.context)
    path = bench.scratch / f"{name}.json"
    config: Mapping[str, Any] = {key: value for key, value in shape.config.items() if not key.startswith("init_")}
    path.write_text(json.dumps(config))
    open_clip.add_model_config(path)
    return name
