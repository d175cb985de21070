"""WebDataset shards: written atomically and byte for byte alike, read by member, real and synthetic side by side.

A shard is an uncompressed tar. The members of a sample share the name before the dot: ``000000012.png``,
``000000012.txt``, ``000000012.json``. Headers carry no time and no user, so equal samples give equal bytes.
"""

import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from stages.core.atomic import written
from stages.core.errors import InputError, missing

IMAGE_SUFFIXES = ("png", "jpg", "jpeg", "webp")


def encode_png(image: np.ndarray) -> bytes:
    """
    Encode one image, the same way for real and for synthetic ones.

    Parameters
    ----------
    image : np.ndarray
        uint8, (height, width, 3).
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def decode_image(data: bytes, name: str) -> np.ndarray:
    """
    Decode one image.

    Parameters
    ----------
    name : str
        For the error: shard and member.

    Returns
    -------
    np.ndarray
        uint8, (height, width, 3).

    Raises
    ------
    InputError
        If the bytes are no image or are cut off.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{name}: not a readable image ({error}); write the shard again") from None


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
    with written(path) as partial, tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, members in samples:
            if "." in key or "/" in key:
                raise InputError(f"{path}: key {key!r} holds a dot or a slash; WebDataset keys must not")
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
            size = self.path.stat().st_size
            with tarfile.open(self.path, "r:") as tar:
                for info in tar:
                    if not info.isfile():
                        continue
                    if info.offset_data + info.size > size:
                        if tolerant:
                            break
                        raise InputError(f"{self.path}: cut off inside member {info.name}; make the shard again")
                    key, _, suffix = info.name.rpartition("/")[2].partition(".")
                    self._members.setdefault(key, {})[suffix] = Member(info.name, info.offset_data, info.size)
        except FileNotFoundError:
            raise missing(f"{self.path}: no such shard", "run the stage that writes it (`dvc repro`)") from None
        except tarfile.TarError as error:
            if tolerant and self._members:
                return
            last = next(reversed(self._members), None)
            where = f", after the members of {last}" if last else ""
            raise InputError(f"{self.path}: not a readable tar ({error}{where}); make the shard again") from None

    @property
    def keys(self) -> list[str]:
        """Keys in the order of the tar."""
        return list(self._members)

    def __contains__(self, key: str) -> bool:
        return key in self._members

    def __len__(self) -> int:
        return len(self._members)

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
            raise InputError(f"{self.path}: no member {key}.{suffix} (found: {found})")
        if self._file is None:
            self._file = os.open(self.path, os.O_RDONLY)
        return os.pread(self._file, member.size, member.offset)  # no position that forked loader workers would share

    def read_image(self, key: str) -> np.ndarray:
        """
        Read and decode the image of a sample.

        Returns
        -------
        np.ndarray
            uint8, (height, width, 3).

        Raises
        ------
        InputError
            If there is no image, or it cannot be decoded (shard and member are named).
        """
        suffix = self.image_member(key).name.rpartition("/")[2].partition(".")[2]
        return decode_image(self.read(key, suffix), f"{self.path}: member {key}.{suffix}")

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
            raise InputError(f"{self.path}: sample {key} has no image ({', '.join(IMAGE_SUFFIXES)})")
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
