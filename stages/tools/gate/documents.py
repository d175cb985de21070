"""The outcome of the gate as Markdown, JSON and JUnit XML."""

import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

from stages.results.formatting import difference, number, vanishes
from stages.results.registry import entry, label
from stages.tools.gate.checks import Check, Verdict, outcome

MARKS = {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.CANNOT_TELL: "?"}
PLAIN = re.compile(r"[\w.-]+")  # that Markdown reads as text
LEVELS = "▁▂▃▄▅▆▇█"


def headline(checks: Sequence[Check], stale: Mapping[str, Sequence[str]], learns: bool = True) -> str:
    """Write the verdict in one line, with its first reason; the arguments are those of `outcome`."""
    verdict = outcome(checks, stale.keys(), learns)
    deciding = [check for check in checks if check.verdict == verdict]
    if stale:
        because = "the results are stale"
    elif not learns:
        because = "training does not learn"
    elif not checks:
        because = "results are not committed on both sides"
    elif verdict == Verdict.PASSED:
        because = f"none of {len(checks)} guarded metrics is worse than is let through"
    else:
        named = ", ".join(called(check.key) for check in deciding[:3])
        because = named + (f" and {len(deciding) - 3} more" if len(deciding) > 3 else "")
    return f"{MARKS[verdict]} Gate: {verdict}: {because}"


def alert(stale: Mapping[str, Sequence[str]]) -> str:
    """Write what is stale, in red; empty where nothing is."""
    if not stale:
        return ""
    stages = "; ".join(
        f"{escaped(stage)} ({escaped(', '.join(names[:2]))})" for stage, names in list(stale.items())[:3]
    )
    more = f" and {len(stale) - 3} more stages" if len(stale) > 3 else ""
    return (
        f"> [!CAUTION]\n> **The results are stale**: {stages}{more} changed after they were made. Run `dvc repro`, "
        "then commit `dvc.lock` and the results."
    )


def rows(checks: Sequence[Check]) -> list[str]:
    """Write a Markdown table: value, chance level, change, noise and verdict of each metric."""
    written = [
        "| metric | chance | before | after | | change | noise (95 %) | let through | verdict |",
        "|---|--:|--:|--:|---|--:|--:|--:|---|",
    ]
    for check in checks:
        key, moved = check.key, check.change
        name = f"{called(key)} {entry(key).arrow}".rstrip()
        level = "–" if math.isnan(check.chance) else number(key, check.chance)
        tolerance = "–" if math.isnan(check.tolerance) else difference(key, check.tolerance)
        if moved is None:
            cells = [name, level, "–", "–", "", "–", "–", tolerance, _said(check)]
        else:
            step = moved.new.value - moved.old.value
            cells = [
                name, level, number(key, moved.old.value), number(key, moved.new.value),
                bars(moved.old.value, moved.new.value), difference(key, step, signed=not vanishes(key, step)),
                "unknown" if math.isnan(moved.noise) else f"± {difference(key, moved.noise)}", tolerance, _said(check),
            ]  # fmt: skip
        written.append(f"| {' | '.join(cells)} |")
    return written


def _said(check: Check) -> str:
    """Say the verdict; of what is not guarded, how it changed."""
    if check.verdict:
        return f"{MARKS[check.verdict]} {check.verdict}"
    assert check.change is not None
    return {"same": "within noise", "unknown": "noise unknown"}.get(check.change.verdict, check.change.verdict)


def bars(old: float, new: float) -> str:
    """Draw two sizes as bars, before and after, against the larger one."""
    largest = max(abs(old), abs(new))
    heights = [abs(value) / largest if largest else 0.0 for value in (old, new)]
    return "".join(LEVELS[min(7, int(8 * height))] for height in heights)


def escaped(text: str) -> str:
    """Escape what Markdown, HTML and GitHub read as more than text: users' words, file names, parameters."""
    plain = text.translate({ord(sign): f"&#{ord(sign)};" for sign in "\\`*_[]<>|#@~!&$"})
    return plain.replace("://", "&#58;//").replace("www.", "www&#46;")  # which would become links


