"""Association bias: hand-computed 3×3 cases, regressions by SciPy and NumPy, planted biases that must be found."""

import numpy as np
import pytest
from scipy import stats

from stages.corpus.measures import FEW, MAJORITY
from stages.evaluate import association, bootstrap


def test_label_association_by_hand():
    # labels A, B, C; two images of group 1, one of group 0; a tie of two labels is shared
    logits = np.log(np.array([[8.0, 1.0, 1.0], [2.0, 2.0, 1.0], [1.0, 1.0, 8.0]]))
    result = association.label_association(logits, ["A", "B", "C"], [1, 1, 0], draws=20)
    table = result.table.set_index("label")
    assert table["softmax"].tolist() == pytest.approx([0.6 - 0.1, 0.25 - 0.1, 0.15 - 0.8])
    assert table["argmax"].tolist() == pytest.approx([0.75, 0.25, -1.0])
    assert table["gap"].tolist() == pytest.approx([np.log(4), np.log(2) / 2, -np.log(8)])
    assert result.maximum["softmax"][0] == pytest.approx(0.65)
    assert result.mean["softmax"][0] == pytest.approx((0.5 + 0.15 + 0.65) / 3)
    assert result.maximum["argmax"][0] == pytest.approx(1)
    assert table[["n_1", "n_0"]].drop_duplicates().to_numpy().tolist() == [[2, 1]]


def test_without_bias_the_maximum_is_at_its_null_level():
    rng = np.random.default_rng(0)
    result = association.label_association(rng.normal(size=(400, 12)), list("abcdefghijkl"), np.arange(400) % 2)
    assert result.maximum["softmax"][0] < 2.5 * result.null["softmax"]
    assert result.null["softmax"] > 0


def test_planted_bias_is_above_the_null_level():
    rng = np.random.default_rng(0)
    logits, s = rng.normal(size=(400, 12)), np.arange(400) % 2 == 1
    logits[s, 3] += 3
    result = association.label_association(logits, list("abcdefghijkl"), s)
    assert result.maximum["softmax"][0] > 5 * result.null["softmax"]
    low, high = result.maximum["softmax"][1:]
    assert low < result.maximum["softmax"][0] < high


def test_largest_is_the_maximum_of_the_label_association():
    logits = np.log(np.array([[8.0, 1.0, 1.0], [2.0, 2.0, 1.0], [1.0, 1.0, 8.0]]))
    assert association.largest(logits, [1, 1, 0]) == pytest.approx(0.65)  # label C, which is group 0's


def test_each_of_several_groups_is_compared_with_all_others():
    # shares .8 .2, .5 .5, .2 .8, .2 .8 of images in groups a, b, c, c
    logits = np.log(np.array([[8.0, 2.0], [5.0, 5.0], [2.0, 8.0], [2.0, 8.0]]))
    groups = {name: np.array(["a", "b", "c", "c"]) == name for name in "abc"}
    table, summary, null = association.group_association(logits, ["A", "B"], groups, draws=40)
    values = table.set_index(["group", "label"])
    assert values["softmax"].to_dict() == pytest.approx(
        {("a", "A"): 0.5, ("a", "B"): -0.5, ("b", "A"): 0.1, ("b", "B"): -0.1, ("c", "A"): -0.45, ("c", "B"): 0.45}
    )
    assert values.index.is_unique
    assert values["n_1"].xs("A", level="label").to_dict() == {"a": 1, "b": 1, "c": 2}
    assert (values["n_1"] + values["n_0"] == 4).all()
    assert summary["max"][0] == pytest.approx(0.5)
    assert summary["mean"][0] == pytest.approx(0.35)
    alone = [association.label_association(logits, ["A", "B"], one, draws=40) for one in groups.values()]
    assert null == max(found.null["softmax"] for found in alone)
    assert len({found.null["softmax"] for found in alone}) > 1


def test_intervals_of_several_groups_are_of_the_figure_over_all_of_them():
    rng = np.random.default_rng(0)
    logits, member = rng.normal(size=(60, 3)), np.arange(60) % 3
    groups = {str(group): member == group for group in range(3)}
    _, summary, _ = association.group_association(logits, list("ABC"), groups, draws=200, seed=5)
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = np.abs([bootstrap.differences(share, one, 200, 5) for one in groups.values()])  # (group, draw, label)
    for name, draws in (("max", drawn.max(axis=(0, 2))), ("mean", drawn.mean(axis=(0, 2)))):
        assert summary[name][1:] == pytest.approx(np.quantile(draws, [0.025, 0.975]))


def test_pair_association_by_hand():
    first, second = np.array([[1.0], [0.0], [1.0], [0.0]]), np.array([[0.0], [0.0], [0.0], [1.0]])
    # preferences 1, ½ in group 1; 1, 0 in group 0
    pairs, mean = association.pair_association(np.hstack([first, second]), np.hstack([second, first]), [1, 1, 0, 0])
    assert pairs[:, 0] == pytest.approx([0.25, -0.25])
    assert mean[0] == pytest.approx(0)


def test_pairwise_association_by_hand():
    # A = label 0 (60 % women), B = label 2 (5 %); label 1 is in neither
    scores = np.array([[2.0, 9.0, 1.0], [1.0, 9.0, 2.0], [0.0, 9.0, 1.0]])
    value, _, _ = association.pairwise_association(scores, [0.6, 0.3, 0.05], [1, 1, 0], draws=5) or (0, 0, 0)
    assert value == pytest.approx(0.5 - 0)


