"""Recipes of CLIP training for equal processor time: today's, and others that differ from it in one thing each.

    python tests/bench/bench_recipes.py --data data/emoji --out .work/recipes.jsonl --seeds 3 --jobs 2

The data are those of a finished run (`real/`, `synthetic/`, `eval/`, `selection.parquet`, `samples.parquet`,
`attributes.parquet`, `occupations.csv`), in a folder with the name of its profile. First the processor seconds per
sample are measured in short trainings, each variant beside today's recipe; then every variant gets the epochs that cost
what today's cost. The models are measured by `stages.evaluate` with few bootstrap draws: the intervals here are those
over seeds (Welch's t). Curves and checkpoints are off, so that the seconds are those of training alone.

Each finished measurement is one line of `--out`; a rerun takes up what is there of the same code, data and settings.
"""

import argparse
import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, median
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy.stats import ttest_ind
from train_runs import ROOT, Speed, ours, project, run, spread

from stages.core.atomic import written

TODAY = "today"
VARIANTS: dict[str, dict[str, Any]] = {
    TODAY: {},
    "muon": {"optimizer": "muon"},
    "muon-x3": {"optimizer": "muon", "muon": {"rate": 3.0}},
    "muon-x9": {"optimizer": "muon", "muon": {"rate": 9.0}},
    "rate-x2": {"learning_rate": 0.002},
    "siglip": {"loss": "siglip"},
    "batch-32": {"batch_size": 32},
    "batch-128": {"batch_size": 128},
    "jitter": {"augmentation": {"color_jitter": [0.4, 0.4, 0.4, 0.1], "color_jitter_prob": 0.8}},
    "mix-style": {"augmentation": {"mix_style": 0.5}},
    "crop-.7": {"augmentation": {"scale": [0.7, 1.0]}},
    "text-1-layer": {"model": {"text_cfg": {"layers": 1}}},
    "wider": {"model": {"vision_cfg": {"width": 24}}},  # 83 MFLOP per image, 38 today: fewer epochs
    # 65 tokens through two blocks of width 128: 37.3 MFLOP per image, today's tower 37.5
    "patch": {"model": {"vision_cfg": {"layers": 2, "width": 128, "patch_size": 8, "head_width": 32}}},
    # 19 MFLOP per image; the last stage holds one and a half patches a side, of which open_clip keeps one
    "48px": {"model": {"vision_cfg": {"image_size": 48}}},
}
METRICS = {  # header: key of metrics.json
    "R@5 people, % of ceiling": "people.t2i.r5.share",
    "coarse accuracy, unseen, %": "objects.acc1.coarse",
    "accuracy, unseen, %": "objects.acc1",
    "recognition of gender, unseen": "portraits.unseen.recognition.gender",
    "pairwise association, unseen": "portraits.unseen.pairwise_association",
    "position, unseen": "portraits.unseen.position",
}
STEPS = 40  # of a short training
SILENT = {"threads": 1, "probe": 0, "checkpoint_every": 1.0, "log_every": 1.0}
NEEDED = ("real", "eval", "selection.parquet", "samples.parquet", "attributes.parquet")


