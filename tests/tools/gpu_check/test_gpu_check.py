"""The check of an accelerator, on a CPU: its whole way at tiny sizes, and how it answers."""

import json
import math
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

from stages.core.errors import InputError
from stages.tools.gpu_check import __main__ as program
from stages.tools.gpu_check.memory import foretold
from stages.tools.gpu_check.report import Figure, Report, SkipError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report({"card": "none"}, tmp_path / "check.json", seconds=60)


def test_the_whole_way_runs_on_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two equal devices nothing differs; speeds are numbers; what needs an accelerator is skipped."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COUNTERWEIGHT_WORK", str(tmp_path / "work"))
    found = Report({"card": "none"}, tmp_path / "check.json", seconds=3600)
    try:
        program.check("cpu", "tiny", [*program.SECTIONS], found)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    lines = {f"{line.section}: {line.what}": line for line in found.lines}
    assert not [(name, line.note) for name, line in lines.items() if line.state == "failed"]
    skipped = {name for name, line in lines.items() if line.state == "skipped"}
    assert skipped == {"same result: train: losses in float16 against the CPU"} | {
        name for name in lines if name.startswith("memory: ")
    }
    figures = {name: line.figure.value for name, line in lines.items() if line.figure}
    same = [name for name in figures if name.startswith("same result: ") and "float16" not in name]
    assert len(same) == 10
    assert {figures[name] for name in same} == {0.0}
    assert figures["generate: stage against library: images of the same seeds"] <= 0.01
    assert min(value for name, value in figures.items() if not name.startswith("same result: ")) >= 0
    assert {line["what"] for line in json.loads((tmp_path / "check.json").read_text())["lines"]} == {
        line.what for line in found.lines
    }
    assert "0 failed" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gpu_check"])
    with pytest.raises(InputError, match="torch finds no GPU on this machine; run it where there is one"):
        program.main()


def test_a_line_passes_where_its_figure_reaches_the_goal(report: Report) -> None:
    assert Figure(1.5, "×", 1.5).reached
    assert not Figure(1.4, "×", 1.5).reached
    assert Figure(0.1, "levels", 0.1, least=False).reached
    assert not Figure(math.nan, "s").reached
    for value in (1.6, 1.4):
        report.ask("speed", f"ratio {value}", lambda value=value: Figure(value, "×", 1.5))
    assert [line.state for line in report.lines] == ["passed", "failed"]


def test_whatever_goes_wrong_is_the_answer_of_its_line(report: Report) -> None:
    def refuse() -> Figure:
        raise InputError("train.batch_size: found 9")

    def skip() -> Figure:
        raise SkipError("no card")

    def fail() -> Figure:
        raise ValueError("shapes\ndo not fit")

    for name, measure in (("refuse", refuse), ("skip", skip), ("fail", fail)):
        assert report.ask("any", name, measure) is None
    notes = {line.what: (line.state, line.note) for line in report.lines}
    assert notes["refuse"] == ("failed", "train.batch_size: found 9")
    assert notes["skip"] == ("skipped", "no card")
    state, note = notes["fail"]
    assert state == "failed"
    assert note.startswith("ValueError: shapes do not fit (test_gpu_check.py:")


def test_what_would_start_too_late_is_skipped_and_what_is_not_wanted_is_not_asked(tmp_path: Path) -> None:
    report = Report({}, None, seconds=10, only="^generate: ")
    report.ask("generate", "compilation", lambda: Figure(1.0, "s"), at_least=20)
    report.ask("train", "RN50", lambda: Figure(1.0, "s"))
    assert [(line.what, line.state) for line in report.lines] == [("compilation", "skipped")]


def test_the_table_has_a_row_per_line(report: Report) -> None:
    report.ask("memory", "largest", lambda: Figure(8, "images", note="a | b", detail={"GB": 4.0}))
    assert report.table().splitlines()[-1] == "| memory | largest | passed | 8 images (GB 4) |  | a / b |"


def test_the_largest_batch_lies_on_the_line_through_the_peaks() -> None:
    """2 GB whatever the batch, and 1 GB per 8 pairs: 10 GB hold 64."""
    assert foretold(16, 4.0, 2.0, 10.0) == 64
