"""The mix and its counts in DuckDB, against pandas."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from stages.balance.mixing import Mixed, count, left_out, mix, write_selection
from stages.balance.selection import Allotment
from stages.core.errors import InputError
from stages.core.seeds import uniform

GROUPS = (("gender", "woman"), ("gender", "man"))
COLUMNS = ["s_gender_woman", "s_gender_man"]


def tables(rows: int = 600, labels: int = 3, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Samples, and attributes of a real and a synthetic image of each; the generator draws more men."""
    rng = np.random.default_rng(seed)
    keys = [f"{i:06d}" for i in range(rows)]
    samples = pd.DataFrame({"key": keys, "shard": "00000", "u": [uniform(0, key) for key in keys]})
    samples["score"] = rng.gamma(2, size=rows)
    parts = []
    for source, women in (("real", 0.5), ("synthetic", 0.2)):
        draw = rng.random(rows)
        part = pd.DataFrame({"key": keys, "source": source, COLUMNS[0]: draw < women, COLUMNS[1]: draw > 0.7})
        named = np.random.default_rng(seed).random((rows, labels)) < 0.3
        parts.append(part.join(pd.DataFrame(named, columns=pd.Index([f"y_{i}" for i in range(labels)]))))
    attributes = pd.concat(parts).sample(frac=1, random_state=seed)
    return samples, attributes


@pytest.fixture
def connect(tmp_path: Path) -> Callable[[pd.DataFrame, pd.DataFrame], duckdb.DuckDBPyConnection]:
    def make(samples: pd.DataFrame, attributes: pd.DataFrame) -> duckdb.DuckDBPyConnection:
        samples.to_parquet(tmp_path / "samples.parquet")
        attributes.to_parquet(tmp_path / "attributes.parquet")
        connection = duckdb.connect()
        for name in ("samples", "attributes"):
            number = ", file_row_number = true" if name == "samples" else ""
            path = tmp_path / f"{name}.parquet"
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}'{number})")
        return connection

    return make


