"""Section 1: does the device give what the CPU gives in float32? Stage by stage, at the size of the profile smoke."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import stages
from stages.annotate.zero_shot import Recogniser
from stages.caption.captioner import Captioner, Standardise
from stages.caption.clipcap import ClipCap, small_gpt2
from stages.caption.decoding import caption as say
from stages.caption.features import extract, load_tower
from stages.caption.training import Optimisation, Trainer
from stages.caption.transformer import TransformerCaptioner
from stages.caption.vocabulary import words_of
from stages.corpus.evaluation_sets import read_set
from stages.evaluate import embed, leakage
from stages.evaluate.suite import Options, SetFeatures, Suite
from stages.generate import sampler
from stages.tools.gpu_check import corpus
from stages.tools.gpu_check.bench import Bench, exact_products
from stages.tools.gpu_check.report import Figure, Report, SkipError
from stages.tools.gpu_check.resumed import BATCH, SETTINGS, STEPS
from stages.tools.gpu_check.training_run import QuietRun, set_up, weights

CPU = torch.device("cpu")
ROWS, SHARDS = 32, 2
SECTION = "same result"
# Tolerances. float32: rounding, as far as training amplifies it; the others: what 11 and 8 bits of mantissa allow.
GREY = {"float32": 0.05, "float16": 1.0, "bfloat16": 6.0}  # mean difference of pixels, grey levels of 255
LOSS = {"float32": 1e-3, "float16": 0.01, "bfloat16": 0.03}  # largest relative difference of the losses of ten steps
FEATURES = 1e-3  # relative difference of features, float32
METRIC = 0.01  # largest difference of any metric; of 100 where it is in percent


def check(bench: Bench, report: Report) -> None:
    """Compare all stages."""
    folder = bench.scratch / "same" / "data" / "smoke"
    corpus.write_shards(folder, SHARDS, ROWS, (64, 64), "png")
    corpus.write_evaluation(folder, ROWS)
    with chdir(bench.scratch / "same"), ThreadPoolExecutor(1) as aside:
        what = "train: killed after 5 of 10 steps and resumed, against undisturbed"
        # beside the others: nothing here is timed
        resumed = aside.submit(_kill_and_resume, bench, folder) if report.wants(SECTION, what) else None
        _generate(bench, report)
        _train(bench, report, folder)
        if (folder / "models" / "0" / "clip").is_dir():
            _annotate(bench, report, folder)
            _caption(bench, report, folder)
            _evaluate(bench, report, folder)
        if resumed is not None:
            report.ask(SECTION, what, resumed.result)


def _generate(bench: Bench, report: Report) -> None:
    """Draw the same captions and seeds on both devices by the default's own text-to-image model."""
    model = bench.root / "data" / "pretrained" / "emoji-sd"
    texts = [corpus.caption(index) for index in range(8)]

    def draw(precision: str, device: torch.device) -> np.ndarray:
        pipeline = sampler.load_pipeline(str(model), None, "dpmsolver++", False, getattr(torch, precision), device)
        drawn = sampler.Sampler(pipeline, sampler.Sampling(8, 4.0, 1.0, "", 64))
        return drawn.images(texts, range(len(texts)))[0].astype(int)

    reference: list[np.ndarray] = []

    def compare(precision: str) -> Figure:
        if not model.is_dir():
            raise SkipError(f"{model.relative_to(bench.root)} is not there")
        if not reference:
            reference.append(draw("float32", CPU))
        with exact_products() if precision == "float32" else nullcontext():
            difference = np.abs(draw(precision, bench.device) - reference[0])
        detail = {"largest": float(difference.max())}
        return Figure(float(difference.mean()), "grey levels", GREY[precision], False, "mean over pixels", detail)

    for precision in GREY:
        report.ask(SECTION, f"generate: images in {precision} against the CPU", lambda p=precision: compare(p))


def _train(bench: Bench, report: Report, folder: Path) -> None:
    """Take the same ten steps on both devices; the CPU's model is the one that later stages read."""
    changes = {**SETTINGS, "epochs": STEPS * BATCH / (SHARDS * ROWS)}

    def losses(precision: str, device: torch.device, seed: int) -> tuple[list[float], dict[str, torch.Tensor]]:
        params = bench.params("smoke", train={**changes, "precision": precision})
        # at its first scale, float16 leaves out steps until the gradients are finite: not what is compared here
        run = set_up(QuietRun, params, 0, bench.accelerator(precision, device, loss_scale=256.0))
        run.output = folder / "models" / str(seed)
        run.execute()
        return run.losses, weights(folder, seed)

    reference: list[Any] = []

    def compare(precision: str, seed: int) -> Figure:
        if precision == "float16" and not bench.accelerated:
            raise SkipError("float16 trains on accelerators only")
        if not reference:
            reference.extend(losses("float32", CPU, 0))
        with exact_products() if precision == "float32" else nullcontext():
            found, trained = losses(precision, bench.device, seed)
        expected = np.array(reference[0])
        worst = float(np.abs(np.array(found) / expected - 1).max())
        moved = _relative(_flat(trained), _flat(reference[1]))
        return Figure(
            worst, "of the loss", LOSS[precision], False, "largest of ten steps", {"weights differ by": moved}
        )

    for seed, precision in enumerate(LOSS, start=1):
        report.ask(SECTION, f"train: losses in {precision} against the CPU", lambda p=precision, s=seed: compare(p, s))


