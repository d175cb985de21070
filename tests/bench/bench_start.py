"""What a stage takes to start and end: as a program, which rarely looks for garbage, and imported, which sets nothing.

    python tests/bench/bench_start.py --rounds 3

Processor seconds, median of alternating rounds.
"""

import argparse
import os
import resource
import subprocess
import sys
from statistics import median

STAGES = ("balance", "annotate", "train", "generate", "evaluate")


def main() -> None:
    """Print a row per stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = range(parser.parse_args().rounds)
    print("| stage | imported | program | ratio |\n|---|--:|--:|--:|")
    for stage in STAGES:
        pairs = [
            (seconds("-c", f"import stages.{stage}.__main__"), seconds("-m", f"stages.{stage}", "--help"))
            for _ in rounds
        ]
        imported, program = (median(column) for column in zip(*pairs, strict=True))
        print(f"| {stage} | {imported:.1f} | {program:.1f} | {program / imported:.2f} |", flush=True)


def seconds(*words: str) -> float:
    """Run Python to its end; return the processor seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
