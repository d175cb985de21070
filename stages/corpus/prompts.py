"""Prompts of `train` and `evaluate`: templates, and the words of each sensitive attribute.

In a template, ``{}`` stands for the label with its article ("an artist"), ``{label}`` for the bare label.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Pairs of words for (group 1, group 0) of each contrast; several, since one pair of prompts is noisy.
CONTRAST_WORDS: dict[str, tuple[tuple[str, str], ...]] = {
    "gender": (("woman", "man"), ("lady", "gentleman"), ("female person", "male person")),
    "skin_tone": (
        ("person with dark skin", "person with light skin"),
        ("dark-skinned person", "light-skinned person"),
        ("person with a dark skin tone", "person with a light skin tone"),
    ),
}

BARE_GENDER = (["female"], ["male"])  # bare labels of (group 1, group 0), as WebLI-100B asks (arXiv 2502.07617) [P]


@dataclass(frozen=True)
class Preset:
    """Prompts as published: templates of persons and occupations, and the words of contrasts where they differ."""

    templates: tuple[str, ...]
    words: Mapping[str, tuple[tuple[str, str], ...]]


PRESETS = {
    # "a photo of a <ethnicity> <man or woman>" (Radford et al. 2021, section 7.1) [S]
    "clip_fairface": Preset(("a photo of {}",), {"gender": (("woman", "man"),)}),
    # the bare labels "Male" and "Female" (arXiv 2502.07617) [P]
    "webli": Preset(("{label}",), {"gender": (("Female", "Male"),)}),
}


def fill(template: str, label: str) -> str:
    """
    Put a label into a template: ``"a photo of an artist"``; a plural takes no article.

    Parameters
    ----------
    template : str
        E.g. ``"a photo of {}"``.
    """
    return template.replace("{}", _with_article(label)).replace("{label}", label)


def ensemble(templates: Sequence[str], labels: Sequence[str]) -> list[list[str]]:
    """Put every label into every template: the P prompts of each of the L labels."""
    return [[fill(template, label) for template in templates] for label in labels]


def contrast(attribute: str, templates: Sequence[str], preset: str | None = None) -> tuple[list[str], list[str]]:
    """
    Write the prompts of a contrast for group 1 and for group 0, pair by pair.

    Parameters
    ----------
    preset : str, optional
        One of `PRESETS`, whose words stand in for ours.
    """
    words = CONTRAST_WORDS[attribute]
    if preset is not None:
        words = PRESETS[preset].words.get(attribute, words)
    pairs = [(fill(template, one), fill(template, zero)) for one, zero in words for template in templates]
    return [one for one, _ in pairs], [zero for _, zero in pairs]


def _with_article(label: str) -> str:
    if re.search(r"[^su]s$", label):
        return label
    return f"{'an' if label[:1].lower() in tuple('aeiou') else 'a'} {label}"
