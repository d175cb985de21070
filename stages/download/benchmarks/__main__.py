"""`python -m stages.download.benchmarks NAME --root DIR`: a benchmark's files → `eval/<name>.tar` and `.parquet`."""

import argparse
from pathlib import Path

from stages.core.errors import run
from stages.core.settings import Profile, load
from stages.download.benchmarks.registry import BENCHMARKS, write


def main() -> None:
    """Write one evaluation set."""
    parser = argparse.ArgumentParser(prog="python -m stages.download.benchmarks", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS, help="the benchmark; its module's docstring lists the files")
    parser.add_argument("--root", type=Path, required=True, help="folder with the benchmark's files")
    parser.add_argument("--out", type=Path, help="folder of evaluation sets (default: data/<profile>/eval)")
    arguments = parser.parse_args()
    print(write(arguments.name, arguments.root, arguments.out or load(Profile).folder / "eval"))


if __name__ == "__main__":
    run(main)
