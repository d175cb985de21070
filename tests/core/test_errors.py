"""One line and exit code 2, whatever says that the disk is full or closed."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.core.errors import InputError, disk, run


def ended(main: Callable[[], None]) -> int:
    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def raising(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


def test_bad_input_is_one_line(capsys) -> None:
    assert ended(raising(InputError("a:\n  b"))) == 2
    assert capsys.readouterr().err == "error: a: b\n"


def test_a_full_disk_is_one_line_that_names_file_and_remedy(capsys) -> None:
    assert ended(raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "data/x.tar"))) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: data/x.tar: no space left on device; make room, or set COUNTERWEIGHT_WORK")
    assert said.count("\n") == 1


def test_a_library_that_wraps_the_error_is_understood() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            raise RuntimeError("unexpected pos 64 vs 0")  # noqa: B904
    except RuntimeError as error:
        assert "no space left" in str(disk(error))
    assert "no space left" in str(disk(RuntimeError("IO Error: write failed: No space left on device")))


def test_a_folder_that_may_not_be_written_is_one_line(capsys) -> None:
    assert ended(raising(OSError(errno.EROFS, os.strerror(errno.EROFS), "out"))) == 2
    assert capsys.readouterr().err == "error: out: read-only file system; allow it, or name another folder\n"


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run(raising(ZeroDivisionError()))


def test_a_path_that_is_wrong_is_one_line_and_no_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path, tmp_path / "none" / "x", tmp_path / ("x" * 300)]
    for path, reason in zip(paths, ["is a directory", "no such file or directory", "file name too long"], strict=True):
        assert ended(lambda path=path: path.write_text("x") and None) == 2
        said = capsys.readouterr().err
        assert said == f"error: {path}: {reason}; correct the path, or make what is missing\n"


def test_an_interrupt_says_that_work_is_kept(capsys) -> None:
    assert ended(raising(KeyboardInterrupt())) == 130
    assert "goes on where it stopped" in capsys.readouterr().err
