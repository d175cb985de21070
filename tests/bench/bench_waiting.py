"""Seconds of the same images where threads spin while they wait for each other and where they sleep.

OpenMP's threads spin by default, 300,000 times; `stages/__init__.py` makes them sleep. In turn, on free cores and
beside a busy process: 128 images of the default's text-to-image model in batches of 32, a thread per core.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

import stages  # noqa: F401  (it sets how the threads of children wait)

BUSY, MODEL = "while True: pass", "data/pretrained/emoji-sd"


def main() -> None:
    """Print the table, or be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="alternations")
    parser.add_argument("--measured", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measured:
        draw()
        return
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(arguments.rounds):
        for load in ("free", "beside a busy process"):
            for waiting, variables in (("spin", {"GOMP_SPINCOUNT": "300000"}), ("sleep", {})):
                busy = subprocess.Popen([sys.executable, "-c", BUSY]) if load != "free" else None
                command = [sys.executable, __file__, "--measured"]
                try:
                    done = subprocess.run(
                        command, env=os.environ | variables, stdout=subprocess.PIPE, text=True, check=True
                    )
                finally:
                    if busy is not None:
                        busy.kill()
                        busy.wait()
                wall, processor = (float(part) for part in done.stdout.split()[-2:])
                found.setdefault((load, waiting), []).append((wall, processor))
    print("| | threads | seconds | of processors |\n|---|---|---|---|")
    for (load, waiting), times in found.items():
        wall, processor = (statistics.median(part) for part in zip(*times, strict=True))
        print(f"| {load} | {waiting} | {wall:.1f} | {processor:.1f} |")


def draw() -> None:
    """Draw, and print the seconds on the wall and of all processors."""
    import torch

    from stages.generate.sampler import Sampler, Sampling, load_pipeline

    pipeline = load_pipeline(
        "data/pretrained/emoji-sd", None, "dpmsolver++", False, torch.bfloat16, torch.device("cpu")
    )
    sampler = Sampler(pipeline, Sampling(8, 4.0, 1.0, "", 64))
    sampler.images(["a judge"], [0])
    wall, processor = time.perf_counter(), sum(os.times()[:2])
    for start in range(0, 128, 32):
        sampler.images(["a picture of a red apple"] * 32, list(range(start, start + 32)))
    print(time.perf_counter() - wall, sum(os.times()[:2]) - processor)


if __name__ == "__main__":
    main()
