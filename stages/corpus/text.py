"""Text of the user's files: UTF-8, or UTF-16 or UTF-32 with a byte order mark; nothing else is guessed."""

import codecs

ACCEPTED = "UTF-8, or UTF-16 or UTF-32 with a byte order mark"
MARKS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class EncodingError(ValueError):
    """Bytes in no encoding that is read; the message says what was found."""


def encoding(head: bytes) -> str:
    """
    Name the encoding of a text by its first bytes.

    Parameters
    ----------
    head : bytes
        Four at least, where there are as many.

    Returns
    -------
    str
        For Python, which drops the mark.
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
