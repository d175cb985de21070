"""What the figures of the balance are worth where groups of generated images are misread by a classifier.

The certificate holds for the groups as decided. `annotate` knows the errors, and with them P(group | decision). A row
then belongs to a group with that probability instead of with certainty, real rows as they are; representation and
association are those of such partial members. Within a decision errors are taken to be as frequent under every label
[D]: `annotation.json` says by label whether they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.balance.moments import Cells, Scope, Shares
from stages.balance.problem import Vector

NONE = "none"


@dataclass(frozen=True)
class Reading:
    """How a classifier reads an attribute: P(group | decision), (G + 1, G + 1), the last of each is no group."""

    behind: NDArray[np.float64]

    @classmethod
    def of(cls, annotation: Mapping[str, float], attribute: str, groups: list[str], worst: bool) -> "Reading | None":
        """
        Read it from annotation.json; None where it says nothing.

        Parameters
        ----------
        worst : bool
            Whether decisions are as uncertain as the lower ends of their intervals allow.
        """
        names, prefix = [*groups, NONE], f"shares.synthetic.{attribute}."
        keys = [[f"{prefix}{decided}.is.{group}" for group in names] for decided in names]
        if any(key not in annotation for row in keys for key in row):
            return None
        behind = np.array([[annotation[key] for key in row] for row in keys])
        for place, name in enumerate(names if worst else ()):
            low = annotation.get(f"{prefix}{name}.is.{name}.lo", behind[place, place])
            rest = 1 - behind[place, place]
            if low < behind[place, place] and rest > 0:
                behind[place] *= (1 - low) / rest
                behind[place, place] = low
        return cls(behind)


def members(cells: Cells, synthetic: Vector, attribute: str, reading: Reading) -> NDArray[np.float64]:
    """
    Return the probability that the rows of each cell belong to each group: (N, groups).

    Parameters
    ----------
    synthetic : ndarray, (N,)
        Share of generated images among the rows of each cell.
    """
    own = cells.sensitive[:, cells.columns(attribute)]
    place = np.where(own.any(axis=1), own.argmax(axis=1), own.shape[1])
    return (1 - synthetic)[:, None] * own + synthetic[:, None] * reading.behind[place, :-1]


def bias(
    cells: Cells,
    synthetic: Vector,
    shares: Shares,
    annotation: Mapping[str, float],
    weight: Vector,
    scope: Scope,
    worst: bool,
) -> dict[str, float] | None:
    """
    Measure the bias of the groups that are shown, as far as the errors of their reading are known.

    Parameters
    ----------
    shares : mapping
        Targets of the attributes that are balanced.
    annotation : mapping of str to float
        Content of annotation.json.
    weight : ndarray, (N,)
        Total weight of each distinct row.

    Returns
    -------
    dict or None
        rb and ab, as `report.bias` defines them, over the attributes that are balanced and whose errors are known;
        None where there are none. Intersections are left out.
    """
    rb, ab = [], []
    labels = cells.labels.astype(float)
    for attribute in shares:
        groups = [cells.groups[k][1] for k in cells.columns(attribute)]
        reading = Reading.of(annotation, attribute, groups, worst)
        if reading is None:
            continue
        member = members(cells, synthetic, attribute, reading)
        known = member.sum(axis=1) if scope == "known" else np.ones(len(member))
        total, shown = weight.sum(), cells.count @ member.sum(axis=1) / cells.count.sum()  # as `moments` keeps it
        wanted = np.array([shares[attribute][group] for group in groups]) * shown
        rb.append(np.abs(weight @ member / total - wanted).max())
        own = labels[:, cells.labels_of(attribute)]
        inside, outside = member * weight[:, None], (known[:, None] - member) * weight[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            rates = [side.T @ own / side.sum(axis=0)[:, None] for side in (inside, outside)]
        ab.append(np.nanmax(np.abs(rates[0] - rates[1])) if own.shape[1] else 0.0)
    return {"rb": float(max(rb)), "ab": float(max(ab))} if rb else None
