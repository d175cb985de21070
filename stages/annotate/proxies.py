"""Proxies: caption words that go with a sensitive attribute, found in the corpus.

Balancing y alone leaves the path s → proxy → y open; M4 therefore balances proxies too (arXiv 2403.04547 [S], which
names them by hand). Here they are the words whose share differs most between the groups of an attribute.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from stages.attributes import GROUPS, OCCUPATIONS, SYNONYMS, WORDS

TOKEN = re.compile(r"[a-z][a-z'’-]*")
NOUNS = {"adult", "adults", "human", "humans", "people", "person", "persons", "somebody", "someone"}
SIGNIFICANT = 4.0  # standard errors: with a few thousand words, chance alone gives about 3.5


def words(caption: str) -> set[str]:
    """
    Split a caption into words.

    Parameters
    ----------
    caption : str
        Any case.

    Returns
    -------
    set of str
        Lower case; hyphenated words stay whole.
    """
    return set(TOKEN.findall(caption.lower()))


def find(captions: Sequence[str], groups: Mapping[str, Sequence[str]], count: int, minimum: int) -> list[str]:
    """
    Find the words that go with an attribute.

    For each word w and the two groups of an attribute, z is the two-proportion statistic of P(w | first group) against
    P(w | second group); words are ranked by the largest |z| over attributes.

    Parameters
    ----------
    captions : sequence of str
        N captions of real images.
    groups : mapping of str to sequence of str
        Attribute to the group of each image; empty where it is in none.
    count : int
        Words wanted at the most.
    minimum : int
        Captions that must hold a word.

    Returns
    -------
    list of str
        Words with |z| of at least `SIGNIFICANT`, the strongest first, then by alphabet. Words that say a group, an
        occupation or just a person are no proxies, nor are stop words.
    """
    holders: dict[str, list[int]] = defaultdict(list)
    for row, caption in enumerate(captions):
        for word in words(caption):
            holders[word].append(row)
    excluded = _named()
    strength: dict[str, float] = {}
    for attribute, values in groups.items():
        first, second = (np.asarray([value == group for value in values]) for group in GROUPS[attribute])
        for word, rows in holders.items():
            if len(rows) >= minimum and word not in excluded:
                strength[word] = max(strength.get(word, 0.0), abs(_z(first, second, np.asarray(rows))))
    ranked = sorted((-z, word) for word, z in strength.items() if z >= SIGNIFICANT)
    return [word for _, word in ranked[:count]]


def _z(first: NDArray[np.bool_], second: NDArray[np.bool_], rows: NDArray[np.int64]) -> float:
    """Two-proportion z of the rows' share among `first` and `second`; 0 where it is not defined."""
    sizes = first.sum(), second.sum()
    if not all(sizes):
        return 0.0
    hits = first[rows].sum(), second[rows].sum()
    pooled = sum(hits) / sum(sizes)
    error = np.sqrt(pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1]))
    return float((hits[0] / sizes[0] - hits[1] / sizes[1]) / error) if error else 0.0


def _named() -> frozenset[str]:
    phrases: Iterable[str] = (
        *OCCUPATIONS,
        *(word for synonyms in SYNONYMS.values() for word in synonyms),
        *(word for group in WORDS.values() for word in group),
    )
    singular = {part for phrase in phrases for part in TOKEN.findall(phrase)}
    return ENGLISH_STOP_WORDS | NOUNS | singular | {f"{word}s" for word in singular}
