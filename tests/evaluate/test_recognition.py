"""Recognition of a sensitive attribute: hand-computed, scikit-learn as the oracle."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from stages.evaluate import recognition


def test_margin_and_decisions_by_hand():
    images = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    margin = recognition.margins(images, np.eye(3)[[0]], np.eye(3)[[1]])
    assert margin.tolist() == [1, -1, 0]
    assert recognition.correct(margin, [True, True, True]).tolist() == [1, 0, 0.5]


def test_auc_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.3
    margin = np.round(rng.normal(truth, 1), 1)  # rounding makes ties
    assert recognition.auc(margin, truth) == pytest.approx(roc_auc_score(truth, margin))


def test_auc_of_one_group_is_undefined():
    assert np.isnan(recognition.auc([0.1, 0.2], [True, True]))
