"""A project folder with a corpus of drawn shapes."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stages.corpus.evaluation_sets import write_set
from stages.corpus.images import encode_png
from stages.corpus.shards import write_shard
from tests.helpers.shapes import COLOURS, SHAPES, Project, draw


@pytest.fixture
def corpus(project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Project:
    root = project(profile="smoke")
    made = Project(root)
    rng = np.random.default_rng(0)
    samples = []
    for index in range(24):
        colour, shape = COLOURS[index % 6], SHAPES[(index // 6) % 4]
        caption = (f"a {colour} {shape}", f"{colour} {shape}", f"this is a {colour} {shape}")[index % 3]
        samples.append({"key": f"{index:09d}", "shard": f"{index // 12:05d}", "caption": caption, "u": 0.5})
    table = pd.DataFrame(samples)
    for shard, part in table.groupby("shard"):
        words = [caption.split()[-2:] for caption in part["caption"]]
        pictures = [encode_png(draw(colour, shape, rng)) for colour, shape in words]
        triples = list(zip(part["key"], part["caption"], pictures, strict=True))
        write_shard(made.data / "real" / f"{shard}.tar", ((k, {"png": p, "txt": c, "json": {}}) for k, c, p in triples))
        synthetic = [encode_png(255 - draw(colour, shape, rng)) for colour, shape in words]
        pairs = list(zip(part["key"], synthetic, strict=True))[::2]
        write_shard(made.data / "synthetic" / f"{shard}.tar", ((k, {"png": p}) for k, p in pairs))
    table.to_parquet(made.data / "samples.parquet", index=False)
    made.select(
        table[["key", "shard"]].assign(
            source=np.where(np.arange(24) % 4 == 0, "synthetic", "real"), q=1.0, copies=np.arange(24) % 3, kept=True
        )
    )
    for name, genders in (("people", ("woman", "man")), ("portraits", ("woman", "man")), ("objects", ("",))):
        rows = []
        for index in range(12):
            colour, shape = COLOURS[index % 6], SHAPES[index % 4]
            caption, gender = f"a {colour} {shape}", genders[index % len(genders)]
            row = {"key": f"{name}{index}", "captions": [caption], "gender": gender}
            rows.append((row, "png", encode_png(draw(colour, shape, rng))))
        write_set(made.data / "eval", name, rows)
    shares = pd.DataFrame({"occupation": ["nurse", "cook", "pilot"], "women_corpus": [0.9, 0.5, 0.1]})
    shares.assign(women_generator=[0.95, 0.6, 0.02]).to_csv(made.data / "occupations.csv", index=False)
    made.configure()
    monkeypatch.chdir(root)
    monkeypatch.setenv("COUNTERWEIGHT_WORK", str(root / ".work"))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "start"], check=True)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    return made


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
