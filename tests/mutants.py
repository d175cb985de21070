"""Mutation testing: change one operator, constant or condition of a module at a time; a change that no test notices
is a *survivor*: a test is missing, or the change makes no difference.

    python -m tests.mutants                               every module below (`make mutants`)
    python -m tests.mutants balance/solver --sample 40    one of them, a seeded sample

Each mutant runs the module's tests in a fork that has the libraries loaded and imports the project anew.
"""

import argparse
import ast
import copy
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = {
    "balance/solver": ["balance/test_solver.py", "balance/test_caps.py"],
    "balance/moments": ["balance/test_moments.py"],
    "balance/selection": ["balance/test_selection.py"],
    "balance/feasibility": ["balance/test_feasibility.py", "balance/test_solver.py"],
    "evaluate/retrieval": ["evaluate/test_retrieval.py"],
    "evaluate/association": ["evaluate/test_association.py"],
    "evaluate/zero_shot": ["evaluate/test_zero_shot.py"],
    "evaluate/skew": ["evaluate/test_skew.py"],
    "evaluate/similarity": ["evaluate/test_similarity.py"],
    "results/metric_change": ["results/test_metric_change.py"],
    "tools/gate/checks": ["tools/gate/test_checks.py"],
}
COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
COMPUTED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip
CALLED = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "any": "all", "all": "any"}


def mutants(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    """Yield each mutant with the line and what was changed."""
    for index, node in enumerate(ast.walk(tree)):
        for name, changed in _changes(node):
            other = copy.deepcopy(tree)
            target = next(found for place, found in enumerate(ast.walk(other)) if place == index)
            for field, value in changed.items():
                setattr(target, field, value)
            said = ast.unparse(node).splitlines()[0][:80]
            yield f"line {getattr(node, 'lineno', 0)}: {name} in {said}", ast.fix_missing_locations(other)


def _changes(node: ast.AST) -> Iterator[tuple[str, dict]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED:
        yield "comparison", {"ops": [COMPARED[type(node.ops[0])](), *node.ops[1:]]}
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in COMPUTED:
        yield "operator", {"op": COMPUTED[type(node.op)]()}
    elif isinstance(node, ast.BoolOp):
        yield "and, or", {"op": ast.And() if isinstance(node.op, ast.Or) else ast.Or()}
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield "sign", {"op": ast.UAdd()} if isinstance(node.op, ast.USub) else {"op": ast.Not(), "operand": node}
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", {"value": not node.value}
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "constant", {"value": node.value + 1}
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "condition", {"test": ast.Constant(value=False)}
    elif isinstance(node, ast.Attribute) and node.attr in CALLED:
        yield "function", {"attr": CALLED[node.attr]}
    elif isinstance(node, ast.Name) and node.id in CALLED:
        yield "function", {"id": CALLED[node.id]}


class Loader(SourceFileLoader):
    """Loads one module from a tree in place of its file."""

    tree: ast.Module

    def get_code(self, fullname: str):
        return compile(self.tree, self.path, "exec")


class Finder:
    """Finds the mutated module."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.loader = name, Loader(name, str(path))
        self.loader.tree = tree

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_loader(fullname, self.loader, origin=self.loader.path)


def survives(module: str, tree: ast.Module, seconds: float) -> bool:
    """Run the module's tests on a mutant in a fork; one that takes too long has been noticed."""
    child = os.fork()
    if not child:
        for number in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
        signal.alarm(max(1, round(seconds)))
        name = f"stages.{module.replace('/', '.')}"
        for loaded in [known for known in sys.modules if known.split(".")[0] in ("stages", "tests")]:
            del sys.modules[loaded]
        sys.meta_path.insert(0, Finder(name, ROOT / "stages" / f"{module}.py", tree))
        files = [str(ROOT / "tests" / file) for file in TESTS[module]]
        os._exit(
            int(
                pytest.main(
                    ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning", *files]
                )
            )
        )
    return os.waitpid(child, 0)[1] == 0


def score(module: str, sample: int | None, seed: int) -> tuple[int, int]:
    """Try the mutants of a module, print the survivors; return how many were noticed, of how many."""
    tree = ast.parse((ROOT / "stages" / f"{module}.py").read_text())
    begun = time.monotonic()
    if not survives(module, tree, 3600):
        raise SystemExit(f"{module}: its tests fail without a change")
    seconds = 60 + 10 * (time.monotonic() - begun)
    every = list(mutants(tree))
    tried = every if sample is None or sample >= len(every) else random.Random(seed).sample(every, sample)
    noticed = 0
    for what, mutant in tried:
        if survives(module, mutant, seconds):
            print(f"{module}: survives: {what}", flush=True)
        else:
            noticed += 1
    print(f"{module}: {noticed} of {len(tried)} mutants noticed ({len(every)} in all)", flush=True)
    return noticed, len(tried)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TESTS), metavar="MODULE", help=", ".join(TESTS))
    parser.add_argument("--sample", type=int, help="so many mutants per module (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.chdir(ROOT)
    for heavy in ("numpy", "pandas", "scipy.optimize", "scipy.stats", "torch", "sklearn", "cvxpy", "open_clip"):
        importlib.import_module(heavy)
    found = [score(module, arguments.sample, arguments.seed) for module in arguments.modules]
    noticed, tried = (sum(column) for column in zip(*found, strict=True))
    print(f"{noticed} of {tried} ({100 * noticed / tried:.0f} %)")


if __name__ == "__main__":
    main()
