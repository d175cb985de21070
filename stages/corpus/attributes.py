"""What s and y are: sensitive attributes and labels, their groups, columns, and the words that say them.

Groups that images are counted in follow the annotations of the field: gender as perceived, woman or man; skin tone by
the Fitzpatrick scale, lighter (types I to III) or darker (IV to VI), as Zhao et al. (ICCV 2021) split annotated COCO
[S]. Unicode's five modifiers stand for I-II, III, IV, V and VI (UTS #51, Emoji Modifiers) [S]; so lighter is modifiers
1 and 2. An image may be in no group of an attribute: nobody is shown, the value is unsure, or persons differ.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

Attribute = Literal["gender", "skin_tone", "age", "ethnicity"]
GROUPS = {"gender": ("woman", "man"), "skin_tone": ("lighter", "darker")}  # that images are counted in
OCCUPATIONS = (
    "health worker", "student", "teacher", "judge", "farmer", "cook", "mechanic", "factory worker", "office worker",
    "scientist", "technologist", "singer", "artist", "pilot", "astronaut", "firefighter", "police officer", "detective",
    "guard", "construction worker",
)  # fmt: skip
LIGHTER_TONES = ("1", "2")
UNKNOWN = frozenset({  # what stands for no value, in any case: as pandas reads it, and as annotators write it
    "", "#n/a", "#n/a n/a", "#na", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan", "<na>", "n/a", "na", "nan",
    "nat", "none", "null", "unknown", "unsure", "?", "-",
})  # fmt: skip

# Words of a caption that say a group; the forms follow Zhao et al. (EMNLP 2017) and Hendricks et al. (ECCV 2018) [S].
WORDS = {
    ("gender", "woman"): (
        "woman", "women", "female", "females", "lady", "ladies", "girl", "girls", "mother", "mothers", "mom", "moms",
        "grandmother", "grandmothers", "grandma", "sister", "sisters", "daughter", "daughters", "wife", "wives",
        "bride", "brides", "queen", "queens", "princess", "princesses", "actress", "actresses", "waitress",
        "waitresses", "businesswoman", "businesswomen", "policewoman", "policewomen", "mrs", "she", "her", "hers",
        "herself",
    ),
    ("gender", "man"): (
        "man", "men", "male", "males", "gentleman", "gentlemen", "guy", "guys", "boy", "boys", "father", "fathers",
        "dad", "dads", "grandfather", "grandfathers", "grandpa", "brother", "brothers", "son", "sons", "husband",
        "husbands", "groom", "grooms", "king", "kings", "prince", "princes", "businessman", "businessmen",
        "policeman", "policemen", "fireman", "firemen", "waiter", "waiters", "mr", "he", "him", "his", "himself",
    ),
    ("skin_tone", "lighter"): (
        "light-skinned", "medium-light-skinned", "light skin", "medium-light skin", "fair-skinned", "pale-skinned",
    ),
    ("skin_tone", "darker"): (
        "medium-skinned", "medium-dark-skinned", "dark-skinned", "medium skin", "medium-dark skin", "dark skin",
        "brown-skinned", "black-skinned",
    ),
}  # fmt: skip
# What asks a text-to-image model for a group, as words before a noun: "a dark-skinned female pilot". Each is said by
# `WORDS`, so that a caption with the phrase names the group.
PHRASES = {
    ("gender", "woman"): "female",
    ("gender", "man"): "male",
    ("skin_tone", "lighter"): "light-skinned",
    ("skin_tone", "darker"): "dark-skinned",
}
PERSONS = ("person", "people", "human", "adult", "teenager", "child", "children", "kid", "toddler", "baby", "babies")
SYNONYMS = {
    "health worker": ("doctor", "nurse", "physician", "surgeon"),
    "student": ("pupil",),
    "teacher": ("professor",),
    "judge": ("lawyer",),
    "cook": ("chef",),
    "mechanic": ("plumber", "electrician"),
    "factory worker": ("welder",),
    "technologist": ("programmer", "software developer"),
    "artist": ("painter",),
    "firefighter": ("fireman", "firemen", "firewoman", "firewomen"),
    "police officer": ("policeman", "policemen", "policewoman", "policewomen", "cop"),
    "construction worker": ("builder",),
}
NOT_A_PERSON = r"(?! (?:palette|hat|book|car|station|uniform)s?\b)"  # an artist palette is no artist


def sensitive_column(attribute: str, group: str) -> str:
    """
    Name the column of a group.

    Parameters
    ----------
    attribute : str
        One of `GROUPS`.

    Returns
    -------
    str
        E.g. ``"s_gender_woman"``.
    """
    return f"s_{attribute}_{group}"


def sensitive_columns(attributes: Iterable[str] = tuple(GROUPS)) -> list[str]:
    """
    Name the columns of attributes.

    Parameters
    ----------
    attributes : iterable of str
        Some of `GROUPS`; all by default.

    Returns
    -------
    list of str
        In the order of attributes, then groups.
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
    """
    Name the column of an occupation.

    Parameters
    ----------
    occupation : str
        E.g. ``"police officer"``.

    Returns
    -------
    str
        E.g. ``"y_occupation_police_officer"``.
    """
    return f"y_occupation_{occupation.replace(' ', '_')}"


