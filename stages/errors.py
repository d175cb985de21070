"""The one way a stage refuses its input: one line on stderr, exit code 2."""

import sys
import time
from collections.abc import Callable

from stages import times


class InputError(Exception):
    """Input that cannot be used; the message is one line: what was found, where, what is expected, what to do."""


def run(main: Callable[[], None]) -> None:
    """
    Run a stage's entry point and note how long it took; turn an `InputError` into one line and exit code 2.

    Parameters
    ----------
    main : callable
        The entry point.

    Raises
    ------
    SystemExit
        With code 2 after an `InputError`, 130 after an interrupt.
    """
    started = time.monotonic()
    try:
        main()
        times.record(time.monotonic() - started)
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted: run the same command again, it goes on where it stopped", file=sys.stderr)
        raise SystemExit(130) from None
