"""What the check finds: one line per question, a table for people, a JSON that is whole after every line."""

import json
import re
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from stages.core.errors import InputError

State = Literal["passed", "failed", "skipped"]


class SkipError(Exception):
    """A question that cannot be asked here; the message says why."""


@dataclass(frozen=True)
class Figure:
    """
    What one measurement gave.

    Attributes
    ----------
    goal : float or None
        What it is to reach; None: measured for its own sake.
    least : bool
        Whether the goal is the least value allowed, else the largest.
    note : str
        What the figure cannot say.
    """

    value: float
    unit: str
    goal: float | None = None
    least: bool = True
    note: str = ""
    detail: dict[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> bool:
        """Whether the goal is reached; NaN reaches none."""
        if self.goal is None:
            return self.value == self.value
        return self.value >= self.goal if self.least else self.value <= self.goal


@dataclass(frozen=True)
class Line:
    """A question and its answer."""

    section: str
    what: str
    state: State
    figure: Figure | None
    note: str
    seconds: float


class Report:
    """
    The lines so far.

    Parameters
    ----------
    machine : dict
        Card, driver, versions.
    out : Path or None
        The JSON, written again after each line.
    seconds : float
        Time that the whole check may take; what would start after it is skipped.
    only : str
        Regular expression; lines that it does not find are not asked.
    """

    def __init__(self, machine: dict[str, Any], out: Path | None, seconds: float, only: str = "") -> None:
        self.machine, self.lines, self.only = machine, list[Line](), re.compile(only)
        self.out = out.resolve() if out else None
        self._started, self._seconds = time.monotonic(), seconds

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def failed(self) -> int:
        """Lines that failed."""
        return sum(line.state == "failed" for line in self.lines)

    def wants(self, section: str, what: str) -> bool:
        """Tell whether a line is asked at all."""
        return bool(self.only.search(f"{section}: {what}"))

    def ask(self, section: str, what: str, measure: Callable[[], Figure], at_least: float = 0.0) -> Figure | None:
        """
        Ask one question; whatever goes wrong becomes its answer, and None is returned, as for one that is skipped.

        Parameters
        ----------
        section, what : str
            Where the line stands, and what is measured.
        measure : callable
            Measures it; raises `SkipError` where that is impossible here.
        at_least : float
            Seconds it takes, roughly: skipped where fewer are left.
        """
        if not self.wants(section, what):
            return None
        begun, figure, note = time.monotonic(), None, ""
        state: State = "failed"
        if self.spent + at_least > self._seconds:
            state, note = "skipped", f"no time is left: {self.spent:.0f} of {self._seconds:.0f} s are spent"
        else:
            try:
                figure = measure()
                state, note = "passed" if figure.reached else "failed", figure.note
            except SkipError as reason:
                state, note = "skipped", str(reason)
            except InputError as error:
                note = str(error)
            except Exception as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                note = f"{type(error).__name__}: {str(error)[:300]} ({Path(last.filename).name}:{last.lineno})"
        self.lines.append(Line(section, what, state, figure, " ".join(note.split()), time.monotonic() - begun))
        print(self._said(self.lines[-1]), flush=True)
        self._write()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return figure

    def table(self) -> str:
        """Return all lines as Markdown."""
        rows = ["| section | what | state | figure | goal | note |", "|---|---|---|---|---|---|"]
        for line in self.lines:
            cells = [line.section, line.what, line.state, *_cells(line.figure), line.note]
            rows.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
        return "\n".join(rows)

    def _said(self, line: Line) -> str:
        value, goal = _cells(line.figure)
        aim = f" (goal {goal})" if goal else ""
        note = f": {line.note}" if line.note else ""
        return f"[{self.spent:5.0f} s] {line.state:7} {line.section}: {line.what}: {value}{aim}{note}"

    def _write(self) -> None:
        if self.out is None:
            return
        lines = [asdict(line) | {"seconds": round(line.seconds, 1)} for line in self.lines]
        text = json.dumps({"machine": self.machine, "seconds": round(self.spent), "lines": lines}, indent=1)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.out.write_text(text + "\n")


def _cells(figure: Figure | None) -> tuple[str, str]:
    if figure is None:
        return "", ""
    detail = ", ".join(f"{name} {value:.4g}" for name, value in figure.detail.items())
    value = f"{figure.value:.4g} {figure.unit}".strip() + (f" ({detail})" if detail else "")
    if figure.goal is None:
        return value, ""
    return value, f"{'≥' if figure.least else '≤'} {figure.goal:g} {figure.unit}".strip()