def test_pairwise_association_of_a_stereotype_is_one():
    scores = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = association.pairwise_association(np.repeat(scores, 2, axis=0), [0.9, 0.01], [1, 1, 0, 0], draws=5)
    assert found == (1, 1, 1)


def test_pairwise_association_needs_both_kinds_of_label():
    assert association.pairwise_association(np.eye(2), [0.4, 0.3], [1, 0]) is None
    assert association.pairwise_association(np.eye(2), [0.9, np.nan], [1, 0]) is None


def test_correlation_and_slope_agree_with_scipy():
    rng = np.random.default_rng(0)
    share = rng.random(18)
    gap = 2 * share + rng.normal(size=18)
    found = association.against_shares(gap, share)
    slope, _, correlation, *_ = stats.linregress(share, gap)
    assert found["correlation"][0] == pytest.approx(correlation)
    assert found["slope"][0] == pytest.approx(slope)


def test_partial_correlation_of_the_drift_agrees_with_residuals():
    rng = np.random.default_rng(2)
    share, other, gap = rng.random((3, 18))
    design = np.column_stack([np.ones(18), share])
    rest = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (gap, other - share)]
    expected = np.corrcoef(*rest)[0, 1]
    assert association.against_shares(gap, share, other)["drift_partial"][0] == pytest.approx(expected)
    assert association.against_shares(2 * share + other, share, other)["drift_partial"][0] == pytest.approx(1)


def test_intervals_against_shares_are_those_of_each_resampled_gap():
    rng = np.random.default_rng(4)
    share, other = rng.random((2, 12))
    gap, samples = share + rng.normal(size=12), share + rng.normal(size=(50, 12))
    found = association.against_shares(gap, share, other, samples)
    again = [association.against_shares(sample, share, other) for sample in samples]
    assert found.keys() == {"correlation", "slope", "drift_partial"}
    for name, (value, *ends) in found.items():
        assert value == pytest.approx(association.against_shares(gap, share, other)[name][0])
        assert ends == pytest.approx(np.quantile([one[name][0] for one in again], [0.025, 0.975]))


def test_partial_correlation_needs_four_labels_whose_shares_are_known_in_both():
    share, other = np.array([0.1, 0.4, 0.5, 0.9, 0.3]), np.array([0.2, 0.1, 0.7, 0.8, np.nan])
    found = association.against_shares([0.3, 0.1, 0.9, 0.4, -99], share, other)["drift_partial"][0]
    expected = association.against_shares([0.3, 0.1, 0.9, 0.4], share[:4], other[:4])["drift_partial"][0]
    assert found == pytest.approx(expected)
    assert "drift_partial" not in association.against_shares([0.3, 0.1, 0.9], share[:3], other[:3])


def test_a_constant_of_the_prompts_changes_nothing():
    rng = np.random.default_rng(3)
    share, other, gap = rng.random((3, 18))
    one, two = association.against_shares(gap, share, other), association.against_shares(gap + 5, share, other)
    assert {k: v[0] for k, v in one.items()} == pytest.approx({k: v[0] for k, v in two.items()})


def test_labels_without_a_known_share_are_left_out():
    share = np.array([0.1, 0.5, 0.9, np.nan])
    assert association.against_shares([1, 2, 3, -99], share)["correlation"][0] == pytest.approx(1)


@pytest.mark.parametrize("share", [[0.5, 0.5, 0.5], [0.1, 0.9, np.nan]])
def test_undefined_correlations_are_left_out(share):
    assert association.against_shares([1, 2, 3], share) == {}


def test_constant_gap_has_a_slope_and_no_correlation():
    found = association.against_shares([2, 2, 2], [0.1, 0.5, 0.9])
    assert found["slope"][0] == pytest.approx(0, abs=1e-12)
    assert "correlation" not in found


def test_collinear_shares_leave_the_drift_out():
    share = np.array([0.1, 0.3, 0.5, 0.9])
    assert "drift_partial" not in association.against_shares([1, 2, 0, 3], share, 2 * share)


def test_figures_are_permuted_whole_for_the_null_level():
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(20), 20)
    logits = rng.normal(size=(20, 12))[cluster]  # every picture of a figure alike
    s = cluster % 2 == 1
    by_figure, by_image = (
        association.label_association(logits, list("abcdefghijkl"), s, cluster=given) for given in (cluster, None)
    )
    assert by_figure.null["softmax"] > 3 * by_image.null["softmax"]
    assert by_figure.maximum["softmax"][0] < 2 * by_figure.null["softmax"]  # nothing is there but the figures
    assert by_image.maximum["softmax"][0] > 3 * by_image.null["softmax"]


def test_text_gap_by_hand():
    labels = np.eye(3)
    assert association.text_gap(np.eye(3)[[0]], np.eye(3)[[1]], labels).tolist() == [1, -1, 0]


def test_text_pairwise_by_hand():
    # A = label 0; B = labels 1 and 2: one ordered right, one wrong
    assert association.text_pairwise([0.5, 0.1, 0.9], [0.7, 0.01, 0.02]) == 0
    assert association.text_pairwise([0.5], [0.7]) is None


def test_a_share_at_the_threshold_is_no_majority_but_few():
    assert association.text_pairwise([0.5, 0.1], [MAJORITY, 0.01]) is None
    assert association.text_pairwise([0.5, 0.1], [0.9, FEW]) == 1


def test_images_without_a_group_label_are_refused():
    with pytest.raises(ValueError, match="1 group labels for 2 images"):
        association.largest(np.eye(2), [True])


def test_one_group_only_is_refused():
    with pytest.raises(ValueError, match="found 2 of 2 images in group 1"):
        association.label_association(np.eye(2), ["a", "b"], [1, 1])
