import json
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.core.errors import InputError
from stages.corpus.images import encode_png
from stages.corpus.shards import Shard
from stages.download.corpora import packing, table

ROWS = 60  # of a shard


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(encode_png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    return path


def source(folder: Path, shards: int) -> table.TableSource:
    path = folder / f"{shards}.csv"
    rows = shards * ROWS
    pd.DataFrame({"image": "a.png", "caption": [f"picture {row}" for row in range(rows)]}).to_csv(path, index=False)
    table.order(path, "image", "caption", None, folder / f"{shards}.parquet")
    return table.TableSource(path, folder / f"{shards}.parquet", shards)


HOW = packing.Packing(side=64, min_side=1, seed=0, skip=False)


@pytest.mark.parametrize(("rows", "shards"), [(10, 3), (3, 3), (100, 7), (2, 5)])
def test_shards_differ_by_one_row_at_the_most_and_miss_none(rows: int, shards: int) -> None:
    cuts = [packing.bounds(rows, shards, shard) for shard in range(shards)]
    assert [start for start, _ in cuts] == [0, *(stop for _, stop in cuts[:-1])]
    assert cuts[-1][1] == rows
    assert max(b - a for a, b in cuts) - min(b - a for a, b in cuts) <= 1


def test_memory_of_a_shard_does_not_grow_with_their_number(tmp_path: Path, picture: Path) -> None:
    """A tenfold corpus of equal shards: the peak of packing one of them stays, as it does for the other formats."""
    assert picture.exists()
    peaks = []
    for shards, shard in ((2, 1), (20, 19)):
        of = source(tmp_path, shards)
        packing.pack(of, HOW, 0, "warm", tmp_path / "out")
        tracemalloc.start()
        packing.pack(of, HOW, shard, f"{shards}", tmp_path / "out")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 200_000


def test_gathering_sums_up_and_keeps_the_order(tmp_path: Path, picture: Path) -> None:
    assert picture.exists()
    of, names = source(tmp_path, 3), ["00000", "00001", "00002"]
    for shard in (2, 0, 1):
        packing.pack(of, HOW, shard, names[shard], tmp_path / "out")
    (tmp_path / "out" / "00001.json").write_text(
        json.dumps({"rows": ROWS + 2, "samples": ROWS, "lost": {"HTTP 404": 2}})
    )
    found = packing.gather(tmp_path / "out", names, packing.schema(of), tmp_path / "samples.parquet", "t.csv")
    assert found["rows"] == 3 * ROWS + 2
    assert found["lost_by_reason"] == {"HTTP 404": 2}
    samples = pd.read_parquet(tmp_path / "samples.parquet")
    assert samples["key"].tolist() == [f"{row:09d}" for row in range(3 * ROWS)]
    assert list(samples.columns) == ["key", "shard", "caption", "u"]


def test_the_same_shard_packed_twice_has_the_same_bytes(tmp_path: Path, picture: Path) -> None:
    assert picture.exists()
    of = source(tmp_path, 2)
    content = []
    for folder in ("a", "b"):
        packing.pack(of, HOW, 1, "00001", tmp_path / folder)
        content.append([(tmp_path / folder / f"00001.{suffix}").read_bytes() for suffix in ("tar", "parquet", "json")])
    assert content[0] == content[1]
    with Shard(tmp_path / "a" / "00001.tar") as shard:
        assert len(shard) == ROWS


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "00000.json").write_text('{"rows": 2, "samples": 0, "lost": {"HTTP 404": 2}}')
    layout = pa.schema(packing.COLUMNS)
    pq.write_table(layout.empty_table(), tmp_path / "00000.parquet")
    with pytest.raises(InputError, match=r"^t\.csv: none of 2 rows gave a sample \(most often: HTTP 404\)"):
        packing.gather(tmp_path, ["00000"], layout, tmp_path / "samples.parquet", "t.csv")
