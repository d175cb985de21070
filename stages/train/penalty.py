"""A penalty on association in training: how far the logits of labels differ between the groups of who is shown.

Of one attribute, with groups g, labels r and z the logits (scale × cosine) of a batch's images and labels' prompts,

    association = mean over r and over pairs of groups of (E[z_r | g] − E[z_r | h])²

among rows whose group is known and whose caption names no group: where a caption says it, the model may know it [D].
The square of a difference of two means of n rows out of N is too large by their variances s²/n (1 − n/N), which are
taken off: so a batch's value has the expectation of the corpus's. Otherwise most of the gradient of a batch of 64 would
shrink all differences between pictures, which is what a label is recognised by. A batch's value can be negative; the
corpus's cannot, so nothing is gained by spreading logits. The scale carries no gradient: a model must not lower the
penalty by a higher temperature.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
import torch.distributed.nn.functional as differentiable
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from stages.core.errors import InputError
from stages.corpus.attributes import occupation_column, says_column, sensitive_columns
from stages.corpus.words import OCCUPATIONS

FEWEST = 2  # rows of a group in a batch: a variance needs two


@dataclass(frozen=True)
class Penalty:
    """
    What is added to a loss.

    Attributes
    ----------
    weight : float
        λ, per squared logit.
    labels : Tensor, int64, (L, context)
        Tokens of the labels' prompts; each process encodes them after its captions.
    groups : ndarray of int8, (N, attributes)
        Group of each row, by attribute; −1: unknown, or the caption names one.
    totals : tuple of Tensor, float, (groups,)
        Rows that are trained on in each group, an attribute each.
    """

    weight: float
    labels: Tensor
    groups: NDArray[np.int8]
    totals: tuple[Tensor, ...]

    def __call__(self, images: Tensor, labels: Tensor, scale: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """
        Weigh the association of a batch.

        Parameters
        ----------
        images : Tensor, (n, d)
            Unit features of this process's part.
        labels : Tensor, (L, d)
            Unit features of the labels' prompts.
        scale : Tensor, ()
            Of the logits.
        rows : ndarray, (n,)
            Which rows the images are of.

        Returns
        -------
        Tensor, ()
            λ × the mean association over attributes, of the whole batch on every process.
        """
        logits = scale.detach().float() * images.float() @ labels.float().T
        groups = torch.from_numpy(self.groups[rows].astype(np.int64)).to(logits.device)
        parts = [association(logits, groups[:, k], total.to(logits)) for k, total in enumerate(self.totals)]
        return self.weight * torch.stack(parts).mean()


def association(logits: Tensor, groups: Tensor, totals: Tensor) -> Tensor:
    """
    Estimate the squared difference between groups of the mean logits, over the batch of all processes.

    Parameters
    ----------
    logits : Tensor, float, (n, L)
        Of this process's rows.
    groups : Tensor, int64, (n,)
        Group of each row, in [0, G); −1: the row does not count.
    totals : Tensor, float, (G,)
        Rows of each group that batches are drawn from.

    Returns
    -------
    Tensor, ()
        Mean over labels and pairs of groups with two rows or more; 0 where there is no such pair.
    """
    size = len(totals)
    member = functional.one_hot(groups + 1, size + 1)[:, 1:].to(logits.dtype)
    count = _total(member.sum(dim=0))
    n = count.clamp(min=FEWEST).unsqueeze(1)
    mean = _total(member.T @ logits) / n
    unseen = (1 - count / totals).clamp(min=0).unsqueeze(1)
    variance = unseen * _total(member.T @ (logits - member @ mean).square()) / (n - 1) / n
    one, other = torch.triu_indices(size, size, 1, device=logits.device)
    counts = ((count[one] >= FEWEST) & (count[other] >= FEWEST)).to(logits.dtype)
    squares = ((mean[one] - mean[other]).square() - variance[one] - variance[other]).mean(dim=1)
    return (counts * squares).sum() / counts.sum().clamp(min=1)


def prepare(
    rows: pd.DataFrame, attributes: pd.DataFrame, wanted: Sequence[str], on: Sequence[str]
) -> tuple[NDArray[np.int8], list[str]]:
    """
    Read the groups of rows, and the labels that their captions name.

    Parameters
    ----------
    rows : DataFrame
        With the columns `on`.
    attributes : DataFrame
        Of the annotate stage: the columns `on`, and those of `needed`.
    wanted : sequence of str
        Attributes.
    on : sequence of str
        Columns that tell images apart.

    Returns
    -------
    tuple of ndarray of int8, (N, attributes), and list of str
        See `Penalty.groups`; a row in several groups is unknown. Labels in the order of `OCCUPATIONS`.

    Raises
    ------
    InputError
        If a row has no attributes, or no caption names a label.
    """
    found = rows[list(on)].merge(attributes[[*on, *needed(wanted)]], on=list(on), how="left", validate="1:1")
    if (lost := found[sensitive_columns(wanted[:1])[0]].isna().to_numpy(bool)).any():
        key = " ".join(str(part) for part in found.loc[lost, list(on)].iloc[0])
        raise InputError(f"attributes.parquet: no row for {key} of selection.parquet; annotate again (`dvc repro`)")
    groups = np.full((len(found), len(wanted)), -1, np.int8)
    for place, attribute in enumerate(wanted):
        shown = found[sensitive_columns([attribute])].to_numpy(bool)
        known = (shown.sum(axis=1) == 1) & ~found[says_column(attribute)].to_numpy(bool)
        groups[known, place] = shown[known].argmax(axis=1)
    labels = [name for name in OCCUPATIONS if found[occupation_column(name)].to_numpy(bool).any()]
    if not labels:
        raise InputError("train.penalty: no caption names an occupation, so there is no association; set weight to 0")
    return groups, labels


def totals(groups: NDArray[np.int8], sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """Count the rows of each group of each attribute; `groups` as in `Penalty`."""
    return tuple(
        torch.from_numpy(np.bincount(part[part >= 0], minlength=size))
        for part, size in zip(groups.T, sizes, strict=True)
    )


def needed(wanted: Sequence[str]) -> list[str]:
    """Name the columns of attributes.parquet that the penalty reads, all of truth values."""
    return [
        *sensitive_columns(wanted),
        *(says_column(attribute) for attribute in wanted),
        *(occupation_column(name) for name in OCCUPATIONS),
    ]


def _total(part: Tensor) -> Tensor:
    """Add up the parts of all processes; the gradient flows to each."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        return differentiable.all_reduce(part)
    return part
