import numpy as np
import pandas as pd
import pytest

from stages.caption.data import batches, training_rows
from stages.core.errors import InputError


def tables(n: int = 40) -> tuple[pd.DataFrame, pd.DataFrame]:
    keys = [f"{index:04d}" for index in range(n)]
    selection = pd.DataFrame(
        {
            "key": keys,
            "shard": [f"{index % 3:05d}" for index in range(n)],
            "source": ["synthetic" if index % 4 == 0 else "real" for index in range(n)],
            "q": 0.5,
            "copies": np.array([index % 3 for index in range(n)], np.int32),
            "kept": True,
        }
    )
    samples = pd.DataFrame({"key": keys[::-1], "caption": [f"caption {key}" for key in keys[::-1]]})
    return selection, samples


def test_rows_are_joined_by_key_and_read_shard_by_shard() -> None:
    rows = training_rows(*tables(), ["balanced"], None, seed=0)
    assert (rows["caption"] == "caption " + rows["key"]).all()
    assert rows[["shard", "key"]].apply(tuple, axis=1).is_monotonic_increasing
    assert (rows["balanced"] > 0).all()
    assert len(rows) == 26  # 40 less the 14 without copies


def test_the_mix_has_every_row_once() -> None:
    rows = training_rows(*tables(), ["balanced", "mixed"], None, seed=0)
    assert len(rows) == 40
    assert (rows["mixed"] == 1).all()
    assert sorted(rows["balanced"].unique()) == [0, 1, 2]


def test_fewer_images_are_a_part_of_more() -> None:
    few, many, other = (
        set(training_rows(*tables(), ["mixed"], count, seed)["key"]) for count, seed in ((10, 0), (20, 0), (10, 1))
    )
    assert few < many
    assert len(few) == 10
    assert few != other


def test_the_same_keys_are_taken_whatever_the_source() -> None:
    selection, samples = tables()
    mixed = training_rows(selection, samples, ["mixed"], 10, seed=0)
    real = training_rows(selection.assign(source="real"), samples, ["mixed"], 10, seed=0)
    assert mixed["key"].tolist() == real["key"].tolist()
    assert mixed["source"].nunique() == 2


def test_an_epoch_has_every_copy_once() -> None:
    copies = {"mixed": np.ones(6, int), "balanced": np.array([3, 0, 1, 2, 0, 2])}
    drawn = np.concatenate(list(batches(copies, [("balanced", 6)], 4, seed=0)))  # 24 draws: three epochs of 8
    for epoch in drawn.reshape(3, 8):
        assert np.bincount(epoch, minlength=6).tolist() == [3, 0, 1, 2, 0, 2]
    assert not np.array_equal(drawn[:8], drawn[8:16])


def test_phases_use_their_own_data() -> None:
    copies = {"mixed": np.array([1, 1, 0, 0]), "balanced": np.array([0, 0, 1, 1])}
    first, second = np.split(np.concatenate(list(batches(copies, [("mixed", 3), ("balanced", 3)], 2, seed=0))), 2)
    assert set(first) == {0, 1}
    assert set(second) == {2, 3}


def test_batches_depend_on_the_seed_alone() -> None:
    copies = {"mixed": np.ones(30, int)}
    runs = [np.stack(list(batches(copies, [("mixed", 5)], 4, seed))) for seed in (0, 0, 1)]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, t: (s.drop(columns="copies"), t), "selection.parquet: column copies is missing"),
        (lambda s, t: (s, t.drop(columns="caption")), "samples.parquet: column caption is missing"),
        (lambda s, t: (s, t[t["key"] != "0007"]), "key '0007' is not in the samples"),
        (lambda s, t: (s.assign(copies=0), t), "no row is trained on"),
    ],
)
def test_bad_tables_are_named(change, message: str) -> None:
    selection, samples = change(*tables())
    with pytest.raises(InputError, match=message):
        training_rows(selection, samples, ["balanced"], None, seed=0)
