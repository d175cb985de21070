"""Balanced data always, only in the last tenth, only in the first tenth, or never: what each leaves in the model.

Trains every schedule on the selection of this project (`dvc repro balance` with a target first, else balanced and
mixed are the same rows) and prints the last point of its curves, mean and spread over seeds. The curves are taken on
`--probe` images of each evaluation set. One model takes as long as in the pipeline; finished ones are kept in the work
folder, so that a second run goes on where the first was stopped.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from train_runs import ROOT, add_options, kept, ours, project, settings, spread

from stages.core.scratch import digest

SCHEDULES = {
    "never": [("mixed", 1.0)],
    "always": [("balanced", 1.0)],
    "last 10 %": [("mixed", 0.9), ("balanced", 0.1)],
    "first 10 %": [("balanced", 0.1), ("mixed", 0.9)],
}
METRICS = ("loss", "retrieval_r5", "representation_bias", "association_mean", "pairwise_association")


def main() -> None:
    """Print a Markdown table, and write the curves as csv if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, seeds=2)
    parser.add_argument("--probe", type=int, default=600, help="images of each evaluation set")
    parser.add_argument("--selection", type=Path, default=ROOT / "data" / "emoji" / "selection.parquet")
    parser.add_argument("--csv", type=Path, help="write all curves here")
    arguments = parser.parse_args()
    if not arguments.selection.exists():
        raise SystemExit(f"{arguments.selection}: no such selection; run `dvc repro balance` first")
    content = digest([arguments.selection])
    points: list[pd.DataFrame] = []
    rows = [f"| balanced data | {' | '.join(METRICS)} |", "|---" * (1 + len(METRICS)) + "|"]
    for name, phases in SCHEDULES.items():
        changes = {**settings(arguments), "schedule": phases, "probe": arguments.probe}
        finals = []
        for seed in range(arguments.seeds):
            shape = {**changes, "seed": seed, "samples": arguments.samples, "selection": content}
            curves = pd.DataFrame(
                kept("schedules", shape, lambda changes=changes, seed=seed: _curves(changes, seed, arguments))
            )
            points.append(curves.assign(schedule=name, seed=seed))
            finals.append(curves.iloc[-1])
            print(f"{name}, seed {seed}: {curves.iloc[-1].round(3).to_dict()}", flush=True)
        cells = [spread([float(final[metric]) for final in finals]) for metric in METRICS]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    print("\n".join(["", f"{arguments.seeds} seeds, mean ± standard deviation at the end of training:", "", *rows]))
    if arguments.csv:
        pd.concat(points).to_csv(arguments.csv, index=False)


def _curves(changes: Mapping[str, Any], seed: int, arguments: argparse.Namespace) -> list[dict[str, float]]:
    """Train a model; return the points of its curves."""
    phases = [{"data": data, "share": share} for data, share in changes["schedule"]]
    with tempfile.TemporaryDirectory() as scratch:
        folder = project(
            Path(scratch), {**changes, "schedule": phases}, selection=arguments.selection, rows=arguments.samples
        )
        ours(folder, seed, arguments.threads)
        curves = folder / "data" / "emoji" / "models" / str(seed) / "curves" / "plots" / "metrics"
        tables = [pd.read_csv(path, sep="\t").set_index("step") for path in sorted(curves.glob("*.tsv"))]
    return pd.concat(tables, axis=1).reset_index().to_dict("records")


if __name__ == "__main__":
    main()
