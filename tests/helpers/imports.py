"""Which code a file needs, by what it imports."""

import ast
from functools import cache
from pathlib import Path

CODE = Path(__file__).parents[2] / "stages"


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
