import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from stages.annotate.agreement import Agreement


def test_shares_and_agreement_by_hand() -> None:
    counted = Agreement("gender")
    counted.add(["woman", "woman", "man", ""], ["woman", "man", "", ""])
    counted.add(["man"], ["man"])
    figures = counted.figures()
    assert figures["said"] == pytest.approx(4 / 5)
    assert figures["seen"] == pytest.approx(3 / 5)
    assert figures["n"] == 3
    assert figures["agreement"] == pytest.approx(2 / 3)
    assert figures["kappa"] == pytest.approx(0.4)  # chance: (2/3)(1/3) + (1/3)(2/3) = 4/9; (2/3 − 4/9) / (5/9)


def test_kappa_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    said = rng.choice(["woman", "man"], 500, p=[0.3, 0.7])
    seen = np.where(rng.random(500) < 0.8, said, rng.choice(["woman", "man"], 500))
    counted = Agreement("gender")
    counted.add(said.tolist(), seen.tolist())
    assert counted.figures()["kappa"] == pytest.approx(cohen_kappa_score(said, seen))


def test_nothing_to_compare_is_no_number() -> None:
    counted = Agreement("skin_tone")
    counted.add(["lighter", ""], ["", "darker"])
    assert counted.figures()["n"] == 0
    assert math.isnan(counted.figures()["agreement"])
