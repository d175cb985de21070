"""How sentences and tables are written: capitals, names in a row, CSV."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # parameters are refused without waiting for it
    import pandas as pd


def capital(text: str) -> str:
    """Write the first letter large, and leave the others (``str.capitalize`` makes them small)."""
    return text[:1].upper() + text[1:]


def joined(names: Sequence[str]) -> str:
    """Write names in a row, e.g. ``"0, 0.3 and 1"``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def csv(table: "pd.DataFrame") -> bytes:
    """Write a table as the files of results are: six digits, the same line ends everywhere."""
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()
