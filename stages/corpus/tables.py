"""Tables of the user's own, row by row: csv, tsv, JSON lines and parquet.

Nothing is guessed from a sample of the rows. A field of a csv or tsv file is the text that was written; values of JSON
lines and parquet keep the types they have there. What a column means, and so what its values may be, is the caller's.
Line ends may be of any kind and mixed, also within one file. A folder of parquet files is one table, in the order of
their names.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.core.errors import InputError
from stages.corpus.text import ACCEPTED, EncodingError, decode, encoding, parse

DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (*DELIMITERS, ".jsonl", ".parquet")
NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
BATCH, BATCH_OF_BYTES = 4096, 64  # rows of a parquet file that are held at a time; images are large


def untyped(path: Path) -> bool:
    """Tell whether all values of a table are text, whatever they stand for."""
    return path.suffix.lower() in DELIMITERS


def columns(path: Path) -> list[str]:
    """
    Name the columns of a table.

    Raises
    ------
    InputError
        If the file cannot be read, or a name comes twice.
    """
    if path.is_dir():
        found = {part: columns(part) for part in parts(path)}
        first = next(iter(found))
        if other := next((part for part, names in found.items() if names != found[first]), None):
            raise InputError(
                f"{other}: columns {shown(found[other])}, expected those of {first.name} ({shown(found[first])}); keep "
                "tables of one kind in a folder"
            )
        return found[first]
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"{path}: found a {suffix or 'nameless'} file, expected {', '.join(SUFFIXES)}; write it as one of these"
        )
    if suffix == ".parquet":
        return _unique(path, _parquet(path).schema_arrow.names)
    if suffix == ".jsonl":
        return list(dict.fromkeys(name for row in _objects(path) for name in row))
    return next(_records(path))


def parts(path: Path) -> list[Path]:
    """
    List the files of a table: itself, or the parquet files of a folder.

    Raises
    ------
    InputError
        If the folder has none.
    """
    if not path.is_dir():
        return [path]
    if found := sorted(path.glob("*.parquet")):
        return found
    raise InputError(f"{path}: no .parquet file in it; name the file of the table")


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """
    Read a table; one batch of a parquet file is held at a time.

    Yields
    ------
    dict of str to object
        Value by column; None where a typed table has none.

    Raises
    ------
    InputError
        If the file cannot be read, is in an encoding that is not accepted, or a row has more or fewer fields than the
        header; names the line.
    """
    if path.is_dir():
        columns(path)
        for part in parts(path):
            yield from rows(part)
        return
    names = columns(path)
    if path.suffix.lower() == ".parquet":
        yield from _parquet_rows(path)
    elif path.suffix.lower() == ".jsonl":
        yield from (dict.fromkeys(names) | row for row in _objects(path))
    else:
        records = _records(path)
        next(records)
        yield from (dict(zip(names, record, strict=True)) for record in records)


def shown(names: Iterable[str]) -> str:
    """List names of columns for a message, so that blanks and marks in them can be seen."""
    return ", ".join(name if name.isprintable() and name == name.strip() and name else repr(name) for name in names)


def _records(path: Path) -> Iterator[list[str]]:
    """Read header and rows of a csv or tsv file: fields may be in double quotes, a quote being written twice."""
    delimiter = DELIMITERS[path.suffix.lower()]
    header, line = None, 1
    try:
        with path.open("rb") as raw:
            kind = encoding(raw.read(4))
        with path.open(newline="", encoding=kind) as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for row in reader:
                if header is None and row:
                    header = _header(path, row, delimiter)
                    yield header
                elif row:
                    if len(row) != len(header or row):
                        raise InputError(
                            f"{path}: line {line}: {len(row)} fields, expected {len(header or row)}; "
                            + (
                                f"quote a field that holds a {NAMES[delimiter]}"
                                if len(row) > len(header or row)
                                else "give every row all fields, empty where nothing is known"
                            )
                        )
                    yield row
                line = reader.line_num + 1
    except csv.Error as error:
        if "limit" in str(error):
            raise InputError(
                f"{path}: line {line}: a field above {csv.field_size_limit()} characters; close its quote if one is "
                "open, or write the table as .jsonl or .parquet"
            ) from None
        raise InputError(
            f"{path}: line {line}: a quoted field that does not end before the next field ({error}); "
            "write a quote inside a quoted field twice"
        ) from None
    except UnicodeDecodeError:
        raise _encoding_error(path) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if header is None:
        raise InputError(f"{path}: the file is empty, expected a line with the names of the columns")


def _header(path: Path, names: list[str], delimiter: str) -> list[str]:
    if any("\0" in name for name in names):
        raise InputError(f"{path}: line 1: found NUL characters, expected {ACCEPTED}; save the file as UTF-8")
    other = next((mark for mark in NAMES if len(names) == 1 and mark != delimiter and mark in names[0]), None)
    if other:
        raise InputError(
            f"{path}: line 1: the fields are separated by {NAMES[other]}s, expected {NAMES[delimiter]}s in a "
            f"{path.suffix} file; write it with {NAMES[delimiter]}s"
        )
    # pandas writes its index as a column without a name
    return _unique(path, [name or f"column{place}" for place, name in enumerate(names)])


def _unique(path: Path, names: list[str]) -> list[str]:
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise InputError(f"{path}: column {twice[0]} comes twice; rename or remove one of the two")
    return names


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    """Read the objects of a file of JSON lines."""
    number = 0
    try:
        with path.open("rb") as raw:
            kind = encoding(raw.read(4))
        with path.open(encoding=kind) as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                row = parse(line)
                if not isinstance(row, dict):
                    raise InputError(f"{path}: line {number}: found {line[:60].strip()}, expected an object {{…}}")
                yield row
    except UnicodeDecodeError:
        raise _encoding_error(path) from None
    except ValueError as error:
        raise InputError(f"{path}: line {number}: not valid JSON ({error}); expected one object per line") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, memory_map=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable parquet file ({_line(error)}); write or obtain it again") from None


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    with _parquet(path) as file:
        holds_bytes = any("binary" in str(field.type) for field in file.schema_arrow)
        try:
            for batch in file.iter_batches(BATCH_OF_BYTES if holds_bytes else BATCH):
                yield from pa.table([_plain(column) for column in batch.columns], batch.schema.names).to_pylist()
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise InputError(f"{path}: damaged ({_line(error)}); write or obtain it again") from None


def _plain(column: pa.Array) -> pa.Array:
    """Write dates and times as text, of which Python's own hold neither nanoseconds nor all years; UUIDs as well."""
    if isinstance(column, pa.UuidArray):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_duration(column.type):
        column = column.cast(pa.int64())
    return pc.cast(column, pa.string()) if pa.types.is_temporal(column.type) else column


def _encoding_error(path: Path) -> InputError:
    try:
        decode(path.read_bytes())  # once more and whole, to name the line
    except EncodingError as error:
        return InputError(f"{path}: {error}")
    return InputError(f"{path}: not text; expected {ACCEPTED}")


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: {(error.strerror or str(error)).lower()}; expected a file that can be read")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
