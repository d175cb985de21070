"""Is this run the committed one? Each stage: equal to the byte, equal within the spread, or different.

    make verify                                    after `make repro`, on whatever machine
    python -m stages.tools.verify --against main   another revision than HEAD

What a float network makes is equal to the byte on the same kind of machine only; elsewhere it may lie apart as far as
replicates of a study do. So hashes are compared stage by stage (dvc.lock); where those of a network's outputs differ,
the headline metrics are: z is their difference over its standard error between replicates (`results/study/noise.csv`),
and all of them together exceed the limit in one of a hundred runs that differ by chance. Different is: a headline
metric beyond the limit; other parameters; other outputs of a stage that computes exactly (`download`, `balance`) on
equal inputs. Exit code 0: the same, to the byte or within the spread; 1: different; 2: cannot be judged.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from scipy.special import stdtrit

from stages.core.errors import InputError, run
from stages.results import committed, noise
from stages.results.details import Details
from stages.results.formatting import counted, number
from stages.results.headline import headline
from stages.results.noise import Noise
from stages.results.registry import label
from stages.results.repository import mapping, show
from stages.tools.check_lock import outdated
from stages.tools.compare.runs import SILENT, flatten
from stages.tools.params import load

EXACT = ("check", "download", "balance")  # equal to the byte on every machine, given equal inputs
CHANCE = 0.01  # of any false alarm over all headline metrics
AGAIN = "run `dvc repro`, or restore it from git"
EQUAL, WITHIN, DIFFERENT = "equal to the byte", "equal within the spread", "different"


@dataclass(frozen=True)
class Distance:
    """A headline metric of both runs; z and its limit are NaN where the study has no replicates of it."""

    key: str
    reference: float
    value: float
    z: float
    limit: float

    @property
    def beyond(self) -> bool:
        """Whether it is further than chance allows."""
        return abs(self.z) > self.limit


def distances(reference: Details, found: Details, spread: Mapping[str, Noise]) -> list[Distance]:
    """Measure the headline metrics that both runs have, the furthest first."""
    keys = headline(reference.keys() & found.keys())
    known = sum(key in spread for key in keys)
    rows = []
    for key in keys:
        old, new, z, limit = reference[key], found[key], math.nan, math.nan
        if key in spread:
            error, df = spread[key].error(old.n, new.n, paired=False)
            apart = new.value - old.value
            z = 0.0 if apart == 0 else apart / error if error else math.copysign(math.inf, apart)
            limit = float(stdtrit(df, 1 - CHANCE / known / 2))
        rows.append(Distance(key, old.value, new.value, z, limit))
    return sorted(rows, key=lambda row: -abs(row.z) if row.z == row.z else 1.0)


def verdicts(reference: Mapping[str, Any], found: Mapping[str, Any], beyond: bool) -> dict[str, tuple[str, str]]:
    """
    Judge each stage, without its item: the worst verdict of its items, and why.

    Parameters
    ----------
    reference, found : mapping
        Section ``stages`` of dvc.lock.
    beyond : bool
        Whether a headline metric is further than chance allows.
    """
    judged: dict[str, tuple[str, str]] = {}
    order = (EQUAL, WITHIN, DIFFERENT)
    for item in [*reference, *(name for name in found if name not in reference)]:
        stage = item.split("@")[0]
        one = _verdict(stage, reference.get(item), found.get(item), beyond)
        if stage not in judged or order.index(one[0]) > order.index(judged[stage][0]):
            judged[stage] = one
    return judged


def _verdict(
    stage: str, reference: Mapping[str, Any] | None, found: Mapping[str, Any] | None, beyond: bool
) -> tuple[str, str]:
    if reference is None or found is None:
        return DIFFERENT, f"only in {'this run' if reference is None else 'the reference'}"
    if _hashes(reference, "outs") == _hashes(found, "outs"):
        return EQUAL, ""
    if changed := _parameters(reference, found):
        return DIFFERENT, "; ".join(changed[:3])
    if stage in EXACT and _data(reference) == _data(found):
        return DIFFERENT, "other outputs of equal inputs"
    return (DIFFERENT, "its metrics are beyond the spread") if beyond else (WITHIN, "")


def _hashes(entry: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {one["path"]: one.get("md5") for one in entry.get(kind, [])}


def _data(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return hashes of the inputs that are no code."""
    return {path: md5 for path, md5 in _hashes(entry, "deps").items() if not path.startswith("stages/")}


