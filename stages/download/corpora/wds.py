"""`source: wds`: a folder of WebDataset tars, from whatever tool.

The tars are listed first, headers only; a shard of the corpus then reads its own samples from those that hold them, as
the webdataset library groups them. An image, its caption and its attributes belong together by their key.
"""

import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.core.errors import InputError
from stages.core.seeds import derive
from stages.corpus.evaluation_sets import check_group
from stages.corpus.shards import IMAGE_SUFFIXES
from stages.download.corpora.packing import Entry, bounds


@dataclass(frozen=True)
class WdsSource:
    """
    The samples of a folder.

    Attributes
    ----------
    caption : str
        Member that is the caption; ``json.name``: a field of the json member.
    prefix : bool
        Whether the tar's name precedes each key.
    shards : int
        How many the samples are cut into.
    """

    tars: tuple[Path, ...]
    counts: tuple[int, ...]
    caption: str
    attributes: tuple[str, ...]
    numbers: tuple[str, ...]
    prefix: bool
    shards: int

    @property
    def columns(self) -> list[tuple[str, pa.DataType]]:
        """Attributes as text, numbers as such."""
        return [(name, pa.string()) for name in self.attributes] + [(name, pa.float64()) for name in self.numbers]

    def entries(self, shard: int) -> Iterator[Entry]:
        """
        Read the samples of a shard.

        Yields
        ------
        Entry
            In the order of the tars.
        """
        first, last = bounds(sum(self.counts), self.shards, shard)
        start = 0
        for tar, count in zip(self.tars, self.counts, strict=True):
            if start < last and first < start + count:
                for sample in islice(_samples(tar), max(0, first - start), last - start):
                    yield self._entry(tar, sample)
            start += count

    def _entry(self, tar: Path, sample: Mapping[str, Any]) -> Entry:
        given = sample["__key__"]
        where = f"{tar}: sample {given}"
        fields = _fields(sample, where) if self.attributes or self.numbers or self.caption.startswith("json.") else {}
        if self.caption.startswith("json."):
            caption = str(fields.get(self.caption.removeprefix("json.")) or "")
        else:
            caption = sample.get(self.caption, b"").decode(errors="replace")
        suffix = next((name for name in IMAGE_SUFFIXES if name in sample), None)
        return Entry(
            key=_key(tar, given, self.prefix),
            where=where,
            caption=caption,
            image=sample[suffix] if suffix else None,
            known={
                **{name: _group(name, fields.get(name), where) for name in self.attributes},
                **{name: _number(fields.get(name), f"{where}: {name}") for name in self.numbers},
            },
            lost=f"no image member ({', '.join(IMAGE_SUFFIXES)})",
        )


def tars(folder: Path) -> tuple[Path, ...]:
    """
    List the tars of a folder.

    Parameters
    ----------
    folder : Path
        The folder, without those below it.

    Raises
    ------
    InputError
        If there is none.
    """
    found = tuple(sorted(folder.glob("*.tar")))
    if not found:
        raise InputError(f"{folder}: no .tar file; expected WebDataset shards (uncompressed)")
    return found


def keys(tar: Path, prefix: bool) -> NDArray[np.int64]:
    """
    Read the keys of a tar from its headers.

    Parameters
    ----------
    prefix : bool
        As for `WdsSource`.

    Returns
    -------
    ndarray of int64, (N,)
        A hash of each sample's key, in order: 8 bytes a sample.

    Raises
    ------
    InputError
        If the tar is unreadable or cut off.
    """
    from webdataset.tariterators import base_plus_ext  # brings torch, which no other source needs

    found: list[int] = []
    last: str | None = None
    size = tar.stat().st_size
    try:
        with tarfile.open(tar, "r:") as file:
            while (member := file.next()) is not None:
                cast(Any, file).members.clear()  # tarfile would remember every header
                if member.isfile() and member.offset_data + member.size > size:
                    raise InputError(f"{tar}: cut off inside member {member.name}; obtain the shard again")
                base = base_plus_ext(member.name)[0] if member.isfile() else None
                if base is None or base == last or _is_meta(member.name):
                    continue
                last = base
                found.append(derive(0, _key(tar, base, prefix)))
            end = file.offset
    except tarfile.TarError as error:
        raise InputError(f"{tar}: not a readable tar ({error}); obtain the shard again") from None
    with tar.open("rb") as raw:  # tarfile takes a cut inside a header for the end
        raw.seek(end)
        if raw.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise InputError(f"{tar}: cut off after {last}: no end-of-archive block; obtain the shard again")
    return np.asarray(found, np.int64)


def check_unique(listed: Sequence[NDArray[np.int64]], names: Sequence[Path], prefixed: bool) -> None:
    """
    Refuse keys that come twice.

    Parameters
    ----------
    listed : sequence of ndarray
        From `keys`.
    prefixed : bool
        Whether the tars' names precede the keys already.

    Raises
    ------
    InputError
        If a key comes twice; names the tars.
    """
    every = np.concatenate(listed)
    order = np.argsort(every, kind="stable")
    twice = np.flatnonzero(np.diff(every[order]) == 0)
    if len(twice):
        tar_of = np.repeat(np.arange(len(names)), [len(part) for part in listed])
        first, second = (names[int(tar_of[order[twice[0] + i]])] for i in (0, 1))
        remedy = "make the shards again" if prefixed else "set download.wds.prefix_keys: true"
        raise InputError(f"{len(twice)} keys come twice, e.g. one of {first} in {second}; {remedy}")


def _samples(tar: Path) -> Iterator[Mapping[str, Any]]:
    from webdataset.tariterators import group_by_keys, tar_file_iterator  # brings torch, which no other source needs

    with tar.open("rb") as file:
        yield from group_by_keys({**member, "__url__": str(tar)} for member in tar_file_iterator(cast(Any, file)))


def _is_meta(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")  # the library leaves these out


def _key(tar: Path, given: str, prefix: bool) -> str:
    legal = re.sub(r"[^A-Za-z0-9_-]+", "_", given)
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', tar.stem)}_{legal}" if prefix else legal


def _fields(sample: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        fields = json.loads(sample["json"])
    except (KeyError, ValueError):
        raise InputError(f"{where}: no readable member json, which download.wds names") from None
    if not isinstance(fields, dict):
        raise InputError(f"{where}: member json: found {type(fields).__name__}, expected fields")
    return fields


def _group(name: str, value: object, where: str) -> str:
    text = "" if value is None else str(value)
    check_group(name, text, f"{where}: member json: {name}")
    return text


def _number(value: object, where: str) -> float | None:
    if value is None:
        return None
    try:
        return float(str(value))
    except ValueError:
        raise InputError(f"{where}: found {value!r}, expected a number") from None
