"""Who and what is on an emoji: kind, gender, skin tone, age and occupation, read from its code points.

Unicode writes a person as a sequence: base (with a Fitzpatrick modifier 1F3FB to 1F3FF), joined by 200D to a gender
sign or an object (UTS #51). Gender comes from the code points, not from the metadata's field, which covers a part only.
Names, keywords and groups come from CLDR through emojibase-data.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stages.corpus.words import says_group
from stages.download.emoji.census import OCCUPATIONS
from stages.download.emoji.icons import plain
from stages.download.emoji.packages import METADATA, fetch, read_json

TONES = {"1f3fb": "1", "1f3fc": "2", "1f3fd": "3", "1f3fe": "4", "1f3ff": "5"}  # Fitzpatrick I-II, III, IV, V, VI
GENDERED = {  # code points that say a gender
    "2642": "man", "1f468": "man", "1f466": "man", "1f474": "man", "1f934": "man", "1f57a": "man", "1f385": "man",
    "1fac3": "man",
    "2640": "woman", "1f469": "woman", "1f467": "woman", "1f475": "woman", "1f478": "woman", "1f483": "woman",
    "1f936": "woman", "1f9d5": "woman", "1f930": "woman", "1f931": "woman",
}  # fmt: skip
AGES = {
    "1f476": "baby", "1f47c": "baby", "1f466": "child", "1f467": "child", "1f9d2": "child",
    "1f474": "older", "1f475": "older", "1f9d3": "older",
}  # fmt: skip
NEUTRAL = {  # the gender-neutral sibling of bases that carry a gender themselves
    "1f468": "1f9d1", "1f469": "1f9d1", "1f466": "1f9d2", "1f467": "1f9d2", "1f474": "1f9d3", "1f475": "1f9d3",
    "1f934": "1fac5", "1f478": "1fac5", "1f385": "1f9d1-200d-1f384", "1f936": "1f9d1-200d-1f384",
    "1fac3": "1fac4", "1f930": "1fac4",
}  # fmt: skip
FACING_RIGHT = "27a1"
PERSON_GROUPS = {
    "person", "person-gesture", "person-role", "person-fantasy", "person-activity", "person-sport", "person-resting",
}  # fmt: skip
PORTRAIT_GROUPS = {"person", "person-gesture"}
OBJECT_GROUPS = {"animals-nature", "food-drink", "travel-places", "activities", "objects"}


@dataclass(frozen=True)
class Emoji:
    """
    One emoji and what its code points say.

    Attributes
    ----------
    hexcode : str
        Code points joined by ``-``, lower case, without FE0F: the identity across styles.
    kind : str
        ``person`` (one person with a skin tone) or ``object`` (neutral: animal, plant, food, place, activity, thing).
    concept : str
        Hexcode without gender and tone: equal for the man, the woman and the person.
    group : str
        Unicode subgroup of a person, group of an object.
    subgroup : str
        Unicode subgroup of an object.
    gender, skin_tone, age, occupation : str
        ``woman``/``man``, ``1``..``5``, ``baby``/``child``/``older``, one of `census.OCCUPATIONS`; or empty.
    tags : tuple of str
        CLDR keywords, without words that say a gender.
    """

    hexcode: str
    kind: str
    label: str
    concept: str
    concept_label: str
    group: str
    gender: str = ""
    skin_tone: str = ""
    age: str = ""
    occupation: str = ""
    tags: tuple[str, ...] = ()
    subgroup: str = ""

    @property
    def figure(self) -> str:
        """Hexcode without the skin tone: what its five tones share."""
        return "-".join(part for part in self.hexcode.split("-") if part not in TONES)

    @property
    def plain_adult(self) -> bool:
        """Whether it can be a portrait: an adult without any sign of an occupation."""
        beard = self.concept.startswith("1f9d4")  # drawn on men only in web images; kept out of portraits
        return self.kind == "person" and self.group in PORTRAIT_GROUPS and self.age in ("", "older") and not beard


def catalog(cache: Path) -> list[Emoji]:
    """
    List the emoji that the corpus uses, in CLDR order.

    Parameters
    ----------
    cache : Path
        Existing folder of npm archives, see `packages.fetch`.

    Returns
    -------
    list of Emoji
        Single persons with each of the five tones (no groups, no yellow ones, no "facing right" mirror images), and
        neutral objects (no clock faces, which differ by a hand, and none whose name says a gender).
    """
    archive = fetch(METADATA, cache)
    groups = read_json(archive, "package/meta/groups.json")
    return parse(read_json(archive, "package/en/data.json"), groups["groups"], groups["subgroups"])


def parse(records: Iterable[Mapping[str, Any]], groups: Mapping[str, str], subgroups: Mapping[str, str]) -> list[Emoji]:
    """
    Turn emojibase records (``en/data.json``) into the catalogue, as `catalog` does.

    Parameters
    ----------
    groups, subgroups : mapping of str to str
        Of ``meta/groups.json``: number, as text, to name.
    """
    records = [record for record in records if "group" in record]
    labels = {plain(record["hexcode"]): record["label"] for record in records}
    found: list[Emoji] = []
    for record in records:
        group, subgroup = groups[str(record["group"])], subgroups[str(record["subgroup"])]
        if group == "people-body" and subgroup in PERSON_GROUPS:
            skins = record.get("skins", ())
            if len(skins) == len(TONES) and FACING_RIGHT not in plain(record["hexcode"]).split("-"):
                found.extend(_person(record, skin, subgroup, labels) for skin in skins)
        elif group in OBJECT_GROUPS and subgroup != "time" and not says_group(record["label"], "gender"):
            code = plain(record["hexcode"])
            label = record["label"]
            found.append(Emoji(code, "object", label, code, label, group, tags=_tags(record), subgroup=subgroup))
    return _without_gendered_tags(found)


def _without_gendered_tags(emojis: list[Emoji]) -> list[Emoji]:
    """Keep the keywords that the man, the woman and the person of a concept share ("nurse", not "grandpa")."""
    shared: dict[str, set[str]] = {}
    for emoji in emojis:
        shared[emoji.concept] = shared.get(emoji.concept, set(emoji.tags)) & set(emoji.tags)
    return [replace(emoji, tags=tuple(tag for tag in emoji.tags if tag in shared[emoji.concept])) for emoji in emojis]


def _person(record: Mapping[str, Any], skin: Mapping[str, Any], group: str, labels: Mapping[str, str]) -> Emoji:
    parts = plain(skin["hexcode"]).split("-")
    genders = {GENDERED[part] for part in parts if part in GENDERED}
    tones = {TONES[part] for part in parts if part in TONES}
    gender = genders.pop() if len(genders) == 1 else ""
    concept = _concept(parts)
    label = labels[concept]
    return Emoji(
        hexcode="-".join(parts),
        kind="person",
        label=record["label"],
        concept=concept,
        concept_label=label,
        group=group,
        gender=gender,
        skin_tone=tones.pop(),
        age=next((AGES[part] for part in parts if part in AGES), ""),
        occupation=label if label in OCCUPATIONS else "",
        tags=_tags(record),
    )


def _concept(parts: Iterable[str]) -> str:
    kept = [part for part in parts if part not in TONES]
    for sign in ("2640", "2642"):
        if sign in kept:
            at = kept.index(sign)
            del kept[at - 1 : at + 1]  # with its joiner
    return "-".join([NEUTRAL.get(kept[0], kept[0]), *kept[1:]])


def _tags(record: Mapping[str, Any]) -> tuple[str, ...]:
    stray = {"person", "people", "adult", "bro", "human"}
    tags = (tag for tag in record.get("tags", ()) if tag.isascii() and tag not in stray)
    return tuple(tag for tag in tags if not says_group(tag, "gender"))