def _parameters(reference: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """List parameters that differ and that scores depend on."""
    old, new = (
        {key: value for values in entry.get("params", {}).values() for key, value in flatten(values).items()}
        for entry in (reference, found)
    )
    shaping = (key for key in old.keys() | new.keys() if not key.startswith(SILENT))
    keys = sorted(key for key in shaping if old.get(key) != new.get(key))
    return [f"{key}: {new.get(key, '–')}, reference {old.get(key, '–')}" for key in keys]


def markdown(judged: Mapping[str, tuple[str, str]], apart: Sequence[Distance]) -> str:
    """Write the outcome."""
    found = {verdict for verdict, _ in judged.values()}
    worst = next(verdict for verdict in (DIFFERENT, WITHIN, EQUAL) if verdict in found)
    rows = [f"| `{stage}` | {verdict}{': ' * bool(why)}{why} |" for stage, (verdict, why) in judged.items()]
    parts = [f"This run and the reference: **{worst}**.", "\n".join(["| stage | |", "|---|---|", *rows])]
    if apart and worst != EQUAL:
        told = [
            f"| {label(d.key)} | {number(d.key, d.reference)} | {number(d.key, d.value)} | "
            f"{'unknown' if math.isnan(d.z) else f'{d.z:+.1f}'.replace('-', '−')} | {d.limit:.1f} |"
            for d in apart
        ]
        parts.append(
            "\n".join(["| headline metric | reference | this run | z | limit |", "|---|--:|--:|--:|--:|", *told])
        )
        if unknown := sum(math.isnan(d.z) for d in apart):
            parts.append(f"The study has no replicates of {counted(unknown, 'metric')}: not judged.")
    return "\n\n".join(parts).replace("| nan |", "| – |") + "\n"


def _stages(lock: Any, folder: Path, where: str) -> dict[str, Any]:
    """Take the stages of a folder out of the content of a dvc.lock."""
    try:
        return {
            name: entry
            for name, entry in lock.get("stages", {}).items()
            if any(out["path"].startswith(f"{folder.as_posix()}/") for out in entry.get("outs", []))
        }
    except (AttributeError, KeyError, TypeError):
        raise InputError(f"{where}: not as DVC writes it; {AGAIN}") from None


def main() -> None:
    """Compare the working tree's run with the committed one."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", default="HEAD", metavar="REVISION", help="of the reference (default: HEAD)")
    arguments = parser.parse_args()
    folder = load().folder
    lock, results = Path("dvc.lock"), folder / "results"
    if not lock.is_file():
        raise InputError("dvc.lock: no such file; run `dvc repro` first")
    reference = _stages(mapping(Path(), arguments.against, lock), folder, f"{arguments.against}:dvc.lock")
    try:
        found = _stages(yaml.safe_load(lock.read_text()) or {}, folder, "dvc.lock")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"dvc.lock: not YAML ({' '.join(str(error).split())[:200]}); {AGAIN}") from None
    if not reference or not found:
        side = arguments.against if not reference else "the working tree"
        raise InputError(f"dvc.lock of {side} holds no stage of {folder.as_posix()}; run `dvc repro` there, or name "
                         "another revision by --against")  # fmt: skip
    if lost := [out["path"] for of in found.values() for out in of["outs"] if not Path(out["path"]).exists()]:
        raise InputError(f"{lost[0]}: is not here, so there is no run to compare; run `dvc repro` first")
    if changed := {stage: names for stage, names in outdated(Path()).items() if stage in found}:
        stage, names = next(iter(changed.items()))
        raise InputError(f"{stage}: {names[0]} is not as dvc.lock has it; run `dvc repro` first")
    path = results / "details.json"
    apart: list[Distance] = []
    if any(verdict != EQUAL for verdict, _ in verdicts(reference, found, beyond=False).values()):
        spread = noise.read(results / "study" / "noise.csv")
        if not spread:
            raise InputError(
                f"{results.as_posix()}/study/noise.csv: no such file, so the spread between replicates is unknown; run "
                "`make study`"
            )
        old = committed.read_details(show(Path(), arguments.against, path), f"{arguments.against}:{path.as_posix()}")
        apart = distances(old, committed.read_details(path), spread)
    judged = verdicts(reference, found, any(one.beyond for one in apart))
    print(markdown(judged, apart), end="")
    if any(verdict == DIFFERENT for verdict, _ in judged.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    run(main)
