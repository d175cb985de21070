"""Proxies: caption words that go with a sensitive attribute, found in the corpus.

Balancing y alone leaves the path s → proxy → y open; M4 therefore balances proxies too (arXiv 2403.04547 [S], which
names them by hand). Here they are the words whose share differs most between the groups of an attribute.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from stages.corpus.words import GROUPS, OCCUPATIONS, SYNONYMS, WORDS

TOKEN = re.compile(r"[a-z][a-z'’-]*")
NOUNS = {"adult", "adults", "human", "humans", "people", "person", "persons", "somebody", "someone"}
_COLUMNS = [(attribute, group) for attribute, groups in GROUPS.items() for group in groups]  # two groups each
SIGNIFICANT = 4.0  # standard errors: with a few thousand words, chance alone gives about 3.5


def words(caption: str) -> set[str]:
    """Split a caption into words in lower case; hyphenated words stay whole."""
    return set(TOKEN.findall(caption.lower()))


class Tally:
    """
    Captions that hold each word, counted by group; captions are added part by part, none is kept.

    For each word w and the two groups of an attribute, z is the two-proportion statistic of P(w | first group) against
    P(w | second group); words are ranked by the largest |z| over attributes.
    """

    def __init__(self) -> None:
        self._holding: dict[str, NDArray[np.int64]] = {}  # word: captions, then captions of each group
        self._sizes = np.zeros(1 + len(_COLUMNS), np.int64)

    def add(self, captions: Sequence[str], groups: Mapping[str, Sequence[str]]) -> None:
        """
        Count captions.

        Parameters
        ----------
        groups : mapping of str to sequence of str
            Attribute to the group of each image; empty where it is in none.
        """
        member = np.ones((len(captions), 1 + len(_COLUMNS)), np.int64)
        for column, (attribute, group) in enumerate(_COLUMNS, 1):
            member[:, column] = [value == group for value in groups[attribute]] if attribute in groups else 0
        self._sizes += member.sum(axis=0)
        for row, caption in zip(member, captions, strict=True):
            for word in words(caption):
                if word in self._holding:
                    self._holding[word] += row
                else:
                    self._holding[word] = row.copy()

    def strongest(self, count: int, minimum: int) -> list[str]:
        """
        Name the words that go with an attribute.

        Parameters
        ----------
        minimum : int
            Captions that must hold a word.

        Returns
        -------
        list of str
            Words with |z| of at least `SIGNIFICANT`, the strongest first, then by alphabet. Words that say a group, an
            occupation or just a person are no proxies, nor are stop words.
        """
        excluded = _named()
        ranked = []
        for word, held in self._holding.items():
            if held[0] >= minimum and word not in excluded:
                z = max(
                    abs(_z(held[first : first + 2], self._sizes[first : first + 2])) for first in range(1, len(held), 2)
                )
                if z >= SIGNIFICANT:
                    ranked.append((-z, word))
        return [word for _, word in sorted(ranked)[:count]]


def _z(hits: NDArray[np.int64], sizes: NDArray[np.int64]) -> float:
    """Two-proportion z; 0 where it is not defined."""
    if not sizes.all():
        return 0.0
    pooled = hits.sum() / sizes.sum()
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
