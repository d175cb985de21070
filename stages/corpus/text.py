"""Text of the user's files: UTF-8, or UTF-16 or UTF-32 with a byte order mark; nothing else is guessed."""

import codecs
import json
import re
from typing import Any

ACCEPTED = "UTF-8, or UTF-16 or UTF-32 with a byte order mark"
MARKS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
OTHERS = (  # what is often given another file's suffix
    (b"\x1f\x8b", "a gzip file", "unpack it"),
    (b"PK\x03\x04", "a zip or Excel file", "unpack it, or save the sheet as csv in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an Excel file", "save the sheet as csv in UTF-8"),
    (b"PAR1", "a parquet file", "name it .parquet"),
)
HALF = re.compile(r"[\ud800-\udfff]")  # of a character: no text in UTF-8 holds one alone


class EncodingError(ValueError):
    """Bytes in no encoding that is read; the message says what was found."""


def encoding(head: bytes) -> str:
    """
    Name Python's encoding of a text by its first bytes; it drops the mark.

    Parameters
    ----------
    head : bytes
        Four at least, where there are as many.
    """
    return next((name for mark, name in MARKS if head.startswith(mark)), "utf-8-sig")


def decode(data: bytes) -> str:
    """
    Decode the text of a file.

    Raises
    ------
    EncodingError
        If it is in another encoding; names the line of the first byte that does not fit.
    """
    kind = encoding(data[:4])
    if other := next((what for mark, *what in OTHERS if data.startswith(mark)), None):
        raise EncodingError(f"found {other[0]}, expected text; {other[1]}")
    try:
        text = data.decode(kind)
    except UnicodeDecodeError as error:
        if kind != "utf-8-sig":
            raise EncodingError(f"found damaged {kind.upper()}, expected {ACCEPTED}; save the file as UTF-8") from None
        byte, line = error.object[error.start], error.object.count(b"\n", 0, error.start) + 1
        raise EncodingError(
            f"line {line}: byte 0x{byte:02x} is not UTF-8; expected {ACCEPTED}: save the file as UTF-8, e.g. "
            "`iconv -f LATIN1 -t UTF-8` if it is Latin-1"
        ) from None
    if "\0" in text:
        raise EncodingError(f"found NUL characters, expected {ACCEPTED}; save the file as UTF-8")
    return text


def parse(text: str) -> Any:
    """
    Read JSON of the user's.

    Raises
    ------
    ValueError
        If it is no JSON, a key comes twice, of which Python would drop the first, or a text holds half a character.
    """
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("lists or objects in one another too many times") from None
    except ValueError as error:  # Python's advice is about Python
        raise ValueError(str(error).partition("; use sys.")[0]) from None
    if "\\u" in text and (half := HALF.search(json.dumps(found, ensure_ascii=False))):
        raise ValueError(f"\\u{ord(half[0]):04x} is half a character")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise ValueError(f"key {twice!r} comes twice")
    return found
