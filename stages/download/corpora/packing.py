"""A source's samples → shards of the corpus, one shard a task: any number of processes, resumable, streaming.

A shard is finished when its summary is there, made of the content that the source has now. What a sample becomes
depends on the sample alone, and the shard a row belongs to on its number among the rows read, whatever was lost: so
losses, kills and processes change nothing else.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.atomic import written
from stages.core.errors import InputError
from stages.core.seeds import derive, uniform
from stages.corpus.images import UnreadableError, stored
from stages.corpus.shards import write_shard

COLUMNS = (("key", pa.string()), ("shard", pa.string()), ("caption", pa.string()), ("u", pa.float64()))
NO_CAPTION, NO_FILE = "no caption", "no such file"


@dataclass(frozen=True)
class Entry:
    """
    One row of a source.

    Attributes
    ----------
    captions : tuple of str
        None of them empty; one is stored.
    image : bytes or None
        The image file; None: it could not be had, for the reason of `lost`.
    lost : str
        Why there is no image; one of few reasons, so that they can be counted.
    """

    key: str
    where: str
    captions: tuple[str, ...] = ()
    image: bytes | None = None
    known: Mapping[str, Any] = field(default_factory=dict)
    lost: str = ""


class Source(Protocol):
    """Where samples come from; picklable, since shards are packed in processes of their own."""

    @property
    def columns(self) -> list[tuple[str, pa.DataType]]:
        """Known attributes: columns of `samples.parquet` beside `COLUMNS`."""
        ...

    def entries(self, shard: int) -> Iterator[Entry]:
        """Read the rows of one shard, one image at a time, in an order that never changes."""
        ...


@dataclass(frozen=True)
class Packing:
    """
    How samples are stored.

    Attributes
    ----------
    side : int
        Of the images, pixels.
    min_side : int
        Smaller files are refused, pixels.
    seed : int
        Of the fixed uniform number of each sample.
    skip : bool
        Whether a bad sample is left out and counted; else it is an error.
    draw : bool
        Whether one of several captions is drawn, by seed and key; else it is the first.
    """

    side: int
    min_side: int
    seed: int
    skip: bool
    draw: bool = False


def bounds(rows: int, shards: int, shard: int) -> tuple[int, int]:
    """Cut rows into shards of equal size: first row, and the one after the last."""
    return rows * shard // shards, rows * (shard + 1) // shards


def check_cut(where: object, rows: int, shards: Sequence[str]) -> None:
    """Refuse more shards than rows."""
    if rows < len(shards):
        raise InputError(f"{where}: {rows} rows for {len(shards)} shards (params.yaml: shards); name fewer shards")


def pack(source: Source, packing: Packing, shard: int, name: str, folder: Path) -> str:
    """
    Pack one shard: `<name>.tar`, `<name>.parquet` and, last, its summary `<name>.json`.

    One that is there already stays if it was made of the same content, images included.

    Raises
    ------
    InputError
        If a sample is bad and none may be; names it.
    """
    names = [column for column, _ in source.columns]
    summary_path = folder / f"{name}.json"
    if summary_path.is_file() and json.loads(summary_path.read_text()).get("content") == _content(source, shard):
        return name
    state = hashlib.blake2b(digest_size=8)
    rows: list[dict[str, Any]] = []
    lost: Counter[str] = Counter()

    def samples() -> Iterator[tuple[str, dict[str, Any]]]:
        for entry in source.entries(shard):
            _update(state, entry)
            try:
                image, caption = _made(entry, packing)
            except UnreadableError as reason:
                if not packing.skip:
                    raise InputError(
                        f"{entry.where}: {reason}; correct it, or leave such samples out: on_bad_sample: skip"
                    ) from None
                lost[str(reason)] += 1
                continue
            known = {column: entry.known.get(column) for column in names}
            u = uniform(packing.seed, entry.key)
            rows.append({"key": entry.key, "shard": name, "caption": caption, "u": u, **known})
            yield entry.key, {"png": image, "txt": caption, "json": known}

    write_shard(folder / f"{name}.tar", samples())
    table = pa.Table.from_pylist(rows, schema(source))
    with written(folder / f"{name}.parquet") as file:
        pq.write_table(table, file)
    summary = {"rows": len(rows) + lost.total(), "samples": len(rows), "lost": dict(sorted(lost.items()))}
    summary["content"] = state.hexdigest()
    with written(summary_path) as file:
        file.write_text(json.dumps(summary))
    return name


def schema(source: Source) -> pa.Schema:
    """Describe `samples.parquet`: `COLUMNS`, then those of the source."""
    return pa.schema([pa.field(column, kind) for column, kind in (*COLUMNS, *source.columns)])


def gather(folder: Path, names: list[str], layout: pa.Schema, path: Path, where: object) -> dict[str, Any]:
    """
    Write the table of all samples, shard by shard, and sum up what was lost.

    Returns
    -------
    dict
        ``rows`` read, ``samples`` stored, ``lost``, ``lost_share`` of the rows, and ``lost_by_reason``.

    Raises
    ------
    InputError
        If no sample is left, or none in one of the shards.
    """
    rows = samples = 0
    lost: Counter[str] = Counter()
    empty: list[str] = []
    with pq.ParquetWriter(path, layout) as writer:
        for name in names:
            summary = json.loads((folder / f"{name}.json").read_text())
            rows, samples = rows + summary["rows"], samples + summary["samples"]
            lost.update(summary["lost"])
            writer.write_table(pq.read_table(folder / f"{name}.parquet"))
            if not summary["samples"]:
                empty.append(name)
    worst = f" (most often: {lost.most_common(1)[0][0]})" if lost else ""
    if not samples:
        raise InputError(f"{where}: none of {rows} rows gave a sample{worst}; correct the source")
    if empty:
        raise InputError(
            f"{where}: no row of shard {empty[0]} gave a sample{worst}; correct the source, or name fewer shards "
            "(params.yaml: shards)"
        )
    return {
        "rows": rows,
        "samples": samples,
        "lost": lost.total(),
        "lost_share": lost.total() / rows,
        "lost_by_reason": dict(lost.most_common()),
    }


def _made(entry: Entry, packing: Packing) -> tuple[bytes, str]:
    if entry.image is None:
        raise UnreadableError(entry.lost)
    if not entry.captions:
        raise UnreadableError(NO_CAPTION)
    place = derive(packing.seed, entry.key, "caption") % len(entry.captions) if packing.draw else 0
    return stored(entry.image, packing.side, packing.min_side), entry.captions[place]


def _content(source: Source, shard: int) -> str:
    state = hashlib.blake2b(digest_size=8)
    for entry in source.entries(shard):
        _update(state, entry)
    return state.hexdigest()


def _update(state: hashlib.blake2b, entry: Entry) -> None:
    state.update(repr((entry.key, entry.captions, sorted(entry.known.items()), entry.lost)).encode())
    state.update(hashlib.blake2b(entry.image).digest() if entry.image is not None else b"none")
