import numpy as np
import pandas as pd
import pytest

from stages.core.errors import InputError
from stages.corpus.words import OCCUPATIONS
from stages.evaluate.amplification import directional, of_captions
from stages.evaluate.training import Rows

WOMEN_COOK = np.array([[1, 0]] * 6 + [[0, 1]] * 4), np.array([[1]] * 5 + [[0]] + [[1]] + [[0]] * 3)  # 5/6 against 1/4


def world(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    woman = rng.random(n) < 0.5
    cook = rng.random(n) < np.where(woman, 0.7, 0.3)
    return np.column_stack([woman, ~woman]), np.column_stack([cook, ~cook])


def test_perfect_predictions_amplify_nothing() -> None:
    a, t = world(200, 0)
    found = directional(*world(300, 1), a, t, a, t, draws=50)
    assert (found.a_to_t, found.t_to_a) == (0, 0)
    assert (*found.a_to_t_interval, *found.t_to_a_interval) == (0, 0, 0, 0)


def test_both_directions_by_hand() -> None:
    a, t = WOMEN_COOK
    t_hat = np.array([[1]] * 6 + [[0]] * 4)  # every woman cooks, no man: P(t̂|woman) 5/6 → 1, P(t̂|man) 1/4 → 0
    a_hat = np.array([[1, 0]] * 7 + [[0, 1]] * 3)  # the cook who is a man is taken for a woman: P(â=woman|cook) 5/6 → 1
    found = directional(a, t, a, t, a_hat, t_hat, names=(["woman", "man"], ["cook"]), draws=50)
    assert found.pairs["sign"].tolist() == [1, -1]
    assert found.pairs["a_to_t"].tolist() == pytest.approx([1 / 6, 1 / 4])
    assert found.pairs["t_to_a"].tolist() == pytest.approx([1 / 6, 1 / 6])
    assert found.a_to_t == pytest.approx((1 / 6 + 1 / 4) / 2)
    assert found.t_to_a == pytest.approx(1 / 6)


def test_muted_associations_are_negative() -> None:
    a, t = WOMEN_COOK
    assert directional(a, t, a, t, a, np.zeros_like(t), draws=50).pairs["a_to_t"].tolist() == pytest.approx(
        [-5 / 6, 1 / 4]
    )
    a, t = world(4000, 2)
    rng = np.random.default_rng(0)
    blind = t[rng.permutation(len(t))]  # the right shares, without any association
    found = directional(a, t, a, t, a, blind, draws=50)
    assert found.a_to_t < -0.15
    assert found.a_to_t_interval[1] < -0.1


def test_independence_in_training_counts_nothing() -> None:
    a = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    t = np.array([[1], [0], [1], [0]])
    found = directional(a, t, a, t, a, np.ones_like(t), draws=50)
    assert found.pairs["sign"].tolist() == [0, 0]
    assert found.a_to_t == 0


def test_weights_are_copies() -> None:
    a, t = world(60, 3)
    copies = np.random.default_rng(1).integers(0, 4, len(a))
    rows = np.repeat(np.arange(len(a)), copies)
    test = world(50, 4)
    predicted = world(50, 5)
    weighted = directional(a, t, *test, *predicted, weights=copies, draws=20)
    repeated = directional(a[rows], t[rows], *test, *predicted, draws=20)
    pd.testing.assert_frame_equal(weighted.pairs, repeated.pairs)


def test_the_order_of_images_and_of_names_does_not_count() -> None:
    train, (a, t), (a_hat, t_hat) = world(100, 6), world(80, 7), world(80, 8)
    order = np.random.default_rng(2).permutation(80)
    found = directional(*train, a, t, a_hat, t_hat, draws=20)
    turned = directional(
        train[0][:, ::-1], train[1], a[order][:, ::-1], t[order], a_hat[order][:, ::-1], t_hat[order], draws=20
    )
    assert turned.a_to_t == pytest.approx(found.a_to_t)
    assert turned.t_to_a == pytest.approx(found.t_to_a)


def test_conditions_without_images_are_left_out() -> None:
    a, t = WOMEN_COOK
    women = a[:, 0] == 1
    found = directional(a, t, a[women], t[women], a[women], t[women], draws=20)
    assert found.pairs["n_attribute"].tolist() == [6, 0]
    assert np.isnan(found.pairs["a_to_t"]).tolist() == [False, True]
    assert found.a_to_t == 0


def test_each_pair_has_its_interval() -> None:
    a, t = world(300, 9)
    found = directional(a, t, *world(200, 10), *world(200, 11), draws=200)
    for name in ("a_to_t", "t_to_a"):
        assert (found.pairs[f"{name}_lo"] <= found.pairs[name]).all()
        assert (found.pairs[name] <= found.pairs[f"{name}_hi"]).all()


TRAINED = [("woman", "cook")] * 3 + [("man", "cook")] + [("man", "pilot")] * 3 + [("", "")] * 20
COOKS = Rows(  # cooks are women but for one, who by the twenty pictures of nobody would go together with cooking, too
    {"gender": np.array([[gender == "woman", gender == "man"] for gender, _ in TRAINED])},
    np.array([[name == task for name in OCCUPATIONS] for _, task in TRAINED]),
    np.ones(len(TRAINED)),
)
PEOPLE = pd.DataFrame(
    {
        "key": list("pqrstu"),
        "cluster": list("pqrstu"),
        "gender": ["woman", "woman", "man", "man", "", "woman"],
        "skin_tone": "3",
        "occupation": ["cook", "pilot", "cook", "pilot", "cook", ""],
        "captions": [["a cook"], ["someone"], ["a man cooking"], ["a pilot"], ["a cook"], ["a chef", "a woman"]],
    }
)
SAID = {
    "p": "a woman cook",
    "q": "a lady chef",  # her cockpit becomes a kitchen
    "r": "a man who is a pilot",
    "s": "a woman pilot",  # the one wrong gender
    "t": "a man cook",  # of no known gender: left out
    "u": "a cook",  # names no group: only in A → T
}


def test_captions_by_hand() -> None:
    found = of_captions(SAID, PEOPLE, "gender", COOKS, draws=20)
    of = found.pairs[found.pairs["sign"] != 0]
    assert dict(zip(zip(of["attribute"], of["task"], strict=True), of["sign"], strict=True)) == {
        ("woman", "cook"): 1,
        ("woman", "pilot"): -1,
        ("man", "cook"): -1,
        ("man", "pilot"): 1,
    }
    # p, q, u are women: 2 of 3 cook, all are said to; 1 of 3 flies, none is said to. r, s: from 1 cook of 2 to none
    assert of["a_to_t"].tolist() == pytest.approx([1 - 2 / 3, 1 / 3, 1 / 2, 1 - 1 / 2])
    # of cooks p, r with a group in their caption, both right: 0; of pilots q, s (woman, man), both said to be women
    assert of["t_to_a"].tolist() == pytest.approx([0, -(1 - 1 / 2), 0, -(1 / 2)])
    assert of["n_attribute"].tolist() == [3, 3, 2, 2]
    assert of["n_task"].tolist() == [2, 2, 2, 2]
    assert found.pairs["a_to_t"].notna().all()
    assert found.a_to_t == pytest.approx((1 / 3 + 1 / 3 + 1 / 2 + 1 / 2) / (2 * len(OCCUPATIONS)))
    assert found.t_to_a == pytest.approx(-1 / 4)


def test_captions_that_name_no_group_have_no_amplification_back() -> None:
    found = of_captions(dict.fromkeys(PEOPLE["key"], "a cook"), PEOPLE, "gender", COOKS, draws=20)
    assert np.isnan([found.t_to_a, *found.t_to_a_interval]).all()
    assert np.isfinite(found.a_to_t)


def test_shapes_that_do_not_fit_are_named() -> None:
    a, t = WOMEN_COOK
    with pytest.raises(InputError, match=r"\(9, 1\)"):
        directional(a, t, a, t, a, t[:9])
    with pytest.raises(InputError, match="no training samples"):
        directional(a[:0], t[:0], a, t, a, t)
