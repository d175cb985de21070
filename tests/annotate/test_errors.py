import numpy as np
import pytest

from stages.annotate.errors import Errors, corrected, summary


def test_errors_are_counted_by_what_the_caption_says_and_names() -> None:
    """Four women, of whom one is taken for a man and one for nobody; two objects, one of them taken for a man."""
    errors = Errors("gender")
    known = ["woman", "woman", "woman", "woman", "", ""]
    decided = ["woman", "woman", "man", "", "man", ""]
    captions = ["a woman", "a judge", "a judge", "a lady who is a judge", "a mug", "a female mug"]
    errors.add(known[:3], decided[:3], captions[:3])
    errors.add(known[3:], decided[3:], captions[3:])
    found = errors.figures()
    assert (found["n"], found["wrong"], found["unsure"], found["invented"]) == (4, 0.25, 0.25, 0.5)
    assert (found["said.n"], found["said.wrong"], found["said.unsure"], found["said.invented"]) == (2, 0, 0.5, 0)
    assert (found["open.n"], found["open.wrong"], found["open.unsure"], found["open.invented"]) == (2, 0.5, 0, 1)
    judge = "occupation.judge."
    assert (found[f"{judge}n"], found[f"{judge}wrong"]) == (3, pytest.approx(1 / 3))
    assert found[f"{judge}unsure"] == pytest.approx(1 / 3)
    assert errors.counts.tolist() == [[2, 1, 1], [0, 0, 0], [0, 1, 1]]


def test_no_captions_no_parts() -> None:
    errors = Errors("gender")
    errors.add(["woman"], ["woman"])
    assert errors.figures().keys() == {"n", "wrong", "unsure", "invented"}


RATES = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.05, 0.05, 0.9]])
SHARES = np.array([0.1, 0.5, 0.4])


def test_a_correction_finds_the_shares_behind_exact_rates() -> None:
    measured, decided = (100 * RATES).round().astype(np.int64), (100_000 * SHARES @ RATES).round().astype(np.int64)
    shares, behind = corrected(measured, decided, seed=0)
    assert shares[0] == pytest.approx(SHARES, abs=1e-6)
    assert (shares[1] < shares[0]).all() and (shares[0] < shares[2]).all()
    joint = SHARES[:, None] * RATES
    assert behind[0] == pytest.approx((joint / joint.sum(axis=0)).T, abs=1e-6)
    assert (np.diag(behind[1]) < np.diag(behind[0])).all()


def test_intervals_hold_the_shares_about_as_often_as_they_say() -> None:
    """Over 200 corpora with 300 measured and 2,000 other images; three times the standard error below 95 %."""
    random, held = np.random.default_rng(1), 0
    for seed in range(200):
        known = random.multinomial(300, [0.3, 0.4, 0.3])
        measured = np.stack([random.multinomial(n, rate) for n, rate in zip(known, RATES, strict=True)])
        shares, _ = corrected(measured, random.multinomial(2000, SHARES @ RATES), seed)
        held += int(shares[1, 0] <= SHARES[0] <= shares[2, 0])
    assert held >= 200 * (0.95 - 3 * 0.0154)


def test_decisions_that_tell_nothing_apart_correct_nothing() -> None:
    decided = np.array([5, 5, 5])
    for measured in (np.full((3, 3), 10), np.array([[9, 1, 0], [1, 9, 0], [0, 0, 0]])):
        shares, behind = corrected(measured, decided, 0)
        assert np.isnan(shares).all()
        assert np.isnan(behind).all()
    assert np.isnan(corrected(np.eye(3, dtype=np.int64) * 9, decided * 0, 0)[0]).all()


def test_the_summary_names_groups_and_decisions() -> None:
    measured, decided = np.array([[8, 2, 0], [1, 9, 0], [0, 0, 10]]), np.array([20, 60, 20])
    found = summary("gender", measured, decided, np.array([12, 68, 20]), seed=0)
    assert (found["woman.share"], found["woman.known"], found["none.share"]) == (0.2, 0.12, 0.2)
    # .8 w + .1 (.8 − w) = .2, hence w = .12 / .7
    assert found["woman.corrected"] == pytest.approx(0.12 / 0.7)
    assert found["woman.is.woman"] == pytest.approx(0.8 * 0.12 / 0.7 / 0.2)
    assert found["none.is.none"] == pytest.approx(1)
    assert found["woman.is.woman.lo"] < found["woman.is.woman"]
    assert "woman.known" not in summary("gender", measured, decided, None, seed=0)
