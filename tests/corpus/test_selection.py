"""Selected rows get their captions by key; what does not fit is refused."""

import pandas as pd
import pytest

from stages.core.errors import InputError
from stages.corpus.selection import join

SAMPLES = pd.DataFrame({"key": ["a", "b", "c"], "caption": ["one", "two", "three"]})
SELECTION = pd.DataFrame(
    {"key": ["c", "a"], "shard": ["00000", "00000"], "source": ["real", "synthetic"], "copies": [2, 0], "kept": True}
)


def test_captions_are_joined_by_key_not_by_position() -> None:
    assert join(SAMPLES, SELECTION, "x").caption.tolist() == ["three", "one"]


def test_rows_that_are_not_kept_are_left_out() -> None:
    assert join(SAMPLES, SELECTION.assign(kept=[True, False]), "x").key.tolist() == ["c"]


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (SELECTION.iloc[:0], "x: no rows"),
        (SELECTION.assign(kept=False), "x: no row is kept"),
        (SELECTION.drop(columns="copies"), "x: column copies is missing"),
        (SELECTION.assign(source="drawn"), "source: found 'drawn'"),
        (SELECTION.assign(key="a"), "'a' comes twice"),
        (SELECTION.assign(copies=[1, -1]), "copies: found -1"),
        (SELECTION.assign(key=["c", "z"]), "'z' is not in the samples"),
    ],
)
def test_a_selection_that_does_not_fit_is_refused(selection: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        join(SAMPLES, selection, "x")
