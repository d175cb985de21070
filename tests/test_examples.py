"""The worked examples of docs/own-data.md, as they stand there."""

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from stages.corpus.evaluation_sets import read_set
from stages.corpus.shards import Shard
from tests.helpers import documented
from tests.helpers.clone import Clone

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "own-data.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (.+?) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))
ROWS = 12


def picture(number: int) -> bytes:
    image = Image.new("RGB", (70, 90), tuple(np.random.default_rng(number).integers(0, 256, 3).tolist()))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def clone(module_folder: Path) -> Clone:
    """A clone with the user's files: the table of the example, longer, one image broken."""
    made = Clone(module_folder / "clone", ROOT / "no packages are needed")
    (made.folder / "mine" / "pictures").mkdir(parents=True)
    (made.folder / "mine" / "shards").mkdir()
    lines = EXAMPLES["mine/pairs.csv"]
    lines += "".join(f"pictures/{number}.jpg,a woman with a hat {number},woman\n" for number in range(3, ROWS + 1))
    (made.folder / "mine" / "pairs.csv").write_text(lines)
    (made.folder / "mine" / "people.csv").write_text("".join(lines.splitlines(keepends=True)[:4]))
    for number in range(1, ROWS + 1):
        (made.folder / "mine" / "pictures" / f"{number}.jpg").write_bytes(b"" if number == 5 else picture(number))
    with tarfile.open(made.folder / "mine" / "shards" / "first.tar", "w") as tar:
        for number in range(1, ROWS + 1):
            fields = {"gender": "woman" if number % 2 else None, "similarity": number / 10}
            members = {"jpg": picture(number), "txt": b"a caption", "json": json.dumps(fields).encode()}
            for suffix, data in members.items():
                info = tarfile.TarInfo(f"{number}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    values = yaml.safe_load((made.folder / "params.yaml").read_text()) | {"profile": "mine", "shards": ["00000"]}
    (made.folder / "params.yaml").write_text(yaml.safe_dump(values))
    return made


def adopt(clone: Clone, example: str) -> None:
    profiles = clone.folder / "stages" / "profiles"
    values = yaml.safe_load((profiles / "smoke.yaml").read_text())
    values["download"] = {}
    for section, keys in yaml.safe_load(EXAMPLES[example]).items():
        values[section] |= keys
    (profiles / "mine.yaml").write_text(yaml.safe_dump(values))
    science = yaml.safe_load((clone.folder / "params.yaml").read_text())
    science["balance"]["target"] = "none"  # so few rows cannot be balanced
    (clone.folder / "params.yaml").write_text(yaml.safe_dump(science))


def test_a_table_of_ones_own(clone: Clone) -> None:
    adopt(clone, "table")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", EXAMPLES["commands"]],
        cwd=clone.folder,
        env=clone.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert set(re.findall(r"Running stage '([^']+)'", done.stdout)) == {
        "check",
        "download",
        "generate@00000",
        "annotate",
        "balance",
    }
    data = clone.folder / "data" / "mine"
    samples = pd.read_parquet(data / "samples.parquet")
    assert samples["caption"].tolist()[:2] == ["a woman judge in a robe", "a man, a farmer"]
    assert len(samples) == ROWS - 1
    found = json.loads((data / "download.json").read_text())
    assert found["lost_by_reason"] == {"not an image": 1}
    attributes = pd.read_parquet(data / "attributes.parquet").set_index(["source", "key"]).loc["real"]
    assert attributes["s_gender_woman"].tolist() == [True, False] + [True] * (ROWS - 3)
    assert attributes["y_occupation_farmer"].tolist() == [False, True] + [False] * (ROWS - 3)
    assert len(pd.read_parquet(data / "selection.parquet")) == ROWS - 1
    assert read_set(data / "eval", "people").table["captions"].map(list).tolist()[0] == ["a woman judge in a robe"]


def test_the_example_leads_from_files_to_a_report(clone: Clone) -> None:
    made = Clone(clone.folder.parent / "example", ROOT / "no packages are needed")
    shutil.copy2(ROOT / "params.yaml", made.folder)  # as git has it
    said = documented.run(documented.block("docs/own-data.md", "--table data/example"), made.folder, made.environment)
    (shares,) = re.findall(r"\| gender: woman \| 5 \| 0\.5000 \| ([\d.]+) \| ([\d.]+) \|", said)
    assert [float(share) for share in shares] == pytest.approx([0.5, 0.5], abs=0.001)
    weights = pd.read_parquet(made.folder / "data/example/weights.parquet")
    pairs = pd.read_csv(made.folder / "data/example/pairs.csv").assign(weight=weights["weight"])
    women = pairs["weight"].where(pairs["gender"] == "woman", 0).groupby(pairs["occupation"]).sum()
    assert (women / pairs.groupby("occupation")["weight"].sum()).tolist() == pytest.approx([0.5] * 3, abs=0.01)
    assert len(pd.read_parquet(made.folder / "data/example/samples.parquet")) == len(pairs) == 10
    metrics = json.loads((made.folder / "data/example/results/details.json").read_text())
    assert metrics["people.t2i.r5"]["value"] >= 0
    left = made.do("git", "status", "--porcelain").split()
    assert not [name for name in left if name.startswith("data/example") and "results" not in name]


def test_the_example_is_small_and_its_table_names_its_files() -> None:
    folder = ROOT / "data" / "example"
    pairs = pd.read_csv(folder / "pairs.csv")
    assert sorted(pairs["image"]) == sorted(f"pictures/{path.name}" for path in (folder / "pictures").iterdir())
    assert sum(path.stat().st_size for path in (folder / "pictures").iterdir()) < 100_000
    sizes = set()
    for name in pairs["image"]:
        with Image.open(folder / name) as image:
            sizes.add(image.size)
    assert sizes == {(128, 128)}


def test_webdataset_tars_of_ones_own(clone: Clone) -> None:
    adopt(clone, "wds")
    done = subprocess.run(
        ["python", "-m", "stages.download"],
        cwd=clone.folder,
        env=clone.environment | {"PYTHONPATH": os.fspath(clone.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    samples = pd.read_parquet(clone.folder / "data/mine/samples.parquet")
    assert samples["key"].tolist() == [str(number) for number in range(1, ROWS + 1)]
    assert samples["gender"].tolist() == ["woman", ""] * (ROWS // 2)
    assert samples["similarity"].tolist() == [number / 10 for number in range(1, ROWS + 1)]
    with Shard(clone.folder / "data/mine/real/00000.tar") as shard:
        assert shard.read_image("3").shape == (64, 64, 3)


def test_a_known_share_of_generated_images_as_a_target(clone: Clone) -> None:
    """The block is valid as it stands, quotes and all; what it does is tested in test_balance_stage.py."""
    adopt(clone, "table")
    profile, science = clone.folder / "stages/profiles/mine.yaml", clone.folder / "params.yaml"
    before = science.read_text()
    values = [yaml.safe_load(path.read_text()) for path in (profile, science)]
    for section, keys in yaml.safe_load(EXAMPLES["synthetic"]).items():
        (values[0] if section in ("generate", "annotate") else values[1])[section] |= keys
    for path, content in zip((profile, science), values, strict=True):
        path.write_text(yaml.safe_dump(content))
    said = yaml.safe_load(clone.do("python", "-m", "stages.tools.params"))
    science.write_text(before)
    assert said["balance"]["target"]["synthetic"] == {"true": 0.1, "false": 0.9}
