"""How far two readings of an attribute agree, counted image by image: the caption's words, and the picture."""

from collections.abc import Sequence

import numpy as np

from stages.corpus.words import GROUPS


class Agreement:
    """Counts of one attribute over images."""

    def __init__(self, attribute: str) -> None:
        self._index = {group: number for number, group in enumerate((*GROUPS[attribute], ""))}
        self._counts = np.zeros((len(self._index), len(self._index)), np.int64)

    def add(self, said: Sequence[str], seen: Sequence[str]) -> None:
        """
        Count images.

        Parameters
        ----------
        said, seen : sequence of str
            N groups, of the words and of the picture; empty where there is none.
        """
        rows = [self._index[group] for group in said]
        np.add.at(self._counts, (rows, [self._index[group] for group in seen]), 1)

    def figures(self) -> dict[str, float]:
        """
        Sum up.

        Returns
        -------
        dict of str to float
            ``said`` and ``seen``: shares of the images that each puts into a group; ``n``: images that both put into
            one; of these ``agreement``, the share put into the same, and ``kappa``, what of it is beyond chance
            (Cohen 1960: 1 agree always, 0 as by chance); nan where it is not defined.
        """
        total, both = self._counts.sum(), self._counts[:-1, :-1]
        n = both.sum()
        nan = float("nan")
        same = both.trace() / n if n else nan
        chance = float(both.sum(axis=0) @ both.sum(axis=1)) / float(n) ** 2 if n else nan
        return {
            "said": float(self._counts[:-1].sum() / total) if total else nan,
            "seen": float(self._counts[:, :-1].sum() / total) if total else nan,
            "n": int(n),
            "agreement": float(same),
            "kappa": float((same - chance) / (1 - chance)) if n and chance < 1 else nan,
        }
