import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from stages.core.scratch import VARIABLE, work_folder
from stages.core.seeds import uniform
from stages.corpus.evaluation_sets import read_set
from stages.corpus.shards import Shard
from stages.corpus.words import OCCUPATIONS
from stages.download.emoji.packages import METADATA, STYLES, fetch

ROOT = Path(__file__).resolve().parents[2]
SAMPLES, SHARDS = 30, ["00000", "00001"]
GOLDEN = {
    "samples": "5488da679fc5f8b5",
    "pixels": "ba00b04623b3d935",
    "sets": "14ae244f772f2bfc",
    "occupations": "f328cbcdb60b87bf",
}


def write_project(folder: Path) -> Path:
    """A project of thirty samples with the repository's own parameters."""
    science = yaml.safe_load((ROOT / "params.yaml").read_text())
    scale = yaml.safe_load((ROOT / "stages/profiles/smoke.yaml").read_text())
    scale["download"]["emoji"] |= {"samples": SAMPLES, "eval_people": 6, "eval_portraits": 4, "eval_objects": 5}
    (folder / "stages/profiles").mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(science | {"profile": "smoke", "shards": SHARDS}))
    (folder / "stages/profiles/smoke.yaml").write_text(yaml.safe_dump(scale))
    return folder


def run(project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(work_folder("packages").parent), **variables}
    command = [sys.executable, "-m", "stages.download"]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("project"))
    done = run(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def samples(project: Path) -> pd.DataFrame:
    return pd.read_parquet(project / "data/smoke/samples.parquet")


def test_the_outputs_are_those_of_the_contract(project: Path) -> None:
    sets = [f"eval/{name}.{suffix}" for name in ("objects", "people", "portraits") for suffix in ("parquet", "tar")]
    shards = [f"{kind}/{shard}.tar" for kind in ("real", "oracle") for shard in SHARDS]
    tables = ["download.json", "occupations.csv", "samples.parquet"]
    assert list(hashes(project / "data/smoke")) == sorted([*sets, *shards, *tables])


def test_table_and_shards_agree(project: Path, samples: pd.DataFrame) -> None:
    assert len(samples) == SAMPLES
    for name in SHARDS:
        rows = samples[samples["shard"] == name]
        with Shard(project / f"data/smoke/real/{name}.tar") as shard:
            assert shard.keys == rows["key"].tolist()
            for key, caption in zip(rows["key"], rows["caption"], strict=True):
                assert shard.read(key, "txt").decode() == caption
                assert shard.read_image(key).shape == (64, 64, 3)


def test_every_sample_has_its_uniform_number(samples: pd.DataFrame) -> None:
    assert samples["u"].tolist() == [uniform(0, key) for key in samples["key"]]


def test_the_columns_of_the_samples(samples: pd.DataFrame) -> None:
    assert {"kind", "style", "emoji", "label", "occupation", "gender", "skin_tone", "age"} <= set(samples)
    assert set(samples["kind"]) == {"person", "portrait", "object"}
    assert samples.dtypes[["mentions_gender", "mentions_skin_tone", "duplicate"]].eq(bool).all()
    assert not samples.isna().to_numpy().any()
    assert set(samples.loc[samples["kind"] == "portrait", "occupation"]) <= set(OCCUPATIONS)


@pytest.mark.parametrize(("name", "size"), [("people", 6), ("portraits", 8), ("objects", 5)])
def test_evaluation_sets_fit_their_schema(project: Path, name: str, size: int) -> None:
    read = read_set(project / "data/smoke/eval", name)
    assert len(read.table) == size
    assert all(len(captions) == 5 for captions in read.table["captions"])
    with read.images as images:
        assert all(images.read_image(key).shape == (64, 64, 3) for key in read.table["key"])


def test_occupations_without_a_census_row_are_empty(project: Path) -> None:
    table = pd.read_csv(project / "data/smoke/occupations.csv").set_index("occupation")
    assert tuple(table.index) == OCCUPATIONS
    assert table.index[table["women_corpus"].isna()].tolist() == ["student", "astronaut"]
    assert table.loc["teacher", "women_corpus"] == pytest.approx(0.761)


def test_a_second_run_gives_the_same_bytes(project: Path) -> None:
    before = hashes(project / "data/smoke")
    assert run(project).returncode == 0
    assert hashes(project / "data/smoke") == before


def test_an_altered_package_stops_the_stage_and_leaves_the_data_alone(project: Path, tmp_path: Path) -> None:
    before = hashes(project / "data/smoke")
    packages = tmp_path / "packages"
    packages.mkdir()
    for package in (METADATA, *STYLES.values()):
        shutil.copy(fetch(package, work_folder("packages")), packages)
    (packages / STYLES["twemoji"].archive).write_bytes(b"not a package")
    done = run(project, **{VARIABLE: str(tmp_path)})
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "error: " in done.stderr
    assert STYLES["twemoji"].archive in done.stderr
    assert hashes(project / "data/smoke") == before


def test_an_unreachable_registry_leaves_no_data(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    variables = {
        VARIABLE: str(tmp_path / "work"),
        "npm_config_offline": "true",
        "npm_config_cache": str(tmp_path / "npm"),
    }
    done = run(project, **variables)
    assert done.returncode == 2
    assert done.stderr.startswith("error: npm pack emojibase-data@17.0.0 failed")
    assert hashes(project / "data") == {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("portrait_share", 0.5, "sum to"),
        ("skin_tones", [0.5, 0.5, 0.5, 0, 0], "skin_tones: the shares sum to 1.5"),
        ("held_out_style", "noto", "a style comes twice"),
        ("census_year", 1980, "census_year"),
        ("styles", ["noto", "joypixels"], "styles"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(tmp_path: Path, key: str, value: object, message: str) -> None:
    project = write_project(tmp_path)
    path = project / "stages/profiles/smoke.yaml"
    scale = yaml.safe_load(path.read_text())
    scale["download"]["emoji"][key] = value
    path.write_text(yaml.safe_dump(scale))
    done = run(project)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr
    assert not (project / "data").exists()


def test_a_corpus_of_the_parameters_of_before_is_the_corpus_of_before(project: Path, samples: pd.DataFrame) -> None:
    """Hashes made before the corpus had contexts, gaps in skin tones, a base rate, noise and a size."""
    state = {name: hashlib.sha256() for name in ("samples", "pixels", "sets", "occupations")}
    state["samples"].update(samples.to_json(orient="split").encode())
    folder = project / "data/smoke"
    for name in SHARDS:
        with Shard(folder / f"real/{name}.tar") as shard:
            for key in shard.keys:
                state["pixels"].update(shard.read_image(key).tobytes() + shard.read(key, "json"))
    for name in ("people", "portraits", "objects"):
        read = read_set(folder / "eval", name)
        state["sets"].update(read.table.to_json(orient="split").encode())
        with read.images as images:
            for key in images.keys:
                state["sets"].update(images.read_image(key).tobytes())
    state["occupations"].update((folder / "occupations.csv").read_bytes())
    assert {name: of.hexdigest()[:16] for name, of in state.items()} == GOLDEN
