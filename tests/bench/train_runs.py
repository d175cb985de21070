"""Training runs for the benchmarks: this project's stage and open_clip's own trainer, on the same images."""

import hashlib
import json
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pandas as pd
import yaml

from stages.core.atomic import written
from stages.core.scratch import work_folder
from stages.corpus.shards import Shard
from stages.tools import params

ROOT = Path(__file__).resolve().parents[2]
TIMED = Path(__file__).with_name("timed_run.py")
SEEDS = 100  # more than any benchmark trains models
INPUTS = ("real", "synthetic", "eval", "samples.parquet", "attributes.parquet", "occupations.csv")


def environment(threads: int, work: Path | None = None) -> dict[str, str]:
    own = {"COUNTERWEIGHT_WORK": str(work)} if work is not None else {}
    named = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads), "DVCLIVE_LOGLEVEL": "ERROR"}
    return {**os.environ, **named, **own}


def project(
    folder: Path,
    train: Mapping[str, Any],
    profile: str = "emoji",
    selection: Path | None = None,
    rows: int | None = None,
    source: Path | None = None,
    others: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """
    Make a project folder that trains on the data of this one, or of another data folder (`source`).

    `train` changes keys of its section, `others` keys of other sections of the profile. Without a selection, real
    images are trained on, each once; `rows` takes as many of the first ones of the selection or of the images.
    """
    science = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"profile": profile, "seeds": [*range(SEEDS)]}
    profiles, data = folder / "stages" / "profiles", folder / "data" / profile
    profiles.mkdir(parents=True)
    data.mkdir(parents=True)
    scale = yaml.safe_load((ROOT / "stages" / "profiles" / f"{profile}.yaml").read_text())
    for key, value in train.items():
        (science["train"] if key in ("loss", "schedule", "quality") else scale["train"])[key] = value
    for section, values in (others or {}).items():
        scale[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(science))
    (profiles / f"{profile}.yaml").write_text(yaml.safe_dump(scale))
    for name in INPUTS:
        path = (source or ROOT / "data" / profile).resolve() / name
        if path.exists():
            (data / name).symlink_to(path)
    if selection is None:
        samples = pd.read_parquet(data / "samples.parquet", columns=["key", "shard"]).iloc[:rows]
        chosen = samples.assign(source="real", q=1.0, copies=np.int32(1))
    else:
        chosen = pd.read_parquet(selection).iloc[:rows]
    chosen.to_parquet(data / "selection.parquet", index=False)
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "bench"], cwd=folder, check=True)
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    return folder


def settings(arguments: Namespace) -> dict[str, Any]:
    """Take the changes of the train section from the options that the benchmarks share (`add_options`)."""
    given = {"threads": arguments.threads}
    return given | ({"epochs": arguments.epochs} if arguments.epochs else {})


def add_options(parser: ArgumentParser, seeds: int) -> None:
    """Add the options of a benchmark that trains models of several seeds."""
    parser.add_argument("--seeds", type=int, default=seeds, help="models of each kind")
    parser.add_argument("--epochs", type=int, help="those of the profile by default")
    parser.add_argument("--samples", type=int, help="images of an epoch; all by default")
    parser.add_argument("--threads", type=int, default=2)


