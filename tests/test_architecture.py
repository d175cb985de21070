"""The shape of the project: imports go one way, stages meet only in files, dvc.yaml knows each stage's code."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.helpers.imports import CODE, imported, needed

ROOT = CODE.parent
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
LIBRARIES = ("core", "corpus", "results")
TOOLS = ("tools", "pretrain", "cluster")  # run beside the pipeline: no stage imports them
STAGES = sorted(
    path.name for path in CODE.iterdir() if (path / "__main__.py").exists() and path.name not in (*LIBRARIES, *TOOLS)
)
ALLOWED = {
    "core": {"core"},
    "corpus": {"core", "corpus"},
    "results": {"core", "results"},
    **{stage: {"core", "corpus", stage} for stage in STAGES},
    "plot": {"core", "corpus", "results", "plot"},
    "pretrain": {"core", "corpus", "pretrain", "generate", "results"},
    "tools": {"core", "corpus", "results", "tools", "pretrain", *STAGES},
}
SHAPES_NO_IMAGE = {  # generate imports these, and none of them can change a pixel; its settings have no defaults
    "core/atomic.py", "core/errors.py", "core/forks.py", "core/progress.py", "core/scratch.py", "core/settings.py",
    "core/memory.py", "core/weights.py",
    "generate/settings.py",
}  # fmt: skip


def sources(package: str) -> list[Path]:
    return sorted((CODE / package).rglob("*.py"))


def test_every_package_has_a_place_in_the_order_of_imports() -> None:
    packages = {path.name for path in CODE.iterdir() if any(path.rglob("*.py"))}
    assert packages == ALLOWED.keys()
    assert not list(CODE.glob("*.py")) or [path.name for path in CODE.glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_go_one_way(package: str) -> None:
    assert not {
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources(package)
        for name in imported(path)
        if name.split("/")[0] not in ALLOWED[package]
    }


@pytest.mark.parametrize("stage", sorted(set(GRAPH) - {"check", "generate"}))
def test_dvc_lists_the_folders_of_all_code_that_a_stage_runs(stage: str) -> None:
    listed = {dep for dep in GRAPH[stage]["deps"] if dep.startswith("stages/")}
    assert listed == {f"stages/{name.split('/')[0]}" for name in needed(sources(stage))} | {f"stages/{stage}"}


def test_check_depends_on_nothing_but_the_settings() -> None:
    assert needed([CODE / "tools" / "params.py"]) >= {f"{stage}/settings.py" for stage in STAGES}


def test_generate_reruns_for_the_code_that_shapes_an_image_and_for_no_other() -> None:
    listed = {dep.removeprefix("stages/") for dep in GRAPH["generate"]["deps"] if dep.startswith("stages/")}
    assert listed == shaping()
    from stages.generate.settings import Generate

    assert [name for name, field in Generate.model_fields.items() if not field.is_required()] == []


@pytest.mark.parametrize("stage", sorted(GRAPH))
def test_each_stage_says_what_it_does(stage: str) -> None:
    assert GRAPH[stage].get("desc", "").strip()


def test_a_forgotten_dependency_would_be_noticed(tmp_path: Path) -> None:
    source = tmp_path / "new.py"
    source.write_text("from stages.core import seeds\nfrom stages.corpus.shards import Shard\n")
    assert {"core/seeds.py", "corpus/shards.py", "core/errors.py"} <= needed([source])


def test_only_main_modules_and_commands_of_stages_parse_arguments() -> None:
    assert not {
        str(path.relative_to(ROOT))
        for package in (*STAGES, *LIBRARIES)
        for path in sources(package)
        if not path.stem.endswith(("__main__", "_command")) and "argparse" in path.read_text()
    }


def changed_by(path: str) -> set[str]:
    """Return the stages that declare a file, or a folder that holds it."""
    return {stage for stage, of in GRAPH.items() if any(f"{path}/".startswith(f"{dep}/") for dep in of.get("deps", []))}


def supposed(path: str) -> set[str]:
    """Return the stages that an edit of a file may rerun."""
    top, _, rest = path.partition("/")
    package = rest.partition("/")[0]
    if path.startswith("data/pretrained/emoji-sd/"):
        return {"generate"}
    if top != "stages" or package == "__init__.py":
        return set()
    whole = {"core": set(STAGES), "corpus": set(STAGES), "results": {"plot"}}.get(package, {package} & set(STAGES))
    return whole - {"generate"} | ({"generate"} if rest in shaping() else set())


@cache
def shaping() -> frozenset[str]:
    """Return the files below stages/ that shape an image."""
    code = {path.relative_to(CODE).as_posix() for path in sources("generate") if path.name != "__init__.py"}
    return frozenset((needed(sources("generate")) | code) - SHAPES_NO_IMAGE)


def test_an_edit_of_each_file_reruns_the_stages_that_it_shapes_and_no_other() -> None:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    files = [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]
    assert len(files) > 200 and {"dvc.yaml", "stages/core/seeds.py", "docs/metrics.md"} <= set(files)
    assert {path: changed_by(path) for path in files} == {path: supposed(path) for path in files}
    assert "generate" not in {stage for path in files if path.startswith("tests/") for stage in changed_by(path)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with this dvc.yaml whose stages have all run, by commands that write next to nothing."""
    folder = tmp_path_factory.mktemp("dvc") / "project"
    shutil.copytree(CODE, folder / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", ".gitignore", ".dvcignore"):
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, folder)
    params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {
        "profile": "smoke",
        "seeds": [0],
        "shards": ["00000"],
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "data/pretrained/emoji-sd").mkdir(parents=True)
    (folder / "data/pretrained/emoji-sd/model_index.json").write_text("{}")
    for name in ("study", "counterweights", "generations"):
        (folder / params["plot"][name]).mkdir(parents=True)
        (folder / params["plot"][name] / "runs.csv").write_text("run\n")
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    for entry in graph["stages"].values():
        outs = [
            next(iter(out)) if isinstance(out, dict) else out for out in [*entry["outs"], *entry.get("metrics", [])]
        ]
        entry["cmd"] = [f"mkdir -p $(dirname {out}) && echo {{}} > {out}" for out in outs if Path(out).suffix]
        entry["cmd"] += [f"mkdir -p {out} && echo {{}} > {out}/00000.tar" for out in outs if not Path(out).suffix]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": graph["stages"]}))
    do(folder, "git", "init", "-q")
    do(folder, sys.executable, "-m", "dvc", "init", "-q")
    do(folder, sys.executable, "-m", "dvc", "repro", "-q")
    return folder


