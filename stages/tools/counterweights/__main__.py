"""`counterweights`: run every lever, alone and combined, and put bias and quality of each on one table.

    make counterweights                                  run what is missing, then write the table and the figure
    python -m stages.tools.counterweights --status       list the points: finished or missing
    python -m stages.tools.counterweights --compare      tabulate what is finished, run nothing
    python -m stages.tools.counterweights --jobs 2       two points at a time

The section `counterweights` of the profile names the levers: what each sets, in replicates that differ by weights and
draw. Points run as those of a study do (`stages.tools.study`), and share what it has made. The erasers of a point
(`evaluate.erase.methods`) are rows of their own, ``m4+open+leace``, and cost no training. Writes runs.csv, table.csv,
table.md, comparisons.csv (against the first lever, `random` and `m4`, paired by replicate) and pareto.png into
`data/<profile>/results/counterweights/`.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from stages.core.atomic import check_owned, owned
from stages.core.errors import InputError, run
from stages.core.scratch import work_folder
from stages.results.committed import ROW, RUNS, read_runs
from stages.results.panels import png
from stages.results.repository import show
from stages.results.writing import csv
from stages.tools.compare.differences import compare
from stages.tools.counterweights import table as tables
from stages.tools.experiment_clone import experiments
from stages.tools.params import Counterweights, Params, load
from stages.tools.study.__main__ import check, committed_code, finish, options
from stages.tools.study.grid import Point, of_levers


def main() -> None:
    """Run the levers of the profile in params.yaml."""
    arguments = options("counterweights", __doc__)
    params = load()
    section = params.counterweights
    if section is None:
        raise InputError(f"stages/profiles/{params.profile}.yaml: counterweights: missing; write the levers there")
    kept = params.folder / "results" / "counterweights"
    check_owned(kept)
    commit, code = committed_code(params)
    grid = of_levers(params, section, code)
    earlier = read_runs(kept / "runs.csv") if (kept / "runs.csv").is_file() else None
    outcome = finish(params, commit, grid, kept, arguments)
    if outcome is None:
        return
    if len(outcome[0]):
        runs = complete(outcome[0], grid, params, earlier)
        files = contents(runs, section)
        with owned(kept) as folder:
            for name, content in files.items():
                (folder / name).write_bytes(content)
        print(files["table.md"].decode(), end="")
        print(f"\n{kept.as_posix()}: {', '.join(files)}")
    check(outcome, grid, "counterweights")


def complete(
    runs: pd.DataFrame, grid: Sequence[Point], params: Params, earlier: pd.DataFrame | None = None
) -> pd.DataFrame:
    """
    Add to runs what a study does not need: rows taken, seconds, and each eraser as a lever of its own.

    Parameters
    ----------
    earlier : DataFrame, optional
        Committed runs, for points that are no experiments here.
    """
    here, results, parts = experiments(Path()), params.folder / "results", [runs]
    for point in grid:
        found = []
        if point.name in here:
            details = json.loads(show(Path(), point.name, results / "details.json"))
            found += [(point.line, key, of["value"]) for key, of in details.items() if key.startswith("data.")]
            timer = work_folder("study") / f"{point.name}.seconds"
            if timer.is_file():
                found.append((point.line, tables.SECONDS, float(timer.read_text())))
            if point.settings.get("evaluate.erase.methods"):
                erased = pd.read_csv(io.StringIO(show(Path(), point.name, results / "tables" / "erased.csv")))
                of_erasers = erased.loc[(erased["eraser"] != "none").to_numpy(bool), ["eraser", "metric", "value"]]
                found += [(f"{point.line}+{name}", key, value) for name, key, value in of_erasers.to_numpy().tolist()]
        elif earlier is not None:
            of_point = earlier.loc[(earlier["run"] == point.name).to_numpy(bool), ["method", "metric", "value"]]
            found += of_point.to_numpy().tolist()
        added = pd.DataFrame(found, columns=pd.Index(["method", "metric", "value"]))
        parts.append(added.assign(run=point.name, alpha=point.alpha, seed=point.seed))
    table = pd.concat(parts, ignore_index=True).loc[:, [*RUNS]]
    table = table.drop_duplicates([*ROW])
    return table.sort_values(["metric", "method", "alpha", "seed"], ignore_index=True)


def contents(runs: pd.DataFrame, section: Counterweights) -> dict[str, bytes]:
    """Make everything that a comparison shows: content by name of the file."""
    known, levers = set(runs["method"]), []
    for lever, values in section.levers.items():
        erasers = values.get("evaluate.erase.methods", section.fixed.get("evaluate.erase.methods", []))
        levers += [name for name in (lever, *(f"{lever}+{eraser}" for eraser in erasers)) if name in known]
    wanted = list(dict.fromkeys([*section.metrics, section.bias, section.quality]))
    wanted += [top for metric in wanted if (top := metric.partition("/")[0]) not in wanted]
    widened = tables.with_ratios(runs, wanted)
    of = tables.tabulate(widened, levers, section.metrics)
    plain = widened.loc[[metric in wanted and "/" not in metric for metric in widened["metric"]]]
    references = [lever for lever in dict.fromkeys((levers[0], "random", "m4")) if lever in known]
    head = f"{len(levers)} levers at α = {runs['alpha'].iloc[0]:g}; mean over replicates [95 % interval]."
    return {
        "runs.csv": csv(runs),
        "table.csv": csv(of),
        "table.md": f"{head}\n\n{tables.markdown(of, section.metrics)}".encode(),
        "comparisons.csv": csv(compare(plain.loc[plain["metric"] != tables.SECONDS], references)),
        "pareto.png": png([tables.pareto(widened, levers, section.bias, section.quality)], columns=1),
    }


if __name__ == "__main__":
    run(main)
