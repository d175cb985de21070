"""What was measured: flat metrics and the rows of the tables."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.evaluate.groups import CROSS, GroupFigures


@dataclass
class Scores:
    """
    What was measured.

    Attributes
    ----------
    metrics : dict of str to float
        Finite; keys as in `stages.results.registry`.
    arrays : dict of str to dict
        By file below the scores: what a user of the model may apply.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    tables: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    arrays: dict[str, dict[str, NDArray[np.float32]]] = field(default_factory=dict)

    def add(self, key: str, value: float, low: float = np.nan, high: float = np.nan) -> None:
        """Note a figure and its interval; what is not finite is left out."""
        for suffix, number in (("", value), (".lo", low), (".hi", high)):
            if np.isfinite(number):
                self.metrics[key + suffix] = float(number)

    def overall(self, key: str, figures: GroupFigures) -> None:
        """Note the figure over all images."""
        row = figures.table.iloc[0]
        self.add(key, row["value"], row["lo"], row["hi"])

    def spread(self, key: str, figures: GroupFigures) -> None:
        """Note gap, worst group and ratio of the single attributes."""
        for row in figures.spread.to_dict("records"):
            if CROSS not in row["attribute"]:
                self.add(f"{key}.gap.{row['attribute']}", row["gap"], row["lo"], row["hi"])
                self.add(f"{key}.worst.{row['attribute']}", row["worst"])
                if key.rpartition(".")[2] != "self_similarity":  # a cosine has no parity
                    self.add(f"{key}.ratio.{row['attribute']}", row["ratio"], row["ratio_lo"], row["ratio_hi"])

    def tabulate(self, name: str, table: pd.DataFrame, **where: str | int) -> None:
        """Append rows to a table, with columns that say what they belong to."""
        rows = table.copy()
        for position, (column, value) in enumerate(where.items()):
            rows.insert(position, column, value)
        self.tables.setdefault(name, []).append(rows)

    def estimates(self) -> pd.DataFrame:
        """List every figure with its interval: metric, value, lo, hi."""
        plain = [key for key in self.metrics if not key.endswith((".lo", ".hi"))]
        ends = [[self.metrics.get(key + end, np.nan) for key in plain] for end in ("", ".lo", ".hi")]
        return pd.DataFrame(dict(zip(("metric", "value", "lo", "hi"), [plain, *ends], strict=True)))

    def update(self, other: "Scores") -> None:
        """Take over what was measured elsewhere."""
        self.metrics |= other.metrics
        for name, parts in other.tables.items():
            self.tables.setdefault(name, []).extend(parts)
        self.arrays |= other.arrays
