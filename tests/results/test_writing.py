"""Capitals, names in a row, CSV."""

import pandas as pd
import pytest

from stages.results.writing import capital, csv, joined


def test_a_capital_leaves_the_other_letters() -> None:
    assert [capital(text) for text in ("text→image R@5", "LIC", "élan", "")] == ["Text→image R@5", "LIC", "Élan", ""]


@pytest.mark.parametrize(
    ("names", "said"), [([], ""), (["0"], "0"), (["0", "1"], "0 and 1"), (["0", "0.3", "1"], "0, 0.3 and 1")]
)
def test_names_in_a_row(names: list[str], said: str) -> None:
    assert joined(names) == said


def test_tables_have_six_digits_and_one_line_end() -> None:
    assert csv(pd.DataFrame({"a": [1 / 3, 2.0], "b": ["x", "y"]})) == b"a,b\n0.333333,x\n2,y\n"
