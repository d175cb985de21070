"""How wrong the classifier is where the groups are known, and the shares of the groups corrected for it.

Errors are counted image by image: an image of a group may be put into another one (`wrong`) or into none (`unsure`),
and one of no group (an object, a gender-neutral drawing) into one (`invented`).

Shares d of the decisions follow from shares t of the groups by d = Cᵀ t, with C the rates of each decision for each
group. So t = C⁻ᵀ d (Rogan and Gladen 1978, two groups [S]; Lipton et al., ICML 2018, arXiv 1802.03916 [S]), provided
that the rates of the images that C was counted on are those of the others. Intervals are of C (rows drawn by Dirichlet
with Jeffreys' prior) and of d (multinomial).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.corpus.words import GROUPS, caption_occupations, says_group

DRAWS = 2000
NONE = "none"  # in keys: no group


class Errors:
    """
    Counts of known groups against decisions, of one attribute.

    Attributes
    ----------
    counts : ndarray of int64, (groups + 1, groups + 1)
        Rows: what is known; columns: what was decided; the last of each is no group.
    """

    def __init__(self, attribute: str) -> None:
        self.attribute = attribute
        self.counts = _empty(attribute)
        self._by: dict[str, NDArray[np.int64]] = defaultdict(lambda: _empty(attribute))

    def add(self, known: Sequence[str], decided: Sequence[str], captions: Sequence[str] | None = None) -> None:
        """
        Count images.

        Parameters
        ----------
        known, decided : sequence of str
            N groups; empty where there is none.
        captions : sequence of str, optional
            N captions: errors are then also counted by whether they say the attribute, and by occupation named.
        """
        index = {group: number for number, group in enumerate((*GROUPS[self.attribute], ""))}
        places = [(index[one], index[other]) for one, other in zip(known, decided, strict=True)]
        for place in places:
            self.counts[place] += 1
        for place, caption in zip(places, captions or (), strict=captions is not None):
            self._by["said" if says_group(caption, self.attribute) else "open"][place] += 1
            for occupation in caption_occupations(caption):
                self._by[f"occupation.{occupation.replace(' ', '_')}"][place] += 1

    def figures(self) -> dict[str, float]:
        """
        Sum up.

        Returns
        -------
        dict of str to float
            ``n`` (images of a known group), ``wrong`` and ``unsure`` (shares of them), ``invented`` (share of the
            images of no group); then the same of the captions that say the attribute (``said.…``), that do not
            (``open.…``), and that name an occupation (``occupation.judge.…``). nan where there are no images.
        """
        found = _rates(self.counts)
        for name, counts in sorted(self._by.items()):
            found |= {f"{name}.{key}": value for key, value in _rates(counts).items()}
        return found


def _empty(attribute: str) -> NDArray[np.int64]:
    size = len(GROUPS[attribute]) + 1
    return np.zeros((size, size), np.int64)


def _rates(counts: NDArray[np.int64]) -> dict[str, float]:
    shown, n, nobody = counts[:-1], counts[:-1].sum(), counts[-1].sum()
    wrong = shown[:, :-1].sum() - np.trace(shown[:, :-1])
    nan = float("nan")
    return {
        "n": int(n),
        "wrong": float(wrong / n) if n else nan,
        "unsure": float(shown[:, -1].sum() / n) if n else nan,
        "invented": float(counts[-1, :-1].sum() / nobody) if nobody else nan,
    }


def corrected(
    measured: NDArray[np.int64], decided: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    Correct shares for known errors.

    Parameters
    ----------
    measured : ndarray of int64, (G, G)
        `Errors.counts` of images whose groups are known.
    decided : ndarray of int64, (G,)
        How many of the other images were put into each group, or into none.

    Returns
    -------
    tuple of ndarray, (3, G), and ndarray, (2, G, G)
        Shares of the groups among the others: estimate and 95 % interval. And P(group | decision), a row a decision:
        estimate, and lower end of the 95 % interval. nan where a group was never measured, or the decisions do not tell
        the groups apart.
    """
    size, total = len(decided), int(decided.sum())
    nothing = np.full((3, size), np.nan), np.full((2, size, size), np.nan)
    if not total or (measured.sum(axis=1) == 0).any():
        return nothing
    rates = measured / measured.sum(axis=1, keepdims=True)
    if np.linalg.cond(rates) > 1e6:
        return nothing
    share = _solved(rates, decided / total)
    random = np.random.default_rng(seed)
    drawn = np.stack([random.dirichlet(row + 0.5, DRAWS) for row in measured], axis=1)
    seen = random.multinomial(total, decided / total, DRAWS) / total
    shares = _solved(drawn, seen)
    behind = _behind(drawn, shares)
    low, high = np.quantile(shares, [0.025, 0.975], axis=0)
    return np.stack([share, low, high]), np.stack([_behind(rates, share), np.quantile(behind, 0.025, axis=0)])


def _solved(rates: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve for shares, (…, G), of rates (…, G, G); what falls below 0 is none of them."""
    found = np.clip(np.linalg.solve(rates.swapaxes(-1, -2), seen[..., None])[..., 0], 0, None)
    return found / found.sum(axis=-1, keepdims=True)


def _behind(rates: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn rates by Bayes: P(group | decision); where nothing is decided, the groups' shares."""
    joint = (rates * share[..., None]).swapaxes(-1, -2)
    total = joint.sum(axis=-1, keepdims=True)
    return np.where(total > 0, joint / np.where(total > 0, total, 1), share[..., None, :])


def summary(
    attribute: str, measured: NDArray[np.int64], decided: NDArray[np.int64], known: NDArray[np.int64] | None, seed: int
) -> Mapping[str, float]:
    """
    Say how the shares of an attribute's groups change once its errors are corrected.

    Parameters
    ----------
    known : ndarray of int64, (G,), optional
        How many of the images are of each group, where that is known: what a correction should find.

    Returns
    -------
    dict of str to float
        Per group ``woman.share`` (as decided), ``woman.corrected``, ``.lo``, ``.hi`` and ``.known``; per decision and
        group ``woman.is.man``, P(group | decision), and ``woman.is.woman.lo``.
    """
    names = (*GROUPS[attribute], NONE)
    shares, behind = corrected(measured, decided, seed)
    found: dict[str, float] = {}
    for place, name in enumerate(names):
        found[f"{name}.share"] = float(decided[place] / max(1, decided.sum()))
        for row, figure in enumerate(("corrected", "lo", "hi")):
            found[f"{name}.{figure}"] = float(shares[row, place])
        if known is not None:
            found[f"{name}.known"] = float(known[place] / max(1, known.sum()))
        for other, group in enumerate(names):
            found[f"{name}.is.{group}"] = float(behind[0, place, other])
        found[f"{name}.is.{name}.lo"] = float(behind[1, place, place])
    return found
