"""What a model was trained on: rows, weights, the captions that leave an attribute open, and the most frequent one."""

import numpy as np
import pandas as pd
import pytest

from stages.core.errors import InputError
from stages.corpus.attributes import occupation_column, sensitive_columns
from stages.corpus.words import OCCUPATIONS
from stages.evaluate.training import trained, unbalanced

SELECTION = pd.DataFrame(
    {
        "key": list("abcd"),
        "shard": "0",
        "source": ["real", "synthetic", "real", "real"],
        "copies": [2, 0, 1, 1],
        "kept": True,
    }
)
SAMPLES = pd.DataFrame({"key": list("dcba"), "caption": ["a hat", "a female pilot", "a pilot", "a cook"]})
BALANCED = [("balanced", 1.0)]


def annotated() -> pd.DataFrame:
    """Attributes: the real a, c, d and the synthetic b are a woman cook, a man pilot, a woman pilot, nobody."""
    columns = [*sensitive_columns(), *map(occupation_column, OCCUPATIONS)]
    said = {
        ("a", "real"): ["s_gender_woman", "s_skin_tone_darker", "y_occupation_cook"],
        ("b", "real"): ["s_gender_woman", "y_occupation_judge"],
        ("b", "synthetic"): ["s_gender_man", "y_occupation_pilot"],
        ("c", "real"): ["s_gender_woman", "y_occupation_pilot"],
        ("d", "real"): [],
    }
    rows = [{"key": k, "source": s, **{name: name in true for name in columns}} for (k, s), true in said.items()]
    return pd.DataFrame(rows)


def rows(phases=BALANCED, **changes):
    return trained(SELECTION.assign(**changes), annotated(), SAMPLES, phases)


def test_rows_count_as_often_as_they_are_trained_on() -> None:
    balanced = rows()
    assert balanced.weights.tolist() == [0.5, 0, 0.25, 0.25]
    assert balanced.captions.tolist() == ["a cook", "a pilot", "a female pilot", "a hat"]
    assert balanced.groups["gender"].tolist() == [[True, False], [False, True], [True, False], [False, False]]
    assert balanced.groups["skin_tone"].tolist() == [[False, True], *[[False, False]] * 3]
    assert [[OCCUPATIONS[i] for i in np.flatnonzero(row)] for row in balanced.occupations] == [
        ["cook"],
        ["pilot"],
        ["pilot"],
        [],
    ]
    assert balanced.knows("skin_tone")
    assert not rows(copies=[0, 1, 1, 1]).knows("skin_tone")
    both = rows([("mixed", 0.6), ("balanced", 0.4)])
    assert both.weights.tolist() == pytest.approx([0.6 / 4 + 0.4 / 2, 0.6 / 4, 0.6 / 4 + 0.4 / 4, 0.6 / 4 + 0.4 / 4])


def test_a_row_that_a_filter_took_out_is_not_in_the_mix() -> None:
    found = rows([("mixed", 1.0)], kept=[True, False, True, True])
    assert found.captions.tolist() == ["a cook", "a female pilot", "a hat"]
    assert found.weights.tolist() == pytest.approx([1 / 3] * 3)


def test_pyarrow_tables_give_the_same_rows() -> None:
    tables = [table.convert_dtypes(dtype_backend="pyarrow") for table in (SELECTION, annotated(), SAMPLES)]
    found = trained(*tables, BALANCED)
    assert found.weights.tolist() == rows().weights.tolist()
    assert np.array_equal(found.occupations, rows().occupations)


def test_open_shares_leave_out_captions_that_say_the_gender() -> None:
    share, n = rows([("mixed", 1.0)]).open_shares("gender", ["pilot", "cook", "judge", "baker"])
    assert n.tolist() == [1, 1, 0, 0]  # "a female pilot" says it; no caption of the mix names a judge
    assert share[:2].tolist() == [0, 1]
    assert np.isnan(share[2:]).all()


def test_the_unbalanced_corpus_is_every_real_row_whatever_was_selected() -> None:
    found = unbalanced(annotated())
    assert found.weights.tolist() == [0.25] * 4
    assert found.groups["gender"][:, 0].tolist() == [True, True, True, False]


def test_the_majority_caption_goes_by_weight_and_ties_by_the_alphabet() -> None:
    assert rows().majority() == "a cook"
    assert rows(copies=[0, 0, 1, 1]).majority() == "a female pilot"


def test_a_row_without_attributes_or_caption_is_named() -> None:
    with pytest.raises(InputError, match=r"attributes.parquet: no row for key b \(synthetic; 1 such rows"):
        trained(SELECTION, annotated().query("source == 'real'"), SAMPLES, BALANCED)
    with pytest.raises(InputError, match=r"selection.parquet: key 'a' is not in the samples"):
        trained(SELECTION, annotated(), SAMPLES.query("key != 'a'"), BALANCED)
    with pytest.raises(InputError, match=r"selection.parquet: column copies is missing"):
        trained(SELECTION.drop(columns="copies"), annotated(), SAMPLES, BALANCED)
