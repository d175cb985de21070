"""The one way a stage refuses its input: one line on stderr, exit code 2."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

SECTION = "docs/scale.md"  # lists what each stage needs, and who supplies it


FULL, CLOSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), (errno.EROFS, errno.EACCES, errno.EPERM)


class InputError(Exception):
    """Input that cannot be used; the message is one line: what was found, where, what is expected, what to do."""


def left_behind() -> str:
    """Say why a file may be missing, where an experiment runs in a copy of what git and DVC know (--temp, --queue)."""
    if "/.dvc/tmp/exps/" not in f"{Path.cwd().as_posix()}/":
        return ""
    return "; this experiment's copy (--temp, --queue) holds only what git or DVC know: git add it or dvc add it first"


def missing(what: object, remedy: str) -> InputError:
    """
    Say that a file or variable is not there, and on which page all prerequisites are listed.

    Parameters
    ----------
    what : object
        Path or name, and what is wrong with it.
    """
    return InputError(f"{what}; {remedy}{left_behind()} ({SECTION})")


def run(main: Callable[[], None]) -> None:
    """
    Run a program's entry point; an `InputError`, a full or read-only disk, a wrong path become one line and code 2.

    Raises
    ------
    SystemExit
        With code 2 after such an error, 130 after an interrupt.
    """
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted: run the same command again, it goes on where it stopped", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:
        said = str(error) if isinstance(error, InputError) else disk(error)
        if said is None:
            raise
        print(f"error: {' '.join(said.split())}", file=sys.stderr)
        raise SystemExit(2) from None


def disk(error: BaseException) -> str | None:
    """
    Say in one line that a disk is full or not writable, where an error or what led to it says so, or a path is wrong.

    Returns
    -------
    str or None
        None where the error is about something else.
    """
    for cause in _causes(error):
        text = str(cause)  # libraries of other languages have no number
        told = (code for code in (*FULL, *CLOSED) if code == getattr(cause, "errno", None) or os.strerror(code) in text)
        if (code := next(told, None)) is not None:
            remedy = (
                "make room, or set COUNTERWEIGHT_WORK to a larger disk for what is not finished, and run the same "
                "command again: it goes on where it stopped"
                if code in FULL
                else "allow it, or name another folder"
            )
            return f"{getattr(cause, 'filename', None) or text}: {os.strerror(code).lower()}; {remedy}"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}; correct the path, or make what is missing"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
