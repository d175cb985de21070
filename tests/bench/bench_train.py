"""Samples/s of the train stage against `open_clip_train.main`: same model, images, batch, precision and threads.

Both run in turn in fresh processes for one epoch; open_clip's trainer with 0 and with 2 workers, of which the faster
counts. Printed: each run, the median of the ratios of neighbouring runs, and where the stage spends its time.
"""

import argparse
import re
import statistics
import tempfile
from pathlib import Path

from train_runs import export, ours, project, theirs


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="alternations")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=4096, help="images of the epoch")
    arguments = parser.parse_args()
    settings = {"epochs": 1, "probe": 0, "checkpoint_every": 1.0, "threads": arguments.threads, "augmentation": {}}
    ratios = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = project(Path(scratch), settings, rows=arguments.rows)
        csv = export(folder)
        print(f"{'round':>5} {'ours':>8} {'0 workers':>10} {'2 workers':>10} {'ratio':>6}   samples/s in the epoch")
        for number in range(arguments.rounds):
            _, line = ours(folder, number, arguments.threads)
            mine = float(re.split(r"\s", line)[0])
            clip = folder / "data" / "emoji" / "models" / str(number) / "clip"
            others = [theirs(folder, csv, clip, number, arguments.threads, workers)[1] for workers in (0, 2)]
            ratios.append(mine / max(others))
            print(f"{number:5} {mine:8.0f} {others[0]:10.0f} {others[1]:10.0f} {ratios[-1]:6.2f}   {line}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
