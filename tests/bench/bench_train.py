"""Samples/s of the train stage against `open_clip_train.main`: same model, images, batch, precision and threads.

Both run in turn in fresh processes for one epoch; open_clip's trainer with 0 and with 2 workers, of which the faster
counts. Only the loop is timed. On a busy machine the wall clock measures the others' load, so samples a second of
processor time, workers included, stand beside it. Printed: each run, the medians of the ratios of neighbouring runs,
and where the stage spends its time.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from train_runs import export, ours, project, theirs


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="alternations")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=int, default=4096, help="images of the epoch")
    arguments = parser.parse_args()
    settings = {"epochs": 1, "probe": 0, "checkpoint_every": 1.0, "threads": arguments.threads, "augmentation": {}}
    ratios: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = project(Path(scratch), settings, rows=arguments.samples)
        csv = export(folder)
        print("samples/s of wall time | of processor time: ours, open_clip with 0 and with 2 workers")
        for number in range(arguments.rounds):
            mine = ours(folder, number, arguments.threads)
            clip = folder / "data" / "emoji" / "models" / str(number) / "clip"
            others = [theirs(folder, csv, clip, number, arguments.threads, workers)[0] for workers in (0, 2)]
            runs = [mine, *others]
            ratios.append((mine.wall / max(o.wall for o in others), mine.processor / max(o.processor for o in others)))
            walls, processors = (" ".join(f"{getattr(r, name):6.0f}" for r in runs) for name in ("wall", "processor"))
            print(f"{number:3}  {walls} | {processors}   ratio {ratios[-1][0]:.2f} | {ratios[-1][1]:.2f}", flush=True)
            print(f"     {mine.account}", flush=True)
    wall, processor = (statistics.median(values) for values in zip(*ratios, strict=True))
    print(f"median ratio {wall:.2f} of wall time, {processor:.2f} of processor time")


if __name__ == "__main__":
    main()
