from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.annotate.classifier import UNKNOWN
from stages.annotate.table import (
    attribute_rows,
    decode,
    encode,
    further_groups,
    group_fields,
    groups_of_captions,
    groups_of_metadata,
    targets,
)
from stages.core.errors import InputError
from stages.corpus.words import OCCUPATIONS


def test_a_column_of_the_corpus_makes_a_group_of_each_value(tmp_path: Path) -> None:
    pd.DataFrame({"age": ["20-29", "70+", "unknown", "20-29"], "one": "x"}).to_parquet(tmp_path / "samples.parquet")
    found = further_groups(tmp_path / "samples.parquet", ["age"])
    assert found == {"age": ["20-29", "70+"]}
    assert [(field.name, field.metadata[b"group"]) for field in group_fields(found)] == [
        ("s_age_20-29", b"20-29"),
        ("s_age_70+", b"70+"),
    ]
    with pytest.raises(InputError, match=r"no column region \(annotate\.columns"):
        further_groups(tmp_path / "samples.parquet", ["region"])
    with pytest.raises(InputError, match="column one: found 1 values"):
        further_groups(tmp_path / "samples.parquet", ["one"])


def test_groups_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    """DuckDB takes their columns for one, and would count one of them twice."""
    pd.DataFrame({"town": ["Paris", "paris", "x"]}).to_parquet(tmp_path / "samples.parquet")
    with pytest.raises(InputError, match="column town: found 'Paris' and 'paris', which differ in case alone"):
        further_groups(tmp_path / "samples.parquet", ["town"])


@pytest.mark.parametrize("values", [[True, False, None], ["TRUE", "", "unknown"], [None, False, False]])
def test_a_column_of_origins_has_both_groups_whatever_it_holds(tmp_path: Path, values: list) -> None:
    pd.DataFrame({"synthetic": values}).to_parquet(tmp_path / "samples.parquet")
    assert further_groups(tmp_path / "samples.parquet", ["synthetic"]) == {"synthetic": ["false", "true"]}
    pd.DataFrame({"synthetic": ["true", "perhaps", ""]}).to_parquet(tmp_path / "samples.parquet")
    with pytest.raises(InputError, match="column synthetic: found 'perhaps', expected true, false or nothing"):
        further_groups(tmp_path / "samples.parquet", ["synthetic"])


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
