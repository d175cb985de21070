"""Train one CLIP model of a seed on the rows of the selection.

    python -m stages.train --seed 0
    torchrun --nproc_per_node 4 -m stages.train --seed 0
    accelerate launch --num_processes 4 -m stages.train --seed 0

Reads samples, selection and shards of the profile; writes `models/<seed>/clip` (an open_clip `local-dir:`) when the
training is complete, and `models/<seed>/curves` (DVCLive) as it goes. A run that was killed goes on from its last
checkpoint in the work folder and ends with the same weights; on another number of processes, with the same batches, so
with the same weights but for rounding (and for BatchNorm, whose statistics are those of a process's part of a batch).
"""

import argparse
import gc
import hashlib
import json
import logging
import shutil
import sys
import warnings
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import open_clip
import pandas as pd
import torch
from accelerate import Accelerator
from open_clip.transform import PreprocessCfg, image_transform_v2
from pandas.util import hash_pandas_object
from PIL import Image
from tqdm import tqdm

from stages.core import scratch
from stages.core.atomic import replaced
from stages.core.errors import InputError, missing, run
from stages.core.memory import enough_for
from stages.core.settings import check_member, load
from stages.corpus import columns, evaluation_sets, prompts, selection
from stages.corpus.schedule import Span, spans
from stages.corpus.words import GROUPS
from stages.train import checkpoint, data, economy, loop, models, muon, penalty, probe, rows, schedule, tokens
from stages.train.settings import Settings, Train

if TYPE_CHECKING:
    from stages.train.curves import Curves

GIGABYTE = 10**9


