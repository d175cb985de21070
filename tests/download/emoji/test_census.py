import pytest

from stages.corpus.words import OCCUPATIONS
from stages.download.emoji import census as module
from stages.download.emoji.census import census, with_base_rate


def test_every_occupation_has_a_share() -> None:
    assert tuple(module.OCCUPATIONS) == OCCUPATIONS
    assert set(census(2000).shares) == set(OCCUPATIONS)


@pytest.mark.parametrize(("year", "share"), [(1950, 0.033), (2000, 0.307)])
def test_judges_by_year(year: int, share: float) -> None:
    assert census(year).shares["judge"] == pytest.approx(share)


def test_occupations_without_a_census_row_stay_at_one_half_and_are_not_counted() -> None:
    drawn = census(1950, sharpen=2)
    assert set(OCCUPATIONS) - drawn.counted == {"student", "astronaut"}
    assert drawn.shares["astronaut"] == 0.5


def test_sharpening_by_two_squares_the_odds() -> None:
    share = census(2000, sharpen=2).shares["teacher"]
    assert share / (1 - share) == pytest.approx((0.761 / 0.239) ** 2)


def test_sharpening_by_zero_gives_one_half() -> None:
    assert set(census(1950, sharpen=0).shares.values()) == {0.5}


def test_no_year_gives_one_half() -> None:
    assert set(census(None).shares.values()) == {0.5}


def test_a_share_of_zero_stays_small_and_above_zero() -> None:
    assert 0 < census(1950, sharpen=2).shares["pilot"] < census(1950).shares["pilot"] < 0.01


def test_a_base_rate_shifts_all_shares_and_keeps_their_odds_ratios() -> None:
    before, after = census(2000).shares, with_base_rate(census(2000), 0.2, 0.25).shares
    mean = sum(after[name] for name in before) / len(before)
    assert 0.75 * mean + 0.25 * after[""] == pytest.approx(0.2, abs=1e-8)
    ratio = after[""] / (1 - after[""])  # one half has odds of 1
    for name, share in before.items():
        assert after[name] / (1 - after[name]) == pytest.approx(ratio * share / (1 - share), rel=1e-4)
    assert with_base_rate(census(2000), None, 0.25) == census(2000)
