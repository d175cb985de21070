"""Noise of replicates: by hand, against an analysis of variance, and by simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from stages.core.errors import InputError
from stages.results.noise import Noise, parse, pool, read

KEY = "people.t2i.r5"


def study(values, metric=KEY):
    """Tabulate values by cell (rows) and seed (columns)."""
    rows = [(0.1 * cell, "m4", seed, metric, value) for cell, of in enumerate(values) for seed, value in enumerate(of)]
    return pd.DataFrame(rows, columns=["alpha", "method", "seed", "metric", "value"])


@pytest.mark.parametrize(
    ("rows", "said"),
    [("x,2,1,3,1,2\nx,2,9,3,1,2\n", "x comes twice"), ("x,2,1,3.7,1,2\n", "df"), ("x,2,1,inf,1,2\n", "noise.csv")],
)
def test_noise_that_says_two_things_or_no_whole_number_is_refused(rows, said):
    with pytest.raises(InputError, match=said):
        parse(("metric,cells,sd,df,sd_paired,df_paired\n" + rows).encode(), "noise.csv")


def test_the_spread_is_pooled_within_cells_by_hand():
    (row,) = pool(study([[1.0, 3.0], [10.0, 16.0]])).to_dict("records")
    assert (row["metric"], row["cells"], row["df"]) == (KEY, 2, 2)
    assert row["sd"] == pytest.approx(math.sqrt((2 + 18) / 2))


def test_the_paired_spread_is_the_residual_of_a_two_way_layout():
    values = np.random.default_rng(0).normal(0, 1, (5, 4))
    (row,) = pool(study(values)).to_dict("records")
    left = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    assert row["df_paired"] == 12 and row["sd_paired"] == pytest.approx(math.sqrt((left**2).sum() / 12))


def test_what_every_run_of_a_seed_shares_is_no_noise_of_paired_runs():
    (row,) = pool(study([[1.0, 5.0, 9.0], [2.0, 6.0, 10.0], [0.0, 4.0, 8.0]])).to_dict("records")
    assert row["sd"] == pytest.approx(4.0) and row["sd_paired"] == 0.0


def test_a_cell_that_repeats_another_counts_once():
    once = pool(study([[1.0, 3.0], [10.0, 16.0]]))
    assert pool(study([[1.0, 3.0], [10.0, 16.0], [10.0, 16.0]])).equals(once)


def test_one_replicate_says_nothing():
    assert pool(study([[1.0], [2.0]])).empty
    assert pool(study([[1.0], [2.0, 4.0]]))["cells"].tolist() == [1]


def test_the_pooled_interval_covers_the_difference_of_two_runs_of_one_setting():
    rng, covered = np.random.default_rng(1), 0
    for _ in range(400):
        (row,) = pool(study(rng.normal(0, 2, (4, 3)))).to_dict("records")
        half = Noise(row["sd"], row["df"], row["sd_paired"], row["df_paired"]).half_width(2, 2, paired=False)
        covered += abs(rng.normal(0, 2, 2).mean() - rng.normal(0, 2, 2).mean()) <= half
    assert stats.binomtest(covered, 400, 0.95).pvalue > 0.001


def test_half_width_by_hand():
    noise = Noise(2.0, 10, 1.0, 8)
    assert noise.half_width(2, 2, paired=False) == pytest.approx(stats.t.ppf(0.975, 10) * 2)
    assert noise.half_width(1, 3, paired=False) == pytest.approx(stats.t.ppf(0.975, 10) * 2 * math.sqrt(4 / 3))
    assert noise.half_width(2, 2, paired=True) == pytest.approx(stats.t.ppf(0.975, 8) * 1)


def test_the_replicates_that_would_settle_a_margin_just_do():
    noise = Noise(2.0, 10, 1.0, 8)
    needed = noise.replicates(0.7, paired=False)
    assert noise.half_width(needed, needed, False) <= 0.7 < noise.half_width(needed - 1, needed - 1, False)
    assert noise.replicates(0.0, paired=False) is None


def test_two_replicates_know_nothing_of_pairs():
    text = b"metric,cells,sd,df,sd_paired,df_paired\nx,1,1,2,,0\n"
    assert parse(text, "noise.csv")["x"].error(1, 1, paired=True) == (pytest.approx(2**0.5), 2)


def test_noise_is_read_back(tmp_path):
    table = pool(study(np.random.default_rng(0).normal(0, 1, (3, 3))))
    table.to_csv(tmp_path / "noise.csv", index=False)
    (row,) = table.to_dict("records")
    assert read(tmp_path / "noise.csv") == {KEY: Noise(row["sd"], 6, row["sd_paired"], 4)}
    assert read(tmp_path / "none.csv") == {}


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\n", *(f"metric,cells,sd,df,sd_paired,df_paired\nx,1,{row}\n" for row in (
        ",2,1,1", "inf,2,1,1", "1,2,inf,1", "1,2,-1,1", "1,2,1,-1"))],
)  # fmt: skip
def test_a_broken_table_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "noise.csv").write_text(text)
    with pytest.raises(InputError, match=r"noise\.csv: ") as refused:
        read(tmp_path / "noise.csv")
    assert "\n" not in str(refused.value)