def called(key: str) -> str:
    """Name a metric for people in Markdown; a key may hold the name of a user's group."""
    return label(key) if PLAIN.fullmatch(key) else escaped(label(key))


def code(key: str) -> str:
    """Write a key as code in Markdown, or as plain text where it would end the code or the cell of a table."""
    return f"`{key}`" if PLAIN.fullmatch(key) else escaped(key)


def reasons(checks: Sequence[Check]) -> list[str]:
    """Say of each metric that did not pass why."""
    return [f"- {called(c.key)} {code(c.key)}: {c.verdict}: {c.reason}." for c in checks if c.verdict != Verdict.PASSED]


def markdown(checks: Sequence[Check], stale: Mapping[str, Sequence[str]]) -> str:
    """Write everything as Markdown."""
    parts = [alert(stale), f"## {headline(checks, stale)}", "\n".join(rows(checks)), "\n".join(reasons(checks))]
    return "\n\n".join(filter(None, parts)) + "\n"


def as_json(checks: Sequence[Check], stale: Mapping[str, Sequence[str]], learns: bool = True) -> str:
    """Write everything as JSON; what is not known is null."""

    def known(value: float) -> float | None:
        return None if math.isnan(value) else value

    def one(check: Check) -> dict[str, Any]:
        moved = check.change
        sizes = (moved.old.value, moved.new.value, moved.worsening, moved.noise) if moved else (math.nan,) * 4
        named = dict(zip(("old", "new", "worsening", "noise"), map(known, sizes), strict=True))
        limits = {"tolerance": known(check.tolerance), "chance": known(check.chance)}
        return {"key": check.key, "verdict": check.verdict, "reason": check.reason, **named, **limits}

    verdict = outcome(checks, stale.keys(), learns)
    content = {"verdict": verdict, "stale": stale, "learns": learns, "metrics": [one(check) for check in checks]}
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def junit(
    checks: Sequence[Check], stale: Mapping[str, Sequence[str]], lenient: bool, learns: bool | None = None
) -> str:
    """
    Write everything as JUnit XML, which most engines of continuous integration show.

    Parameters
    ----------
    lenient : bool
        Whether what cannot be told passes: it is then skipped, not failed.
    learns : bool, optional
        Whether a trial run learns; None: none was made.
    """
    failures = sum(c.verdict == Verdict.FAILED or (c.verdict == Verdict.CANNOT_TELL and not lenient) for c in checks)
    skipped = sum(c.verdict == Verdict.CANNOT_TELL and lenient for c in checks)
    failures += bool(stale) + (learns is False)
    tests = len(checks) + 1 + (learns is not None)
    counts = {"tests": tests, "failures": failures, "errors": 0, "skipped": skipped}
    suite = ET.Element("testsuite", {"name": "gate", **{name: str(value) for name, value in counts.items()}})
    current = ET.SubElement(suite, "testcase", {"classname": "gate", "name": "results are current"})
    if stale:
        said = "; ".join(f"{stage}: {', '.join(names)}" for stage, names in stale.items())
        ET.SubElement(current, "failure", {"type": "stale", "message": said})
    if learns is not None:
        trial = ET.SubElement(suite, "testcase", {"classname": "gate", "name": "training learns"})
        if not learns:
            ET.SubElement(trial, "failure", {"type": "failed", "message": "the loss does not fall"})
    for check in checks:
        case = ET.SubElement(suite, "testcase", {"classname": "gate", "name": check.key})
        if check.verdict == Verdict.CANNOT_TELL and lenient:
            ET.SubElement(case, "skipped", {"message": f"cannot tell: {check.reason}"})
        elif check.verdict != Verdict.PASSED:
            ET.SubElement(case, "failure", {"type": str(check.verdict), "message": check.reason})
    ET.indent(suite)
    return ET.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
