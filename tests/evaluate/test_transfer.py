"""Transfer and position on learners whose answer is known, at every α and for balanced and unbalanced data."""

import numpy as np
import pytest

from stages.download.emoji.census import census
from stages.evaluate.transfer import open_rows, position, smoothed, transfer

CORPUS, GENERATOR = census(2000), census(1950, 2.0)
LABELS = sorted(CORPUS.counted)
P, Q = (np.array([of.shares[name] for name in LABELS]) for of in (CORPUS, GENERATOR))
ROWS = np.full(len(LABELS), 100.0)
ALPHAS = (0.0, 0.3, 0.5, 0.6, 1.0)
IDEAL = (0.0, 0.11, 0.19, 0.24, 1.0)  # positions of ideal learners of mixtures, on 100 rows per label


def mixture(alpha):
    return (1 - alpha) * P + alpha * Q


def drawn(alpha, target, seed, n=100):
    """Rows of each label: women as mixed, then as many taken of each gender as half the target asks for."""
    rng = np.random.default_rng(seed)
    women = rng.binomial(n, mixture(alpha))
    if target == "none":
        return women / n, np.full(len(women), float(n))
    kept = np.minimum(women, n - women)  # equal: as many men as women, and half a row where there are none
    share = np.where(kept > 0, 0.5, women > 0)
    return np.where(rng.random(len(women)) < 0.5, share, women / n), np.maximum(2.0 * kept, 1)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("target", ["none", "equal"])
def test_ideal_learners_transfer_one_and_exaggerators_what_they_exaggerate_by(alpha, target):
    share, n = drawn(alpha, target, seed=int(10 * alpha))
    for factor in (1.0, 1.5, 0.4):
        gap = factor * smoothed(share, n) + 0.7  # a constant that one group likes as a whole
        assert transfer(gap, share, n)[0] == pytest.approx(factor)


@pytest.mark.parametrize(("alpha", "expected"), list(zip(ALPHAS, IDEAL, strict=True)))
@pytest.mark.parametrize("scale", [1.0, 18.6])
def test_ideal_learners_lie_where_the_bend_of_the_log_odds_puts_them(alpha, expected, scale):
    gap = scale * smoothed(mixture(alpha), ROWS) - 3
    assert position(gap, P, Q, ROWS)[0] == pytest.approx(expected, abs=0.005)


def test_position_of_drawn_rows_is_that_of_the_ideal_learner_of_the_same_rows():
    for alpha in ALPHAS:
        share, n = drawn(alpha, "none", seed=3)
        ideal = position(smoothed(share, n), P, Q, n)
        found = position(1.5 * smoothed(share, n) + 2, P, Q, n)  # amplifying is no matter of position
        assert found == pytest.approx(ideal)
        assert ideal[0] == pytest.approx(IDEAL[ALPHAS.index(alpha)], abs=0.25)


def test_a_learner_of_nothing_has_a_transfer_around_nought_and_no_position():
    gap = np.random.default_rng(0).normal(size=len(P))
    value, low, high = transfer(gap, P, ROWS)
    assert low < 0 < high
    assert abs(value) < 0.5
    assert position(gap, P, Q, ROWS) is None


def test_a_reversed_learner_has_a_negative_transfer_and_no_position():
    assert transfer(-smoothed(P, ROWS), P, ROWS)[0] == pytest.approx(-1)
    assert position(-smoothed(P, ROWS), P, Q, ROWS) is None


def test_fieller_interval_agrees_with_the_quadratic_solved_by_hand():
    rng = np.random.default_rng(1)
    gap = smoothed(mixture(0.5), ROWS) + 0.2 * rng.normal(size=len(P))
    value, low, high = position(gap, P, Q, ROWS)
    base = smoothed(P, ROWS)
    x = np.column_stack([np.ones(len(P)), base, smoothed(Q, ROWS) - base])
    coefficient, residual, *_ = np.linalg.lstsq(x, gap, rcond=None)
    covariance = np.linalg.inv(x.T @ x) * residual[0] / (len(P) - 3)
    assert value == pytest.approx(coefficient[2] / coefficient[1])
    for end in (low, high):  # where c − ρ b is just distinguishable from 0: Student's 2.131 with 15 degrees of freedom
        contrast = np.array([0, -end, 1])
        error = np.sqrt(contrast @ covariance @ contrast)
        assert abs(contrast @ coefficient) / error == pytest.approx(2.131, abs=0.001)
    assert low < value < high


def test_intervals_cover_when_labels_scatter_and_images_come_in_figures():
    rng = np.random.default_rng(0)
    truth, scatter, noise, inside, there = 1.2, 0.3, 0.4, 0, 0
    place = position(truth * smoothed(mixture(0.5), ROWS), P, Q, ROWS)[0]
    shape = rng.normal(size=(len(P), len(P))) / np.sqrt(len(P))  # images move labels together
    for _ in range(400):
        gap = truth * smoothed(mixture(0.5), ROWS) + scatter * rng.normal(size=len(P))
        gap = gap + noise * shape @ rng.normal(size=len(P))
        samples = gap + noise * rng.normal(size=(300, len(P))) @ shape.T
        _, low, high = transfer(gap, mixture(0.5), ROWS, samples)
        inside += low <= truth <= high
        _, low, high = position(gap, P, Q, ROWS, samples)
        there += low <= place <= high
    assert 0.92 <= inside / 400 <= 0.99
    assert 0.92 <= there / 400 <= 0.99


def test_noise_of_the_images_widens_the_interval_of_an_exact_fit():
    samples = smoothed(P, ROWS) + 0.3 * np.random.default_rng(0).normal(size=(500, len(P)))
    exact, noisy = transfer(smoothed(P, ROWS), P, ROWS), transfer(smoothed(P, ROWS), P, ROWS, samples)
    assert exact[2] - exact[1] < 1e-9 < 0.05 < noisy[2] - noisy[1]


def test_undefined_where_labels_do_not_differ_or_are_too_few():
    assert transfer(P, np.full(len(P), 0.5), ROWS) is None
    assert transfer([0.1, 0.2], [0.3, 0.4], [10, 10]) is None
    assert position(P, P, P, ROWS) is None
    assert position(P, np.full(len(P), np.nan), Q, ROWS) is None


def test_labels_that_no_row_names_are_left_out():
    share = np.append(P, np.nan)
    assert transfer(np.append(smoothed(P, ROWS), 99.0), share, np.append(ROWS, 0))[0] == pytest.approx(1)


def test_open_rows_by_hand():
    named = np.array([[1, 0], [1, 0], [1, 1], [0, 1], [1, 0]], bool)
    first, second = np.array([1, 0, 0, 1, 0], bool), np.array([0, 1, 1, 0, 0], bool)
    share, n = open_rows(named, first, second, [0.25, 0.25, 0.25, 0.25, 0])
    assert share.tolist() == pytest.approx([1 / 3, 1 / 2])
    assert n.tolist() == pytest.approx([3, 2])
    share, n = open_rows(named, first, second, [0.5, 0.25, 0.25, 0, 0])  # a copy of the woman: two thirds of the rows
    assert share.tolist() == pytest.approx([1 / 2, 0])
    assert n.tolist() == pytest.approx([3, 0.75])


def test_smoothing_adds_half_a_row_of_either():
    assert smoothed([0.0, 0.5], [9, 9]).tolist() == pytest.approx([np.log(0.5 / 9.5), 0])
