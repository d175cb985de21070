"""The first screen: what the committed study of a profile answers, and this run beside it, each in a verdict.

Nothing in it is decided beforehand: verdicts are those of the study's own tables (`stages.results.effects.SHOWN`);
which way means lie is said, too, and that it is not shown where it is not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pandas as pd

from stages.plot.study import Study, bias_of, judged_by, quality_of, text, where
from stages.results import sweep
from stages.results.effects import FEWEST, evidence, is_shown, lessens, verdict, written
from stages.results.formatting import NOT_BALANCED, counted, interval, number
from stages.results.registry import chance, entry, label, name_and_place
from stages.results.sweep import RANDOM, Own
from stages.results.writing import capital, joined

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """A question, its answer in a few words, and what it stands on, a sentence each."""

    question: str
    verdict: str
    said: Sequence[str]


def answers(own: Own, target: str, study: Study | None, balance: Mapping[str, Any]) -> list[Answer]:
    """
    Answer what generated images change, what balancing undoes and costs, and how this run fares.

    Parameters
    ----------
    target : str
        Towards what the mix is balanced; unused where it is not.
    balance : mapping
        Content of balance.json.

    Returns
    -------
    list of Answer
        Without a study, of this run alone.
    """
    found = [_contamination(own, study), _balancing(own, study), _cost(own, study)] if study else []
    return [one for one in [*found, _run(own, target, study, balance)] if one]


def _contamination(own: Own, study: Study) -> Answer | None:
    keys, quality = judged_by(own, study)
    rows = {key: row for key in [*keys, quality] if (row := study.last(key))}
    biases = [row for key, row in rows.items() if key != quality]
    if not biases:
        return None
    lead = biases[0]
    span = f"α = {lead['alpha_from']:g} to {lead['alpha_to']:g}"
    said = [f"{_ends(lead)} from {span}, {NOT_BALANCED}: {_judged(lead)}.", _tally(biases)]
    if quality in rows:
        said.append(f"{_ends(rows[quality])}: {_judged(rows[quality])}.")
    return Answer(
        "What do generated images change?", _verdict(biases, rows.get(quality)), [*said, *_beside(study, rows)]
    )


def _balancing(own: Own, study: Study) -> Answer | None:
    held = sweep.held_against(study.comparisons, own.method)
    keys, _ = judged_by(own, study)
    rows = {key: row for key in keys if (row := held and study.effect(key, *held, own.alpha))}
    if held is None or not rows:
        return None
    method, reference = held
    against = "random rows" if reference == RANDOM else reference
    lead, alpha = next(iter(rows)), own.alpha
    means = [study.mean(lead, name, study.near(alpha)) for name in held]
    at = study.told(alpha)
    values = (
        f"{_named(lead)}: {method} {number(lead, means[0])}, {against} {number(lead, means[1])}"
        if all(map(math.isfinite, means))
        else _named(lead)
    )
    said = [f"{values} ({at}): {_judged(rows[lead])}.", _tally(list(rows.values()))]
    said += _elsewhere(study, rows, held)
    question = f"What does balancing by {method} undo, beside {'as many ' if reference == RANDOM else ''}{against}?"
    return Answer(question, _verdict(list(rows.values())), said)


def _elsewhere(study: Study, rows: Mapping[str, Row], held: tuple[str, str]) -> list[str]:
    """Say how many effects are shown at the α that rows are not of."""
    alphas = study.others(rows)
    there = [
        row
        for key in rows
        for one in alphas
        if (row := study.row("comparisons", metric=key, method=held[0], reference=held[1], alpha=one))
    ]
    if not there:
        return []
    return [f"At α = {joined(alphas)}: {sum(map(is_shown, there)) or 'none'} of {counted(len(there), 'effect')} shown."]


def _cost(own: Own, study: Study) -> Answer | None:
    held = sweep.held_against(study.comparisons, own.method)
    quality = quality_of(own.metrics, study)
    row = study.effect(quality, held[0], NOT_BALANCED, own.alpha) if held and quality else None
    if held is None or row is None or not math.isfinite(row["difference"]):
        return None
    method, name = held[0], name_and_place(quality)[0]
    means = {one: study.mean(quality, one, study.near(own.alpha)) for one in (NOT_BALANCED, method, RANDOM)}
    values = ", ".join(f"{one} {number(quality, value)}" for one, value in means.items() if math.isfinite(value))
    said = [f"{capital(name)} ({study.told(own.alpha)}): {values}." if values else ""]
    said.append(f"{method} against {NOT_BALANCED}: {_judged(row)}.")
    beside = study.effect(quality, method, RANDOM, own.alpha) if held[1] == RANDOM else None
    if beside and math.isfinite(beside["difference"]):
        said.append(f"Against random rows: {_judged(beside)}.")
    if not is_shown(row):
        answer = "No cost is shown" if row["replicates"] >= FEWEST else _nothing([row])
    else:
        answer = f"{capital(name)} {verdict(row)} by {written(row, size=True).split(' [')[0]}"
        if beside and not is_shown(beside):
            answer += ", no more is shown than with random rows"
    return Answer(f"What does {method} cost?", answer, list(filter(None, said)))


def _run(own: Own, target: str, study: Study | None, balance: Mapping[str, Any]) -> Answer:
    made = NOT_BALANCED if own.method == NOT_BALANCED else f"balanced by {own.method} towards {target} shares"
    keys = filter(None, (quality_of(own.metrics, study), bias_of(own.metrics, study)))
    names, said = [], []
    near = study.near(own.alpha) if study else own.alpha
    at = "" if near == own.alpha else f", α = {near:g}"
    for key in keys:
        one = own.metrics[key]
        names.append(f"{name_and_place(key)[0]} {number(key, one.value, signed=entry(key).span[0] < 0)}")
        limits = {"chance": chance(key, own.metrics)}
        if f"{key}.ceiling" in own.metrics:
            limits["ceiling, by what captions say:"] = own.metrics[f"{key}.ceiling"].value
        told = [f"{limit} {number(key, value)}" for limit, value in limits.items() if math.isfinite(value)]
        beside = {name: study.mean(key, name, near) for name in (NOT_BALANCED, own.method)} if study else {}
        known = [f"{name} {number(key, value)}" for name, value in beside.items() if math.isfinite(value)]
        told += [f"study{at}: {', '.join(known)}"] if known else []
        ends = interval(key, one)
        values = f"{number(key, one.value)} {ends}".rstrip()
        said.append(f"{_named(key)}: {'; '.join([values, *told])}.")
    first = ", ".join(names)
    return Answer(
        "And this run?",
        capital(first) if first else "Nothing of the headline is measured",
        [f"{100 * own.alpha:g} % generated images, {made}.", *said, *_data(own, balance)],
    )


def _data(own: Own, balance: Mapping[str, Any]) -> list[str]:
    before, after = balance.get("before", {}), balance.get("realised", {})
    if own.method == NOT_BALANCED or "ab" not in before or "ab" not in after:
        return []
    kept = after.get("effective_share")
    rest = f", with an effective {100 * kept:.0f} % of the rows" if kept is not None else ""
    return [
        f"Largest association in its data: {100 * before['ab']:.1f} points, after balancing "
        f"{100 * after['ab']:.1f}{rest}."
    ]


def _named(key: str) -> str:
    """Name a metric and where it is measured, e.g. ``"Pairwise association, unseen portraits"``."""
    return capital(", ".join(filter(None, (name_and_place(key)[0], where(key)))))


def _ends(row: Row) -> str:
    key = row["metric"]
    return f"{_named(key)}: {number(key, row['value_from'])} to {number(key, row['value_to'])}"


def _judged(row: Row) -> str:
    """Write an effect, its interval, its p and its verdict; where the ideal is 0 or ½, of the distance from it."""
    if not math.isfinite(row["difference"]):
        return "differs with α"
    ideal = {"zero": "mean distance from 0 changes by ", "half": "mean distance from ½ changes by "}
    said = f"{ideal.get(entry(row['metric']).better, '')}{written(row)}"
    return ", ".join(filter(None, (said, evidence(row), verdict(row))))


def _verdict(biases: Sequence[Row], quality: Row | None = None) -> str:
    """Count what is shown, of bias and of quality."""
    less, more = _sides([row for row in biases if is_shown(row)])
    parts = []
    if less or more:
        sides = " and ".join(f"{word} by {count}" for word, count in (("less", less), ("more", more)) if count)
        parts.append(f"bias {sides} of {counted(len(biases), 'measure')}")
    if quality and is_shown(quality):
        parts.append(f"{name_and_place(quality['metric'])[0]} {verdict(quality)}")
    said = "; ".join(parts)
    return capital(said) if said else _nothing(biases)


def _nothing(rows: Sequence[Row]) -> str:
    """Say that nothing is shown: with few models a test can show nothing but the largest effects."""
    fewest = min(int(row["replicates"]) for row in rows)
    return f"Not decided by {counted(fewest, 'model')}" if fewest < FEWEST else "No effect is shown"


def _tally(biases: Sequence[Row]) -> str:
    """Count which way means lie, and what of it is shown."""
    less, more = _sides(biases)
    shown = sum(map(is_shown, biases))
    sides = " and ".join(f"{count} {word}" for word, count in (("lower", less), ("higher", more)) if count)
    return f"Of {counted(len(biases), 'measure')} of bias, {sides or 'all equal'} in the mean; {shown or 'none'} shown."


def _sides(biases: Sequence[Row]) -> tuple[int, int]:
    sides = [lessens(row) for row in biases]
    return sides.count(True), sides.count(False)


def _beside(study: Study, named: Mapping[str, Row]) -> list[str]:
    """Say what else of the page contamination is shown to change."""
    rows = cast(list[Row], study.trends.loc[study.trends["method"] == NOT_BALANCED, :].to_dict("records"))
    claimed = [row for row in rows if row.get("claimed") and row["metric"] not in named]
    shown = [f"{_ends(row)}, {verdict(row)}" for row in claimed if is_shown(row)]
    return [f"Beside these, shown: {'; '.join(shown)}."] if shown else []


def comparisons(study: Study) -> pd.DataFrame:
    """
    Tabulate the comparisons that the page makes.

    Returns
    -------
    DataFrame
        metric, what, α, from, to, change (with its interval), p, verdict; as text.
    """
    rows = []
    for row in cast(list[Row], study.trends.to_dict("records")):
        if row.get("claimed"):
            alpha = f"{row['alpha_from']:g} to {row['alpha_to']:g}"
            rows.append((row, "contamination, not balanced", alpha, row["value_from"], row["value_to"]))
    for row in cast(list[Row], study.comparisons.to_dict("records")):
        if row.get("claimed"):
            at = math.nan if row["alpha"] == sweep.MEAN else float(row["alpha"])
            ends = [study.mean(row["metric"], row[name], at) for name in ("reference", "method")]
            rows.append((row, f"{row['method']} beside {row['reference']}", text(row["alpha"]), *ends))
    return pd.DataFrame(
        [
            (
                label(row["metric"]), what, alpha, *(_value(row["metric"], end) for end in ends), written(row),
                evidence(row).removeprefix("p ").removeprefix("= "), verdict(row),
            )
            for row, what, alpha, *ends in rows
        ],
        columns=pd.Index(["metric", "what", "α", "from", "to", "change", "p", "verdict"]),
    )  # fmt: skip


def _value(key: str, value: float) -> str:
    return number(key, value) if math.isfinite(value) else ""
