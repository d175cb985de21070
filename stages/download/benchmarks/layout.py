"""What all benchmarks share: files under a root, one row an image, and what was left out."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import InputError, missing
from stages.corpus import tables
from stages.corpus.images import UnreadableError, kept
from stages.corpus.text import EncodingError, decode, parse

Row = tuple[dict[str, Any], str, bytes]  # columns of `stages.corpus.evaluation_sets`, suffix and content of the image
Reader = Callable[[Path, Counter[str]], Iterator[Row]]

SUFFIXES = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp"}


@dataclass(frozen=True)
class Benchmark:
    """
    One benchmark.

    Attributes
    ----------
    source : str
        Where its files come from, for error messages.
    read : callable
        Root and a counter of what is left out → rows.
    """

    name: str
    source: str
    read: Reader


def require(path: Path, source: str) -> Path:
    """
    Insist on a file or folder.

    Raises
    ------
    InputError
        If it is missing.
    """
    if not path.exists():
        raise missing(f"{path}: missing", f"obtain it from {source}")
    return path


def read_csv(path: Path, columns: Iterable[str]) -> Iterator[dict[str, str]]:
    """
    Read a csv file, row by row.

    Raises
    ------
    InputError
        If a column is missing, or a row is cut off.
    """
    found = tables.columns(path)
    for column in columns:
        if column not in found:
            raise InputError(f"{path}: column {column} is missing (found: {tables.shown(found)}); download it again")
    yield from tables.rows(path)


def read_text(path: Path) -> str:
    """Read a text file."""
    try:
        return decode(path.read_bytes())
    except EncodingError as error:
        raise InputError(f"{path}: {error}") from None


def read_json(path: Path) -> Any:
    """
    Read a JSON file.

    Raises
    ------
    InputError
        If it is not JSON.
    """
    try:
        return parse(read_text(path))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); download it again") from None


def translate(value: str, known: Mapping[str, str], where: str) -> str:
    """
    Translate an annotated value, loudly.

    Parameters
    ----------
    known : mapping of str to str
        Every value that may occur; ``""`` for those that mean "unknown".
    where : str
        File and column, for the error.

    Raises
    ------
    InputError
        If the value is not known.
    """
    if value not in known:
        raise InputError(f"{where}: found {value!r}, expected one of {', '.join(map(repr, known))}; correct it")
    return known[value]


def unanimous(values: Iterable[str]) -> str:
    """
    Take the value that all persons of an image share; ``""`` where they differ, one is unsure, or there is none.

    Parameters
    ----------
    values : iterable of str
        One a person; ``""`` is unsure.
    """
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else ""


def find_image(folder: Path, stem: str) -> Path | None:
    """
    Find an image by its name without suffix.

    Parameters
    ----------
    stem : str
        Name; one that has its suffix is found too.
    """
    if Path(stem).suffix.lower() in SUFFIXES and (folder / stem).is_file():
        return folder / stem
    return next((path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()), None)


def load_image(path: Path, where: str = "") -> tuple[str, bytes]:
    """
    Read an image file: as it is, or as PNG of its pixels where they must be turned, laid on white or scaled.

    Parameters
    ----------
    where : str
        The row that names it, for the error.

    Raises
    ------
    InputError
        If it is not there, or cannot be read as an image.
    """
    where = f"{where}: image {path}" if where else str(path)
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise InputError(f"{where}: found no file; correct the path, or leave it out")
        return kept(path.read_bytes())
    except (OSError, ValueError) as error:  # not there, another user's, or a name that no file has
        reason = (getattr(error, "strerror", None) or "no such file").lower()
        raise InputError(f"{where}: {reason}; correct the path, or leave it out") from None
    except UnreadableError as reason:
        raise InputError(f"{where}: {reason}; correct or replace it, or leave it out") from None
