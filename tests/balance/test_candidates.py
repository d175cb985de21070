"""Keys with several generated images: the stage takes one at most, and says what the rows that it takes show."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.core.errors import InputError
from tests.helpers.mixes import content, write_tables

K = 3


def several(folder: Path, blanked: bool = False) -> pd.DataFrame:
    """Give every key two more generated images, in which others show who they show."""
    write_tables(folder, 1500)
    table = pd.read_parquet(folder / "attributes.parquet").assign(candidate=np.int16(0))
    made, rng = table.loc[table["source"] == "synthetic"], np.random.default_rng(1)
    parts = [table]
    for place in range(1, K):
        woman = rng.random(len(made)) < 0.3
        shown = made["s_gender_woman"] | made["s_gender_man"]
        further = made.assign(candidate=np.int16(place), s_gender_woman=shown & woman, s_gender_man=shown & ~woman)
        parts.append(further)
    table = pd.concat(parts, ignore_index=True)
    if blanked:
        table["blanked"] = (table["source"] == "synthetic") & (rng.random(len(table)) < 0.3)
    table.to_parquet(folder / "attributes.parquet", index=False)
    return table


def test_a_key_takes_one_candidate_and_the_rows_are_balanced(balance) -> None:
    folder = balance(method="none")
    attributes = several(folder)
    attributes.loc[attributes["candidate"] == 0].drop(columns="candidate").to_parquet(folder / "attributes.parquet")
    balance(0.9, attributes=["gender"], eps_r=0.005, eps_d=0.002)
    first, one = content(folder), pd.read_parquet(folder / "selection.parquet")
    attributes.to_parquet(folder / "attributes.parquet", index=False)
    balance(0.9, attributes=["gender"], eps_r=0.005, eps_d=0.002)
    found, selection = content(folder), pd.read_parquet(folder / "selection.parquet")
    assert selection["key"].is_unique and set(selection["copies"]) <= {0, 1}
    assert selection.loc[selection["source"] == "real", "candidate"].eq(0).all()
    assert selection["candidate"].value_counts().reindex(range(K)).gt(0).all()
    assert found["violated"] == found["violated_realised"] == 0
    assert found["certificate"]["relative_gap"] <= 1e-8
    assert "candidate" not in one and found["largest_eta"] > 1.1 * first["largest_eta"]  # a choice saves rows

    taken = selection.loc[selection["copies"] > 0].merge(attributes, on=["key", "source", "candidate"], validate="1:1")
    assert len(taken) == found["rows_taken"] == found["rows_an_epoch"]
    assert len(taken) / len(selection) == pytest.approx(found["eta"], abs=2 / len(selection))
    for group in ("woman", "man"):
        share = taken[f"s_gender_{group}"].mean()
        assert share == pytest.approx(found["groups"][f"gender:{group}"]["realised"], abs=1e-9)
        assert share == pytest.approx(found["groups"][f"gender:{group}"]["target"], abs=0.0051)
    before = attributes.merge(selection[["key", "source"]], on=["key", "source"])
    uniform = before.groupby("key")["s_gender_woman"].mean().mean()
    assert found["groups"]["gender:woman"]["before"] == pytest.approx(uniform, abs=1e-12)


def test_all_keys_are_taken_where_candidates_allow_it(balance) -> None:
    folder = balance(1.0)
    several(folder)
    balance(1.0, target={"gender": "observed"}, attributes=["gender"], eps_r=0.05, eps_d=0.05)
    found = content(folder)
    assert found["largest_eta"] == found["eta"] == 1.0
    assert found["rows_taken"] == 1500


@pytest.mark.parametrize("method", ["none", "random", "m4_sgd"])
def test_other_methods_take_the_first_candidate(balance, method) -> None:
    folder = balance(method="none")
    table = several(folder)
    balance(method=method)
    found = pd.read_parquet(folder / "selection.parquet")
    table.loc[table["candidate"] == 0].drop(columns="candidate").to_parquet(folder / "attributes.parquet", index=False)
    balance(method=method)
    assert found["candidate"].eq(0).all()
    pd.testing.assert_frame_equal(found.drop(columns="candidate"), pd.read_parquet(folder / "selection.parquet"))


def test_what_was_blanked_is_no_candidate(balance) -> None:
    folder = balance(1.0)
    table = several(folder, blanked=True)
    balance(1.0)
    selection = pd.read_parquet(folder / "selection.parquet")
    taken = selection.loc[selection["copies"] > 0].merge(table, on=["key", "source", "candidate"])
    assert len(taken) and not taken["blanked"].any()
    made = table.loc[table["source"] == "synthetic"]
    everything = made.groupby("key")["blanked"].all()
    assert selection.set_index("key")["kept"].eq(~everything).all()
    assert content(folder)["left_out_rows"] == everything.sum() > 0


@pytest.mark.parametrize(("key", "value"), [("filter", {"quantile": 0.1}), ("compensate", "repeat")])
def test_what_candidates_do_not_go_with_is_refused(balance, key, value) -> None:
    folder = balance(method="none")
    table = several(folder)
    table.assign(similarity=0.5).to_parquet(folder / "attributes.parquet", index=False)
    with pytest.raises(InputError, match=rf"balance\.{key}.*several candidates"):
        balance(**{key: value})