def main() -> None:
    """Train, or go on with a training that was killed."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.train",
        description=(__doc__ or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, required=True, help="of weights and order; one of seeds")
    seed = parser.parse_args().seed
    everything = load(Settings)
    check_member("seed", seed, everything.seeds, "seeds")
    section, folder = everything.train, everything.folder
    logging.getLogger().setLevel(logging.ERROR)  # open_clip warns that random weights are random
    warnings.filterwarnings("ignore", message=r".*torch\.distributed\.nn", category=FutureWarning)
    if section.threads:
        torch.set_num_threads(section.threads)
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True  # every batch has the same shape
    else:
        torch.use_deterministic_algorithms(True)
        deterministic: Any = torch.utils.deterministic
        deterministic.fill_uninitialized_memory = False  # a debugging aid that writes every tensor twice
    if section.precision == "float16" and not torch.cuda.is_available():
        raise missing("train.precision: found float16, but no GPU", "run on one, or take float32 or bfloat16")
    accelerator = Accelerator(
        mixed_precision={"float32": "no", "float16": "fp16", "bfloat16": "bf16"}[section.precision],
        cpu=not torch.cuda.is_available(),
    )
    try:
        Run(everything, section, folder, seed, accelerator).execute()
    finally:
        accelerator.end_training()


@dataclass
class Progress:
    """What an interrupted run has done."""

    steps: int = 0
    points: list[dict[str, float]] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)


class Run:
    """
    One training, from files to files.

    Parameters
    ----------
    folder : Path
        `data/<profile>`.
    """

    def __init__(self, everything: Settings, section: Train, folder: Path, seed: int, accelerator: Accelerator) -> None:
        self.section, self.folder, self.seed, self.accelerator = section, folder, seed, accelerator
        self.output = folder / "models" / str(seed)
        self.main = accelerator.is_main_process
        pieces = accelerator.num_processes * section.accumulate
        if section.batch_size % pieces:
            raise InputError(
                f"train.batch_size: found {section.batch_size}, expected a multiple of processes × accumulate: {pieces}"
            )
        # strings in one buffer, not as objects
        backend: dict[str, Any] = {"dtype_backend": "pyarrow"}
        samples = columns.read(folder / "samples.parquet", selection.SAMPLES, columns=[*selection.SAMPLES], **backend)
        chosen = columns.read(folder / "selection.parquet", selection.SELECTION, **backend)
        self.mix = len(chosen)  # all rows: what an epoch is counted in
        self.table = selection.join(samples, chosen, str(folder / "selection.parquet"))
        self.shape = self._shape(everything)

    def _shape(self, everything: Settings) -> dict[str, Any]:
        """Collect everything that shapes the weights: another shape never resumes this work."""
        pairs: list[tuple[str, str]] = sorted(
            self.table[["source", "shard"]].drop_duplicates().itertuples(index=False, name=None)
        )
        with self.accelerator.local_main_process_first():  # the others find what it has hashed
            shards = scratch.contents(self.folder / source / f"{shard}.tar" for source, shard in pairs)
        code = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
        hash_rows: Any = hash_pandas_object  # its signature hides `index`
        content = hash_rows(self.table, index=False).to_numpy().tobytes()
        return {
            "train": self.section.model_dump(mode="json"),
            "profile": everything.profile,
            "seed": self.seed,
            "versions": [torch.__version__, open_clip.__version__],
            "mix": self.mix,
            "rows": hashlib.blake2b(content, digest_size=16).hexdigest(),
            "shards": [*zip(pairs, shards, strict=True)],
            "code": hashlib.blake2b(code, digest_size=16).hexdigest(),
        }

    def execute(self) -> None:
        """Train and write the model."""
        processes, threads = self._processes()
        self._say(f"processes: {processes}, threads each: {threads}, on {self.accelerator.device.type}")
        with scratch.alone("train", self.shape) if self.main else nullcontext():
            self.work = scratch.work_folder("train", self.shape)
            self.accelerator.wait_for_everyone()
            self._execute()

    def _processes(self) -> tuple[int, int]:
        return self.accelerator.num_processes, torch.get_num_threads()

    def _execute(self) -> None:
        section = self.section
        located = rows.locate(self.table, self.folder, section.on_bad_sample == "skip", self._bar("shards"))
        self.table = self.table.drop(columns="caption")  # millions of rows, and `located` has them
        shape = self._architecture(located)
        design = self.work / f"design-{self.accelerator.process_index}"
        model = models.create(shape, section.pretrained, self.seed, design)
        tokenize = models.tokenizer(shape, design)
        price = self._penalty(tokenize)
        preprocess = cast(Any, model.visual).preprocess_cfg
        memory = int(section.memory * GIGABYTE)
        images = data.Images(located, memory, section.on_bad_sample)
        images.preload()
        plan, streams = self._plan(located)
        batches = data.Batches(
            plan,
            streams,
            images,
            data.Tokens(located, tokenize, shape.context, memory),
            section.augmentation,
            _square(preprocess["size"]),
            batch_size=section.batch_size,
            seed=self.seed,
            rank=self.accelerator.process_index,
            world=self.accelerator.num_processes,
        )
        trainer, before = self._trainer(model, preprocess, price)
        remedy = "raise train.accumulate or set train.activation_checkpointing, which cost time alone, or lower it"
        with (
            self._curves(before.points) if self.main else nullcontext() as curves,
            enough_for("train.batch_size", section.batch_size, remedy),
        ):
            skipped = self._train(trainer, batches, before, curves, self._probe(preprocess, tokenize))
        images.close()
        skipped = sorted({key for part in _gathered(skipped) for key in part})
        if curves is not None:
            self._write(trainer, shape, tokenize, located, plan, skipped, curves.points[-1]["loss"])
            shutil.rmtree(self.work)

    def _curves(self, points: list[dict[str, float]]) -> "Curves":
        from stages.train.curves import Curves  # brings DVCLive, which a machine that only measures does without

        return Curves(self.output / "curves", points)

    def _architecture(self, located: rows.Rows) -> models.Architecture:
        shape = models.architecture(self.section.model, self.section.loss)
        if self.section.tokenizer == "model":
            return shape
        vocabulary = tokens.learn(located.captions.to_pylist(), self.section.vocabulary, shape.context)
        return shape.with_vocabulary(vocabulary, (self.output / "clip").as_posix())

    def _plan(self, located: rows.Rows) -> tuple[list[Span], dict[str, data.Stream]]:
        section = self.section
        steps = schedule.total_steps(self.mix, section.epochs, section.batch_size)
        plan = spans([(phase.data, phase.share) for phase in section.schedule], steps)
        copies = {"mixed": np.ones(len(located), np.int32), "balanced": located.copies}
        streams = {name: data.Stream(copies[name], self.seed, name) for name in {span.data for span in plan}}
        if empty := [name for name, stream in streams.items() if not len(stream)]:
            path = self.folder / "selection.parquet"
            raise InputError(f"{path}: copies are 0 everywhere; nothing to train on ({empty[0]})")
        return plan, streams

    def _penalty(self, tokenize: data.Tokenize) -> penalty.Penalty | None:
        """Read what `train.penalty` compares; nothing where its weight is 0."""
        wanted = self.section.penalty
        if not wanted.weight:
            return None
        path = self.folder / "attributes.parquet"
        on = selection.image_columns(path)
        kinds: dict[str, columns.Kind] = {name: "text" if name in ("key", "source") else "whole number" for name in on}
        kinds |= dict.fromkeys(penalty.needed(wanted.attributes), "truth value")
        found = columns.read(path, kinds, tuple(on), columns=[*kinds], dtype_backend="pyarrow")
        groups, labels = penalty.prepare(self.table, found, wanted.attributes, on)
        drawn = np.ones(len(groups), bool)
        if any(phase.data == "balanced" for phase in self.section.schedule):
            drawn = self.table["copies"].to_numpy(int) > 0
        labelled = tokenize([prompts.fill("{}", name) for name in labels])
        totals = penalty.totals(groups[drawn], [len(GROUPS[attribute]) for attribute in wanted.attributes])
        return penalty.Penalty(wanted.weight, labelled, groups, totals)

    def _trainer(
        self, model: torch.nn.Module, preprocess: dict, price: penalty.Penalty | None
    ) -> tuple[loop.Trainer, Progress]:
        """Prepare model and optimiser, from the last checkpoint where there is one."""
        section, accelerator = self.section, self.accelerator
        if section.activation_checkpointing:
            cast(Any, model).set_grad_checkpointing(True)
        economy.economise(model, texts=accelerator.device.type == "cpu")
        if section.sync_batchnorm and accelerator.num_processes > 1:
            models.synchronise_batchnorm(model)
        stored = checkpoint.load(self.work)
        if stored is not None:
            model.load_state_dict(stored[1])
        model = cast(Any, model).to(accelerator.device, memory_format=torch.channels_last)
        optimizer = _optimizer(model, section)
        prepared, prepared_optimizer = accelerator.prepare(model, optimizer)
        trainer = loop.Trainer(
            accelerator,
            prepared,
            prepared_optimizer,
            loop.contrastive_loss(section.loss, accelerator),
            seed=self.seed,
            accumulate=section.accumulate,
            clip_norm=section.clip_norm,
            mean=tuple(preprocess["mean"]),
            std=tuple(preprocess["std"]),
            penalty=price,
        )
        if stored is None:
            return trainer, Progress()
        step, _, state = stored
        optimizer.load_state_dict(state["optimizer"])
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(state["scaler"])
        trainer.loss_sum, trainer.loss_count = state["loss_sum"].to(accelerator.device), state["loss_count"]
        begun = tuple(state["processes"])
        other = "" if begun == self._processes() else f" (it was begun on {begun[0]} processes of {begun[1]} threads)"
        self._say(f"going on at step {step}{other}")
        return trainer, Progress(step, state["points"], set(state["skipped"]))

    def _probe(self, preprocess: dict, tokenize: data.Tokenize) -> probe.Probe | None:
        """Read the fixed images behind the curves: the same for every seed, evenly taken from each set."""
        if not self.section.probe or not self.main:
            return None
        transform = cast(Any, image_transform_v2(PreprocessCfg(**preprocess), is_train=False))
        pictures: dict[str, torch.Tensor] = {}
        chosen: dict[str, pd.DataFrame] = {}
        for role, name in (("pairs", "people"), ("persons", "portraits"), ("neutral", "objects")):
            chosen[role], images = self._sample(name, role)
            pixels = [transform(Image.fromarray(image)) for image in images]
            pictures[role] = torch.stack(pixels) if pixels else torch.empty(0, 3, *_square(preprocess["size"]))
        captions = [texts[0] for texts in chosen["pairs"]["captions"]]
        return probe.prepare(pictures, captions, list(chosen["persons"]["gender"]), self._shares(), tokenize)

    def _sample(self, name: str, role: str) -> tuple[pd.DataFrame, list[np.ndarray]]:
        """Take `train.probe` rows of an evaluation set with their images; none where the profile has no such set."""
        folder = self.folder / "eval"
        if not (folder / f"{name}.parquet").exists():
            return pd.DataFrame({"key": [], "captions": [], "gender": []}), []
        found = evaluation_sets.read_set(folder, name)
        table = found.table
        if role != "neutral":  # persons without a gender, and pairs without a caption, say nothing
            table = table[table["gender"] != ""] if role == "persons" else table[table["captions"].map(len) > 0]
        places = np.linspace(0, len(table) - 1, min(self.section.probe, len(table))).astype(int)
        table = table.iloc[np.unique(places)]
        with found.images as images:
            return table, [images.read_image(key) for key in table["key"]]

    def _shares(self) -> dict[str, float]:
        """Read the shares of women by which occupations are paired: the generator's, the most pronounced."""
        path = self.folder / "occupations.csv"
        if not path.exists():
            return {}
        table = pd.read_csv(path)
        return dict(zip(table["occupation"], table["women_generator"].astype(float), strict=True))

    def _train(
        self,
        trainer: loop.Trainer,
        batches: data.Batches,
        before: Progress,
        curves: "Curves | None",
        images: probe.Probe | None,
    ) -> set[str]:
        """Take the steps that are left; return the keys of unreadable images that this process met."""
        section, steps, first = self.section, len(batches), before.steps
        skipped = before.skipped
        bar = tqdm(total=steps, initial=first, unit="step", disable=not self.main or not sys.stderr.isatty())

        def on_log(done: int, loss: float) -> None:
            if curves is None:
                return
            with trainer.clock("probe"):
                values = probe.measure(trainer.bare, images) if images is not None else {}
            curves.add(done, {"loss": loss, **values})
            said = ", ".join(f"{name} {value:.3f}" for name, value in {"loss": loss, **values}.items())
            self._say(f"step {done} of {steps}: {said}")

        def on_keep(done: int) -> None:
            if done == steps:
                return
            everywhere = {key for part in _gathered(skipped) for key in part}
            if curves is None:
                return
            with trainer.clock("checkpoint"):
                scaler = self.accelerator.scaler
                state = {
                    "optimizer": trainer.optimizer.state_dict(),
                    "scaler": scaler.state_dict() if scaler is not None else {},
                    "points": curves.points,
                    "skipped": sorted(everywhere),
                    "processes": list(self._processes()),
                    "loss_sum": trainer.loss_sum.cpu(),
                    "loss_count": trainer.loss_count,
                }
                weights = models.portable(trainer.bare.state_dict())
                checkpoint.save(self.work, done, weights, state, section.checkpoints)

        def on_step(batch: data.Batch) -> None:
            skipped.update(batch.skipped)
            bar.update()

        gc.freeze()  # what is held until the end need not be searched again at each collection
        with bar:
            loop.train(
                trainer,
                data.loader(batches, first, section.workers),
                first=first,
                steps=steps,
                peak=section.learning_rate,
                warmup=section.warmup,
                log=schedule.milestones(steps, section.log_every),
                keep=schedule.milestones(steps, section.checkpoint_every),
                on_log=on_log,
                on_keep=on_keep,
                on_step=on_step,
            )
        seconds = trainer.clock.seconds
        spent = sum(seconds.values())
        parts = sorted(seconds.items(), key=lambda item: -item[1])
        shares = ", ".join(f"{name} {100 * value / spent:.0f} %" for name, value in parts)
        self._say(f"{(steps - first) * section.batch_size / spent:.3g} samples/s: {shares}")
        return skipped

    def _write(
        self,
        trainer: loop.Trainer,
        shape: models.Architecture,
        tokenize: Any,
        located: rows.Rows,
        plan: list[Span],
        skipped: list[str],
        loss: float,
    ) -> None:
        """Write the model."""
        target = self.output / "clip"
        try:
            with replaced(target) as partial:
                models.save(trainer.bare, shape, tokenize, partial)
                summary = {
                    "seed": self.seed,
                    "steps": plan[-1].stop,
                    "samples": plan[-1].stop * self.section.batch_size,
                    "rows": len(located),
                    "parameters": sum(parameter.numel() for parameter in trainer.bare.parameters()),
                    "loss": loss,
                    "phases": [{"data": span.data, "first": span.start, "last": span.stop - 1} for span in plan],
                    "skipped": {"count": len(skipped), "keys": skipped[:100]},
                }
                (partial / "training.json").write_text(json.dumps(summary, indent=2) + "\n")
        except OSError as error:
            raise InputError(f"{target}: cannot be written ({error}); make room and run again: it resumes") from None
        if skipped:
            self._say(f"{len(skipped)} unreadable images were skipped, e.g. {skipped[0]}")

    def _say(self, line: str) -> None:
        if self.main:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()

    def _bar(self, what: str) -> Any:
        silent = not self.main or not sys.stderr.isatty()
        return lambda items: tqdm(items, desc=what, disable=silent, leave=False)


def _optimizer(model: torch.nn.Module, section: Train) -> torch.optim.Optimizer:
    rates: dict[str, Any] = {"lr": section.learning_rate, "betas": section.betas, "eps": section.epsilon}
    if section.optimizer == "muon":
        groups = muon.parameter_groups(model, section.weight_decay, section.muon.rate)
        return muon.Muon(groups, **rates, momentum=section.muon.momentum)
    return torch.optim.AdamW(models.parameter_groups(model, section.weight_decay), **rates, fused=True)


def _square(size: int | Iterable[int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else tuple(size)
    return height, width


def _gathered(value: Any) -> list[Any]:
    """Collect one value of each process, in order."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


if __name__ == "__main__":
    run(main)
