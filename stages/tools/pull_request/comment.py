"""The comment of a pull request: stale results, the verdict, then what led to it; never longer than `LIMIT`.

GitHub takes 65,536 characters; whoever reviews reads far fewer. What finds no room is in the artifact.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from stages.results.formatting import counted, difference, number
from stages.results.headline import headline as headline_keys
from stages.results.noise import Noise
from stages.results.registry import entry
from stages.tools.gate import documents
from stages.tools.gate.checks import Check, Side, Verdict, watched

LIMIT = 6000  # characters
TEN, FURTHER, PARAMETERS = 10, 15, 12  # most rows of each kind
WIDTH = 40  # most characters of a parameter's value
FALL = 0.2  # share of its first value by which a training loss has to fall


def ten(checks: Sequence[Check], old: Side, new: Side, noise: Mapping[str, Noise]) -> list[Check]:
    """Choose what a reviewer needs: what is guarded or collapsed, then headline metrics, ten in all."""
    known = {check.key for check in checks}
    others = [key for key in headline_keys(old.metrics.keys() & new.metrics.keys()) if key not in known]
    return [*checks, *(watched(key, old, new, noise) for key in others[: max(0, TEN - len(checks))])]


def further(shown: Sequence[Check], old: Side, new: Side, noise: Mapping[str, Noise]) -> list[Check]:
    """List the other metrics that changed by more than noise, the clearest first."""
    known = {check.key for check in shown}
    keys = sorted(key for key in old.metrics.keys() & new.metrics.keys() if key not in known and key in noise)
    found = [watched(key, old, new, noise) for key in keys if entry(key).better != "none"]
    moved = [check for check in found if check.change and check.change.verdict in ("better", "worse")]
    return sorted(moved, key=_clearness, reverse=True)


def _clearness(check: Check) -> float:
    assert check.change is not None
    return abs(check.change.worsening) / max(check.change.noise, 1e-12)


def parameters(diff: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Tabulate what ``dvc params diff --json`` says; empty where nothing changed."""
    rows = [
        f"| {documents.code(key)} | {_short(of.get('old'))} | {_short(of.get('new'))} |"
        for file in diff.values()
        for key, of in file.items()
    ]
    if not rows:
        return []
    more = [f"| and {counted(len(rows) - PARAMETERS, 'more parameter')} | | |"] if len(rows) > PARAMETERS else []
    return ["| parameter | before | after |", "|---|---|---|", *rows[:PARAMETERS], *more]


def _short(value: Any) -> str:
    text = "–" if value is None else " ".join(str(value).split())
    text = text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
    return documents.escaped(text)


def loss(curves: pd.DataFrame) -> tuple[bool, str]:
    """
    Check that training learns: the loss of every seed falls.

    Parameters
    ----------
    curves : DataFrame
        seed, step, metric, value.

    Returns
    -------
    tuple of (bool, str)
        Whether it does, and how far, in a sentence without a full stop.
    """
    own = curves.loc[curves["metric"] == "loss", :].sort_values("step")
    ends = [(of["value"].iloc[0], of["value"].iloc[-1]) for _, of in own.groupby("seed")]
    if not ends:
        return False, "no loss was recorded"
    falls = all(last <= (1 - FALL) * first for first, last in ends)  # a NaN does not
    said = ", ".join(f"{first:.2f} to {last:.2f}" for first, last in ends[:3])
    return falls, f"the loss {'falls' if falls else f'does not fall by {FALL:.0%}'} ({said})"


def assemble(parts: Sequence[Sequence[str]], artifact: str) -> str:
    """
    Join blocks of lines while there is room; the rest is said to be elsewhere.

    Parameters
    ----------
    parts : sequence of sequence of str
        Blocks, the most important first.
    artifact : str
        Link to all of it; may be empty.
    """
    where = f"[the whole report]({artifact})" if artifact else "the file full.md of this run"
    ending = f"\n\nEverything: {where}.\n"
    cut = "\n\n… cut here for length."
    room, text = LIMIT - len(ending) - len(cut), ""
    for part in filter(None, parts):
        for line in part:
            joined = f"{text}\n{line}" if text and line is not part[0] else f"{text}\n\n{line}".lstrip("\n")
            if len(joined) > room:
                return text + cut + ending
            text = joined
    return text + ending


def blocks(
    heading: Mapping[str, str],
    stale: Mapping[str, Sequence[str]],
    changed: Sequence[str],
    sides: tuple[Side, Side] | None,
    checks: Sequence[Check],
    noise: Mapping[str, Noise],
    trial: tuple[bool, str] | None,
) -> list[list[str]]:
    """
    Write the comment, block by block.

    Parameters
    ----------
    heading : mapping
        ``commits``: what is compared with what; ``profile`` of the committed results; ``scale`` of the trial run.
    changed : sequence of str
        From `parameters`.
    sides : tuple of Side, optional
        Committed results before and after; None: a side has none.
    trial : tuple of (bool, str), optional
        From `loss`, of the small run after the change.
    """
    learns = trial is None or trial[0]
    title = documents.headline(checks, stale, learns)
    found = [[documents.alert(stale)] if stale else [], [f"## {title}"], [heading["commits"]]]
    if trial:
        mark = documents.MARKS[Verdict.PASSED if learns else Verdict.FAILED]
        found.append([f"{mark} Profile {heading['scale']} ran on both sides; after the change {trial[1]}."])
    found.append(list(changed) or ["No parameter changes."])
    if sides is None:
        return found
    shown = ten(checks, *sides, noise)
    found += [
        [f"### Committed results, profile {heading['profile']}"],
        documents.rows(shown),
        documents.reasons(checks),
    ]
    if more := further(shown, *sides, noise):
        found.append([f"{counted(len(more), 'further change')} beyond noise:", *(_line(one) for one in more[:FURTHER])])
        found.append([f"- and {len(more) - FURTHER} more"] if len(more) > FURTHER else [])
    return found


def _line(check: Check) -> str:
    key, moved = check.key, check.change
    assert moved is not None
    return (
        f"- {documents.called(key)}: {number(key, moved.old.value)} → {number(key, moved.new.value)}, {moved.verdict} "
        f"(noise ± {difference(key, moved.noise)})"
    )
