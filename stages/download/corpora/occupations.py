"""Known shares of women by occupation, in the corpus and in the generator's training set, as the user gives them."""

from pathlib import Path
from typing import Any

import pandas as pd

from stages.core.errors import InputError
from stages.corpus import tables
from stages.corpus.attributes import is_unknown, known_value
from stages.download.corpora import fields

COLUMNS = ("occupation", "women_corpus", "women_generator")


def read(path: Path | None) -> pd.DataFrame:
    """
    Read the shares.

    Parameters
    ----------
    path : Path or None
        Table of `COLUMNS`, empty where a share is unknown; None: none are known.

    Raises
    ------
    InputError
        If it cannot be read, a column is missing, an occupation comes twice, or a share is none; names the row.
    """
    if path is None:
        return pd.DataFrame(columns=pd.Index(COLUMNS))
    names = tables.columns(path)
    if absent := [name for name in COLUMNS if name not in names]:
        raise InputError(f"{path}: no column {absent[0]} (found: {tables.shown(names)}); add it, empty where unknown")
    shares: dict[str, tuple[float | None, ...]] = {}
    for number, row in enumerate(tables.rows(path), 1):
        where, occupation = f"{path}: row {number}", known_value(row["occupation"], "occupation")
        if not occupation or occupation in shares:
            raise InputError(
                f"{where}: column occupation: found {occupation!r}, expected each occupation once; remove one"
            )
        shares[occupation] = tuple(_share(row[name], f"{where}: column {name}") for name in COLUMNS[1:])
    return pd.DataFrame([(name, *known) for name, known in shares.items()], columns=pd.Index(COLUMNS))


def _share(value: Any, where: str) -> float | None:
    if is_unknown(value):
        return None
    share = fields.number(value)
    if share is None or not 0 <= share <= 1:
        raise InputError(f"{where}: found {value!r}, expected a share in [0, 1], or nothing where it is unknown")
    return share
