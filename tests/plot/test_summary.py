"""The printed headline beside the lines of a study, against values by hand."""

import math

import pandas as pd
import pytest
from rich.console import Console

from stages.plot import summary
from stages.plot.answer import Study
from stages.results.details import Estimate
from stages.results.formatting import NOT_BALANCED
from stages.results.sweep import Own

KEY = "people.t2i.r5"
POINTS = [  # α, method, seed, R@5
    (0.0, "m4", 0, 8.0), (0.0, "m4", 1, 10.0), (0.8, "m4", 0, 5.0),
    (0.0, NOT_BALANCED, 0, 12.0), (0.4, NOT_BALANCED, 0, 11.0),
]  # fmt: skip
RUNS = pd.DataFrame(POINTS, columns=["alpha", "method", "seed", "value"]).assign(metric=KEY)
STUDY = Study(RUNS, pd.DataFrame(), pd.DataFrame())
M4 = RUNS.loc[RUNS["method"] == "m4"]


def printed(own: Own, study: Study | None) -> str:
    """Return what a terminal of the usual width shows."""
    console = Console(width=80)
    with console.capture() as capture:
        console.print(summary.table("results", own, study))
    return capture.get()


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, 9.0), (0.2, 8.0), (0.6, 6.0), (0.8, 5.0)])
def test_a_line_joins_the_means_of_its_points(alpha: float, expected: float) -> None:
    assert summary.on_line(M4, KEY, alpha) == pytest.approx(expected)


def test_a_line_ends_where_its_points_end() -> None:
    assert math.isnan(summary.on_line(M4, KEY, 0.9))
    assert math.isnan(summary.on_line(M4, "objects.acc1", 0.2))


def test_the_run_stands_beside_its_own_line_and_the_one_that_is_not_balanced() -> None:
    own = Own(0.2, "m4", {KEY: Estimate(7.0, n=2), "data.eta": Estimate(0.5)})
    said = printed(own, STUDY)
    row = next(line for line in said.splitlines() if "R@5" in line)
    assert [word for word in row.split() if word[0].isdigit()] == ["7.0", "8.0", "11.5"]
    assert "α = 0.2" in said and max(map(len, said.splitlines())) <= 80


def test_a_run_that_is_not_balanced_has_one_line_and_one_without_a_study_none() -> None:
    own = Own(0.2, NOT_BALANCED, {KEY: Estimate(7.0, n=2)})
    assert printed(own, STUDY).count("study,") == 1
    assert "study" not in printed(own, None)
