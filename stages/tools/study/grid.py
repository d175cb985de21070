"""The points of a study: what each sets, what it is called, and what shapes it.

A point is one replicate of a cell: a model of its own (its seed) on a draw of rows of its own (`contamination.seed`).

A point's name ends in a hash of everything that shapes its scores: all parameters but those that no score depends on,
and the code of the stages that make scores. So an experiment of that name, started from whatever commit, *is* the
point, finished; and a change that shapes it gives it another name.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from stages.core.errors import InputError
from stages.core.scratch import fingerprint
from stages.core.settings import Merged
from stages.results.formatting import NOT_BALANCED
from stages.tools.compare.runs import ALPHA, DRAW, METHOD
from stages.tools.params import Counterweights, Params, Study

SILENT = {"gate", "plot", "study", "counterweights", "generations"}  # sections that no score depends on


@dataclass(frozen=True)
class Point:
    """
    One point of the grid.

    Attributes
    ----------
    name : str
        Of the experiment, e.g. ``"study-emoji-a0.3-m4-s0-1f3c9a2b"``.
    settings : mapping of str to Any
        Parameters that it sets, by dotted key.
    alpha, line, seed : float, str, int
        Where it stands in the table of runs.
    """

    name: str
    settings: Mapping[str, Any]
    alpha: float
    line: str
    seed: int


def points(params: Params, study: Study, code: str) -> list[Point]:
    """
    List the points of a study: every method at every α, then the parts, each a replicate of all lines before the next.

    Parameters
    ----------
    code : str
        Hash of the code that makes scores.

    Raises
    ------
    InputError
        If the parameters of a point are not valid, or two lines have the same.
    """
    methods = {NOT_BALANCED if method == "none" else method: {METHOD: method} for method in study.methods}
    parts: list[tuple[Mapping[str, Mapping[str, Any]], list[float], int | None]] = [(methods, study.alphas, None)]
    parts += [(part.lines, part.alphas, part.replicates) for part in study.parts.values()]
    grid: dict[str, Point] = {}
    for lines, alphas, replicates in parts:
        for seed, (line, values), alpha in product(study.seeds[:replicates], lines.items(), alphas):
            wanted = {DRAW: seed, ALPHA: alpha, **study.fixed, **values, "seeds": [seed]}
            name, _ = identify(params, wanted, code, f"study: {line}")
            if name in grid and grid[name].line != line:
                raise InputError(f"study: {line} and {grid[name].line} set the same at α = {alpha:g}; remove one")
            grid[name] = Point(name, wanted, alpha, line, seed)
    return list(grid.values())


def identify(params: Params, wanted: Mapping[str, Any], code: str, where: str) -> tuple[str, dict[str, Any]]:
    """Name the point of one seed that sets parameters; return its name, and all parameters that shape its scores."""
    changed = change(params, wanted, f"stages/profiles/{params.profile}.yaml: {where}")
    values = changed.model_dump(mode="json", exclude=SILENT)
    what = f"a{changed.contamination.alpha:g}-{changed.balance.method}-s{changed.seeds[0]}"
    return f"study-{params.profile}-{what}-{fingerprint({'params': values, 'code': code})[:8]}", values


def of_levers(params: Params, section: Counterweights, code: str) -> list[Point]:
    """
    List the points of a comparison of levers, each with all its replicates.

    Raises
    ------
    InputError
        If the parameters of a point are not valid, or two levers have the same.
    """
    grid: dict[str, Point] = {}
    for seed in section.seeds:  # so that a comparison cut short has every lever
        for lever, values in section.levers.items():
            wanted = {DRAW: seed, **section.fixed, **values, "seeds": [seed]}
            name, found = identify(params, wanted, code, f"counterweights.levers: {lever}")
            if name in grid:
                raise InputError(f"counterweights.levers: {lever} and {grid[name].line} set the same; remove one")
            grid[name] = Point(name, wanted, float(found["contamination"]["alpha"]), lever, seed)
    return list(grid.values())


class _Changed(Merged):
    """All parameters after a change, of which a mistake is named by the line that makes it."""

    def __init__(self, values: dict[str, Any], where: str) -> None:
        self.values, self.where = values, where

    def file(self, location: list[str]) -> Path:
        """Name what sets the parameters, in place of a file."""
        return Path(self.where)


def change(params: Params, wanted: Mapping[str, Any], where: str) -> Params:
    """
    Set parameters, and validate all of them.

    Parameters
    ----------
    where : str
        What sets them, for messages.

    Raises
    ------
    InputError
        If a key is unknown or a value not allowed.
    """
    values = params.model_dump(mode="json")
    for dotted, value in wanted.items():
        *parents, last = dotted.split(".")
        block = values
        for parent in parents:
            block = block.setdefault(parent, {})
            if not isinstance(block, dict):
                raise InputError(
                    f"{where}: {dotted}: {parent} is {'null' if block is None else block} in the profile, not a block "
                    f"of keys; correct the key, or set {parent} as a whole"
                )
        block[last] = value
    return _Changed(values, where).validate(Params)


def overrides(
    wanted: Mapping[str, Any], science: Mapping[str, Any], scale: Mapping[str, Any], scale_path: str
) -> list[str]:
    """
    Write settings as values of ``dvc exp run --set-param``: ``[file:]++key=value``.

    A block replaces the one that stands there, as in `change`: Hydra alone would merge the two.

    Parameters
    ----------
    science, scale : mapping
        Contents of params.yaml and of the profile's file: a key is set where it, or else its section, stands.
    """
    written = []
    for dotted, value in wanted.items():
        section, _, rest = dotted.partition(".")
        in_scale = section in scale and (section not in science or rest.split(".")[0] in scale[section])
        file = f"{scale_path}:" * in_scale
        for key, old in _surplus(_at(scale if in_scale else science, dotted), value, dotted):
            written += [f"{file}++{key}=0"] if old is None else []  # Hydra removes no null
            written.append(f"{file}~{key}")
        written.append(f"{file}++{dotted}={_literal(value)}")
    return written


def _at(values: Any, dotted: str) -> Any:
    """Return what stands at a key; None: nothing."""
    for part in dotted.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _surplus(old: Any, new: Any, dotted: str) -> Iterator[tuple[str, Any]]:
    """Name the keys of a block that the one in its place does not have, with their values."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key, value in old.items():
            if key in new:
                yield from _surplus(value, new[key], f"{dotted}.{key}")
            else:
                yield f"{dotted}.{key}", value


def _literal(value: Any) -> str:
    """Write a value in the grammar of Hydra's overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_literal(of)}" for key, of in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(map(_literal, value)) + "]"
    if isinstance(value, str):
        if "${" in value:
            raise InputError(f"{value!r}: found ${{, which stands for another value there; write the value itself")
        escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), value)
        return f"'{escaped}'"
    return repr(value)
