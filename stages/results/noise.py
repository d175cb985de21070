"""How far replicates of one setting lie apart: the noise that a difference between two runs has to exceed.

It is pooled over the cells (α and method) of a study, so it has many degrees of freedom; the two or three replicates of
one run never estimate it alone. Two standard deviations stand in `results/study/noise.csv`:

    sd         between replicates within a cell, for runs of different seeds
    sd_paired  of what is left beside a cell's and a seed's own mean, for runs that share their seeds

The noise of a difference of means over n_old and n_new replicates is sd × √(1/n_old + 1/n_new).
"""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from stages.core.errors import InputError

LEVEL = 0.95
COLUMNS = ["metric", "cells", "sd", "df", "sd_paired", "df_paired"]


@dataclass(frozen=True)
class Noise:
    """Spread between replicates of one metric, with its degrees of freedom; NaN and 0 where it is unknown."""

    sd: float
    df: int
    sd_paired: float
    df_paired: int

    def error(self, old: int, new: int, paired: bool) -> tuple[float, int]:
        """Return standard error and degrees of freedom of a difference of means over that many replicates."""
        sd, df = (self.sd_paired, self.df_paired) if paired and self.df_paired else (self.sd, self.df)
        return sd * math.sqrt(1 / old + 1 / new), df

    def half_width(self, old: int, new: int, paired: bool) -> float:
        """Return half the 95 % interval of such a difference; NaN where nothing is known."""
        error, df = self.error(old, new, paired)
        return float(stdtrit(df, 0.5 + LEVEL / 2)) * error if df else math.nan

    def replicates(self, margin: float, paired: bool) -> int | None:
        """Return how many replicates on each side make the half-width at most a margin; None: unknown or endless."""
        error, df = self.error(1, 1, paired)
        if not df or not margin > 0:
            return None
        return max(1, math.ceil((float(stdtrit(df, 0.5 + LEVEL / 2)) * error / margin) ** 2))


def pool(runs: pd.DataFrame) -> pd.DataFrame:
    """
    Pool the spread between replicates over the cells of a study; a metric without two of them is left out.

    Parameters
    ----------
    runs : DataFrame
        alpha, method, seed, metric, value. Cells whose values are those of another cell count once.
    """
    table = runs.assign(cell=runs.groupby(["method", "alpha"], sort=False).ngroup())
    wide = table.pivot_table(index="cell", columns=["metric", "seed"], values="value", sort=False)
    table = table.loc[table["cell"].isin(wide.drop_duplicates().index.tolist()), :]
    rows = []
    for metric, of in table.groupby("metric", sort=True):
        cells = of.groupby("cell")["value"]
        of = of.loc[cells.transform("size") > 1, :]
        freedom = len(of) - of["cell"].nunique()
        if not freedom:
            continue
        within = (of["value"] - of.groupby("cell")["value"].transform("mean")).to_numpy(float)
        design = np.hstack([pd.get_dummies(of[name]).to_numpy(float) for name in ("cell", "seed")])
        solution, _, rank, _ = np.linalg.lstsq(design, of["value"].to_numpy(float))
        left, free = of["value"].to_numpy(float) - design @ solution, len(of) - int(rank)
        left[np.abs(left) < 1e-12 * np.abs(of["value"]).max()] = 0.0  # rounding
        paired = math.sqrt(float(left @ left) / free) if free else math.nan
        sd = math.sqrt(float(within @ within) / freedom)
        rows.append((metric, of["cell"].nunique(), sd, freedom, paired, free))
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


def read(path: Path) -> dict[str, Noise]:
    """Read noise.csv; empty where there is no such file: no study has been run."""
    return parse(path.read_bytes(), str(path)) if path.exists() else {}


def parse(content: bytes, where: str) -> dict[str, Noise]:
    """
    Read the content of a noise.csv, by metric.

    Raises
    ------
    InputError
        If it is not such a table.
    """
    try:
        table = pd.read_csv(io.BytesIO(content))
        rows = cast(list[dict[str, Any]], table.loc[:, COLUMNS].to_dict("records"))
        if twice := [name for name, of in table.groupby("metric") if len(of) > 1]:
            raise ValueError(f"{twice[0]} comes twice")
        if (table[["df", "df_paired"]] % 1).to_numpy().any():
            raise ValueError("df is no whole number")
        found = {
            str(row["metric"]): Noise(float(row["sd"]), int(row["df"]), float(row["sd_paired"]), int(row["df_paired"]))
            for row in rows
        }
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{where}: {' '.join(str(error).split())}; expected the columns {', '.join(COLUMNS)}; make it again by "
            "`python -m stages.tools.study --compare`"
        ) from None
    if bad := [key for key, of in found.items() if not _usable(of)]:
        raise InputError(
            f"{where}: {bad[0]}: found {found[bad[0]]}, expected finite sd ≥ 0 and df > 0; make it again by "
            "`python -m stages.tools.study --compare`"
        )
    return found


def _usable(noise: Noise) -> bool:
    paired = [(noise.sd_paired, noise.df_paired)] if noise.df_paired else []
    return all(math.isfinite(sd) and sd >= 0 and df > 0 for sd, df in [(noise.sd, noise.df), *paired])