def kept(noun: str, shape: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
    """
    Read a result from the work folder, or compute and keep it: a benchmark that was stopped goes on where it was.

    `shape` is all that the result depends on beside the code of the train stage and the data, which are added here.
    """
    code = b"".join(path.read_bytes() for path in sorted((ROOT / "stages" / "train").glob("*.py")))
    samples = (ROOT / "data" / "emoji" / "samples.parquet").read_bytes()
    scale = (ROOT / "stages" / "profiles" / "emoji.yaml").read_bytes()
    digest = hashlib.blake2b(code + samples + scale, digest_size=16).hexdigest()
    path = work_folder("bench", {"noun": noun, "inputs": digest, **shape}) / "result.json"
    if not path.is_file():
        result = json.dumps(compute())
        with written(path) as file:
            file.write_text(result)
    return json.loads(path.read_text())


def spread(values: Sequence[float]) -> str:
    """Write mean ± standard deviation (ddof 1)."""
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


@dataclass(frozen=True)
class Speed:
    """Samples per second of wall time and of processor time, in the training loop; the stage's own account of it."""

    wall: float
    processor: float
    account: str = ""


def ours(folder: Path, seed: int, threads: int, work: Path | None = None) -> Speed:
    """Train a project with the stage; what it keeps to go on after a kill goes to `work`, if that is given."""
    output = run([str(TIMED), "ours", "--seed", str(seed)], folder, threads, work)
    clip = folder / params.load(folder).folder / "models" / str(seed) / "clip"
    samples = json.loads((clip / "training.json").read_text())["samples"]
    return _speed(output, samples)


def run(command: list[str], folder: Path, threads: int, work: Path | None = None) -> str:
    """Run Python in a project, and return what it printed; end with its error where it fails."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment(threads, work),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return done.stdout


def _speed(output: str, samples: int) -> Speed:
    wall, processor = (float(part) for part in output.split("seconds:")[1].split())
    account = [line for line in output.splitlines() if "samples/s" in line]
    return Speed(samples / wall, samples / processor, account[-1] if account else "")


def export(folder: Path) -> Path:
    """Write the training images of a project as files and a csv, which is what open_clip's trainer reads."""
    section = params.load(folder)
    data = folder / section.folder
    samples = pd.read_parquet(data / "samples.parquet", columns=["key", "shard", "caption"])
    samples = samples[samples["key"].isin(pd.read_parquet(data / "selection.parquet", columns=["key"])["key"])]
    images = folder / "images"
    images.mkdir()
    for shard, part in samples.groupby("shard"):
        with Shard(data / "real" / f"{shard}.tar") as tar:
            for key in part["key"]:
                member = tar.image_member(key)
                (images / f"{key}.png").write_bytes(tar.read(key, member.name.partition(".")[2]))
    paths = [str(images / f"{key}.png") for key in samples["key"]]
    pd.DataFrame({"filepath": paths, "title": samples["caption"]}).to_csv(folder / "train.csv", sep="\t", index=False)
    return folder / "train.csv"


def theirs(folder: Path, csv: Path, clip: Path, seed: int, threads: int, workers: int) -> tuple[Speed, Path]:
    """
    Train with `open_clip_train.main` under the settings of a project.

    `clip` is a folder that the stage has written: its configuration and vocabulary are used, not its weights. Returns
    the speed and the checkpoint.
    """
    train = params.load(folder).train
    rows = len(pd.read_csv(csv, sep="\t"))
    epochs = round(train.epochs)
    config = json.loads((clip / "model_config.json").read_text())
    config["text_cfg"]["hf_tokenizer_name"] = str(clip)
    named = folder / "bench-model.json"
    named.write_text(json.dumps(config))
    precision = {"float32": "fp32", "bfloat16": "amp_bf16", "float16": "amp"}[train.precision]
    arguments = {
        "train-data": csv, "dataset-type": "csv", "csv-separator": "\t", "model": "bench-model", "device": "cpu",
        "batch-size": train.batch_size, "epochs": epochs, "lr": train.learning_rate, "warmup": train.warmup,
        "beta1": train.betas[0], "beta2": train.betas[1], "eps": train.epsilon, "wd": train.weight_decay,
        "precision": precision, "workers": workers, "seed": seed,
        "logs": folder / "logs", "name": f"run-{seed}-{workers}",
        "zeroshot-frequency": 0, "save-frequency": epochs, "log-every-n-steps": 10**6,
    }  # fmt: skip
    command = [str(TIMED), "theirs", str(named), str(threads)]
    command += [part for key, value in arguments.items() for part in (f"--{key}", str(value))]
    output = run(command, folder, threads)
    checkpoint = folder / "logs" / f"run-{seed}-{workers}" / "checkpoints" / f"epoch_{epochs}.pt"
    return _speed(output, rows // train.batch_size * train.batch_size * epochs), checkpoint
