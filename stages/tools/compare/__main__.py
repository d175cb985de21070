"""Many runs on one page: each metric against α, a line a balancing method, effects paired by replicate.

    python -m stages.tools.compare                              HEAD and the DVC experiments that start from it
    python -m stages.tools.compare --all-commits                the experiments of every commit
    python -m stages.tools.compare --revs main sweep-1 sweep-2  only these revisions
    python -m stages.tools.compare --runs FILE                  the runs of a runs.csv: everything else again

Reads params.yaml, the profile and `results/tables/seeds.csv` of each run from git, and writes
`data/<profile>/results/compare/`, which git ignores: runs.csv (tidy: run, α, method, seed, metric, value), lines.csv
(means), comparisons.csv, trends.csv, noise.csv (what the gate measures changes by), study.png, figures/ (one a metric)
and findings.md. `make study` keeps those of its points in `results/study/`.

Runs at the same α and seed share initial weights and, mixes being nested, most images; so methods are compared by the
differences of such pairs (`stages.tools.compare.differences`).
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from stages.core.atomic import check_owned, owned
from stages.core.errors import InputError, run
from stages.results.committed import read_runs, read_scores
from stages.results.effects import NOT_SHOWN, SHOWN
from stages.results.formatting import NOT_BALANCED
from stages.results.headline import headlines
from stages.results.noise import pool
from stages.results.panels import png
from stages.results.repository import mapping, show
from stages.results.sweep import head, overview, panels, sentences, standing_out, tables, with_evidence
from stages.results.writing import csv
from stages.tools.compare.differences import compare, lines, trends
from stages.tools.compare.runs import METHOD, Run, experiments, settings, tabulate
from stages.tools.params import Params, Part, load

ALSO = (  # no headline: of the contamination paper; association that no scale of logits touches; what a mean hides
    r"portraits\.\w+\.(self_similarity|preference\.gender|ab\.argmax\.max)"
    r"|captions\.\w+\.(lic\.\w+|amplification\.\w+\.gender)"
    r"|people\.t2i\.r5\.worst\.\w+|people\.recognition\.skin_tone"
)
LEGEND = (
    "Effects: mean over replicates [95 % interval, Student's t]; of metrics whose ideal is 0 or ½, of the distance "
    f"from it. An effect is shown (better or worse, higher or lower) where {SHOWN}; else it is {NOT_SHOWN}, which does "
    "not mean that there is none. Intervals without p are not corrected for their number: about one in twenty leaves "
    "out 0 by chance."
)
REFERENCES = (NOT_BALANCED, "random", "m4")  # what to ask: does it help, by more than fewer rows do, and than exact M4


def main() -> None:
    """Compare the runs of a sweep."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--revs", nargs="+", metavar="REV", help="only these git revisions or experiments")
    parser.add_argument("--runs", type=Path, metavar="FILE", help="a runs.csv, in place of runs in git")
    parser.add_argument("--all-commits", action="store_true", help="experiments of every commit, not of HEAD alone")
    parser.add_argument("--metrics", nargs="+", metavar="KEY", help="metrics to draw (default: the headline)")
    parser.add_argument(
        "--reference",
        nargs="+",
        metavar="LINE",
        help=f"lines that others are compared with (default: {', '.join(REFERENCES)})",
    )
    parser.add_argument("--out", type=Path, help="folder (default: data/<profile>/results/compare)")
    arguments = parser.parse_args()
    params = load()
    out = arguments.out or params.folder / "results" / "compare"
    check_owned(out)
    if arguments.runs:
        table = read_runs(arguments.runs)
    elif arguments.revs:
        table = tabulate([_read_run(revision, revision, params) for revision in arguments.revs])
    else:
        table = tabulate(_sweep(params, arguments.all_commits))
    write(table, params, out, arguments.metrics, arguments.reference)