class Lines:
    """The finished measurements: a file of JSON lines, replaced as a whole at each new one."""

    def __init__(self, path: Path, shape: str) -> None:
        self._path, self._shape, self._lock = path, shape, Lock()
        self._all = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def find(self, **key: object) -> dict[str, Any] | None:
        """Return the line of a measurement, if it was made under this code, data and settings."""
        wanted = {"shape": self._shape, **key}
        return next((line for line in self._all if wanted.items() <= line.items()), None)

    def add(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a measurement."""
        with self._lock:
            self._all.append({"shape": self._shape, **line})
            with written(self._path) as file:
                file.write_text("".join(json.dumps(one) + "\n" for one in self._all))
            return self._all[-1]


class Bench:
    """Trainings on the data of a folder, each in a project folder of its own that is deleted after."""

    def __init__(self, data: Path, epochs: float | None) -> None:
        self.data = data.resolve()
        self.profile = yaml.safe_load((ROOT / "stages" / "profiles" / f"{self.data.name}.yaml").read_text())
        self.epochs = epochs or float(self.profile["train"]["epochs"])
        self.rows = len(pd.read_parquet(self.data / "selection.parquet", columns=["key"]))

    def shape(self) -> str:
        """Digest what all measurements depend on."""
        code = [*(ROOT / "stages" / "train").glob("*.py"), *(ROOT / "stages" / "evaluate").glob("*.py")]
        files = [*sorted(code), ROOT / "params.yaml", self.data / "samples.parquet", self.data / "selection.parquet"]
        digest = hashlib.blake2b(json.dumps([self.profile, self.epochs]).encode(), digest_size=16)
        for path in files:
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _train(self, changes: Mapping[str, Any], epochs: float, seed: int, folder: Path) -> Speed:
        """Train in a new project folder."""
        train = {key: _merged(self.profile["train"].get(key), value) for key, value in changes.items()}
        others = {
            "evaluate": {"draws": 20, "compare_published": False, "sets": ["people", "portraits", "objects"]},
            "caption": {"captioners": []},  # nothing is said of the images, so no captions are measured
        }
        settings = {**train, **SILENT, "epochs": epochs}
        selection = self.data / "selection.parquet"
        project(folder, settings, self.data.name, selection, source=self.data, others=others)
        return ours(folder, seed, 1, folder / ".work")

    def cost(self, changes: Mapping[str, Any]) -> float:
        """Measure the processor seconds per sample in a short training."""
        batch = changes.get("batch_size", self.profile["train"]["batch_size"])
        with tempfile.TemporaryDirectory() as folder:
            return 1 / self._train(changes, min(self.epochs, STEPS * batch / self.rows), 0, Path(folder)).processor

    def measure(self, changes: Mapping[str, Any], epochs: float, seed: int) -> dict[str, Any]:
        """Train for that many epochs, and evaluate."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            speed = self._train(changes, epochs, seed, folder)
            run(["-m", "stages.evaluate", "--seed", str(seed)], folder, 1, folder / ".work")
            output = folder / "data" / self.data.name
            found = json.loads((output / "scores" / str(seed) / "metrics.json").read_text())
            samples = json.loads((output / "models" / str(seed) / "clip" / "training.json").read_text())["samples"]
        found["people.t2i.r5.share"] = 100 * found["people.t2i.r5"] / found["people.t2i.r5.ceiling"]
        return {
            "epochs": epochs,
            "processor": samples / speed.processor,
            "wall": samples / speed.wall,
            "metrics": {key: found[key] for key in METRICS.values() if key in found},
        }


def _merged(base: Any, changes: Any) -> Any:
    """Change the keys of nested mappings that are named, and no other."""
    if not (isinstance(base, dict) and isinstance(changes, dict)):
        return changes
    return base | {key: _merged(base.get(key), value) for key, value in changes.items()}


def epochs_of(names: Sequence[str], bench: Bench, lines: Lines, rounds: int) -> dict[str, float]:
    """Return the epochs of each variant that take the processor seconds of today's: the median over rounds."""

    def cost(name: str, variant: str, number: int) -> float:
        key = {"kind": "cost", "beside": name, "variant": variant, "round": number}
        found = lines.find(**key) or lines.add({**key, "seconds": bench.cost(VARIANTS[variant])})
        return found["seconds"]

    epochs = {TODAY: bench.epochs}
    for name in names:
        if name != TODAY:
            ratios = [cost(name, TODAY, number) / cost(name, name, number) for number in range(rounds)]
            epochs[name] = bench.epochs * median(ratios)
            print(f"{name}: {epochs[name]:.2f} epochs, today {bench.epochs:.2f}", flush=True)
    return epochs


def table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Write mean ± standard deviation of each metric, and the difference from today's with its 95 % interval."""
    headers = [header for header, key in METRICS.items() if any(key in line["metrics"] for line in found[TODAY])]
    rows = [["variant", "n", *headers, "processor seconds", "epochs"]]
    for name, lines in found.items():
        cells = [name, str(len(lines))]
        for header in headers:
            values, today = ([line["metrics"][METRICS[header]] for line in of] for of in (lines, found[TODAY]))
            cells.append(spread(values) + ("" if name == TODAY else f" ({difference(values, today)})"))
        rows.append([*cells, spread([line["processor"] for line in lines]), f"{lines[0]['epochs']:.2f}"])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def difference(values: Sequence[float], today: Sequence[float]) -> str:
    """Write the difference of the means, with Welch's 95 % interval where both have a spread."""
    text = f"{mean(values) - mean(today):+.3f}"
    if min(len(values), len(today)) < 2 or np.ptp(values) == np.ptp(today) == 0:
        return text
    low, high = ttest_ind(values, today, equal_var=False).confidence_interval(0.95)
    return f"{text} [{low:+.3f}, {high:+.3f}]"


def main() -> None:
    """Measure what is missing, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "emoji", help="folder of a finished run")
    parser.add_argument("--out", type=Path, default=ROOT / ".work" / "recipes.jsonl", help="JSON lines")
    parser.add_argument("--only", nargs="+", choices=[*VARIANTS], metavar="NAME", help=f"some of {', '.join(VARIANTS)}")
    parser.add_argument("--seeds", type=int, default=3, help="models of each variant")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one thread each")
    parser.add_argument("--epochs", type=float, help="of today's recipe; those of the profile by default")
    parser.add_argument("--rounds", type=int, default=3, help="short trainings behind a variant's cost")
    arguments = parser.parse_args()
    if absent := [name for name in NEEDED if not (arguments.data / name).exists()]:
        parser.error(f"--data: {arguments.data / absent[0]} is missing; expected the data folder of a finished run")
    if not (ROOT / "stages" / "profiles" / f"{arguments.data.resolve().name}.yaml").exists():
        parser.error(f"--data: found {arguments.data}, expected a folder with the name of a profile")
    if min(arguments.seeds, arguments.jobs, arguments.rounds) < 1 or (arguments.epochs or 1) <= 0:
        parser.error("--seeds, --jobs, --rounds, --epochs: expected numbers above 0")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments.data, arguments.epochs)
    lines = Lines(arguments.out, bench.shape())
    names = [name for name in VARIANTS if name == TODAY or name in (arguments.only or VARIANTS)]
    epochs = epochs_of(names, bench, lines, arguments.rounds)

    def measured(task: tuple[int, str]) -> tuple[str, dict[str, Any] | None]:
        seed, name = task
        key = {"kind": "model", "variant": name, "seed": seed, "rounds": arguments.rounds}
        try:
            done = lines.find(**key) or lines.add({**key, **bench.measure(VARIANTS[name], epochs[name], seed)})
        except SystemExit as failed:  # one variant that diverges does not end the others
            print(f"{name}, seed {seed}: {str(failed).strip().splitlines()[-1]}", flush=True)
            return name, None
        print(f"{name}, seed {seed}: {done['processor']:.1f} s, {done['metrics']}", flush=True)
        return name, done

    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(measured, [(seed, name) for seed in range(arguments.seeds) for name in names]))
    found = {name: [line for other, line in results if other == name and line is not None] for name in names}
    if not found[TODAY]:
        raise SystemExit("today's recipe has no result; see above")
    print(f"\n{table({name: made for name, made in found.items() if made})}")
    if any(line is None for _, line in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
