"""Captions composed from CLDR names and keywords, as varied as alt texts are.

A caption names what is drawn (for a portrait: an occupation that is not drawn) and only sometimes gender or skin tone.
"""

import re
from dataclasses import dataclass

import numpy as np

from stages.download.emoji.people import Emoji

TONE_WORDS = {"1": "light", "2": "medium-light", "3": "medium", "4": "medium-dark", "5": "dark"}
NOUNS = {  # (gender, age): nouns that say it
    ("woman", ""): ("woman", "woman", "lady"),
    ("man", ""): ("man", "man", "gentleman"),
    ("", ""): ("person", "person", "somebody"),
    ("woman", "child"): ("girl",),
    ("man", "child"): ("boy",),
    ("", "child"): ("child", "kid"),
    ("woman", "older"): ("old woman", "elderly lady", "grandmother"),
    ("man", "older"): ("old man", "elderly gentleman", "grandfather"),
    ("", "older"): ("older person", "elderly person"),
    ("", "baby"): ("baby",),
}
ADJECTIVES = {"woman": ("woman", "female"), "man": ("man", "male")}
TAILS = {  # CLDR names that need a word to read as English
    "person": "", "child": "", "baby": "", "older person": "",
    "person: blond hair": "with blond hair", "person: red hair": "with red hair", "person: beard": "with a beard",
    "person: curly hair": "with curly hair", "person: white hair": "with white hair",
    "person: bald": "with a bald head",
    "person gesturing NO": "gesturing no", "person gesturing OK": "gesturing ok", "deaf person": "who is deaf",
    "person with crown": "with a crown", "person wearing turban": "wearing a turban",
    "person with skullcap": "with a skullcap", "person in tuxedo": "in a tuxedo", "person with veil": "with a veil",
    "pregnant person": "who is pregnant", "person feeding baby": "feeding a baby", "breast-feeding": "nursing a baby",
    "woman with headscarf": "with a headscarf", "woman dancing": "dancing", "man dancing": "dancing",
    "person getting massage": "getting a massage", "person getting haircut": "getting a haircut",
    "person with white cane": "with a white cane", "person in motorized wheelchair": "in a motorized wheelchair",
    "person in manual wheelchair": "in a wheelchair", "person in suit levitating": "in a suit levitating",
    "person in steamy room": "in a steamy room", "person rowing boat": "rowing a boat",
    "person tipping hand": "tipping a hand",
    "person raising hand": "raising a hand", "person bouncing ball": "bouncing a ball",
    "person in lotus position": "in lotus position", "person taking bath": "taking a bath",
    "horse racing": "racing on a horse",
}  # fmt: skip
ROLES = {"Mx Claus": "Christmas gift-bringer"}
FRAMES = (
    "{}", "{}", "{}", "a picture of {}", "a drawing of {}", "an illustration of {}", "an emoji of {}", "here is {}",
    "an image showing {}", "clip art of {}",
)  # fmt: skip
PORTRAIT_FRAMES = (
    "{}", "{}", "a portrait of {}", "meet {}", "a photo of {}", "an interview with {}", "{} at the office party",
    "a profile of {}", "{} on a day off", "this is {}",
)  # fmt: skip


@dataclass(frozen=True)
class Mention:
    """Probabilities that a caption says the gender and the skin tone of the person, in [0, 1]."""

    gender: float
    skin_tone: float

    def says_gender(self, rng: np.random.Generator) -> bool:
        """Draw whether the caption of a gendered person says the gender: the first draw of the caption's randomness."""
        return bool(rng.random() < self.gender)


@dataclass(frozen=True)
class Caption:
    """A caption and what it says."""

    text: str
    mentions_gender: bool = False
    mentions_skin_tone: bool = False
    context: str = ""


def caption_person(
    emoji: Emoji, rng: np.random.Generator, mention: Mention, occupation: str = "", context: str = ""
) -> Caption:
    """
    Describe a person.

    Parameters
    ----------
    mention : Mention
        Probabilities of saying gender (never said of a neutral emoji) and skin tone.
    occupation : str
        For a portrait: the occupation named, which the picture does not show.
    context : str
        Phrase that says where; empty: not said.
    """
    says_gender = bool(emoji.gender) and mention.says_gender(rng)
    says_tone = rng.random() < mention.skin_tone
    gender = emoji.gender if says_gender else ""
    role, tail = _role_and_tail(emoji)
    if occupation:
        role, tail = occupation, tail if rng.random() < 0.25 else ""
    phrase = _named_role(role, gender, rng) if role else _pick(NOUNS[gender, emoji.age], rng)
    phrase = _join(phrase, tail, TONE_WORDS[emoji.skin_tone] if says_tone else "", rng)
    phrase = f"{phrase} {context}" if context else phrase
    if not occupation and rng.random() < 0.2:
        phrase = _add_keyword(phrase, emoji.tags, rng)
    frame = _pick(PORTRAIT_FRAMES if occupation else FRAMES, rng)
    return Caption(frame.format(phrase).lower(), says_gender, says_tone)


def caption_object(emoji: Emoji, rng: np.random.Generator) -> Caption:
    """Describe a neutral object by its CLDR name, sometimes by a keyword."""
    frame = _pick(FRAMES, rng)
    bare = _plural(emoji.label) or (frame == "{}" and rng.random() < 0.5)
    phrase = emoji.label if bare else _article(emoji.label)
    if rng.random() < 0.25:
        phrase = _add_keyword(phrase, emoji.tags, rng)
    return Caption(frame.format(phrase).lower())


def _role_and_tail(emoji: Emoji) -> tuple[str, str]:
    label = emoji.concept_label
    if label in TAILS:
        return "", TAILS[label]
    if label.startswith("person "):
        return "", label.removeprefix("person ")
    return ROLES.get(label, label), ""


def _named_role(role: str, gender: str, rng: np.random.Generator) -> str:
    if not gender:
        return role
    if rng.random() < 0.3:
        return f"{gender} working as {_article(role)}" if rng.random() < 0.5 else f"{gender} who is {_article(role)}"
    return f"{_pick(ADJECTIVES[gender], rng)} {role}"


def _join(noun: str, tail: str, tone: str, rng: np.random.Generator) -> str:
    """Put skin tone before the noun or behind it; the tail last."""
    words = noun if noun == "somebody" else _article(noun)
    if tone and rng.random() < 0.4 and noun != "somebody":
        words, tone = _article(f"{tone}-skinned {noun}"), ""
    if tone:
        skin = f"with {tone} skin" if rng.random() < 0.6 else f"with a {tone} skin tone"
        tail = f"{skin} {tail.replace('with ', 'and ', 1)}" if tail.startswith("with ") else f"{skin} {tail}"
    return f"{words} {tail}".strip()


def _add_keyword(phrase: str, tags: tuple[str, ...], rng: np.random.Generator) -> str:
    said = {word[:4] for word in re.findall(r"\w+", phrase.lower())}
    new = tuple(tag for tag in tags if not {word[:4] for word in re.findall(r"\w+", tag)} & said)
    return f"{phrase}, {_pick(new, rng)}" if new else phrase


def _article(phrase: str) -> str:
    return f"{'an' if re.match(r'[aeiou](?!n?i(c|t))|hour', phrase, re.IGNORECASE) else 'a'} {phrase}"


def _plural(name: str) -> bool:
    return bool(re.search(r"(?<![su'’i])s$", name)) or name in {"sheaf of rice", "bacon", "garlic", "butter"}


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