def write(
    table: pd.DataFrame,
    params: Params,
    out: Path,
    metrics: Sequence[str] | None = None,
    references: Sequence[str] | None = None,
    parts: Mapping[str, Part] | None = None,
    further: Callable[[pd.DataFrame, pd.DataFrame], dict[str, bytes]] = lambda *_: {},
) -> None:
    """
    Write everything that a study shows into a folder of its own, and print what was found.

    Parameters
    ----------
    further : callable, optional
        Makes more files from comparisons and trends, with their numbers of images.
    """
    main = params.study.main if params.study else []
    claimed = [claim.metric for claim in params.study.claims] if params.study else []
    files = study_files(table, params.profile, metrics, references, main, parts, further, claimed)
    with owned(out) as folder:
        (folder / "figures").mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
    print(files["findings.md"].decode().split(LEGEND)[0].strip())
    print(f"\ntable:  {(out / 'findings.md').as_posix()}\nfigure: {(out / 'study.png').as_posix()}")
    print(f"data:   {out.as_posix()}/ runs.csv, lines.csv, comparisons.csv, trends.csv, noise.csv, figures/")


def study_files(
    table: pd.DataFrame,
    profile: str,
    metrics: Sequence[str] | None = None,
    references: Sequence[str] | None = None,
    primary: Sequence[str] = (),
    parts: Mapping[str, Part] | None = None,
    further: Callable[[pd.DataFrame, pd.DataFrame], dict[str, bytes]] = lambda *_: {},
    claimed: Sequence[str] = (),
) -> dict[str, bytes]:
    """
    Make everything that a study shows.

    Parameters
    ----------
    table : DataFrame
        From `tabulate`.
    metrics : sequence of str, optional
        To draw; by default those that a run is judged by.
    references : sequence of str, optional
        Lines that others are compared with; by default those of `REFERENCES` that are there.
    primary : sequence of str
        Metrics that were named before the run: shown first, and the only ones that are tested; those without values
        are left out.
    parts : mapping of str to Part, optional
        Lines that are held against what their part names alone.
    further : callable, optional
        As `write` takes it.
    claimed : sequence of str
        Metrics that are drawn, too, where `metrics` names none and a run has them.

    Returns
    -------
    dict of str to bytes
        Content by path below the folder of the study.

    Raises
    ------
    InputError
        If a metric or reference is not in the table.
    """
    known = list(table["metric"].unique())
    if not metrics:
        metrics = [key for _, family in headlines(known) for key in family]
        also = [key for key in known if re.fullmatch(ALSO, key) or key in claimed]
        metrics += [key for key in also if key not in metrics]
    if unknown := sorted(set(metrics) - set(known)):
        raise InputError(f"--metrics {unknown[0]}: no run has it; name one that is there (e.g. {known[0]})")
    primary = [key for key in primary if key in known]
    metrics = [*primary, *(key for key in metrics if key not in primary)]
    methods = sorted(table["method"].unique())
    if unknown := [name for name in references or [] if name not in methods]:
        raise InputError(f"--reference {unknown[0]}: found {', '.join(methods)}; name one of these")
    shown = pd.concat([table.loc[table["metric"] == metric, :] for metric in metrics])
    comparisons, changes = effects(shown, primary, parts or {}, references)
    sized, moved = with_evidence(comparisons, table), with_evidence(changes, table)
    opening = standing_out(sized, moved, metrics)
    paragraph = " ".join([head(table, primary), *sentences(sized, moved, metrics)])
    whole = [f"### In one table\n\n{found}"] if (found := overview(sized, moved, metrics)) else []
    said = [opening, paragraph, LEGEND, *whole, *tables(sized, moved, metrics)]
    charts = {metric: panels(table, [metric], sized, moved) for metric in metrics}
    first = {own[0].name for own in charts.values() if own}  # the best known lines; the others stand in figures/ alone
    shared = [panel for panel in panels(table, metrics, sized, moved) if panel.name in first]  # one axis per kind
    return {
        "runs.csv": csv(table),
        "lines.csv": csv(lines(shown)),
        "comparisons.csv": csv(comparisons),
        "trends.csv": csv(changes),
        "noise.csv": csv(pool(_alike(table, parts or {}))),
        "study.png": png(
            shared, columns=3, title=f"{profile}: metrics against α; pale bars: ± 1 SD between replicates"
        ),
        **{f"figures/{metric}.png": png(own, columns=len(own)) for metric, own in charts.items()},
        "findings.md": "\n\n".join(said).encode() + b"\n",
        **further(sized, moved),
    }


