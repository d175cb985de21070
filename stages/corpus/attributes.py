"""Values and columns of what s and y are: sensitive attributes, and labels.

Unicode's five modifiers of skin stand for the Fitzpatrick types I-II, III, IV, V and VI (UTS #51, Emoji Modifiers) [S];
so lighter (`stages.corpus.words.GROUPS`) is modifiers 1 and 2. An image may be in no group of an attribute: nobody is
shown, the value is unsure, or persons differ.
"""

import re
from collections.abc import Iterable

from stages.corpus.words import GROUPS

LIGHTER_TONES = ("1", "2")
ORIGIN = "synthetic"  # column of a corpus, true or false: which of its own images are generated, as far as it is known
ORIGINS = ("false", "true")
UNKNOWN = frozenset({  # what stands for no value, in any case: as pandas reads it, and as annotators write it
    "", "#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan", "<na>", "n/a", "na", "nan",
    "nat", "none", "null", "unknown", "unsure", "?", "-",
})  # fmt: skip


def sensitive_column(attribute: str, group: str) -> str:
    """Name the column of a group, e.g. ``"s_gender_woman"``."""
    return f"s_{attribute}_{group}"


def sensitive_columns(attributes: Iterable[str] = tuple(GROUPS)) -> list[str]:
    """
    Name the columns of attributes, in the order of attributes, then groups.

    Parameters
    ----------
    attributes : iterable of str
        Some of `GROUPS`; all by default.
    """
    return [sensitive_column(attribute, group) for attribute in attributes for group in GROUPS[attribute]]


def says_column(attribute: str) -> str:
    """Name the column that tells whether a caption says any group of an attribute."""
    return f"says_{attribute}"


def open_column(attribute: str, label: str) -> str:
    """Name the label of captions that name another label, of column `label`, and leave an attribute open."""
    return label.replace("y_", f"y_open_{attribute}_", 1)


def open_attribute(label: str) -> str | None:
    """Find the attribute that the captions of a label leave open; None for a label of all captions."""
    return next((name for name in GROUPS if label.startswith(f"y_open_{name}_")), None)


def occupation_column(occupation: str) -> str:
    """Name the column of an occupation, e.g. ``"y_occupation_police_officer"``."""
    return f"y_occupation_{occupation.replace(' ', '_')}"


def proxy_column(word: str) -> str:
    """
    Name the column of a proxy, e.g. ``"y_proxy_headscarf"``; letters and digits stay, the rest becomes ``_``.

    Parameters
    ----------
    word : str
        A word of the captions that goes with a sensitive attribute.
    """
    return f"y_proxy_{re.sub(r'[^0-9a-z]+', '_', word.lower()).strip('_')}"


def is_unknown(value: object) -> bool:
    """Tell whether a value, of any type, stands for none: one of `UNKNOWN`, whatever its case, or blanks."""
    return value is None or str(value).strip().casefold() in UNKNOWN


def known_value(value: object, name: str) -> str:
    """
    Write a value of an attribute as text.

    Returns
    -------
    str
        Without blanks around it; empty where it is unknown; ``"1"`` for a tone or an age of 1.0, which is what gaps
        make of 1 in pandas; truth values as JSON writes them.
    """
    if is_unknown(value):
        return ""
    text = str(value).strip()
    if text.casefold() in ORIGINS:
        return text.casefold()
    whole = re.fullmatch(r"([+-]?\d+)\.0*", text) if name in ("skin_tone", "age") else None
    return whole[1] if whole else text


def tone_group(skin_tone: str) -> str:
    """
    Group a skin tone: ``"lighter"``, ``"darker"``, or empty.

    Parameters
    ----------
    skin_tone : str
        ``"1"`` to ``"5"`` (Unicode modifiers), already ``"lighter"`` or ``"darker"``, or empty.
    """
    if skin_tone in ("", *GROUPS["skin_tone"]):
        return skin_tone
    return "lighter" if skin_tone in LIGHTER_TONES else "darker"
