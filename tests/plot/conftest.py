"""A run of the smoke profile as the other stages write it, by their own writers, on drawings and planted features.

A text is the sum of fixed random vectors of its words, an image the mean of its captions' texts plus noise; women and
men lean towards the occupations of their share. So retrieval works, and the association with the census is known.
"""

import contextlib
import hashlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image, ImageDraw

from stages.annotate.table import attribute_rows, groups_of_metadata
from stages.balance.__main__ import main as balance
from stages.core.errors import run
from stages.core.seeds import uniform
from stages.corpus.evaluation_sets import read_set, write_set
from stages.corpus.images import encode_png
from stages.corpus.shards import write_shard
from stages.evaluate import captioning, training
from stages.evaluate.__main__ import _write as write_scores
from stages.evaluate.suite import Options, SetFeatures, Suite
from stages.plot.aggregate import by_seed
from stages.tools.compare.__main__ import study_files
from stages.tools.compare.runs import Run, tabulate
from stages.tools.params import Params, load
from stages.train.curves import Curves

SEEDS = [0, 1, 2]
WIDTH = 48
SHARES = {"health worker": 0.79, "teacher": 0.76, "cook": 0.52, "judge": 0.31, "farmer": 0.16, "pilot": 0.04}
GENERATOR = {"health worker": 0.9, "teacher": 0.89, "cook": 0.55, "judge": 0.01, "farmer": 0.01, "pilot": 0.001}
COLOURS = {"woman": (135, 87, 201), "man": (214, 154, 0), "": (90, 160, 120)}


