"""The papers' scale without its data: what is missing is named, the graph is whole, and README says the rest."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from stages.core.errors import SECTION
from tests.helpers import programs

ROOT = Path(__file__).parents[1]


def environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "COUNTERWEIGHT_SOURCES"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**inherited, "PYTHONPATH": str(ROOT), "PATH": path, "HF_HUB_OFFLINE": "1", **variables}


@pytest.fixture
def empty(project: Callable[..., Path]) -> Path:
    """A project of the cc3m profile without any data; bfloat16, since float16 already asks for a GPU."""
    root = project(profile="cc3m")
    path = root / "stages" / "profiles" / "cc3m.yaml"
    values = yaml.safe_load(path.read_text())
    values["train"]["precision"] = "bfloat16"
    path.write_text(yaml.safe_dump(values))
    return root


@pytest.mark.parametrize(
    ("stage", "arguments", "named"),
    [
        ("download", [], "the environment variable COUNTERWEIGHT_SOURCES is not set"),
        ("generate", ["--shard", "00000"], "data/cc3m/real/00000.tar: no such shard"),
        ("annotate", [], "data/cc3m/samples.parquet: no such file"),
        ("balance", [], "data/cc3m/attributes.parquet: no such file"),
        ("train", ["--seed", "0"], "data/cc3m/samples.parquet: no such file"),
        ("caption", ["--seed", "0"], "data/cc3m/selection.parquet: no such file"),
        ("evaluate", ["--seed", "0"], "data/cc3m/models/0/clip: no trained model"),
        ("plot", [], "data/cc3m/"),
    ],
)
def test_every_stage_names_what_is_missing_and_where_it_is_explained(
    empty: Path, stage: str, arguments: list[str], named: str
) -> None:
    done = programs.run(f"stages.{stage}", *arguments, folder=empty, environment=environment())
    assert done.returncode == 2, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert named in line
    assert SECTION in line


@pytest.mark.parametrize("name", ["phase", "coco", "fairface", "imagenet"])
def test_a_folder_of_the_users_that_is_missing_is_named(empty: Path, tmp_path: Path, name: str) -> None:
    sources = tmp_path / "sources"
    for other in {"phase", "coco", "fairface", "imagenet"} - {name}:
        (sources / other).mkdir(parents=True)
    (sources / "Train-GCC-training.tsv").write_text("a cat\thttp://127.0.0.1/1\n")
    variables = environment(COUNTERWEIGHT_SOURCES=str(sources))
    done = programs.run("stages.download", folder=empty, environment=variables)
    assert done.returncode == 2
    assert f"{sources / name}: no such file or folder" in done.stderr
    assert SECTION in done.stderr


def test_the_page_that_errors_name_is_there() -> None:
    assert (ROOT / SECTION).is_file()


def test_parameters_of_the_papers_scale_are_valid_without_data(empty: Path) -> None:
    done = programs.run("stages.tools.params", "--profile", "cc3m", folder=empty, environment=environment())
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["download"]["source"] == "cc3m"


def test_the_graph_of_the_papers_scale_is_whole(project: Callable[..., Path]) -> None:
    """Without --force, DVC looks for outputs that a dry run has not written, whatever the profile."""
    root = project(profile="cc3m", seeds=[0, 1], shards=["00000", "00001"])
    for name in ("dvc.yaml", ".dvc/config", ".dvcignore"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "data/pretrained/emoji-sd").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    done = subprocess.run(
        ["dvc", "repro", "--dry", "--force"], cwd=root, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = {"check", "download", "annotate", "balance", "plot", "generate@00000", "generate@00001"}
    expected |= {f"{stage}@{seed}" for stage in ("train", "caption", "evaluate") for seed in (0, 1)}
    assert set(re.findall(r"Running stage '([^']+)'", done.stdout)) == expected
