"""Rows of a csv or tsv file that have more or fewer fields than its header: where they are."""

import csv
from pathlib import Path

from stages.core.errors import InputError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
NAMES = {",": "comma", "\t": "tab"}


def check(path: Path) -> None:
    """
    Refuse a file whose rows differ in length.

    Parameters
    ----------
    path : Path
        csv or tsv with header: fields may be in double quotes, and then hold anything, a quote being written twice.

    Raises
    ------
    InputError
        If a row has another number of fields than the header, or a quoted field does not end; names its first line.
    """
    delimiter = DELIMITERS[path.suffix.lower()]
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        line, expected = 1, 0
        try:
            for row in rows:
                expected = expected or len(row)
                if row and len(row) != expected:
                    remedy = (
                        f"quote a caption that holds a {NAMES[delimiter]}"
                        if len(row) > expected
                        else "give every row all fields, empty where nothing is known"
                    )
                    raise InputError(f"{path}: line {line}: {len(row)} fields, expected {expected}; {remedy}")
                line = rows.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"{path}: line {line}: a quoted field that does not end before the next field ({error}); "
                "write a quote inside a quoted field twice"
            ) from None
