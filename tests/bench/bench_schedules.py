"""Balanced data always, only in the last tenth, only in the first tenth, or never: what each leaves in the model.

Trains every schedule on the selection of this project (`dvc repro balance` with a target first, else balanced and
mixed are the same rows) and prints the last point of its curves, mean and spread over seeds. The curves are taken on
`--probe` images of each evaluation set. One model takes as long as in the pipeline.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd
from train_runs import ROOT, ours, project

SCHEDULES = {
    "never": [("mixed", 1.0)],
    "always": [("balanced", 1.0)],
    "last 10 %": [("mixed", 0.9), ("balanced", 0.1)],
    "first 10 %": [("balanced", 0.1), ("mixed", 0.9)],
}
METRICS = ("loss", "retrieval_r5", "representation_bias", "association_mean", "pairwise_association")


def main() -> None:
    """Print the table, and write it as csv if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--probe", type=int, default=600, help="images of each evaluation set")
    parser.add_argument("--epochs", type=float, help="those of the profile by default")
    parser.add_argument("--selection", type=Path, default=ROOT / "data" / "emoji" / "selection.parquet")
    parser.add_argument("--csv", type=Path, help="write all curves here")
    arguments = parser.parse_args()
    if not arguments.selection.exists():
        raise SystemExit(f"{arguments.selection}: no such selection; run `dvc repro balance` first")
    points = []
    for name, phases in SCHEDULES.items():
        for seed in range(arguments.seeds):
            settings = {
                "schedule": [{"data": data, "share": share} for data, share in phases],
                "probe": arguments.probe,
                "threads": arguments.threads,
            }
            if arguments.epochs:
                settings["epochs"] = arguments.epochs
            with tempfile.TemporaryDirectory() as scratch:
                folder = project(Path(scratch), settings, selection=arguments.selection)
                ours(folder, seed, arguments.threads)
                curves = folder / "data" / "emoji" / "models" / str(seed) / "curves" / "plots" / "metrics"
                tables = [pd.read_csv(path, sep="\t").set_index("step") for path in sorted(curves.glob("*.tsv"))]
            points.append(pd.concat(tables, axis=1).reset_index().assign(schedule=name, seed=seed))
            print(name, seed, points[-1].iloc[-1].to_dict(), flush=True)
    curves = pd.concat(points)
    last = curves.groupby(["schedule", "seed"], sort=False).last().groupby("schedule", sort=False)
    table = last[list(METRICS)].agg(["mean", "std"]).round(3)
    print(table.to_string())
    if arguments.csv:
        curves.to_csv(arguments.csv, index=False)


if __name__ == "__main__":
    main()
