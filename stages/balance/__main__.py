"""`balance`: the mix at α, the weights that balance its moments, and the rows they select.

Reads `samples.parquet` and `attributes.parquet` of `data/<profile>/`; writes `selection.parquet` there, and into
`balance/`: `balance.json` (bias before, solved and realised; η, certificate), `groups.csv`, `associations.csv` (all
pairs) and `associations.png`; where a filter leaves rows out, `filter.csv` (how many of each group and label); where
`synthetic` is an attribute, `origin.csv` (shares and associations by what the corpus says of its own images).

`--table` balances any table instead, without a pipeline (`stages.balance.table`), and writes weights and exports.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from stages.balance import candidates, misread, mixing, report, table_command
from stages.balance.baselines import weigh
from stages.balance.feasibility import MARGIN, largest_eta, violations
from stages.balance.moments import (
    Cells,
    Goal,
    Shares,
    build_problem,
    effective_share,
    shares_of_table,
    target_shares,
    with_intersections,
)
from stages.balance.problem import Problem, Solution
from stages.balance.selection import Allotment, allot, leave_room
from stages.balance.settings import Balance, Settings
from stages.balance.solver import UncertifiedError
from stages.core.atomic import merged
from stages.core.errors import InputError, run
from stages.core.scratch import spilled
from stages.core.settings import load
from stages.corpus import tables
from stages.corpus.attributes import ORIGIN, open_column, says_column, sensitive_column
from stages.corpus.columns import check, schema
from stages.corpus.selection import CANDIDATE
from stages.corpus.words import GROUPS

MEMORY = "2GB"  # what DuckDB may hold; it spills the rest
NEARLY = 0.9999  # share of the keys beyond which all of them take a candidate
DIGITS = 9  # of weights: linear algebra differs between processors from the 12th on, and the mix shall not


def main() -> None:
    """Balance the mix of the profile in params.yaml, or a table."""
    parser = argparse.ArgumentParser(prog="python -m stages.balance", description=(__doc__ or "").split("\n\n")[0])
    table_command.add_arguments(parser)
    arguments = parser.parse_args()
    if arguments.table is not None:
        table_command.balance(arguments)
        return
    if given := [name for name, value in vars(arguments).items() if value != parser.get_default(name)]:
        raise InputError(f"--{given[0].replace('_', '-')} needs --table: the pipeline reads params.yaml; leave it out")
    params = load(Settings)
    settings, folder = params.balance, params.folder
    groups = _groups(folder / "attributes.parquet", settings)
    labels = _labels(folder / "attributes.parquet", groups, settings)
    target = _target(settings)
    opened = {}
    if settings.open:
        opened = {open_column(name, label): (label, says_column(name)) for name in target for label in labels}
        labels += opened
    numbered = CANDIDATE in schema(folder / "attributes.parquet").names
    several = numbered and settings.method == "m4"  # other methods choose no candidate: they take the first
    if several and (settings.filter.quantile or settings.compensate == "repeat"):
        key = "filter.quantile" if settings.filter.quantile else "compensate"
        raise InputError(
            f"balance.{key}: found with several candidates per caption, of which m4 takes one; "
            "leave it at its default, or set generate.candidates to 1"
        )
    with _connection(folder, opened, numbered and not several) as connection:
        columns = [sensitive_column(*group) for group in groups] + labels
        try:
            mixed = mixing.mix(
                connection,
                params.contamination.alpha,
                columns,
                settings.utility,
                settings.utility_bins,
                params.contamination.seed,
                settings.filter.quantile,
                settings.filter.blanked == "leave_out" and "blanked" in schema(folder / "attributes.parquet").names,
                several,
            )
            if not mixed.rows:
                raise InputError("balance.filter: leaves no row; lower quantile, or keep blanked images")
            further = {"filter": mixing.left_out(connection, columns) if mixed.left_out else None}
            kinds, codes = None, None
            if several:
                cells, kinds = candidates.count(connection, groups, labels)
            else:
                cells, codes = mixing.count(connection, groups, labels)
            shares = target_shares(cells, target)
            if settings.intersections:
                cells, shares = with_intersections(cells, shares)
            problem, roomy, largest = _problem(cells, shares, settings, kinds.kind if kinds else None)
            solution = weigh(settings.method, roomy, cells, list(shares), settings.scope, settings.sgd, settings.seed)
        except UncertifiedError as error:
            raise InputError(f"{folder}: {error}") from None
        solution = replace(solution, q=solution.q.round(DIGITS))
        allotment = allot(problem, solution.q, settings.compensate)
        if not allotment.total.sum():
            raise InputError(
                f"balance.eta: {problem.eta:g} of {mixed.rows} rows leaves none; raise eta, eps_d or eps_r"
            )
        facts = _facts(params, mixed, problem, largest, solution, allotment)
        weightings = _weightings(problem, solution, allotment)
        if codes is not None:
            facts["misread"] = _misread(folder / "annotation.json", cells, codes, shares, weightings, settings)
        tables = (
            report.group_table(cells, shares, weightings),
            report.pair_table(cells, weightings, settings.scope),
        )
        further["origin"] = report.origin_table(cells, weightings, settings.scope)
        content = report.summary(*tables, weightings, facts)
        with merged(folder) as staging:
            path = str(staging / "selection.parquet")
            if kinds is not None:
                candidates.write_selection(connection, kinds, problem.caps.level(solution.q), allotment, path)
            elif codes is not None:
                mixing.write_selection(connection, codes, solution.q, allotment, path, numbered)
            _write(staging / "balance", content, tables, further)
    _print(content)


def _groups(path: Path, settings: Balance) -> list[tuple[str, str]]:
    """Groups of the attributes: ours, and those that `annotate` read from columns of the corpus."""
    check(path, {"key": "text", "source": "text"})
    known: dict[str, list[str]] = {name: list(groups) for name, groups in GROUPS.items()}
    names: dict[str, str] = {}
    for name in schema(path).names:
        if (other := names.setdefault(name.casefold(), name)) != name:
            raise InputError(
                f"{path}: columns {other} and {name} differ in case alone, which DuckDB does not tell apart; spell the "
                "groups alike in the source, and run `dvc repro`"
            )
    for field in schema(path):
        if field.metadata and b"group" in field.metadata:
            known.setdefault(field.metadata[b"attribute"].decode(), []).append(field.metadata[b"group"].decode())
    if other := [name for name in settings.attributes if name not in known]:
        raise InputError(
            f"balance.attributes: found {other[0]}, expected some of those annotated: {', '.join(known)}; name it in "
            "annotate.columns"
        )
    return [(attribute, group) for attribute in settings.attributes for group in known[attribute]]


def _labels(path: Path, groups: list[tuple[str, str]], settings: Balance) -> list[str]:
    """Columns of the labels; check that all needed ones are there and boolean."""
    found = schema(path)
    needed = ["key", "source", *(sensitive_column(*group) for group in groups)]
    if settings.open:
        needed += [says_column(attribute) for attribute in settings.attributes]
    if settings.filter.quantile and "similarity" not in found.names:
        raise InputError(
            f"{path}: no column similarity, by which balance.filter.quantile filters; set annotate.similarity"
        )
    samples = schema(path.with_name("samples.parquet"))
    if (utility := settings.utility) and utility not in samples.names:
        raise InputError(f"balance.utility: no column {utility} in samples.parquet; name one, or null")
    if utility and not pa.types.is_integer(kind := samples.field(utility).type) and not pa.types.is_floating(kind):
        raise InputError(
            f"balance.utility: column {utility} of samples.parquet: found {kind}, expected numbers; set "
            f"download.table.numbers: [{utility}] (or download.wds.numbers), which names the row that holds none"
        )
    if absent := [name for name in needed if name not in found.names]:
        raise InputError(
            f"{path}: no column {absent[0]} (balance.attributes: {', '.join(settings.attributes)}); annotate again "
            "(`dvc repro`)"
        )
    labels = [name for name in found.names if name.startswith("y_")]
    if not settings.proxies:
        labels = [name for name in labels if not name.startswith("y_proxy_")]
    if wrong := [name for name in (*needed[2:], *labels) if not pa.types.is_boolean(found.field(name).type)]:
        raise InputError(
            f"{path}: column {wrong[0]}: found {found.field(wrong[0]).type}, expected bool; annotate again "
            "(`dvc repro`)"
        )
    return labels


def _target(settings: Balance) -> dict[str, Goal]:
    """Goal of each attribute that is balanced."""
    target = settings.target
    if isinstance(target, dict):
        wanted: dict[str, Any] = {str(attribute): goal for attribute, goal in target.items()}
    elif target.endswith(".csv"):
        table = pd.DataFrame(tables.rows(Path(target)), columns=pd.Index(tables.columns(Path(target))))
        try:
            wanted = shares_of_table(table, settings.attributes)
        except InputError as error:
            raise InputError(f"balance.target: {target}: {error}") from None
    else:
        wanted = dict.fromkeys(settings.attributes, target)
    return {attribute: goal for attribute, goal in wanted.items() if goal != "none"}


@contextmanager
def _connection(
    folder: Path, opened: Mapping[str, tuple[str, str]], first: bool
) -> Iterator[duckdb.DuckDBPyConnection]:
    """
    Open a throw-away database with the two inputs as views.

    Parameters
    ----------
    opened : mapping
        Further columns to (label, says).
    first : bool
        Whether to leave out all but the first candidate of each key.
    """
    samples = folder / "samples.parquet"
    check(samples, {"key": "text", "shard": "text", "caption": "text", "u": "number"})
    with (
        spilled("balance") as spill,
        duckdb.connect(str(spill / "mix.duckdb"), config={"memory_limit": MEMORY}) as connection,
    ):
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"SET temp_directory = {mixing.quoted(str(spill))}")
        views = (("samples", samples, ", file_row_number = true"), ("attributes", folder / "attributes.parquet", ""))
        further = "".join(f', "{label}" AND NOT "{says}" AS "{name}"' for name, (label, says) in opened.items())
        for name, path, options in views:
            columns = f"*{further if name == 'attributes' else ''}"
            # a folder named u=0 shall not be a column
            source = f"read_parquet({mixing.quoted(str(path))}, hive_partitioning = false{options})"
            only = f" WHERE {CANDIDATE} = 0" if first and name == "attributes" else ""
            connection.execute(f"CREATE VIEW {name} AS SELECT {columns} FROM {source}{only}")
        yield connection


def _problem(
    cells: Cells, shares: Shares, settings: Balance, key: np.ndarray | None = None
) -> tuple[Problem, Problem, float]:
    """State the problem at the η asked for; return it as stated, with room for rounding, and the largest feasible η."""
    stated = build_problem(cells, shares, settings.eps_r, settings.eps_d, 1.0, settings.v, settings.scope)
    stated = replace(stated, key=key)
    largest = largest_eta(stated)
    if settings.method == "none" or (settings.eta == "auto" and largest == stated.cap and key is None):
        return stated, stated, largest
    if settings.eta == "auto" and largest <= MARGIN:
        worst = ", ".join(name for name, *_ in violations(stated, np.ones(len(cells.count)))[:3])
        raise InputError(
            f"balance.eta: auto: no weights meet the constraints (furthest off: {worst}); raise balance.eps_d or "
            "eps_r, or state a number for eta"
        )
    eta = largest * (1 - MARGIN) if settings.eta == "auto" else settings.eta
    eta = _moved(eta, largest, stated)
    stated = replace(stated, eta=eta)
    roomy = leave_room(stated) if eta <= largest else stated
    reach = largest_eta(roomy)
    reach = _moved(reach * (1 - MARGIN), reach, stated)
    if settings.eta == "auto" and reach > 0.9 * largest:  # with a handful of rows, half a row is too much to ask for
        eta = reach
    if eta > reach:
        return stated, stated, largest
    return replace(stated, eta=eta), replace(roomy, eta=eta), largest


def _moved(eta: float, largest: float, problem: Problem) -> float:
    """Move an η at which caps of candidates all but bind, too narrow for a solver: they bind, or leave some room."""
    if problem.key is None or eta <= NEARLY * problem.cap:
        return eta
    return problem.cap if largest >= problem.cap * (1 - 1e-9) else NEARLY * problem.cap


def _weightings(problem: Problem, solution: Solution, allotment: Allotment) -> list[report.Weighting]:
    total, count = allotment.total.astype(float), problem.count
    effective = effective_share(count, solution.q)
    if problem.key is not None:  # of keys, whichever candidates they take
        effective = effective_share(problem.caps.weight, problem.caps.level(solution.q))
    return [
        report.Weighting("before", count.astype(float), 1.0),
        report.Weighting("solved", count * solution.q, effective),
        report.Weighting("realised", total, float(total.sum() ** 2 / allotment.squares.sum() / count.sum())),
    ]


def _facts(
    params: Settings,
    mixed: mixing.Mixed,
    problem: Problem,
    largest: float,
    solution: Solution,
    allotment: Allotment,
) -> dict[str, Any]:
    """Everything but the bias."""
    violated = violations(problem, solution.q)
    broken = violations(problem, allotment.total / problem.count)
    certificate = {
        "primal": solution.primal,
        "dual": solution.dual,
        "gap": solution.gap,
        "relative_gap": solution.relative_gap,
        "iterations": solution.iterations,
    }
    return {
        "alpha": params.contamination.alpha,
        "method": params.balance.method,
        "target": params.balance.target,
        "draw": params.contamination.seed,
        "rows": mixed.rows,
        "synthetic_rows": mixed.synthetic,
        "left_out_rows": mixed.left_out,
        "distinct_rows": len(problem.count),
        "constraints": len(problem.names),
        "eta": problem.eta,
        "largest_eta": largest,
        "rows_taken": int(allotment.rows.sum()),
        "rows_an_epoch": int(allotment.total.sum()),
        "certificate": {name: value for name, value in certificate.items() if value is not None},
        "violated": len(violated),
        "violated_realised": len(broken),
        "violations": [dict(zip(("constraint", "moment", "tolerance"), row, strict=True)) for row in violated[:10]],
    }


def _misread(
    path: Path, cells: Cells, codes: mixing.Codes, shares: Shares, weightings: list[report.Weighting], settings: Balance
) -> dict[str, dict[str, float]]:
    """State the bias of the groups that generated images really show, as far as `annotate` measured its errors."""
    annotation = json.loads(path.read_text()) if path.is_file() else {}
    found = {}
    for one in weightings:
        for suffix, worst in (("", False), ("_worst", True)):
            of = misread.bias(cells, codes.synthetic, shares, annotation, one.weight, settings.scope, worst)
            if of is not None:
                found.setdefault(one.name, {}).update({f"{name}{suffix}": value for name, value in of.items()})
    return found


def _write(
    folder: Path,
    content: dict[str, Any],
    tables: tuple[pd.DataFrame, pd.DataFrame],
    further: Mapping[str, pd.DataFrame | None],
) -> None:
    """Write what is known of the balancing."""
    from stages.balance.figure import heat_map  # half a second of matplotlib, which no refusal needs

    folder.mkdir()
    (folder / "balance.json").write_text(json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
    tables[0].to_csv(folder / "groups.csv", index=False, float_format="%.9g")
    tables[1].to_csv(folder / "associations.csv", index=False, float_format="%.9g")
    for name, table in further.items():
        if table is not None:
            table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
    title = f"{content['method']}, target {content['target']}, α = {content['alpha']:g}, η = {content['eta']:.3g}"
    heat_map(tables[1], "before", "realised", title).savefig(folder / "associations.png")


def _print(content: dict[str, Any]) -> None:
    """Say the outcome in a few lines."""
    if content["left_out_rows"]:
        print(f"{content['left_out_rows']} rows are left out before balancing; balance/filter.csv says of whom")
    gap = content["certificate"].get("relative_gap")
    print(
        f"{content['method']}: {content['rows']} rows ({content['synthetic_rows']} synthetic), "
        f"{content['distinct_rows']} distinct, {content['constraints']} constraints; "
        f"η {content['eta']:.4f} (largest {content['largest_eta']:.4f})"
        + ("" if gap is None else f", relative gap {gap:.1e} after {content['certificate']['iterations']} steps")
    )
    if made := content["groups"].get(f"{ORIGIN}:true"):
        print(
            f"generated, as the corpus says: {made['before']:.1%} of the rows before, {made['realised']:.1%} realised; "
            "balance/origin.csv has the groups of both kinds"
        )
    for name in ("before", "solved", "realised"):
        found = content[name]
        print(f"{name:>9}: RB {found['rb']:.4f}  AB {found['ab']:.4f}  mean {found['ab_mean']:.4f}")
    if "realised" in (shown := content.get("misread", {})):
        real = shown["realised"]
        print(
            f"  as shown: RB {real['rb']:.4f} (up to {real['rb_worst']:.4f})  AB {real['ab']:.4f} (up to "
            f"{real['ab_worst']:.4f}), since generated images are misread as annotation.json says"
        )
    if content["violated"]:
        worst = content["violations"][0]
        print(f"{content['violated']} constraints are not met, worst: {worst['constraint']} ({worst['moment']:+.4f})")
    elif content["violated_realised"]:
        print(f"{content['violated_realised']} constraints are met by the weights, but not by whole rows")


if __name__ == "__main__":
    run(main)
