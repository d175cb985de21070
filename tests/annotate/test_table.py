import numpy as np
import pandas as pd
import pytest

from stages.annotate.classifier import UNKNOWN
from stages.annotate.table import (
    attribute_rows,
    decode,
    encode,
    groups_of_captions,
    groups_of_metadata,
    targets,
)
from stages.core.errors import InputError
from stages.corpus.attributes import OCCUPATIONS


def test_groups_of_metadata() -> None:
    samples = pd.DataFrame({"gender": ["woman", "man", ""], "skin_tone": ["2", "3", ""]})
    assert groups_of_metadata(samples) == {"gender": ["woman", "man", ""], "skin_tone": ["lighter", "darker", ""]}


def test_a_corpus_without_known_attributes_is_told_what_to_do() -> None:
    with pytest.raises(InputError, match=r"no column gender: .* set annotate.source to caption or zero_shot"):
        groups_of_metadata(pd.DataFrame({"key": ["0"]}))


def test_an_unknown_value_is_an_error() -> None:
    with pytest.raises(InputError, match="column skin_tone: found '6', expected one of"):
        groups_of_metadata(pd.DataFrame({"gender": [""], "skin_tone": ["6"]}))


def test_groups_of_captions_see_words_only() -> None:
    assert groups_of_captions(["a woman", "a dark-skinned judge"]) == {
        "gender": ["woman", ""],
        "skin_tone": ["", "darker"],
    }


@pytest.mark.parametrize("rows", [0, 3])
def test_numbered_groups_take_a_byte_and_come_back(rows: int) -> None:
    groups = {"gender": ["woman", "", "man"][:rows], "skin_tone": ["", "darker", "lighter"][:rows]}
    codes = encode(groups)
    assert sum(found.nbytes for found in codes.values()) == 2 * rows
    assert decode(codes) == groups


def test_targets_tell_nobody_from_unknown() -> None:
    groups = {"gender": ["woman", "man", "", ""], "skin_tone": ["darker", "", "lighter", ""]}
    nobody = np.asarray([False, False, False, True])
    assert targets(groups, nobody).tolist() == [[0, 1], [1, UNKNOWN], [UNKNOWN, 0], [2, 2]]


def test_rows_of_a_source() -> None:
    groups = {"gender": ["woman", ""], "skin_tone": ["lighter", ""]}
    table = attribute_rows(["7", "8"], "real", groups, ["a judge with a beard", "a dog"], ["beard"])
    assert table["key"].tolist() == ["7", "8"]
    assert set(table["source"]) == {"real"}
    true = {(row, name) for name in table.columns[2:] for row in (0, 1) if table.loc[row, name]}
    assert true == {
        (0, "s_gender_woman"),
        (0, "s_skin_tone_lighter"),
        (0, "y_occupation_judge"),
        (0, "y_proxy_beard"),
    }
    assert len(table.columns) == 2 + 4 + 2 + len(OCCUPATIONS) + 1
    assert table.dtypes.iloc[2:].eq(bool).all()


def test_no_rows_keep_columns_and_types() -> None:
    table = attribute_rows([], "synthetic", {"gender": [], "skin_tone": []}, [], ["beard"])
    assert len(table) == 0
    assert table.dtypes.iloc[2:].eq(bool).all()
