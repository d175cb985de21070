import os
from pathlib import Path

import pandas as pd
import pytest

from stages.core.errors import InputError
from stages.corpus import selection
from stages.train import rows


def table(corpus) -> pd.DataFrame:
    samples, chosen = (pd.read_parquet(corpus.data / f"{name}.parquet") for name in ("samples", "selection"))
    return selection.join(samples, chosen, "selection")


def test_each_row_points_at_the_bytes_of_its_own_source(corpus) -> None:
    selected = table(corpus)
    located = rows.locate(selected, corpus.data)
    assert len(located) == 24
    for row in (0, 1, 13, 20):
        path = located.paths[located.shard[row]]
        assert path == corpus.data / selected.source[row] / f"{selected.shard[row]}.tar"
        data = path.read_bytes()[located.offset[row] :][: located.size[row]]
        assert data.startswith(b"\x89PNG")
        assert data.endswith(b"IEND\xaeB\x60\x82")
    assert located.captions.to_pylist() == selected.caption.tolist()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def test_a_shard_that_is_cut_off_is_named_with_the_member(corpus) -> None:
    path = corpus.data / "real" / "00001.tar"
    cut(path)
    with pytest.raises(InputError, match=r"real.00001\.tar: .*0000000\d\d"):
        rows.locate(table(corpus), corpus.data)


def test_a_tolerant_reader_keeps_what_lies_before_the_cut(corpus) -> None:
    cut(corpus.data / "real" / "00001.tar")
    located = rows.locate(table(corpus), corpus.data, tolerant=True)
    lost = located.size == 0
    assert 0 < lost.sum() < 9
    assert not lost[:12].any()


def test_a_missing_shard_is_named(corpus) -> None:
    (corpus.data / "synthetic" / "00001.tar").unlink()
    with pytest.raises(InputError, match=r"synthetic.00001\.tar: no such shard"):
        rows.locate(table(corpus), corpus.data)


def test_an_image_that_was_never_made_is_named(corpus) -> None:
    corpus.select(pd.read_parquet(corpus.data / "selection.parquet").assign(source="synthetic"))
    with pytest.raises(InputError, match=r"synthetic.00000\.tar: sample 000000001 has no image"):
        rows.locate(table(corpus), corpus.data)
