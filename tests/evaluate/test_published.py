"""The published loops: literal re-runs of the definition with SciPy and pandas, and convergence to the closed forms."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist

from stages.evaluate import preference, published, similarity
from stages.evaluate.features import unit
from stages.evaluate.groups import Group


def people(n=90, seed=0):
    rng = np.random.default_rng(seed)
    gender = np.where(rng.random(n) < 0.6, "man", "woman")
    rows = unit(rng.normal(size=(n, 6)) + np.where(gender == "man", 1.0, 0.5)[:, None])
    return pd.DataFrame({"gender": gender}), rows


def groups_of(table):
    return [Group("gender", value, (table["gender"] == value).to_numpy()) for value in dict.fromkeys(table["gender"])]


def test_self_similarity_loop_draws_the_published_numbers():
    table, rows = people()
    groups = groups_of(table)
    generator = np.random.RandomState(0)
    expected = {}
    for group in groups:
        own = rows[group.members]
        means = [np.mean(1 - pdist(own[generator.randint(len(own), size=22)], "cosine")) for _ in range(300)]
        expected[group.attribute, group.value] = np.mean(means)
    assert published.self_similarity_loop(rows, groups, iterations=300) == pytest.approx(expected, abs=1e-12)


def test_self_similarity_loop_converges_to_the_closed_form():
    table, rows = people()
    group = groups_of(table)[0]
    own = rows[group.members]
    generator = np.random.RandomState(3)
    draws = [np.mean(1 - pdist(own[generator.randint(len(own), size=22)], "cosine")) for _ in range(500)]
    sigma = np.std(draws, ddof=1) / np.sqrt(20_000)
    loop = published.self_similarity_loop(rows, [group], iterations=20_000, seed=1)[group.attribute, group.value]
    assert abs(loop - similarity.with_replacement(own)) < 3 * sigma


def test_preference_loop_draws_the_published_numbers():
    """Against pandas' `sample` and `drop` on NumPy's global generator, as a data frame user would down-sample."""
    table, _ = people(40)
    table["unmarked"] = np.random.default_rng(1).integers(0, 2, len(table))
    counts = table["gender"].value_counts()
    np.random.seed(0)  # noqa: NPY002 - the generator that the published code uses
    shares = {value: [] for value in dict.fromkeys(table["gender"])}
    for _ in range(25):
        for target in shares:
            kept = table
            for value in shares:
                surplus = counts[value] - counts.min()
                if surplus:
                    kept = kept.drop(index=kept.query(f"gender == '{value}'").sample(surplus).index.tolist())
            shares[target].append(kept.loc[kept["gender"] == target, "unmarked"].mean())
    expected = {value: np.mean(draws) for value, draws in shares.items()}
    assert published.preference_loop(table["unmarked"], groups_of(table), 25) == pytest.approx(expected, abs=1e-12)


def test_preference_loop_converges_to_the_plain_share():
    table, _ = people(200)
    unmarked = np.random.default_rng(2).random(200) < 0.4
    groups = groups_of(table)
    loop = published.preference_loop(unmarked, groups, iterations=4000, seed=1)
    size = min(group.n for group in groups)
    for group in groups:
        share = unmarked[group.members].mean()
        finite = (group.n - size) / (group.n - 1)  # sampling without replacement
        sigma = np.sqrt(share * (1 - share) / size * finite / 4000)
        assert abs(loop[group.value] - share) <= 3 * sigma + 1e-12


def test_preference_loop_with_equal_groups_is_exact():
    groups = [Group("g", "a", np.array([1, 1, 0, 0], bool)), Group("g", "b", np.array([0, 0, 1, 1], bool))]
    assert published.preference_loop([1, 0, 1, 1], groups, 3) == {"a": 0.5, "b": 1.0}


def test_norm_of_the_first_image_divides_all():
    rows = np.array([[3.0, 4.0], [0.0, 10.0]])
    assert published.normalised_by_first(rows).tolist() == [[0.6, 0.8], [0.0, 2.0]]


def test_unnormalised_images_let_a_long_feature_win():
    from stages.evaluate import retrieval

    images, texts = np.array([[1.0, 0.0], [5.0, 5.0]]), np.eye(2)
    as_published = retrieval.text_to_image_ranks(texts, published.normalised_by_first(images), [0, 1])
    assert as_published.tolist() == [1, 0]
    assert retrieval.text_to_image_ranks(texts, unit(images), [0, 1]).tolist() == [0, 0]


def test_unmarked_by_hand():
    images = np.eye(3)
    person, marked = np.array([0.5, 0.5, 0.0]), np.array([[0.4, 0.6, 0.0], [0.0, 0.0, 0.1]])
    assert preference.unmarked(images, person, marked).tolist() == [True, False, False]


def test_unmarked_wins_a_tie():
    assert preference.unmarked(np.eye(2), np.array([1.0, 1.0]), np.ones((1, 2))).all()


def test_published_prompts_have_the_published_chance_levels():
    assert {name: 1 / (1 + len(prompts)) for name, prompts in preference.MARKED.items()} == pytest.approx(
        {"ethnicity": 1 / 8, "gender": 1 / 3, "age": 1 / 10}
    )