def proxy_column(word: str) -> str:
    """
    Name the column of a proxy.

    Parameters
    ----------
    word : str
        A word of the captions that goes with a sensitive attribute.

    Returns
    -------
    str
        E.g. ``"y_proxy_headscarf"``; anything but letters and digits becomes an underscore.
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
        make of 1 in pandas.
    """
    if is_unknown(value):
        return ""
    text = str(value).strip()
    whole = re.fullmatch(r"([+-]?\d+)\.0*", text) if name in ("skin_tone", "age") else None
    return whole[1] if whole else text


def tone_group(skin_tone: str) -> str:
    """
    Group a skin tone.

    Parameters
    ----------
    skin_tone : str
        ``"1"`` to ``"5"`` (Unicode modifiers), already ``"lighter"`` or ``"darker"``, or empty.

    Returns
    -------
    str
        ``"lighter"``, ``"darker"``, or empty.
    """
    if skin_tone in ("", *GROUPS["skin_tone"]):
        return skin_tone
    return "lighter" if skin_tone in LIGHTER_TONES else "darker"


def caption_group(caption: str, attribute: str) -> str:
    """
    Read the group of an attribute from the words of a caption.

    Parameters
    ----------
    attribute : str
        One of `GROUPS`.

    Returns
    -------
    str
        The group; empty where the caption says none, or more than one.
    """
    said = [group for group in GROUPS[attribute] if _GROUP_PATTERNS[attribute, group].search(caption)]
    return said[0] if len(said) == 1 else ""


def says_group(caption: str, attribute: str) -> bool:
    """
    Tell whether a caption says any group of an attribute.

    Parameters
    ----------
    attribute : str
        One of `GROUPS`.

    Returns
    -------
    bool
        True also where it says more than one.
    """
    return any(_GROUP_PATTERNS[attribute, group].search(caption) for group in GROUPS[attribute])


def caption_occupations(caption: str) -> list[str]:
    """
    Read the occupations that a caption names.

    Returns
    -------
    list of str
        Of `OCCUPATIONS`, in that order: by name, plural or synonym.
    """
    return [occupation for occupation, pattern in _OCCUPATION_PATTERNS.items() if pattern.search(caption)]


def with_phrases(caption: str, groups: Mapping[str, str]) -> str:
    """
    Put phrases of groups before the first noun of a caption that names a person: an occupation, or one of `PERSONS`.

    Parameters
    ----------
    groups : mapping
        Attribute to group, each pair a key of `PHRASES`; the first comes next to the noun.

    Returns
    -------
    str
        With the article that fits, ``"an artist"`` becomes ``"a female artist"``; the caption as it is where it names
        no person.
    """
    found = [match for pattern in (*_OCCUPATION_PATTERNS.values(), _PERSON) if (match := pattern.search(caption))]
    if not (found and groups):
        return caption
    place = min(match.start() for match in found)
    phrase, before = " ".join(PHRASES[pair] for pair in reversed([*groups.items()])), caption[:place]
    article = "an" if phrase[0].lower() in "aeiou" else "a"
    before = re.sub(r"\b([Aa])n?(?=\s+$)", lambda match: match[1] + article[1:], before)
    return f"{before}{phrase} {caption[place:]}"


def _words(words: Iterable[str], after: str = "") -> re.Pattern[str]:
    """Match any of the words: whole words, not inside a hyphenated one, any case."""
    longest_first = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![\w-])(?:{longest_first})(?![\w-]){after}", re.IGNORECASE)


_GROUP_PATTERNS = {key: _words(words) for key, words in WORDS.items()}
_OCCUPATION_PATTERNS = {
    name: _words([form for word in (name, *SYNONYMS.get(name, ())) for form in (word, f"{word}s")], NOT_A_PERSON)
    for name in OCCUPATIONS
}
_PERSON = _words([form for word in PERSONS for form in (word, f"{word}s")])
