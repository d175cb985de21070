"""The shape of the project: imports go one way, stages meet only in files, dvc.yaml knows each stage's code."""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CODE = ROOT / "stages"
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
LIBRARIES = ("core", "corpus", "results")
TOOLS = ("tools", "pretrain", "cluster")  # run beside the pipeline: nobody imports them
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
    "tools": {"core", "corpus", "results", "tools", *STAGES},
}
SHAPES_NO_IMAGE = {  # generate imports these, and none of them can change a pixel; its settings have no defaults
    "core/atomic.py", "core/errors.py", "core/scratch.py", "core/settings.py", "core/weights.py",
    "generate/settings.py",
}  # fmt: skip


@cache
def imported(path: Path) -> frozenset[str]:
    """Return the files below stages/ that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import; write it from stages on"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    parts = [name.removeprefix("stages.").replace(".", "/") for name in names if name.startswith("stages.")]
    return frozenset(f"{part}.py" for part in parts if (CODE / f"{part}.py").is_file())


def needed(files: list[Path]) -> set[str]:
    """Return the files below stages/ that files need, directly or through each other."""
    found: set[str] = set()
    todo = list(files)
    while todo:
        for name in imported(todo.pop()) - found:
            found.add(name)
            todo.append(CODE / name)
    return found


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
    code = {path.relative_to(CODE).as_posix() for path in sources("generate") if path.name != "__init__.py"}
    assert listed == (needed(sources("generate")) | code) - SHAPES_NO_IMAGE
    from stages.generate.settings import Generate

    assert [name for name, field in Generate.model_fields.items() if not field.is_required()] == []


@pytest.mark.parametrize("stage", sorted(GRAPH))
def test_each_stage_says_what_it_does(stage: str) -> None:
    assert GRAPH[stage].get("desc", "").strip()


def test_a_forgotten_dependency_would_be_noticed(tmp_path: Path) -> None:
    source = tmp_path / "new.py"
    source.write_text("from stages.core import seeds\nfrom stages.corpus.shards import Shard\n")
    assert {"core/seeds.py", "corpus/shards.py", "core/errors.py"} <= needed([source])


def test_only_main_modules_of_stages_parse_arguments() -> None:
    assert not {
        str(path.relative_to(ROOT))
        for package in (*STAGES, *LIBRARIES)
        for path in sources(package)
        if path.name != "__main__.py" and "argparse" in path.read_text()
    }
