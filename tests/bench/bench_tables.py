"""What `evaluate` reads of the training corpus, at the number of rows of the papers: seconds and peak memory.

All else that it does grows with the evaluation sets, not with the corpus. The tables are those of `annotate` and
`balance` with drawn attributes: a real and a synthetic image per row, of which the mix takes one. Each size runs in a
process of its own; printed are processor seconds and the peak of its memory, imports included.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from stages.corpus.attributes import occupation_column, sensitive_columns
from stages.corpus.words import GROUPS, OCCUPATIONS

ROOT = Path(__file__).resolve().parents[2]
READ = """
import pandas as pd
from stages.evaluate import __main__, amplification
tables = [pd.read_parquet(name + ".parquet") for name in ("selection", "attributes")]
corpus = amplification.corpus(*tables, [("balanced", 1)])
assert len(corpus.weights) == {rows}
"""


def write(folder: Path, rows: int) -> None:
    """Write both tables."""
    rng = np.random.default_rng(0)
    keys = np.char.zfill(np.arange(rows).astype(str), 9)
    columns = sensitive_columns(list(GROUPS)) + [occupation_column(name) for name in OCCUPATIONS]
    images = [
        pd.DataFrame({"key": keys, "source": source} | {name: rng.random(rows) < 0.02 for name in columns})
        for source in ("real", "synthetic")
    ]
    pd.concat(images).to_parquet(folder / "attributes.parquet", index=False)
    mix = np.where(rng.random(rows) < 0.6, "synthetic", "real")
    pd.DataFrame({"key": keys, "source": mix, "copies": 1}).to_parquet(folder / "selection.parquet", index=False)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000, help="of the larger corpus; the smaller has a tenth")
    arguments = parser.parse_args()
    print("| rows | s of processor | peak MB |\n|---|---|---|")
    for rows in (arguments.rows // 10, arguments.rows):
        with tempfile.TemporaryDirectory() as scratch:
            write(Path(scratch), rows)
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            process = subprocess.Popen([sys.executable, "-c", READ.format(rows=rows)], cwd=scratch, env=environment)
            _, status, used = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{rows} rows: exit code {status}")
        print(f"| {rows:,} | {used.ru_utime + used.ru_stime:.0f} | {used.ru_maxrss * 1024 / 1e6:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
