"""The points of a study: what each sets, what it is called, and what shapes it.

A point is one replicate of a cell: a model of its own (its seed) on a draw of rows of its own (`contamination.seed`).

A point's name ends in a hash of everything that shapes its scores: all parameters but those that no score depends on,
and the code of the stages that make scores. So an experiment of that name, started from whatever commit, *is* the
point, finished; and a change that shapes it gives it another name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import ValidationError

from stages.core.errors import InputError
from stages.core.scratch import fingerprint
from stages.core.settings import mistake
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
            name, _ = identify(params, wanted, code)
            if name in grid and grid[name].line != line:
                raise InputError(f"study: {line} and {grid[name].line} set the same at α = {alpha:g}; remove one")
            grid[name] = Point(name, wanted, alpha, line, seed)
    return list(grid.values())


def identify(params: Params, wanted: Mapping[str, Any], code: str) -> tuple[str, dict[str, Any]]:
    """Name the point of one seed that sets parameters; return its name, and all parameters that shape its scores."""
    changed = change(params, wanted)
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
            name, found = identify(params, wanted, code)
            if name in grid:
                raise InputError(f"counterweights.levers: {lever} and {grid[name].line} set the same; remove one")
            grid[name] = Point(name, wanted, float(found["contamination"]["alpha"]), lever, seed)
    return list(grid.values())


def change(params: Params, wanted: Mapping[str, Any]) -> Params:
    """
    Set parameters, and validate all of them.

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
                raise InputError(f"study: {dotted}: {parent} has no keys; correct the key")
        block[last] = value
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise InputError(f"study: {mistake(error, Params)[1]}; correct the section study of the profile") from None


def overrides(
    wanted: Mapping[str, Any], science: Mapping[str, Any], scale: Mapping[str, Any], scale_path: str
) -> list[str]:
    """
    Write settings as values of ``dvc exp run --set-param``: ``[file:]++key=value``.

    Parameters
    ----------
    science, scale : mapping
        Contents of params.yaml and of the profile's file: a key is set where it, or else its section, stands.
    """
    written = []
    for dotted, value in wanted.items():
        section, _, rest = dotted.partition(".")
        in_scale = section in scale and (section not in science or rest.split(".")[0] in scale[section])
        written.append(f"{scale_path}:" * in_scale + f"++{dotted}={_literal(value)}")
    return written


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
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return repr(value)
