"""The shape of the project: stages meet only in files, and dvc.yaml knows every module a stage runs."""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
STAGES = sorted(path.name for path in (ROOT / "stages").iterdir() if (path / "__init__.py").exists())
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


@cache
def imported(path: Path, program: bool = True) -> frozenset[str]:
    """
    Return the `stages…` modules that a file imports, as paths below stages/ without suffix.

    Without `program`, not what `main` alone imports: it runs where the module is a program, not where it is imported.
    """
    names: set[str] = set()
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if program or getattr(node, "name", "") != "main"]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import; write it from stages on"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(name.removeprefix("stages.") for name in names if name.startswith("stages."))


def shared_modules(files: list[Path]) -> set[str]:
    """Return the modules right below stages/ that files need, directly or through each other."""
    found: set[str] = set()
    todo = [name for file in files for name in imported(file)]
    while todo:
        path = ROOT / "stages" / f"{todo.pop().split('.')[0]}.py"
        if path.exists() and path.stem not in found:
            found.add(path.stem)
            todo += imported(path, program=False)
    return found


def sources(stage: str) -> list[Path]:
    return sorted((ROOT / "stages" / stage).rglob("*.py"))


@pytest.mark.parametrize("stage", STAGES)
def test_stage_imports_no_other_stage(stage: str) -> None:
    others = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources(stage)
        for name in imported(path)
        if name.split(".")[0] in STAGES and name.split(".")[0] != stage
    }
    assert not others


def test_shared_modules_import_no_stage() -> None:
    assert not {
        f"{path.name}: {name}"
        for path in (ROOT / "stages").glob("*.py")
        for name in imported(path)
        if name.split(".")[0] in STAGES
    }


@pytest.mark.parametrize("stage", sorted(GRAPH))
def test_dvc_lists_exactly_the_code_that_a_stage_runs(stage: str) -> None:
    listed = {dep for dep in GRAPH[stage]["deps"] if dep.startswith("stages/")}
    assert listed == {f"stages/{stage}", *(f"stages/{name}.py" for name in shared_modules(sources(stage)))}


@pytest.mark.parametrize("stage", sorted(GRAPH))
def test_each_stage_says_what_it_does(stage: str) -> None:
    assert GRAPH[stage].get("desc", "").strip()


def test_a_forgotten_dependency_would_be_noticed(tmp_path: Path) -> None:
    source = tmp_path / "new.py"
    source.write_text("from stages import seeds\nfrom stages.shards import Shard\n")
    assert {"seeds", "shards", "errors"} <= shared_modules([source])


def test_only_main_modules_parse_arguments() -> None:
    assert not {
        str(path.relative_to(ROOT))
        for stage in STAGES
        for path in sources(stage)
        if path.name != "__main__.py" and "argparse" in path.read_text()
    }
