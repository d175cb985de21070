"""Erasers against what they promise: closed forms, minimisers, and classifiers that find nothing."""

import numpy as np
import pytest
from scipy.linalg import orth
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from stages.evaluate.erase import CALIBRATION, ERASERS, PRUNED, Affine, Eraser, Evidence, fit
from stages.evaluate.features import unit
from stages.evaluate.leftover import leftover

WIDTH = 10


@pytest.fixture
def evidence() -> Evidence:
    """Images whose first dimension tells the group, prompts that lie apart along one direction."""
    rng = np.random.default_rng(0)
    first = rng.random(600) < 0.4
    images = rng.normal(size=(600, WIDTH)) + 1.5
    images[:, 0] += np.where(first, 3.0, -3.0)
    direction = unit(rng.normal(size=(1, WIDTH)))
    prompts = rng.normal(size=(3, WIDTH))
    labels = rng.normal(size=(8, WIDTH))
    pairs = [unit(base + sign * direction) for base in (prompts, labels) for sign in (1, -1)]
    return Evidence(unit(images), first, *pairs)


def test_projection_leaves_no_label_along_the_direction_of_the_groups(evidence: Evidence) -> None:
    eraser = fit("projection", evidence)
    assert eraser.images is None and eraser.texts is None and eraser.labels is not None
    direction = unit(evidence.ones).mean(0) / np.linalg.norm(unit(evidence.ones).mean(0))
    direction = direction - unit(evidence.zeros).mean(0) / np.linalg.norm(unit(evidence.zeros).mean(0))
    labels = eraser.labels(evidence.label_ones)
    assert np.abs(labels @ direction).max() < 1e-12
    assert np.allclose(eraser.labels(labels), labels)  # a projection


def test_calibrated_is_the_minimiser_of_its_objective(evidence: Evidence) -> None:
    spurious = np.vstack([evidence.ones, evidence.zeros])
    basis = orth(spurious.T)  # of lower rank: the pairs share their direction
    off = np.eye(WIDTH) - basis @ basis.T
    apart = evidence.label_ones - evidence.label_zeros

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        matrix = flat.reshape(WIDTH, WIDTH)
        moved = apart @ matrix.T
        value = ((matrix - off) ** 2).sum() + CALIBRATION / len(apart) * (moved**2).sum()
        return value, (2 * (matrix - off) + 2 * CALIBRATION / len(apart) * moved.T @ apart).ravel()

    found = minimize(objective, off.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 20000, "ftol": 1e-15})
    labels = fit("calibrated", evidence).labels
    assert labels is not None
    assert objective(labels.matrix.ravel())[0] <= found.fun * (1 + 1e-9)
    assert np.allclose(labels.matrix, found.x.reshape(WIDTH, WIDTH), atol=1e-4)


def test_prune_drops_the_dimension_that_tells(evidence: Evidence) -> None:
    eraser = fit("prune", evidence)
    assert eraser.images is not None and eraser.texts is not None
    dropped = np.flatnonzero(np.diag(eraser.images.matrix) == 0)
    assert 0 in dropped and len(dropped) == round(PRUNED * WIDTH)
    assert np.array_equal(eraser.images.matrix, eraser.texts.matrix)


def test_leace_leaves_a_linear_classifier_at_chance_on_training_rows(evidence: Evidence) -> None:
    eraser = fit("leace", evidence)
    assert eraser.images is not None
    before = LogisticRegression(C=1e6, max_iter=5000).fit(evidence.images, evidence.first)
    assert before.score(evidence.images, evidence.first) > 0.99
    erased = eraser.images(evidence.images)
    after = LogisticRegression(C=1e6, max_iter=5000).fit(erased, evidence.first)
    majority = max(evidence.first.mean(), 1 - evidence.first.mean())
    assert after.score(erased, evidence.first) <= majority + 0.01
    assert np.abs(erased[evidence.first].mean(0) - erased[~evidence.first].mean(0)).max() < 1e-6


def test_leace_changes_less_than_dropping_the_mean_difference_orthogonally(evidence: Evidence) -> None:
    eraser = fit("leace", evidence)
    assert eraser.images is not None
    x = evidence.images
    apart = unit((x[evidence.first].mean(0) - x[~evidence.first].mean(0))[None])
    orthogonal = (x - x.mean(0)) @ (np.eye(WIDTH) - apart.T @ apart) + x.mean(0)
    sigma = np.linalg.inv(np.cov(x.T))

    def moved(y: np.ndarray) -> float:
        return float(np.einsum("nd,de,ne->", y - x, sigma, y - x))

    assert moved(eraser.images(x)) <= moved(orthogonal) * (1 + 1e-9)


@pytest.mark.parametrize("name", sorted(ERASERS))
def test_the_saved_arrays_are_the_map(evidence: Evidence, name: str) -> None:
    eraser, x = fit(name, evidence), evidence.images
    state = eraser.state()
    for part in ("images", "texts", "labels"):
        map_ = getattr(eraser, part)
        assert (f"{part}.matrix" in state) == (map_ is not None)
        if map_ is not None:
            assert np.allclose(x @ state[f"{part}.matrix"].T + state[f"{part}.shift"], map_(x), atol=1e-5)


def test_no_eraser_keeps_everything() -> None:
    assert Eraser().state() == {}
    assert np.array_equal(Affine(np.eye(2), np.zeros(2))(np.ones((3, 2))), np.ones((3, 2)))


def test_leftover_finds_what_is_there_and_nothing_where_nothing_is(evidence: Evidence) -> None:
    rng = np.random.default_rng(1)
    half = slice(0, 300), slice(300, 600)
    noise = rng.normal(size=(600, 4))
    circle = rng.normal(size=(600, 2))
    inside = (circle**2).sum(1) < 1.2  # a linear classifier cannot see it, another can
    for features, groups, low, high in (
        (evidence.images, evidence.first, {"linear": 0.95, "nonlinear": 0.95}, {}),
        (noise, evidence.first, {}, {"linear": 0.6, "nonlinear": 0.6}),
        (circle, inside, {"nonlinear": 0.85}, {"linear": 0.65}),
    ):
        found = leftover(features[half[0]], groups[half[0]], {"set": (features[half[1]], groups[half[1]])})
        assert all(found[f"set.{name}"] > bound for name, bound in low.items())
        assert all(found[f"set.{name}"] < bound for name, bound in high.items())
