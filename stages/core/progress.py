"""Progress of whatever takes longer than some seconds: a bar on a terminal, now and then a line in a log."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

AFTER = 5.0  # seconds of silence: what is done sooner says nothing
EVERY = 10.0  # seconds between two lines of a log


class _Lines(tqdm):
    """tqdm that writes lines instead of drawing over its own."""

    @staticmethod
    def status_printer(file: Any) -> Any:
        def write(text: str) -> None:
            if text.strip():
                file.write(f"{text.strip()}\n")
                file.flush()

        return write

    def close(self) -> None:
        """End without the line break and the repetition that a bar needs."""
        if not self.disable:
            self.disable = True
            type(self)._decr_instances(self)  # type: ignore[attr-defined]


def progress(
    items: Iterable[Any] | None = None, what: str = "", total: int | None = None, *, silent: bool = False, **named: Any
) -> tqdm:
    """
    Count items on stderr.

    Parameters
    ----------
    items : iterable, optional
        What is counted as it is read; without it, the caller calls ``update``.
    silent : bool
        Nothing is written: of several processes, one counts.
    """
    named |= {"delay": AFTER, "disable": silent}
    if sys.stderr.isatty():
        return tqdm(items, what, total, **named)
    layout = "{desc}: {n_fmt} of {total_fmt} {unit}s, {elapsed}, left {remaining}"
    return _Lines(items, what, total, mininterval=EVERY, maxinterval=EVERY, bar_format=layout, **named)
