"""The one way a stage refuses its input: one line on stderr, exit code 2."""

import sys
from collections.abc import Callable

SECTION = "docs/scale.md"  # lists what each stage needs, and who supplies it


class InputError(Exception):
    """Input that cannot be used; the message is one line: what was found, where, what is expected, what to do."""


def missing(what: object, remedy: str) -> InputError:
    """
    Say that a prerequisite is not there: a file of the user's, of an earlier stage, or a variable.

    Parameters
    ----------
    what : object
        Path or name, and what is wrong with it.

    Returns
    -------
    InputError
        To be raised; names the page that lists all prerequisites.
    """
    return InputError(f"{what}; {remedy} ({SECTION})")


def run(main: Callable[[], None]) -> None:
    """
    Run a program's entry point; turn an `InputError` into one line and exit code 2.

    Raises
    ------
    SystemExit
        With code 2 after an `InputError`, 130 after an interrupt.
    """
    try:
        main()
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("interrupted: run the same command again, it goes on where it stopped", file=sys.stderr)
        raise SystemExit(130) from None
