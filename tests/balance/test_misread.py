import numpy as np
import pytest

from stages.balance.misread import Reading, bias, members
from stages.balance.moments import Cells

BEHIND = {"woman": (0.8, 0.15, 0.05), "man": (0.1, 0.9, 0.0), "none": (0.05, 0.05, 0.9)}
NAMES = ("woman", "man", "none")
ANNOTATION = {
    f"shares.synthetic.gender.{decided}.is.{group}": value
    for decided, values in BEHIND.items()
    for group, value in zip(NAMES, values, strict=True)
} | {f"shares.synthetic.gender.{name}.is.{name}.lo": BEHIND[name][i] - 0.2 for i, name in enumerate(NAMES)}


def cells() -> Cells:
    """Women and men with and without a label, and objects."""
    return Cells(
        sensitive=np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0]], bool),
        labels=np.array([[1], [0], [1], [0], [0]], bool),
        utility=np.ones(5),
        count=np.array([20, 20, 20, 20, 20]),
        groups=(("gender", "woman"), ("gender", "man")),
        label_names=("y_occupation_judge",),
    )


SHARES = {"gender": {"woman": 0.5, "man": 0.5}}


def test_real_rows_are_as_they_are_and_generated_ones_partly() -> None:
    reading = Reading.of(ANNOTATION, "gender", ["woman", "man"], worst=False)
    assert reading is not None
    found = members(cells(), np.array([0, 1, 0.5, 1, 1]), "gender", reading)
    assert found == pytest.approx(np.array([[1, 0], [0.8, 0.15], [0.05, 0.95], [0.1, 0.9], [0.05, 0.05]]))


@pytest.mark.parametrize("worst", [False, True])
def test_the_bias_is_that_of_rows_drawn_with_these_probabilities(worst: bool) -> None:
    """An oracle by simulation: groups of a million generated rows, drawn one by one."""
    synthetic, weight = np.array([0.0, 0.6, 0.5, 1.0, 0.3]), np.array([30.0, 10, 20, 25, 15])
    found = bias(cells(), synthetic, SHARES, ANNOTATION, weight, "known", worst)
    assert found is not None
    random, n = np.random.default_rng(0), 1_000_000
    behind = np.array(list(BEHIND.values()))
    if worst:
        for i in range(3):
            rest = np.delete(np.arange(3), i)
            behind[i, rest] *= (behind[i, rest].sum() + 0.2) / behind[i, rest].sum()
            behind[i, i] -= 0.2

    def draw(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = random.choice(5, n, p=weight / weight.sum())
        decided = np.array([0, 0, 1, 1, 2])[rows]
        shown = (random.random(n)[:, None] > behind[decided].cumsum(axis=1)).sum(axis=1)
        shown = np.where(random.random(n) < synthetic[rows], shown, decided)
        return cells().labels[rows, 0], shown == 0, shown == 1

    judge, women, men = draw(weight)
    _, women_before, men_before = draw(cells().count)
    somebody = (women_before | men_before).mean()  # the target is a share of whom the unweighted data show
    assert found["rb"] == pytest.approx(
        max(abs(women.mean() - somebody / 2), abs(men.mean() - somebody / 2)), abs=0.003
    )
    assert found["ab"] == pytest.approx(abs(judge[women].mean() - judge[men].mean()), abs=0.004)


def test_without_errors_the_figures_are_those_of_the_decisions() -> None:
    right = {key: float(key.split(".")[3] == key.split(".")[5]) for key in ANNOTATION if not key.endswith(".lo")}
    found = bias(cells(), np.ones(5), SHARES, right, np.array([30.0, 10, 20, 20, 20]), "known", False)
    assert found == {"rb": pytest.approx(0), "ab": pytest.approx(0.25)}


def test_an_attribute_of_unknown_errors_is_left_out() -> None:
    assert bias(cells(), np.ones(5), SHARES, {}, np.ones(5), "known", False) is None
    both = SHARES | {"skin_tone": {"lighter": 0.5, "darker": 0.5}}
    assert bias(cells(), np.ones(5), both, ANNOTATION, np.ones(5), "known", False) is not None
