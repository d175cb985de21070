"""`python -m stages.balance --table FILE`: balance a table of the user's own, without a pipeline."""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from stages.core.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    own = parser.add_argument_group("a table of your own, without a pipeline")
    own.add_argument("--table", type=Path, metavar="FILE", help="csv, tsv, jsonl or parquet: a row per sample")
    own.add_argument("--sensitive", metavar="COLUMNS", help="sensitive attributes, comma between")
    own.add_argument("--labels", default="", metavar="COLUMNS", help="what shall not go with them, comma between")
    own.add_argument("--target", default="equal", help="equal (default), observed, or a table of marginals")
    own.add_argument("--out", type=Path, metavar="FILE", help="weights.parquet; report and plot beside it")
    own.add_argument("--key", metavar="COLUMN", help="unique keys (default: the number of the row)")
    own.add_argument("--eta", default="auto", help="share of the rows to keep (default: auto, the largest)")
    own.add_argument("--eps-r", type=float, default=0.002, help="tolerance of shares (default: %(default)s)")
    own.add_argument("--eps-d", type=float, default=0.0002, help="tolerance of associations (default: %(default)s)")
    own.add_argument("--scope", choices=["known", "all"], default="known", help="rows association is balanced among")
    own.add_argument("--intersections", action="store_true", help="balance pairs of attributes too")
    own.add_argument("--filter", metavar="COLUMN", help="scores: leave out the lowest before balancing, and say whom")
    own.add_argument("--quantile", type=float, default=0.3, help="with --filter: share left out (default: %(default)s)")
    own.add_argument("--seed", type=int, default=0, help="of the choice of whole rows")
    own.add_argument(
        "--export", action="append", default=[], metavar="KIND=PATH", help="uids=x.npy, csv=x.csv, tars=folder; repeat"
    )
    own.add_argument("--tars", type=Path, metavar="FOLDER", help="with --export tars: the tars to copy from")
    own.add_argument("--image", default="image", metavar="COLUMN", help="with --export csv (default: %(default)s)")
    own.add_argument("--caption", default="caption", metavar="COLUMN", help="with --export csv (default: %(default)s)")


def balance(arguments: argparse.Namespace) -> None:
    """Balance a table of the user's; write weights, report and exports, and print what changed."""
    from stages.balance import export, table  # slow to load, and the pipeline needs neither

    if arguments.out is None or not arguments.sensitive:
        raise InputError("--table needs --sensitive (columns) and --out (weights.parquet)")
    wanted = [one.partition("=")[::2] for one in arguments.export]
    places = {kind: Path(path) for kind, path in wanted}
    if len(places) < len(wanted):
        raise InputError(f"--export: found {' '.join(arguments.export)}, expected each kind once")
    if arguments.tars and "tars" not in places:
        raise InputError("--tars needs --export tars=FOLDER: the folder to copy to")
    exports = export.Exports(places, arguments.key, arguments.image, arguments.caption, arguments.tars)
    exports.check(arguments.out, [arguments.table, Path(arguments.target)])
    sensitive, labels = (
        [name.strip() for name in given.split(",") if name.strip()] for given in (arguments.sensitive, arguments.labels)
    )
    goal: Any = arguments.target
    if Path(goal).suffix:
        goal = table.read_table(Path(goal))
    eta = arguments.eta
    try:
        eta = eta if eta == "auto" else float(eta)
    except ValueError:
        raise InputError(f"--eta: found {eta!r}, expected a number in (0, 1], or auto") from None
    scored = [arguments.filter] if arguments.filter else []
    every = table.read_table(arguments.table, [*sensitive, *labels, *exports.columns, *scored])
    given, lost = every, None
    try:
        if arguments.filter:
            kept = table.filtered(every, arguments.filter, arguments.quantile)
            given, lost = every.loc[kept], table.left_out(every, sensitive, labels, kept)
        weights, found = table.balance_table(
            given,
            sensitive,
            labels,
            goal,
            eta=eta,
            eps_r=arguments.eps_r,
            eps_d=arguments.eps_d,
            scope=arguments.scope,
            intersections=arguments.intersections,
            key=arguments.key,
            seed=arguments.seed,
        )
    except InputError as error:
        of_target = isinstance(goal, pd.DataFrame) and str(error).startswith("target: ")
        raise InputError(f"{f'--target {arguments.target}' if of_target else arguments.table}: {error}") from None
    if lost is not None:
        none = {"weight": 0.0, "kept": False}
        weights = pd.DataFrame({name: weights[name].reindex(every.index, fill_value=none[name]) for name in none})
    said = export.write(arguments.out, every, weights, found, exports, lost)
    if lost is not None:
        by_group = lost.loc[(lost["label"] == "").to_numpy()]
        said += [
            f"filter {arguments.filter}: {row['group'] or 'all'}: {row['before']} rows, {row['kept']:.1%} kept"
            for row in by_group.to_dict("records")
        ]
    print(found)
    print("\n".join([*said, f"{arguments.out}: {len(weights)} weights, {int(weights['kept'].sum())} whole rows kept"]))
