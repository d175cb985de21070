"""The headline: the figures that a run is judged by, few enough for `dvc metrics diff` to fit a screen."""

from collections.abc import Iterable

from stages.results.registry import CATALOGUE, Entry, Kind, look_up

MOST = 25  # numbers in metrics.json
_JUDGED = {"k": "5", "attribute": "gender"}  # what of a family counts
_NEVER = ("captions.majority.", "probe.")  # a baseline, the same for every model; a few images of the same sets
_ORDER = ("unseen", "seen")  # of the parts


def headlines(keys: Iterable[str]) -> list[tuple[Kind, list[str]]]:
    """
    Choose the figures that a run is judged by.

    Returns
    -------
    list of (str, list of str)
        Kind and keys of each metric, quality before bias, in the order of the registry; text alone comes last.
    """

    def order(key: str) -> tuple[bool, int, str]:
        parts = [i for i, part in enumerate(_ORDER) if f".{part}." in key]
        return key.startswith("text."), parts[0] if parts else len(_ORDER), key

    families: dict[Entry, list[str]] = {known: [] for known in CATALOGUE if known.headline}
    for key in keys:
        known, fields = look_up(key)
        judged = known in families and not key.startswith(_NEVER)
        if judged and all(fields.get(name, value) == value for name, value in _JUDGED.items()):
            families[known].append(key)
    kinds: tuple[Kind, ...] = ("quality", "bias")
    return [
        (kind, sorted(of, key=order))
        for kind in kinds
        for known, of in families.items()
        if of and known.headline == kind
    ]


def headline(keys: Iterable[str], most: int = MOST) -> list[str]:
    """List the keys of metrics.json: of `headlines` at most so many, the first of every metric before any second."""
    families = [of for _, of in headlines(keys)]
    chosen = sorted((rank, number, key) for number, of in enumerate(families) for rank, key in enumerate(of))[:most]
    return [key for _, _, key in sorted(chosen, key=lambda item: (item[1], item[0]))]