def _annotate(bench: Bench, report: Report, folder: Path) -> None:
    model = f"local-dir:{folder / 'models' / '0' / 'clip'}"
    people = read_set(folder / "eval", "people")
    pictures = [people.images.read_image(key) for key in people.table["key"]]

    def compare() -> Figure:
        with exact_products():
            found = [Recogniser(model, None, 16, device).probabilities(pictures) for device in (CPU, bench.device)]
        difference = max(float(np.abs(one - other).max()) for one, other in zip(*found, strict=True))
        return Figure(difference, "of probability", 1e-3, False, "largest over images and groups")

    report.ask(SECTION, "annotate: a pretrained model's groups against the CPU", compare)


def _caption(bench: Bench, report: Report, folder: Path) -> None:
    """Extract features, train both captioners for a few steps and let them speak, on both devices, without dropout."""
    clip = folder / "models" / "0" / "clip"
    people = read_set(folder / "eval", "people")
    pictures = [people.images.read_image(key) for key in people.table["key"]]
    texts = [str(said[0]) for said in people.table["captions"]]

    def features(device: torch.device) -> tuple[np.ndarray, np.ndarray]:
        parts = [*extract(load_tower(clip, device), pictures, 16)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    with exact_products():
        reference = features(CPU)

        def compare() -> Figure:
            found = features(bench.device)
            pooled, places = (_relative(one, other) for one, other in zip(found, reference, strict=True))
            return Figure(max(pooled, places), "of the norm", 2e-3, False, "stored in float16")

        report.ask(SECTION, "caption: CLIP's features against the CPU", compare)
        for name in ("clipcap", "transformer"):
            build = _captioner(name, reference, texts)
            what = f"caption: {name}'s losses and captions against the CPU"
            report.ask(SECTION, what, lambda b=build, n=name: _speakers(bench, n, b, reference, texts))


def _captioner(name: str, features: Sequence[np.ndarray], texts: list[str]) -> Callable[[], tuple[Captioner, Any]]:
    vocabulary = words_of(pd.Series(texts), 1)
    flat = [part.reshape(-1, part.shape[-1]).astype(np.float32) for part in features]
    scales = [Standardise(torch.from_numpy(x.mean(0)), torch.from_numpy(x.std(0))) for x in flat]

    def build() -> tuple[Captioner, Any]:
        torch.manual_seed(0)
        if name == "clipcap":
            model = small_gpt2(len(vocabulary), 32, width=32, layers=1, heads=2, dropout=0.0)
            return ClipCap(
                model, scales[0], vocabulary.ends, mapper="mlp", prefix=4, mapper_layers=1, tune=True
            ), vocabulary
        return TransformerCaptioner(
            scales[1], vocabulary.ends, vocabulary=len(vocabulary), places=features[1].shape[1], max_tokens=16,
            width=32, layers=1, heads=2, feedforward=64, dropout=0.0,
        ), vocabulary  # fmt: skip

    return build


def _speakers(
    bench: Bench,
    name: str,
    build: Callable[[], tuple[Captioner, Any]],
    features: Sequence[np.ndarray],
    texts: list[str],
) -> Figure:
    losses, said = [], []
    for device in (CPU, bench.device):
        captioner, vocabulary = build()
        captioner = captioner.to(device)
        tokens = torch.from_numpy(vocabulary.encode(texts, 16).astype(np.int64)).to(device)
        images = features[0] if name == "clipcap" else features[1]
        trainer = Trainer(captioner, Optimisation(20, 2, 3e-3, 0.01, 0))
        seen = torch.from_numpy(images).to(device)
        losses.append([trainer.step(seen, tokens) for _ in range(20)])
        spoken = say(captioner, vocabulary, images, beams=2, max_tokens=16, batch_size=16, device=device)
        said.append([*spoken])
    worst = float(np.abs(np.array(losses[1]) / np.array(losses[0]) - 1).max())
    equal = float(np.mean([one == other for one, other in zip(*said, strict=True)]))
    return Figure(worst, "of the loss", 1e-3, False, "largest of twenty steps", {"equal captions, share": equal})


def _evaluate(bench: Bench, report: Report, folder: Path) -> None:
    """Measure the same model on both devices: features, every metric of the suite, LIC without dropout."""
    clip = str(folder / "models" / "0" / "clip")
    evaluate = bench.params("smoke").evaluate
    options = Options(
        draws=50, min_group=2, top_k=10, templates=evaluate.templates, person_templates=evaluate.person_templates
    )
    occupations = pd.read_csv(folder / "occupations.csv")
    sets = [read_set(folder / "eval", name) for name in ("people", "portraits", "objects")]

    def measure(device: torch.device) -> tuple[np.ndarray, dict[str, float]]:
        encoder = embed.load_encoder(clip, None, device)
        found = []
        for one in sets:
            images = embed.image_features(encoder, [one.images.read_image(key) for key in one.table["key"]], 16)
            said = [text for row in one.table["captions"] for text in row]
            texts = embed.text_features(encoder, said) if said else np.empty((0, 0), np.float32)
            found.append(SetFeatures(one.name, one.table, images, texts))
        suite = Suite(lambda texts: embed.text_features(encoder, texts), encoder.logit_scale, occupations, options)
        return np.concatenate([part.images for part in found]), suite.run(found).metrics

    both: list[tuple[np.ndarray, dict[str, float]]] = []

    def features() -> Figure:
        with exact_products():
            both.extend(measure(device) for device in (CPU, bench.device))
        return Figure(_relative(both[1][0], both[0][0]), "of the norm", FEATURES, False)

    def metrics() -> Figure:
        if len(both) < 2:
            raise SkipError("no features")
        expected, found = both[0][1], both[1][1]
        scale = {name: 100 if abs(value) > 1 else 1 for name, value in expected.items()}
        differences = {name: abs(found[name] - value) / scale[name] for name, value in expected.items()}
        worst = max(differences, key=lambda name: differences[name])
        note = f"largest of {len(expected)} metrics: {worst}"
        return Figure(differences[worst], "of the range", METRIC, False, note)

    def leaked() -> Figure:
        table = sets[0].table
        keys = table["key"].tolist()
        said = {key: texts[0] for key, texts in zip(keys, table["captions"], strict=True)}
        human = {key: [texts[1]] for key, texts in zip(keys, table["captions"], strict=True)}
        reader = leakage.Classifier("lstm", 8, 8, 1, 0.0, 1e-2, 3, 8)
        values = [
            leakage.lic(
                said, human, dict(zip(keys, table["gender"], strict=True)), masked=leakage.ATTRIBUTE_WORDS["gender"],
                classifier=reader, seeds=[0], test_share=0.25, draws=20, device=device.type,
            ).summary["value"]["lic_m"]
            for device in (CPU, bench.device)
        ]  # fmt: skip
        return Figure(abs(values[1] - values[0]), "points of 100", 1.0, False, "three passes of the LSTM, no dropout")

    report.ask(SECTION, "evaluate: features against the CPU", features)
    report.ask(SECTION, "evaluate: metrics against the CPU", metrics)
    report.ask(SECTION, "evaluate: LIC against the CPU", leaked)


def _kill_and_resume(bench: Bench, folder: Path) -> Figure:
    """Train in processes of their own: one undisturbed, one that is killed and started again."""
    places = {name: bench.scratch / "resume" / name for name in ("undisturbed", "killed")}
    source = Path(stages.__file__).parents[1]

    def train(place: Path, stop: int) -> int:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")]),
            "COUNTERWEIGHT_WORK": str(place / "work"),
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it cuBLAS has no deterministic algorithm
        }
        options = ["--root", str(bench.root), "--stop", str(stop), "--device", bench.device.type]
        command = [sys.executable, "-m", "stages.tools.gpu_check.resumed", *options]
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
        if done.returncode not in (0, -9):
            raise RuntimeError(
                done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"code {done.returncode}"
            )
        return done.returncode

    for place in places.values():
        _share(folder, place / "data" / "smoke")
    with ThreadPoolExecutor(2) as both:
        whole = both.submit(train, places["undisturbed"], 0)
        killed = both.submit(lambda: [train(places["killed"], 5), train(places["killed"], 0)])
        whole.result()
        codes = killed.result()
    if codes != [-9, 0]:
        raise RuntimeError(f"exit codes {codes}, expected a kill and then success")
    data = [place / "data" / "smoke" for place in places.values()]
    one, other = (_flat(weights(place, 0)) for place in data)
    unsure = (places["killed"] / "nondeterministic.txt").read_text().split("\n")
    without = ", ".join(filter(None, unsure)) or "none"
    detail = {"weights that differ": float((one != other).sum())}
    note = f"operations without a deterministic algorithm: {without}"
    return Figure(float(np.abs(one - other).max()), "largest difference", 0.0, False, note, detail)


def _share(folder: Path, own: Path) -> None:
    """Make a folder with the same inputs, for outputs of its own."""
    own.mkdir(parents=True)
    for path in folder.iterdir():
        if path.name != "models":
            (own / path.name).symlink_to(path)


def _flat(tensors: dict[str, torch.Tensor]) -> np.ndarray:
    return np.concatenate([tensors[name].double().reshape(-1).numpy() for name in sorted(tensors)])


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    """Norm of the difference over the norm."""
    found, expected = found.astype(float), expected.astype(float)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