def do(folder: Path, *command: str) -> str:
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "path",
    [
        "stages/results/registry.py", "stages/generate/settings.py", "stages/corpus/images.py", "stages/plot/report.py",
        "stages/tools/params.py",
    ],
)  # fmt: skip
def test_dvc_calls_the_same_stages_changed(finished: Path, path: str) -> None:
    before = (finished / path).read_text()
    (finished / path).write_text(f"{before}# edited\n")
    try:
        said = json.loads(do(finished, sys.executable, "-m", "dvc", "status", "--json"))
    finally:
        (finished / path).write_text(before)
    assert {name.partition("@")[0] for name in said} == supposed(path)


def test_generate_reruns_for_its_own_parameters_and_for_no_other(finished: Path) -> None:
    for name in ("params.yaml", "stages/profiles/smoke.yaml"):
        before = (finished / name).read_text()
        values = yaml.safe_load(before)
        others = {"contamination", "balance", "annotate", "train", "caption", "evaluate", "plot"} & values.keys()
        for section in others:
            values[section]["edited"] = True
        (finished / name).write_text(yaml.safe_dump(values))
        said = json.loads(do(finished, sys.executable, "-m", "dvc", "status", "--json"))
        (finished / name).write_text(before)
        assert others and {stage.partition("@")[0] for stage in said} >= {"check", "plot"}
        assert not [stage for stage in said if stage.startswith(("generate", "download"))]


def test_no_test_imports_another_or_a_conftest() -> None:
    """What two of them need is in tests/helpers."""
    imports = re.compile(r"^from tests\.(?:\w+\.)*(?:test_\w+|conftest) import", re.MULTILINE)
    assert not [path.name for path in sorted((ROOT / "tests").rglob("*.py")) if imports.search(path.read_text())]
