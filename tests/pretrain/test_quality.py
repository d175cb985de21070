"""Quality measures against hand-computed values and closed forms."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import multivariate_normal

from stages.pretrain.quality.measures import (
    bias_table,
    diversity,
    faithful_rank_correlation,
    frechet,
    rank_correlation,
    recognised,
    share,
    unseen_captions,
    world_position,
)
from stages.pretrain.recogniser import UNKNOWN, classes


def test_the_frechet_distance_of_equal_sets_is_zero() -> None:
    features = np.random.default_rng(0).normal(size=(200, 5))
    assert frechet(features, features) == pytest.approx(0, abs=1e-6)


def test_the_frechet_distance_of_normals_is_the_closed_form() -> None:
    """Means 2 apart, standard deviations 1 and 3: 4 + (1 - 3)^2 in one dimension of three."""
    draw = multivariate_normal(np.zeros(3), np.eye(3), seed=np.random.default_rng(0)).rvs(200_000)
    other = draw * np.array([3, 1, 1]) + np.array([2, 0, 0])
    assert frechet(draw, other) == pytest.approx(4 + 4, rel=0.02)


def test_a_share_has_its_wilson_interval() -> None:
    found = share(8, 10)
    z, p, n = 1.959964, 0.8, 10
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert (found["low"], found["high"]) == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert math.isnan(share(0, 0)["share"])


def test_only_what_a_caption_names_is_asked_for() -> None:
    samples = pd.DataFrame({"mentions_gender": [True, True, False], "mentions_skin_tone": [True, True, False]})
    targets = {head: np.array(values) for head, values in CODES.items()}
    found = {head: np.array(values) for head, values in FOUND.items()}
    out = recognised(samples, targets, found)
    assert (out["occupation"]["n"], out["occupation"]["share"]) == (2, 0.5)
    assert (out["gender"]["n"], out["gender"]["share"]) == (2, 0.5)
    assert (out["skin_tone"]["share"], out["skin_tone_exact"]["share"]) == (0.5, 0)
    assert (out["object"]["n"], out["object"]["share"]) == (1, 1)


CODES = {"occupation": [3, 4, UNKNOWN], "gender": [0, 1, 1], "skin_tone": [0, 4, 4], "label": [UNKNOWN, UNKNOWN, 7]}
FOUND = {"occupation": [3, 5, 0], "gender": [0, 0, 0], "skin_tone": [1, 2, 0], "label": [0, 0, 7]}


def test_unseen_captions_are_new_in_pair_or_in_words() -> None:
    samples = pd.DataFrame(
        {
            "kind": ["person", "person", "object", "object", "object", "person"],
            "occupation": ["judge", "cook", "", "", "", "judge"],
            "label": ["", "", "apple", "apple", "rare thing", ""],
            "caption": ["a judge", "a cook", "an apple", "one apple", "a rare thing", "a judge"],
        }
    )
    fresh = np.array([False, True, False, False, False, False])
    chosen = unseen_captions(samples, {"an apple"}, fresh, ["apple"], 5, 5)
    assert chosen["caption"].tolist() == ["a judge", "a cook", "one apple"]
    first = unseen_captions(samples, {"an apple"}, fresh, ["apple"], 1, 0)
    assert first["caption"].tolist() == ["a cook"]
    assert unseen_captions(samples, {"a cook"}, fresh, [], 5, 5)["caption"].tolist() == ["a judge"]


def test_the_bias_table_counts_women_by_prompt() -> None:
    occupation = np.array(["pilot"] * 6 + ["teacher"] * 6)
    kind = np.array(["neutral"] * 4 + ["woman", "man"]).repeat(1)
    woman = np.array([0, 0, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1], bool)
    table = bias_table(occupation, woman, {"teacher": 0.9, "pilot": 0.01}, np.tile(kind, 2))
    assert table["occupation"].tolist() == ["pilot", "teacher"]
    assert table["neutral"].tolist() == [0.25, 0.75]
    assert table["man"].tolist() == [0, 1]
    assert rank_correlation(table) == pytest.approx(1)


def test_shares_that_the_images_cannot_tell_apart_are_tied() -> None:
    table = pd.DataFrame({"stated": [0.000, 0.001, 0.002, 0.5, 0.9], "neutral": [0.02, 0.01, 0.0, 0.6, 0.8]})
    assert rank_correlation(table) == pytest.approx(0.6)  # 1 - 6 * 8 / (5 * 24)
    assert rank_correlation(table, 1 / 64) == pytest.approx(0.8944, abs=1e-4)  # ranks 2 2 2 4 5 against 3 2 1 4 5


def test_shares_too_small_for_the_images_keep_even_a_faithful_model_below_1() -> None:
    """10 images of shares 0, 1e-9 and 1 show 0, 0 and 1: ranks 1.5, 1.5, 3 against 1, 2, 3."""
    table = pd.DataFrame({"stated": [0.0, 1e-9, 1.0], "n": 10})
    expected = pytest.approx(math.sqrt(3) / 2)
    assert faithful_rank_correlation(table, seed=0, draws=50) == dict.fromkeys(("low", "median", "high"), expected)
    wide = faithful_rank_correlation(pd.DataFrame({"stated": [0.3, 0.5, 0.6, 0.7], "n": 10}), seed=0)
    assert wide["low"] < wide["median"] < wide["high"]


def test_portraits_do_not_show_the_occupation_that_they_name() -> None:
    samples = pd.DataFrame(
        {
            "kind": ["person", "portrait", "object"],
            "occupation": ["judge", "cook", ""],
            "gender": ["woman", "man", ""],
            "skin_tone": ["1", "5", ""],
            "label": ["woman judge", "man", "apple"],
        }
    )
    names = classes(samples)
    assert names.names["occupation"] == ("judge",)
    assert names.names["label"] == ("apple",)
    assert names.targets(samples)["occupation"].tolist() == [0, UNKNOWN, UNKNOWN]


def test_the_frechet_distance_needs_no_more_images_than_features() -> None:
    """Two points each in three dimensions, the same but for a shift of 2."""
    points = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    assert frechet(points, points + np.array([0, 0, 2])) == pytest.approx(4)


def test_diversity_is_the_mean_distance_within_a_prompt() -> None:
    features = np.array([[1.0, 0], [0, 3.0], [2.0, 0], [5.0, 0], [0, 1.0]])
    groups = np.array(["a", "a", "b", "b", "alone"])
    assert diversity(features, groups) == pytest.approx(math.sqrt(2) / 2)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0, 1.3])
def test_a_generator_between_two_worlds_has_the_position_of_its_log_odds(weight: float) -> None:
    corpus, world = np.array([0.5, 0.2, 0.7, 0.6, np.nan]), np.array([0.4, 0.1, 0.9, 0.55, 0.5])
    low, high = logit(corpus), logit(world)
    shown = expit(low + weight * (high - low))
    assert world_position(shown, corpus, world, 10**9) == pytest.approx(weight, abs=1e-5)
