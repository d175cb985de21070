"""How metrics are said to people: names, numbers with the digits that make sense, and which of them matter most."""

import re
from collections.abc import Mapping

from stages.results.registry import Better, Entry, describe

ARROWS = {"higher": "↑", "lower": "↓", "zero": "→ 0", "half": "→ ½", "none": ""}
WISHES = {
    "higher": "higher is better",
    "lower": "lower is better",
    "zero": "nearer to 0 is better",
    "half": "nearer to ½ is better",
    "none": "context, not a goal",
}

# What a run is judged by, in this order; a family is one figure on several sets, parts, or on text alone.
HEADLINES = (
    ("quality", r"\w+\.t2i\.r5"),
    ("quality", r"\w+\.i2t\.r5"),
    ("quality", r"\w+\.acc1"),
    ("quality", r"captions\.\w+\.cider"),
    ("quality", r"[\w.]+\.recognition\.gender"),
    ("bias", r"(?:\w+\.)?rb\.gender"),
    ("bias", r"\w+(?:\.(?:un)?seen)?\.ab\.max"),
    ("bias", r"[\w.]+\.pairwise_association"),
    ("bias", r"[\w.]+\.census_correlation"),
    ("bias", r"[\w.]+\.drift"),
    ("bias", r"captions\.\w+\.gender_error"),
    ("bias", r"captions\.\w+\.lic\.\w+"),
)
_MEASURES: tuple[tuple[str, str, str, Better], ...] = (  # of the data, by `balance`
    ("rb", "representation bias of the data", "largest |share of a group − its target|", "lower"),
    ("ab", "association bias of the data", "largest |difference of a label's share| between groups", "lower"),
    ("ab_mean", "mean association bias of the data", "mean over groups and labels", "lower"),
    ("effective_share", "effective sample", "effective sample size over the rows of the mix", "higher"),
)
_DATA = tuple(
    Entry(f"data.{key}.{when}", f"{name}, {said}", meaning, "0–1", better)
    for when, said in (("before", "before balancing"), ("solved", "as solved"), ("realised", "after balancing"))
    for key, name, meaning, better in _MEASURES
)
_COUNTED = (  # by `balance`, too: context, not goals
    ("alpha", "α", "share of generated images, as set", "0–1"),
    ("rows", "rows of the mix", "images with their captions", "count"),
    ("synthetic_rows", "generated images of the mix", "rows whose image is generated", "count"),
    ("distinct_rows", "kinds of rows", "rows that agree in groups, labels and utility share a weight", "count"),
    ("constraints", "constraints of balancing", "moments that the weights have to meet", "count"),
    ("eta", "η", "share of the rows to keep: mean weight", "0–1"),
    ("largest_eta", "largest feasible η", "largest share to keep that meets all constraints", "0–1"),
    ("rows_taken", "rows taken", "rows of the mix that are trained on", "count"),
    ("rows_an_epoch", "rows an epoch", "rows that are trained on, with their copies", "count"),
    ("violated", "constraints not met, as solved", "by the weights", "count"),
    ("violated_realised", "constraints not met, after balancing", "by whole rows", "count"),
)
_DATA += tuple(Entry(f"data.{key}", name, meaning, span, "none") for key, name, meaning, span in _COUNTED)
_ORDER = ("unseen", "seen")  # of the parts
LAST = ("text.", "captions.majority.")
NOT_BALANCED = "not balanced"


def headlines(keys: list[str]) -> list[tuple[str, list[str]]]:
    """
    Choose the figures that a run is judged by.

    Returns
    -------
    list of (str, list of str)
        Kind (``quality`` or ``bias``) and keys of each family, in the order of `HEADLINES`; families without keys are
        left out.
    """

    def place(key: str) -> tuple[bool, int]:
        parts = [i for i, part in enumerate(_ORDER) if f".{part}." in key]
        return key.startswith(LAST), parts[0] if parts else len(_ORDER)

    families = [(kind, sorted((k for k in keys if re.fullmatch(p, k)), key=place)) for kind, p in HEADLINES]
    return [(kind, family) for kind, family in families if family]