def effects(
    shown: pd.DataFrame, primary: Sequence[str], parts: Mapping[str, Part], references: Sequence[str] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    Compare lines with references (those of a part with its own, among its own α and replicates), and α with the lowest.

    Parameters
    ----------
    references : sequence of str, optional
        By default those of `REFERENCES` that are there.

    Returns
    -------
    tuple of DataFrame
        From `stages.tools.compare.differences`: comparisons, trends.
    """
    references = references or [name for name in REFERENCES if name in set(shown["method"])]
    apart = _apart(parts)
    found = [compare(shown.loc[~shown["method"].isin(list(apart)), :], references, primary)]
    for part in parts.values():
        own = part.references or [name for name in references if name not in part.lines]
        rows = shown.loc[shown["method"].isin([*part.lines, *own]) & shown["alpha"].isin(part.alphas), :]
        table = compare(rows, own, primary)
        found.append(table.loc[table["method"].isin([line for line in part.lines if line in apart]), :])
    compared = pd.concat([table for table in found if len(table)] or found[:1], ignore_index=True)
    return compared, trends(shown, primary)


def _apart(parts: Mapping[str, Part]) -> set[str]:
    """Name the lines in which more differs than the method."""
    return {line for part in parts.values() for line, of in part.lines.items() if set(of) != {METHOD}}


def _alike(table: pd.DataFrame, parts: Mapping[str, Part]) -> pd.DataFrame:
    """Keep the runs whose spread stands for that of any run: of other corpora and models what no other run has."""
    apart = table["method"].isin(list(_apart(parts)))
    return table.loc[~apart | ~table["metric"].isin(table.loc[~apart, "metric"].unique()), :]


def _read_run(name: str, revision: str, params: Params) -> Run:
    """Read parameters and scores of a run from git."""
    science = mapping(Path(), revision, Path("params.yaml"))
    if science.get("profile") != params.profile:
        raise InputError(
            f"{name}: profile {science.get('profile')!r}, expected {params.profile!r} as in params.yaml; "
            "leave it out, or set profile"
        )
    scale = mapping(Path(), revision, Path("stages") / "profiles" / f"{params.profile}.yaml")
    sections = [(key, of) for key in scale for of in (scale[key] or {}, science.get(key, {}))]
    if wrong := [key for key, of in sections if not isinstance(of, dict)]:
        raise InputError(f"{name}: section {wrong[0]}: found no keys and values; name another revision")
    scores = params.folder / "results" / "tables" / "seeds.csv"
    values = read_scores(show(Path(), revision, scores), f"{name}:{scores.as_posix()}")
    merged = {**science, **{section: {**science.get(section, {}), **(own or {})} for section, own in scale.items()}}
    with contextlib.suppress(ValidationError):  # of another version of the project: as it is, without defaults
        merged = Params.model_validate(merged).model_dump(mode="json")
    return Run(name, settings(merged), values)


def _sweep(params: Params, all_commits: bool) -> list[Run]:
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json", *(["--all-commits"] if all_commits else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise InputError(f"dvc exp show: {reason[0]}; or name revisions by --revs")
    finished, unfinished = experiments(json.loads(done.stdout))
    runs = []
    for name, revision in finished:
        try:
            runs.append(_read_run(name, revision, params))
        except InputError as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
    for name in unfinished:
        print(f"left out: {name}: queued, running or failed", file=sys.stderr)
    return runs


if __name__ == "__main__":
    run(main)
