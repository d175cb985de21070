"""`source: wds`: a folder of WebDataset tars, from whatever tool.

The tars are listed first, headers only; a shard of the corpus then reads its own samples from those that hold them. The
members of a sample share the name before the first dot, WebDataset's rule, and may lie anywhere in their tar. An image,
its caption and its attributes belong together by their key.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stages.core.errors import InputError
from stages.core.seeds import derive
from stages.corpus.attributes import is_unknown, known_value
from stages.corpus.evaluation_sets import check_group
from stages.corpus.images import IMAGE_SUFFIXES
from stages.corpus.shards import Member, list_members
from stages.corpus.text import EncodingError, decode, parse
from stages.download.corpora import fields
from stages.download.corpora.packing import Entry, bounds

SUFFIXES = (*IMAGE_SUFFIXES, "gif", "bmp", "tif", "tiff")  # of images; what they hold is stored as any other image
NO_IMAGE = f"no image member ({', '.join(SUFFIXES)})"

Sample = Mapping[str, Member]  # by suffix, lower case


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
                with tar.open("rb") as file:
                    for key, sample in islice(samples(tar).items(), max(0, first - start), last - start):
                        yield self._entry(tar, file, key, sample)
            start += count

    def _entry(self, tar: Path, file: BinaryIO, given: str, sample: Sample) -> Entry:
        where = f"{tar}: sample {given}"
        known: dict[str, Any] = {}
        if self.attributes or self.numbers or self.caption.startswith("json."):
            known = _fields(file, sample, where)
        try:
            captions, bad = self._captions(file, sample, known, where), ""
        except EncodingError:
            captions, bad = [], "caption that is no text in UTF-8"
        suffix = next((name for name in SUFFIXES if name in sample), None)
        return Entry(
            key=key_of(tar, given, self.prefix),
            where=where,
            captions=tuple(captions),
            image=read(file, sample[suffix]) if suffix and not bad else None,
            known={
                **{name: _group(name, known.get(name), where) for name in self.attributes},
                **{name: _number(known.get(name), f"{where}: {name}") for name in self.numbers},
            },
            lost=bad or NO_IMAGE,
        )

    def _captions(self, file: BinaryIO, sample: Sample, known: Mapping[str, Any], where: str) -> list[str]:
        if self.caption.startswith("json."):
            name = self.caption.removeprefix("json.")
            return fields.captions(known.get(name), f"{where}: member json: {name}")
        return lines(read(file, sample[self.caption])) if self.caption in sample else []


def lines(data: bytes) -> list[str]:
    """
    Read the caption of a text member.

    Returns
    -------
    list of str
        One caption or none: without the mark and the line end that editors add, and inner line ends as they are on
        Unix.
    """
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n").strip()
    return [text] if text else []


def read(file: BinaryIO, member: Member) -> bytes:
    """Read one member."""
    file.seek(member.offset)
    return file.read(member.size)


def samples(tar: Path) -> dict[str, dict[str, Member]]:
    """
    List the members of each sample of a tar by suffix, from its headers, in the order in which keys come first.

    Raises
    ------
    InputError
        If the tar is unreadable, a member comes twice, or dots in the names join what are several samples.
    """
    found: dict[str, dict[str, Member]] = {}
    for member in list_members(tar):
        folder, slash, name = member.name.removeprefix("./").rpartition("/")
        stem, dot, suffix = name.partition(".")
        if not stem or not dot or (member.name.startswith("__") and member.name.endswith("__")):
            continue  # no sample in WebDataset either
        parts = found.setdefault(f"{folder}{slash}{stem}", {})
        if suffix.lower() in parts:
            first = parts[suffix.lower()].name
            raise InputError(
                f"{tar}: members {first} and {member.name} are the same member {suffix.lower()} of one sample; "
                "expected each once, in any case; make the shard again"
            )
        parts[suffix.lower()] = member
    for parts in found.values():
        if not any(suffix in parts for suffix in SUFFIXES):
            for suffix, member in parts.items():
                if suffix.rpartition(".")[2] in SUFFIXES:
                    raise InputError(
                        f"{tar}: member {member.name}: the key ends at the first dot, WebDataset's rule, so this is "
                        f"member {suffix} of its sample, and no image; rename the files, without dots before the suffix"
                    )
    return found


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
        raise InputError(f"{folder}: no .tar file; expected a folder of WebDataset shards (uncompressed)")
    if other := next((path for path in found if not path.is_file()), None):
        raise InputError(f"{other}: found no file, expected a tar; remove or rename it")
    return found


def keys(tar: Path, prefix: bool) -> NDArray[np.int64]:
    """
    Read the keys of a tar from its headers: a hash of each, in order, 8 bytes per sample.

    Raises
    ------
    InputError
        If the tar is unreadable or cut off.
    """
    return np.asarray([derive(0, key_of(tar, given, prefix)) for given in samples(tar)], np.int64)


def check_unique(listed: Sequence[NDArray[np.int64]], names: Sequence[Path], prefixed: bool) -> None:
    """
    Refuse keys that come twice.

    Parameters
    ----------
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
        remedy = "make the shards again" if prefixed or first == second else "set download.wds.prefix_keys: true"
        raise InputError(f"{len(twice)} keys come twice, e.g. one of {first} in {second}; {remedy}")


def key_of(tar: Path, given: str, prefix: bool) -> str:
    """
    Write a key of letters, digits, ``_``, ``-``; folders joined by ``_``, a hash added to any other name.

    Parameters
    ----------
    prefix : bool
        Whether the tar's name precedes it.
    """
    return f"{_legal(tar.stem)}_{_legal(given)}" if prefix else _legal(given)


def _legal(name: str) -> str:
    plain = name.replace("/", "_")
    legal = re.sub(r"[^A-Za-z0-9_-]+", "_", plain)
    if legal == plain:
        return legal
    return f"{legal}-{hashlib.blake2b(name.encode(errors='surrogateescape'), digest_size=4).hexdigest()}"


def _fields(file: BinaryIO, sample: Sample, where: str) -> dict[str, Any]:
    if "json" not in sample:
        raise InputError(f"{where}: no member json, whose fields download.wds names (found: {', '.join(sample)})")
    try:
        found = parse(decode(read(file, sample["json"])))
    except ValueError as error:
        raise InputError(f"{where}: member json: not valid JSON ({error}); make the shard again") from None
    if not isinstance(found, dict):
        raise InputError(f"{where}: member json: found {fields.shown(found)}, expected an object {{…}}")
    return found


def _group(name: str, value: object, where: str) -> str:
    if isinstance(value, (list, dict)):
        raise InputError(f"{where}: member json: {name}: found {fields.shown(value)}, expected one text")
    text = known_value(value, name)
    check_group(name, text, f"{where}: member json: {name}")
    return text


def _number(value: object, where: str) -> float | None:
    if is_unknown(value):
        return None
    number = fields.number(value)
    if number is None:
        raise InputError(f"{where}: found {fields.shown(value)}, expected a finite number, or null where it is unknown")
    return number