def entry(key: str) -> Entry:
    """
    Look a metric up.

    Returns
    -------
    Entry
        Of the catalogue, or of the data's own figures; for any other key one that knows the key alone.
    """
    try:
        return describe(key)
    except KeyError:
        return next((known for known in _DATA if known.key == key), Entry(key, key, "", "", "none"))


def label(key: str) -> str:
    """
    Name a metric for people.

    Parameters
    ----------
    key : str
        Of metrics.json, e.g. ``"portraits.unseen.ab.max"``.

    Returns
    -------
    str
        E.g. ``"association bias · portraits · unseen"``; the key itself if it is in no catalogue.
    """
    return " · ".join(part for part in name_and_place(key) if part)


def name_and_place(key: str) -> tuple[str, str]:
    """
    Name a metric, and say apart where it is measured.

    Returns
    -------
    tuple of (str, str)
        E.g. ``("association bias", "portraits · unseen")``; the second may be empty.
    """
    known = entry(key)
    fields = _fields(known.key, key)
    name = known.name
    for field in re.findall(r"\{(\w+)\}", name):
        name = name.replace(f"{{{field}}}", fields.pop(field, ""))
    return name, " · ".join(value.replace(".", " · ").replace("_", " ") for value in fields.values() if value)


def _fields(template: str, key: str) -> dict[str, str]:
    """Find what stands for the fields of a template; what a template leaves open before it is a field, too."""
    seen: set[str] = set()

    def group(match: re.Match[str]) -> str:
        name = match[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return rf"(?P<{name}>{'.+?' if name == 'set' else '[^.]+'})"

    pattern = re.sub(r"\\\{(\w+)\\\}", group, re.escape(template))
    match = re.fullmatch(rf"(?:(?P<_before>.+?)\.)?{pattern}(?:\.lo|\.hi|\.std)?", key)
    return {name: value for name, value in match.groupdict().items() if value} if match else {}


def number(key: str, value: float, signed: bool = False) -> str:
    """
    Write a value of a metric.

    Parameters
    ----------
    key : str
        The metric: its range says how many digits make sense.
    signed : bool
        Whether a plus sign is written, too.

    Returns
    -------
    str
        E.g. ``"41.7 %"``, ``"−0.123"``, ``"1,220"``.
    """
    span = entry(key).range
    sign = "+z" if signed else "z"  # z: what rounds to 0 has no minus
    if "%" in span:
        text = f"{value:{sign}.1f} %"
    elif span == "count":
        text = f"{value:{sign},.0f}"
    else:
        text = f"{value:{sign}.3f}" if abs(value) < 100 else f"{value:{sign},.1f}"
    return text.replace("-", "−")


def difference(key: str, value: float, signed: bool = False) -> str:
    """
    Write a difference of two values of a metric.

    Parameters
    ----------
    signed : bool
        Whether a plus sign is written, too.

    Returns
    -------
    str
        As `number`, but of percentages in points: ``"+1.4 points"``.
    """
    return number(key, value, signed).replace(" %", " points")


def vanishes(key: str, value: float) -> bool:
    """
    Tell whether a difference is 0 at the digits that are written of a metric.

    Parameters
    ----------
    value : float
        Finite, or NaN: unknown, so not 0.

    Returns
    -------
    bool
        Whether it is written as 0.
    """
    return difference(key, value) == difference(key, 0.0)


def counted(count: int, noun: str) -> str:
    """
    Write a number of things.

    Parameters
    ----------
    noun : str
        One of them; its plural takes an s.

    Returns
    -------
    str
        E.g. ``"1 seed"``, ``"1,220 pairs"``.
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def balancing(method: str, target: object, eta: object = "auto") -> str:
    """
    Name what a run does to its mix.

    Parameters
    ----------
    method, target, eta : str, object
        Of the section ``balance`` of params.yaml.

    Returns
    -------
    str
        The method, or `NOT_BALANCED` where it keeps every row: the method is ``none``, or no attribute has a target
        and η is not stated.
    """
    goals = list(target.values()) if isinstance(target, Mapping) else [target]
    idle = method == "none" or (eta == "auto" and all(goal == "none" for goal in goals))
    return NOT_BALANCED if idle else method