def mixed(samples: pd.DataFrame, attributes: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Mix in pandas."""
    wanted = samples.assign(source=np.where(samples["u"] < alpha, "synthetic", "real"))
    return wanted.merge(attributes, on=["key", "source"], validate="1:1")


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_counts_are_those_of_pandas(connect, alpha: float) -> None:
    samples, attributes = tables()
    labels = ["y_0", "y_1", "y_2"]
    with connect(samples, attributes) as connection:
        found = mix(connection, alpha, COLUMNS + labels, None, 0)
        cells, _ = count(connection, GROUPS, labels)
    expected = mixed(samples, attributes, alpha)
    assert found == Mixed(600, (expected["source"] == "synthetic").sum(), 0)
    counts = expected.groupby(COLUMNS + labels).size().reset_index()  # sorted: lexicographic order, as in DuckDB
    assert np.array_equal(np.hstack([cells.sensitive, cells.labels]), counts.iloc[:, :-1].to_numpy())
    assert np.array_equal(cells.count, counts.iloc[:, -1])
    assert np.all(cells.utility == 1)


def test_more_columns_than_bits_in_a_word(connect) -> None:
    samples, attributes = tables(rows=80, labels=130)
    labels = [f"y_{i}" for i in range(130)]
    with connect(samples, attributes) as connection:
        mix(connection, 0.5, COLUMNS + labels, None, 0)
        cells, codes = count(connection, GROUPS, labels)
    assert codes.words.shape[1] == 3
    rows = mixed(samples, attributes, 0.5)[COLUMNS + labels].to_numpy()
    assert np.array_equal(np.hstack([cells.sensitive, cells.labels]), np.unique(rows, axis=0))


def test_exact_utility_tells_rows_apart(connect) -> None:
    samples, attributes = tables(rows=50)
    with connect(samples, attributes) as connection:
        mix(connection, 0.0, [*COLUMNS, "y_0"], "score", 0)
        cells, codes = count(connection, GROUPS, ["y_0"])
    assert len(cells.count) == 50
    assert sorted(codes.level) == pytest.approx(sorted(samples["score"]))
    assert cells.utility == pytest.approx(codes.level / samples["score"].mean())


def test_binned_utility_is_the_mean_of_its_rows(connect) -> None:
    samples, attributes = tables()
    with connect(samples, attributes) as connection:
        mix(connection, 0.0, [*COLUMNS, "y_0"], "score", 4)
        cells, codes = count(connection, GROUPS, ["y_0"])
    assert set(codes.level) <= {0, 1, 2, 3}
    assert cells.utility @ cells.count == pytest.approx(600)
    frame = mixed(samples, attributes, 0.0)
    width = (frame["score"].max() - frame["score"].min()) / 4
    frame["bin"] = ((frame["score"] - frame["score"].min()) / width).astype(int).clip(upper=3)
    means = frame.groupby([*COLUMNS, "y_0", "bin"])["score"].mean()
    assert cells.utility == pytest.approx(np.asarray(means) / np.asarray(samples["score"]).mean())


def selection(connect, path: Path, taken: int, alpha: float = 0.4, attributes=None, **how) -> pd.DataFrame:
    samples, known = tables()
    with connect(samples, known if attributes is None else attributes) as connection:
        mix(connection, alpha, [*COLUMNS, "y_0"], None, 0, **how)
        cells, codes = count(connection, GROUPS, ["y_0"])
        n = len(cells.count)
        allotment = Allotment(np.full(n, taken), np.full(n, 2), np.full(n, 1))
        write_selection(connection, codes, np.arange(n) / n, allotment, str(path))
    return pd.read_parquet(path)


def test_selection_has_each_key_once_in_the_order_of_the_samples(connect, tmp_path: Path) -> None:
    found = selection(connect, tmp_path / "out.parquet", taken=3)
    assert list(found.columns) == ["key", "shard", "source", "q", "copies", "kept"]
    assert found["kept"].all()
    assert found["key"].tolist() == tables()[0]["key"].tolist()
    assert found["copies"].dtype == np.int32
    expected = mixed(*tables(), 0.4).set_index("key")["source"]
    assert found.set_index("key")["source"].to_dict() == expected.to_dict()


def test_each_cell_gives_its_rows_and_copies(connect, tmp_path: Path) -> None:
    found = selection(connect, tmp_path / "out.parquet", taken=3)
    for _, copies in found.groupby("q")["copies"]:
        assert sorted(copies, reverse=True)[:4] == [3, 2, 2, 0]


def test_more_rows_contain_fewer(connect, tmp_path: Path) -> None:
    few, many = (selection(connect, tmp_path / f"{n}.parquet", n) for n in (3, 9))
    assert set(few["key"][few["copies"] > 0]) < set(many["key"][many["copies"] > 0])


def test_order_inside_a_cell_does_not_prefer_a_source(connect, tmp_path: Path) -> None:
    found = selection(connect, tmp_path / "out.parquet", taken=40)
    share = (found["source"] == "synthetic").groupby(found["copies"] > 0).mean()
    assert abs(share[True] - share[False]) < 0.15


def test_same_bytes_twice(connect, tmp_path: Path) -> None:
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    selection(connect, first, 3)
    selection(connect, second, 3)
    assert first.read_bytes() == second.read_bytes()


def test_draws_are_independent_and_each_is_nested(connect, tmp_path: Path) -> None:
    def synthetic(draw: int, alpha: float) -> set[str]:
        found = selection(connect, tmp_path / "out.parquet", 3, alpha, draw=draw)
        return set(found["key"][found["source"] == "synthetic"])

    few, many, other = synthetic(1, 0.3), synthetic(1, 0.6), synthetic(2, 0.3)
    assert few < many
    assert len(few) / 600 == pytest.approx(0.3, abs=0.06)
    assert len(few & other) / 600 == pytest.approx(0.09, abs=0.04)
    assert len(few & synthetic(0, 0.3)) / 600 == pytest.approx(0.09, abs=0.04)


def test_a_draw_also_decides_which_rows_of_a_cell_are_kept(connect, tmp_path: Path) -> None:
    first, second = (selection(connect, tmp_path / "out.parquet", 20, 0.0, draw=draw) for draw in (1, 2))
    assert first["source"].equals(second["source"])
    assert not first["copies"].equals(second["copies"])
    assert first.groupby("q")["copies"].sum().equals(second.groupby("q")["copies"].sum())


def test_the_number_of_another_draw_is_the_lower_half_of_md5(connect, tmp_path: Path) -> None:
    found = selection(connect, tmp_path / "out.parquet", 3, 0.5, draw=7)
    for key, source in found[["key", "source"]].head(50).to_numpy():
        digest = hashlib.md5(f"7\0{key}".encode(), usedforsecurity=False).digest()
        number = (int.from_bytes(digest[8:], "little") >> 11) / 2**53
        assert (source == "synthetic") == (number < 0.5)


def scored(ties: bool = False) -> pd.DataFrame:
    """Attributes with similarities; the synthetic image of every tenth key is blanked."""
    attributes = tables()[1].sort_values(["key", "source"], ignore_index=True)
    similarity = np.zeros(len(attributes)) if ties else np.random.default_rng(5).normal(size=len(attributes))
    blank = (attributes["source"] == "synthetic") & attributes["key"].str.endswith("0")
    return attributes.assign(similarity=similarity.astype(np.float32), blanked=blank)


def test_the_filter_leaves_out_the_least_similar_rows_of_the_mix(connect, tmp_path: Path) -> None:
    attributes = scored()
    found = selection(connect, tmp_path / "out.parquet", 3, attributes=attributes, quantile=0.25)
    rows = found.merge(attributes, on=["key", "source"])
    assert (~found["kept"]).sum() == 150
    assert rows["similarity"][~rows["kept"]].max() < rows["similarity"][rows["kept"]].min()
    assert (found["copies"][~found["kept"]] == 0).all() and (found["q"][~found["kept"]] == 0).all()
    assert found["key"].tolist() == tables()[0]["key"].tolist()


def test_of_equal_rows_the_later_is_left_out(connect, tmp_path: Path) -> None:
    found = selection(connect, tmp_path / "out.parquet", 3, attributes=scored(ties=True), quantile=0.25)
    assert found["kept"].tolist() == [True] * 450 + [False] * 150


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_blanked_samples_are_left_out_at_every_alpha(connect, tmp_path: Path, alpha: float) -> None:
    found = selection(connect, tmp_path / "out.parquet", 3, alpha, scored(), blanked=True)
    assert found["key"][~found["kept"]].tolist() == [key for key in found["key"] if key.endswith("0")]


def test_counts_are_of_what_the_filter_keeps_and_whom_it_left_out_is_said(connect) -> None:
    samples, attributes = tables()[0], scored()
    columns = [*COLUMNS, "y_0"]
    with connect(samples, attributes) as connection:
        found = mix(connection, 0.4, columns, None, 0, quantile=0.5, blanked=True)
        cells, _ = count(connection, GROUPS, ["y_0"])
        said = left_out(connection, columns).set_index("name")
    expected = mixed(samples, attributes, 0.4)
    clean = expected[~expected["key"].str.endswith("0")]
    kept = clean.sort_values("similarity").iloc[len(clean) // 2 :]
    assert cells.count.sum() == found.rows == len(kept)
    assert found == Mixed(len(kept), (kept["source"] == "synthetic").sum(), 600 - len(kept))
    for name in columns:
        assert said.loc[name, ["before", "after"]].tolist() == [expected[name].sum(), kept[name].sum()]
    assert said.loc["real", "after"] == (kept["source"] == "real").sum()
    assert said.loc["all", "kept"] == pytest.approx(len(kept) / 600)


def broken(case: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    samples, attributes = tables(rows=40)
    attributes = attributes.sort_values(["key", "source"], ignore_index=True)
    if case == "row missing":
        attributes = attributes.drop(index=14)  # the real row of 000007
    elif case == "row twice":
        attributes = pd.concat([attributes, attributes.iloc[[14]]])
    elif case == "sample twice":  # once is the real image, the other time the synthetic one: both have attributes
        samples = pd.concat([samples, samples.iloc[[7]].assign(u=1 - samples["u"].iloc[7])], ignore_index=True)
    elif case == "value missing":
        attributes = attributes.astype({"y_0": object})
        attributes.loc[attributes["key"] == "000007", "y_0"] = None
    elif case == "no u":
        samples.loc[7, "u"] = np.nan
    elif case == "negative utility":
        samples.loc[7, "score"] = -1.0
    else:
        samples["score"] = 0.0
    return samples, attributes


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("row missing", "no row of the source that α gives it for 1 keys, e.g. '000007'"),
        ("row twice", "attributes.parquet: key '000007' comes twice"),
        ("sample twice", "samples.parquet: key '000007' comes twice"),
        ("value missing", "a value is missing for key '000007'"),
        ("no u", "no number for key '000007'"),
        ("negative utility", "column score: key '000007' has no finite number"),
        ("utility of zeros", "column score: all 0"),
    ],
)
def test_bad_tables_are_refused(connect, case: str, message: str) -> None:
    with connect(*broken(case)) as connection, pytest.raises(InputError, match=message):
        mix(connection, 0.0, [*COLUMNS, "y_0"], "score", 8)