def drawing(gender: str, seed: int, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (side, side), tuple(int(v) for v in rng.integers(150, 255, 3)))
    x, y = (int(v) for v in rng.integers(6, side // 2, 2))
    ImageDraw.Draw(image).ellipse([x, y, x + side // 2.2, y + side // 2.2], fill=COLOURS[gender])
    return np.asarray(image)


def write_corpus(folder: Path, shards: Sequence[str], samples: int, people: int) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(samples):
        job = list(SHARES)[i % len(SHARES)]
        gender = ("woman" if rng.random() < SHARES[job] else "man") if i % 4 else ""
        caption = f"a drawing of a {job}" if gender else f"a picture of a tree number {i}"
        key, tone = f"{i:09d}", str(1 + i % 5) if gender else ""
        row = {"key": key, "shard": shards[i * len(shards) // samples], "caption": caption, "u": uniform(0, key)}
        rows.append(row | {"kind": "person" if gender else "object", "gender": gender, "skin_tone": tone})
    table = pd.DataFrame(rows)
    table.to_parquet(folder / "samples.parquet", index=False)
    for shard, own in table.groupby("shard"):
        records = own.to_dict("records")
        real = [
            (r["key"], {"png": encode_png(drawing(r["gender"], int(r["key"]))), "txt": r["caption"]}) for r in records
        ]
        made = [(r["key"], {"png": encode_png(255 - drawing(r["gender"], int(r["key"])))}) for r in records]
        write_shard(folder / "real" / f"{shard}.tar", real)
        write_shard(folder / "synthetic" / f"{shard}.tar", made)
    (folder / "eval").mkdir()

    def images(name: str, count: int, part: str = ""):
        for i in range(count):
            gender = ("woman", "man")[i % 2] if name != "objects" else ""
            job = list(SHARES)[i % len(SHARES)]
            captions = [f"{start} {gender} {job} number {i}" for start in ("a", "one", "the", "some", "this")]
            row = {"key": f"{name}{part}{i:05d}", "part": part, "gender": gender, "label": f"thing {i % 12}"}
            row |= {"captions": captions if name == "people" else [], "skin_tone": str(1 + i % 5) if gender else ""}
            yield row, "png", encode_png(drawing(gender, i))

    write_set(folder / "eval", "people", images("people", people))
    write_set(
        folder / "eval", "portraits", [*images("portraits", people, "unseen"), *images("portraits", people, "seen")]
    )
    write_set(folder / "eval", "objects", images("objects", people))
    pd.DataFrame(
        {"occupation": list(SHARES), "women_corpus": SHARES.values(), "women_generator": GENERATOR.values()}
    ).to_csv(folder / "occupations.csv", index=False)


def text_features(texts: Sequence[str]) -> np.ndarray:
    words = [text.lower().replace("-", " ").split() for text in texts]
    known = {word: _vector(word) for word in {word for of in words for word in of}}
    return np.stack([np.mean([known[word] for word in of], axis=0) for of in words]).astype(np.float32)


def _vector(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")
    return np.random.default_rng(seed).standard_normal(WIDTH)


def write_run(root: Path, params: Params) -> None:
    """Write attributes, balance, curves, captions and scores into a folder that has corpus and evaluation sets."""
    folder = root / params.folder
    samples = pd.read_parquet(folder / "samples.parquet")
    groups = groups_of_metadata(samples)
    keys, captions = samples["key"].tolist(), samples["caption"].tolist()
    pd.concat(
        [attribute_rows(keys, source, groups, captions, []) for source in ("real", "synthetic")], ignore_index=True
    ).to_parquet(folder / "attributes.parquet", index=False)
    quality = {"synthetic.gender.agreement": 0.91, "synthetic.gender.n": 120.0, "rows.real": len(samples)}
    (folder / "annotation.json").write_text(json.dumps(quality))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.chdir(root)
        patch.setattr(sys, "argv", ["balance"])
        run(balance)
    for seed in params.seeds:
        write_seed(folder, params, seed)


def write_seed(folder: Path, params: Params, seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = folder / "models" / str(seed)
    (model / "clip").mkdir(parents=True, exist_ok=True)
    phases = [{"data": "mixed", "first": 0, "last": 359}, {"data": "balanced", "first": 360, "last": 399}]
    (model / "clip" / "training.json").write_text(json.dumps({"seed": seed, "steps": 400, "phases": phases}))
    with Curves(model / "curves", []) as curves:
        for step in range(40, 401, 40):
            wave = 0.02 * rng.standard_normal(6)
            values = {
                "loss": 4.6 * np.exp(-step / 200) + wave[0],
                "retrieval_r5": 0.5 * (1 - np.exp(-step / 150)) + wave[1],
                "representation_bias": 0.1 + 0.2 * step / 400 + wave[2],
                "association_max": 0.05 + 0.1 * step / 400 + wave[3] / 4,
                "association_mean": 0.02 + 0.04 * step / 400 + wave[4] / 4,
                "pairwise_association": 0.6 * (1 - np.exp(-step / 200)) + wave[5],
            }
            curves.add(step, {name: float(value) for name, value in values.items()})
    sets = {name: read_set(folder / "eval", name) for name in params.evaluate.sets}
    said = folder / "captions" / str(seed)
    said.mkdir(parents=True, exist_ok=True)
    people = sets["people"].table
    spoken = {}
    for captioner, words in (("clipcap", 5), ("transformer", 3)):
        captions = [" ".join(str(of[0]).split()[:words]) for of in people["captions"]]
        spoken[captioner] = dict(zip(people["key"], captions, strict=True))
        pd.DataFrame({"key": people["key"], "caption": captions}).to_parquet(said / f"{captioner}.parquet", index=False)
    occupations = pd.read_csv(folder / "occupations.csv")
    features = []
    for name, of in sets.items():
        table = of.table
        texts = [text for captions in table["captions"] for text in captions]
        images = text_features([f"{row['label']} {row['gender'] or 'thing'}" for row in table.to_dict("records")])
        if name == "people":
            images = np.stack([text_features(list(captions)).mean(axis=0) for captions in table["captions"]])
        if name == "portraits":
            lean = {
                "woman": occupations["women_corpus"],
                "man": 1 - occupations["women_corpus"],
                "": occupations["women_corpus"] * 0,
            }
            jobs = text_features(list(occupations["occupation"]))
            images = 0.5 * images + np.stack([lean[g].fillna(0.5).to_numpy() @ jobs for g in table["gender"]]) / len(
                jobs
            )
        images = images + 0.6 * rng.standard_normal(images.shape)
        features.append(
            SetFeatures(
                name,
                table,
                images.astype(np.float32),
                text_features(texts) if texts else np.empty((0, 0), np.float32),
                (1.3 * images + 0.4 * rng.standard_normal(images.shape)).astype(np.float32)
                if name != "objects"
                else None,
            )
        )
        of.images.close()
    settings = Options(
        compare=True, draws=params.evaluate.draws, iterations=50, min_group=params.evaluate.min_group, top_k=10,
        templates=("a picture of {}",), person_templates=("a picture of {}",),
    )  # fmt: skip
    selection, attributes, samples = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("selection", "attributes", "samples")
    )
    phases = [(phase.data, phase.share) for phase in params.train.schedule]
    trained, reference = training.trained(selection, attributes, samples, phases), training.unbalanced(attributes)
    scores = Suite(text_features, 12.0, occupations, settings, trained).run(features)
    images = features[list(sets).index("people")].images
    scores.update(
        captioning.measure(spoken, people, images, text_features, trained, reference, params.evaluate.leakage, 50)
    )
    write_scores(scores, folder / "scores" / str(seed))


def write_study(folder: Path, params: Params) -> None:
    """Compare this run with some that are moved from it."""
    scores = {seed: json.loads((folder / "scores" / str(seed) / "metrics.json").read_text()) for seed in params.seeds}
    values, rng = by_seed(scores), np.random.default_rng(0)
    runs = []
    for method, effect in (("none", 1.0), ("random", 0.98), ("m4", 0.5)):
        for alpha in (0.0, 0.4, 0.8):
            settings = {"contamination.alpha": alpha, "balance.method": method, "balance.target": "equal"}
            moved = values["value"] * (effect + 0.1 * alpha) * rng.normal(1, 0.02, len(values))
            runs.append(Run(f"{method}-{alpha}", settings, values.assign(value=moved)))
    study = folder / "results" / "study"
    (study / "figures").mkdir(parents=True)
    for name, content in study_files(tabulate(runs), params.profile).items():
        (study / name).write_bytes(content)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project folder in git whose stages have all run but `plot`."""
    root = tmp_path_factory.mktemp("project")
    copy_project(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("COUNTERWEIGHT_WORK", str(root / ".work"))
        git(root, "init", "-q")
        git(root, "add", "params.yaml", "stages")
        git(root, "commit", "-qm", "start")
        params = load(root)
        (root / params.folder).mkdir(parents=True)
        write_corpus(root / params.folder, params.shards, samples=96, people=40)
        write_run(root, params)
        write_study(root / params.folder, params)
    return root


def copy_project(root: Path) -> None:
    source = Path(__file__).parents[2]
    shutil.copytree(source / "stages" / "profiles", root / "stages" / "profiles")
    values = yaml.safe_load((source / "params.yaml").read_text())
    values |= {"profile": "smoke", "seeds": SEEDS, "contamination": {"alpha": 0.4}}
    values["balance"] |= {"method": "m4", "target": "equal"}
    (root / "params.yaml").write_text(yaml.safe_dump(values))


def git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=tester", "-c", "user.email=tester@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True)
