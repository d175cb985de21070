"""WebDataset shards: written atomically and byte for byte alike, read by member, real and synthetic side by side.

A shard is an uncompressed tar. The members of a sample share the name before the dot: ``000000012.png``,
``000000012.txt``, ``000000012.json``. Headers carry no time and no user, so equal samples give equal bytes.
"""

import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast, overload

import numpy as np

from stages.core.atomic import written
from stages.core.errors import InputError, missing
from stages.corpus.images import IMAGE_SUFFIXES, UnreadableError, pixels

KEY = re.compile(r"[A-Za-z0-9_-]+")  # what a key of the user's may be


def decode_image(data: bytes, name: str) -> np.ndarray:
    """
    Decode one image: uint8, (height, width, 3).

    Parameters
    ----------
    name : str
        For the error: shard and member.

    Raises
    ------
    InputError
        If the bytes are no image or are cut off.
    """
    try:
        return pixels(data)
    except UnreadableError as reason:
        raise InputError(f"{name}: not a readable image ({reason}); write the shard again") from None


def write_shard(path: Path, samples: Iterable[tuple[str, Mapping[str, bytes | str | dict]]]) -> int:
    """
    Write a shard under a temporary name, then rename it.

    Parameters
    ----------
    path : Path
        The tar to make; an existing one is replaced.
    samples : iterable of (str, mapping)
        Key and members by suffix: bytes as they are, text as UTF-8, dictionaries as JSON with sorted keys.

    Raises
    ------
    InputError
        If a key holds a dot or a slash, which WebDataset would split.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    # a name that fits in a header gets one of the ustar format, a longer one an extended header
    with written(path) as partial, tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
        for key, members in samples:
            if "." in key or "/" in key:
                raise InputError(
                    f"{path.name}: key {key!r} holds a dot or a slash, which end a key in WebDataset; rename the sample"
                )
            for suffix, value in members.items():
                data = _encode(value)
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            count += 1
    return count


def _encode(value: bytes | str | dict) -> bytes:
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text.encode()


@dataclass(frozen=True)
class Member:
    """Where one file of a sample lies in a shard: byte offset and size."""

    name: str
    offset: int
    size: int


def list_members(path: Path, tolerant: bool = False) -> Iterator[Member]:
    """
    List the files in a tar, from its headers. Tars that were joined one behind the other are read as one.

    Parameters
    ----------
    tolerant : bool
        Whether a tar that is cut off or damaged counts as what comes before; else it is refused.

    Raises
    ------
    InputError
        If it is no tar, cut off or damaged, or holds a link or a sparse file, whose content is elsewhere.
    """
    last, size = "", path.stat().st_size
    try:
        with path.open("rb") as file:
            start: int | None = 0
            while start is not None:
                file.seek(start)
                with tarfile.open(fileobj=file, mode="r:") as tar:
                    while (info := tar.next()) is not None:
                        cast(Any, tar).members.clear()  # tarfile would remember every header
                        if info.issym() or info.islnk() or info.issparse():
                            kind = "a sparse file" if info.issparse() else "a link"
                            raise InputError(
                                f"{path}: member {info.name} is {kind}; write the tar with its content "
                                "(tar --dereference --hard-dereference)"
                            )
                        if info.size < 0 or info.offset_data + info.size > size:
                            raise tarfile.ReadError(f"cut off inside member {info.name}")
                        if info.isfile():
                            last = info.name
                            yield Member(last, info.offset_data, info.size)
                    start = _following(file, tar.offset)
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:  # of damaged headers
        if not (tolerant and last):
            where = f", after {last}" if last else "; expected an uncompressed tar"
            raise InputError(f"{path}: not a readable tar: {error}{where}; obtain or make it again") from None


def _following(file: BinaryIO, end: int) -> int | None:
    """Find the tar that follows the one whose members end at a place; tarfile takes any damage for the end."""
    file.seek(end)
    block = file.read(tarfile.BLOCKSIZE)
    if block != bytes(tarfile.BLOCKSIZE):
        found = "damaged" if len(block) == tarfile.BLOCKSIZE else "cut off"
        raise tarfile.ReadError(f"{found}: no end-of-archive block")
    while block and not any(block):
        end += len(block)
        block = file.read(2048 * tarfile.BLOCKSIZE)
    if not block:
        return None
    first = next(place for place in range(0, len(block), tarfile.BLOCKSIZE) if any(block[place : place + 512]))
    return end + first


class Shard:
    """
    Random access to the samples of one tar, by key.

    Parameters
    ----------
    tolerant : bool
        Whether a shard that is cut off counts as the samples before the cut; else it is refused.

    Raises
    ------
    InputError
        If the file is missing, no tar, or cut off.
    """

    def __init__(self, path: Path, tolerant: bool = False) -> None:
        self._file: int | None = None
        self.path = Path(path)
        self._members: dict[str, dict[str, Member]] = {}
        try:
            for member in list_members(self.path, tolerant):
                key, suffix = member.name.rpartition("/")[2].partition(".")[0], self.suffix(member)
                parts = self._members.setdefault(key, {})
                if suffix in parts:
                    raise InputError(f"{self.path}: member {key}.{suffix} comes twice; make the shard again")
                parts[suffix] = member
        except FileNotFoundError:
            raise missing(f"{self.path}: no such shard", "run the stage that writes it (`dvc repro`)") from None

    @property
    def keys(self) -> list[str]:
        """Keys in the order of the tar."""
        return list(self._members)

    def __contains__(self, key: str) -> bool:
        return key in self._members

    def __len__(self) -> int:
        return len(self._members)

    def suffixes(self, key: str) -> tuple[str, ...]:
        """Suffixes of the members of a sample; none of a key that is not there."""
        return tuple(self._members.get(key, ()))

    def read(self, key: str, suffix: str) -> bytes:
        """
        Read one member.

        Parameters
        ----------
        suffix : str
            The member, e.g. ``"txt"``.

        Raises
        ------
        InputError
            If the shard has no such member.
        """
        member = self._members.get(key, {}).get(suffix)
        if member is None:
            found = ", ".join(self._members.get(key, {})) or "no such key"
            raise InputError(f"{self.path}: no member {key}.{suffix} (found: {found}); make the shard again")
        if self._file is None:
            self._file = os.open(self.path, os.O_RDONLY)
        return os.pread(self._file, member.size, member.offset)  # no position that forked loader workers would share

    def read_image(self, key: str) -> np.ndarray:
        """
        Read and decode the image of a sample: uint8, (height, width, 3).

        Raises
        ------
        InputError
            If there is no image, or it cannot be decoded (shard and member are named).
        """
        suffix = self.suffix(self.image_member(key))
        return decode_image(self.read(key, suffix), f"{self.path}: member {key}.{suffix}")

    @staticmethod
    def suffix(member: Member) -> str:
        """Name a member in its sample: what follows the first dot, in lower case."""
        return member.name.rpartition("/")[2].partition(".")[2].lower()

    def image_member(self, key: str) -> Member:
        """
        Locate the image of a sample.

        Raises
        ------
        InputError
            If there is no image.
        """
        members = self._members.get(key, {})
        suffix = next((s for s in IMAGE_SUFFIXES if s in members), None)
        if suffix is None:
            raise InputError(
                f"{self.path}: sample {key} has no image member ({', '.join(IMAGE_SUFFIXES)}); make the shard again"
            )
        return members[suffix]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> "Shard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_file": None}


def image_key(key: str, candidate: int) -> str:
    """Name a candidate's image in its shard: ``"KEY"``, ``"KEY-c1"``, …; the first has the sample's own key."""
    return f"{key}-c{candidate}" if candidate else key


class Pictures(Sequence[np.ndarray]):
    """Images of some samples of a shard, each read when it is asked for."""

    def __init__(self, shard: Shard, keys: Sequence[str]) -> None:
        self.shard, self.keys = shard, keys

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: slice) -> "Pictures": ...

    def __getitem__(self, index: int | slice) -> "np.ndarray | Pictures":
        if isinstance(index, slice):
            return Pictures(self.shard, self.keys[index])
        return self.shard.read_image(self.keys[index])


def read_images(path: Path, keys: Iterable[str] | None = None) -> Iterator[tuple[str, np.ndarray]]:
    """
    Read the images of a shard, in order.

    Parameters
    ----------
    keys : iterable of str, optional
        Which samples; all by default.

    Yields
    ------
    tuple of (str, np.ndarray)
        Key and uint8 image (height, width, 3).
    """
    with Shard(path) as shard:
        for key in keys if keys is not None else shard.keys:
            yield key, shard.read_image(key)
