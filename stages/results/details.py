"""Every metric of a run with its interval and its spread: `results/details.json`, written and read here alone.

    {"rb.gender": {"value": 0.12, "lo": 0.1, "hi": 0.14, "std": 0.01, "n": 2}, …}

What is not known is left out. Flat files (`{"rb.gender": 0.12, "rb.gender.lo": 0.1, …}`), as `evaluate` writes them for
one seed, are read as well; metrics.json, the headline, is such a file without ends.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import InputError

ENDS = ("lo", "hi", "std")  # what can stand after a key, and a dot, in a flat file


@dataclass(frozen=True)
class Estimate:
    """
    What is known of one metric.

    Attributes
    ----------
    value : float
        Mean over the replicates.
    lo, hi : float
        Ends of the 95 % interval over test images, the mean of the replicates' ends; NaN: none.
    std : float
        Sample standard deviation between replicates; NaN: none, or one replicate.
    n : int
        Replicates (seeds) that define it.
    """

    value: float
    lo: float = math.nan
    hi: float = math.nan
    std: float = math.nan
    n: int = 1


Details = dict[str, Estimate]


def read(source: Path | str, where: str = "") -> Details:
    """
    Read the metrics of a run.

    Parameters
    ----------
    source : Path or str
        A file, or the text of one.
    where : str
        Names the text in errors.

    Raises
    ------
    InputError
        If the file is missing or holds anything but metrics.
    """
    name = where or (str(source) if isinstance(source, Path) else "metrics")
    try:
        said = source.read_text("utf-8-sig") if isinstance(source, Path) else source
        content = json.loads(said, object_pairs_hook=_once)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}; run `dvc repro` first, or correct the name") from None
    except (ValueError, RecursionError) as error:  # Python's advice is about Python
        reason = str(error).partition("; use sys.")[0]
        raise InputError(f"{name}: not readable JSON ({reason}); run the stage that writes it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{name}: found {type(content).__name__}, expected keys and values")
    for key, known in content.items():
        parts = known if isinstance(known, dict) else {"value": known}
        if "value" not in parts or parts.keys() - {"value", *ENDS, "n"} or not all(map(_is_number, parts.values())):
            raise InputError(
                f"{name}: {key}: found {json.dumps(known)}, expected a finite number, or value, lo, hi, std and n; "
                "run the stage that writes it again"
            )
        if not 1 <= parts.get("n", 1) == int(parts.get("n", 1)):
            raise InputError(f"{name}: {key}: n: found {parts['n']}, expected how many replicates define it, 1 or more")
    names = content.keys() | {f"{key}.{end}" for key, of in content.items() if isinstance(of, dict) for end in of}
    for end, other in ((".lo", ".hi"), (".hi", ".lo")):
        for key in sorted(name.removesuffix(end) for name in names if name.endswith(end)):
            if key in content and f"{key}{other}" not in names:
                raise InputError(f"{name}: {key}{end}: found without {key}{other}, expected both ends of an interval")
    flat = {key: known for key, known in content.items() if not isinstance(known, dict)}
    whole = {key: Estimate(**known) for key, known in content.items() if isinstance(known, dict)}
    return dict(sorted((fold(flat) | whole).items()))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that comes twice, of which Python would drop the first."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key} comes twice")
        found[key] = value
    return found


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def fold(flat: Mapping[str, float], n: int = 1) -> Details:
    """Put the ends of intervals of flat metrics (``<key>.lo``, ``<key>.hi``, ``<key>.std``) beside their values."""
    ends = {f"{key}.{end}" for key in flat for end in ENDS} & flat.keys()
    return {
        key: Estimate(value, **{end: flat.get(f"{key}.{end}", math.nan) for end in ENDS}, n=n)
        for key, value in flat.items()
        if key not in ends
    }


def text(details: Mapping[str, Estimate]) -> str:
    """Write details.json: sorted, a line per metric, ends that are not finite left out."""
    if bad := [key for key, of in details.items() if not math.isfinite(of.value)]:
        raise ValueError(f"{bad[0]} is not finite")
    lines = [
        f"  {json.dumps(key)}: {json.dumps({name: part for name, part in asdict(of).items() if math.isfinite(part)})}"
        for key, of in sorted(details.items())
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"
