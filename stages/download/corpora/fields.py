"""Fields of a row of the user's tables, each read as what its column means: image, captions, key."""

import math
import re
from typing import Any

from stages.core.errors import InputError
from stages.corpus.attributes import is_unknown
from stages.corpus.shards import KEY

LISTED = re.compile(r"\[\s*['\"].*['\"]\s*\]", re.DOTALL)  # what pandas writes of a list into a csv file
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
URL = re.compile(r"(?i)[a-z][a-z0-9+.-]+://|data:")


def image(value: Any, where: str) -> tuple[str, bytes | None]:
    """
    Read an image: the path of a file (empty where there is none), or bytes (None where it is a file).

    Parameters
    ----------
    value : object
        Text, bytes, or Hugging Face's ``{bytes, path}``, of which the bytes go first.

    Raises
    ------
    InputError
        If it is anything else.
    """
    if isinstance(value, dict) and value.keys() >= {"bytes", "path"}:
        return image(value["path"], where)[0], value["bytes"]
    if isinstance(value, bytes):
        return "", value
    if value is None or value != value or (isinstance(value, str) and is_unknown(value)):
        return "", None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InputError(f"{where}: found {shown(value)}, expected a path, the bytes of a file, or {{bytes, path}}")
    if URL.match(str(value)):
        raise InputError(
            f"{where}: found {shown(value)}, expected the path of a file; fetch the images first "
            "(download.source: cc3m takes a list of urls)"
        )
    return str(value), None


def captions(value: Any, where: str) -> list[str]:
    """
    Read captions, a text or a list of texts, as they were written, without empty ones.

    Raises
    ------
    InputError
        If it is anything else, or a list that was written as text.
    """
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if text is not None and text == text and not isinstance(text, str):  # nan differs from itself
            raise InputError(f"{where}: found {shown(text)}, expected a text or a list of texts")
        if isinstance(text, str) and LISTED.fullmatch(text):
            raise InputError(
                f"{where}: found {shown(text)}, a list that was written as text; write the table as .parquet or "
                ".jsonl, which hold lists, or with one caption per row"
            )
    return [text for text in texts if isinstance(text, str) and not blank(text)]


def blank(text: str) -> bool:
    """Tell whether a text shows nothing: blanks and marks without width alone."""
    return not any(sign.isprintable() and not sign.isspace() for sign in text)


def number(value: Any) -> float | None:
    """Read a number, also of plain decimal digits; None if it is not finite, or whole and beyond any float."""
    if isinstance(value, str):
        value = value.strip()
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not NUMBER.fullmatch(str(value)):
        return None
    found = float(value)
    whole = str(value).lstrip("+-")
    return found if math.isfinite(found) and (not whole.isdigit() or int(found) == int(value)) else None


def key(value: Any, where: str) -> str:
    """
    Read a key.

    Raises
    ------
    InputError
        If it holds anything but letters, digits, ``_`` and ``-``.
    """
    text = "" if value is None else str(value)
    if not KEY.fullmatch(text):
        raise InputError(f"{where}: found {text or None!r}, expected letters, digits, _ and -; rename the key")
    return text


def shown(value: Any) -> str:
    """Show a value in a message, shortened."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
