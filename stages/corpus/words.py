"""The groups of people that images are counted in, the occupations, and the words of captions that say them.

Gender as perceived, woman or man; skin tone by the Fitzpatrick scale, lighter (types I to III) or darker (IV to VI), as
Zhao et al. (ICCV 2021) split annotated COCO [S].
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


def caption_group(caption: str, attribute: str) -> str:
    """Read the group of an attribute from the words of a caption; empty where it says none, or more than one."""
    said = [group for group in GROUPS[attribute] if _GROUP_PATTERNS[attribute, group].search(caption)]
    return said[0] if len(said) == 1 else ""


def says_group(caption: str, attribute: str) -> bool:
    """Tell whether a caption says any group of an attribute, or more than one."""
    return any(_GROUP_PATTERNS[attribute, group].search(caption) for group in GROUPS[attribute])


def caption_occupations(caption: str) -> list[str]:
    """Read the occupations that a caption names, by name, plural or synonym, in the order of `OCCUPATIONS`."""
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
