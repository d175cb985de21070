"""Progress: lines in a log, a bar on a terminal, nothing of what is done at once."""

import io
import sys

import pytest

from stages.core import progress as module
from stages.core.progress import progress


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AFTER", 0.0)
    monkeypatch.setattr(module, "EVERY", 0.0)


def test_a_log_gets_whole_lines(at_once: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress(range(3), "draw", unit="image")) == [0, 1, 2]
    lines = capsys.readouterr().err.split("\n")
    assert lines.pop() == ""
    assert [line.split(",")[0] for line in lines] == [f"draw: {n} of 3 images" for n in (0, 1, 2, 3)]


def test_what_a_resumed_run_finds_done_is_counted(at_once: None, capsys: pytest.CaptureFixture[str]) -> None:
    with progress(what="draw", total=10, initial=7, unit="image") as bar:
        bar.update(2)
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "draw: 7 of 10 images", "draw: 9 of 10 images",
    ]  # fmt: skip


def test_what_is_soon_done_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert len([*progress(range(100), "draw", unit="image")]) == 100
    assert capsys.readouterr().err == ""


def test_all_processes_but_one_are_silent(at_once: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert [*progress("abc", "draw", 3, unit="image", silent=True)] == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_on_one_line(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert len([*progress(range(50), "draw", unit="image")]) == 50
    written = terminal.getvalue()
    assert written.count("\n") == 1 and written.endswith("\n")
    assert "draw: 100%" in written.split("\r")[-1]
