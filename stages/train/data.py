"""Batches of images and tokens as a pure function of the step.

One endless, seeded stream of rows a kind of data (`Stream`), cut into batches; a process takes its slice of each
batch. So no row is lost or seen beyond its copies in an epoch, whatever the number of processes and workers, and a run
that was killed goes on with the very batch that it would have seen. Images come from memory as far as the budget goes,
the others from their shard.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stages.core.errors import InputError
from stages.core.seeds import derive
from stages.corpus.shards import decode_image
from stages.train import augment, schedule
from stages.train.rows import Rows
from stages.train.settings import Augmentation

Tokenize = Callable[[list[str]], Tensor]


class Stream:
    """
    The endless shuffled sequence of row instances of one kind of data.

    Epoch e is a permutation of all instances (row i comes `copies[i]` times), seeded by (seed, name, e); epochs follow
    each other without a gap, so that a batch may end one epoch and begin the next.

    Parameters
    ----------
    copies : ndarray, (N,)
        Instances of each row in an epoch.
    name : str
        The data; another name, another order.
    """

    def __init__(self, copies: NDArray[np.int32], seed: int, name: str) -> None:
        self.instances = np.repeat(np.arange(len(copies)), copies)
        self._seed, self._name = seed, name
        self._epoch: tuple[int, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self.instances)

    def take(self, start: int, count: int) -> NDArray[np.int64]:
        """
        Return part of the sequence.

        Parameters
        ----------
        start, count : int
            First place, from 0, and number of places.

        Returns
        -------
        ndarray, (count,)
            Rows.
        """
        parts = []
        while count > 0:
            epoch, place = divmod(start, len(self))
            part = self._order(epoch)[place : place + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if self._epoch is None or self._epoch[0] != epoch:
            rng = np.random.default_rng(derive(self._seed, f"{self._name}:{epoch}", "order"))
            self._epoch = epoch, rng.permutation(self.instances)
        return self._epoch[1]


class Images:
    """
    Images of rows, decoded.

    Parameters
    ----------
    memory : int
        Bytes of decoded images that may be held.
    on_bad : {'fail', 'skip'}
        What `preload` and `read` do with an unreadable image: an error, or None in its place.
    """

    def __init__(self, rows: Rows, memory: int, on_bad: Literal["fail", "skip"] = "fail") -> None:
        self.rows, self._budget, self._on_bad = rows, memory, on_bad
        self._held: dict[int, NDArray[np.uint8] | None] = {}
        self._files: dict[int, int] = {}

    def preload(self) -> int:
        """Fill the memory, before workers are forked: they share it."""
        left = self._budget
        for row in map(int, np.lexsort((self.rows.offset, self.rows.shard))):  # as they lie on the disk
            image = self._decode(row)
            left -= 0 if image is None else image.nbytes
            if left < 0:
                break
            self._held[row] = image
        return len(self._held)

    def read(self, row: int) -> NDArray[np.uint8] | None:
        """
        Return an image.

        Returns
        -------
        ndarray, uint8, (height, width, 3), or None
            None where it is unreadable and `on_bad` is skip.

        Raises
        ------
        InputError
            If it is unreadable and `on_bad` is fail; names shard and key.
        """
        return self._held[row] if row in self._held else self._decode(row)

    def _decode(self, row: int) -> NDArray[np.uint8] | None:
        path, size = self.rows.paths[self.rows.shard[row]], int(self.rows.size[row])
        name = f"{path}: image of {self.rows.keys[row]}"
        try:
            if not size:
                raise InputError(f"{name}: not in the shard; make the shard again, or set train.on_bad_sample: skip")
            return np.array(decode_image(self._bytes(path, int(self.rows.shard[row]), row, size), name))
        except InputError:
            if self._on_bad == "fail":
                raise
            return None

    def _bytes(self, path: Path, shard: int, row: int, size: int) -> bytes:
        if shard not in self._files:
            self._files[shard] = os.open(path, os.O_RDONLY)
        # `pread` has no position that forked workers would share
        return os.pread(self._files[shard], size, int(self.rows.offset[row]))

    def close(self) -> None:
        """Close the shards."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()


@dataclass(frozen=True)
class Batch:
    """
    One process's part of a batch.

    Attributes
    ----------
    images : Tensor, uint8, (n, 3, height, width)
        Augmented; channels last in memory.
    tokens : Tensor, int64, (n, context)
        Of the captions.
    rows : ndarray, (n,)
        Where they come from.
    skipped : list of str
        Keys of unreadable images, whose place the next readable row of the stream took.
    """

    images: Tensor
    tokens: Tensor
    rows: NDArray[np.int64]
    skipped: list[str]

    def pin_memory(self) -> "Batch":
        """Move to memory that an accelerator reads by itself; the loader calls it in a thread of its own."""
        return replace(self, images=self.images.pin_memory(), tokens=self.tokens.pin_memory())


class Batches(Dataset[Batch]):
    """
    The batch of each step, for one process.

    Parameters
    ----------
    streams : dict of str to Stream
        A stream for each data of the plan.
    size : tuple of int
        Height and width that the model takes.
    rank, world : int
        This process, and how many there are; `world` divides `batch_size`.
    """

    def __init__(
        self,
        plan: Sequence[schedule.Span],
        streams: dict[str, Stream],
        images: Images,
        tokens: Callable[[NDArray[np.int64]], Tensor],
        augmentation: Augmentation,
        size: tuple[int, int],
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._plan, self._streams, self._images, self._tokens = plan, streams, images, tokens
        self._augmentation, self._size, self._seed = augmentation, size, seed
        self._batch_size, self._rank, self._world = batch_size, rank, world

    def __len__(self) -> int:
        return self._plan[-1].stop

    def __getitem__(self, step: int) -> Batch:
        data, index = schedule.place(self._plan, step)
        stream, share = self._streams[data], self._batch_size // self._world
        mine = slice(self._rank * share, (self._rank + 1) * share)
        batch = stream.take(index * self._batch_size, self._batch_size)
        rng = np.random.default_rng(derive(self._seed, str(step), "augment"))
        changes = augment.draw(rng, self._batch_size, self._augmentation)[mine]
        rows, images, skipped = self._readable(batch[mine], stream)
        mixed = np.flatnonzero(changes.style)  # a partner may be in another process's part, so it is read here as well
        _, others, unreadable = self._readable(batch[changes.partner[mixed]], stream)
        partners = dict(zip(mixed.tolist(), others, strict=True))
        pixels = augment.apply(images, changes, self._augmentation.ratio, self._size, partners)
        skipped += unreadable
        return Batch(pixels, self._tokens(rows), rows, skipped)

    def _readable(
        self, rows: NDArray[np.int64], stream: Stream
    ) -> tuple[NDArray[np.int64], list[NDArray[np.uint8]], list[str]]:
        """Read the images; the place of an unreadable one is taken by the next readable instance of its row's epoch."""
        rows, images, skipped = rows.copy(), [], []
        for i, row in enumerate(rows):
            image, place = self._images.read(int(row)), int(np.searchsorted(stream.instances, row))
            for _ in range(len(stream)):
                if image is not None:
                    break
                skipped.append(str(self._images.rows.keys[rows[i]]))
                place = (place + 1) % len(stream)
                rows[i] = stream.instances[place]
                image = self._images.read(int(rows[i]))
            if image is None:
                folder = self._images.rows.paths[0].parent
                raise InputError(f"{folder}: no readable image at all; make the shards again")
            images.append(image)
        return rows, images, skipped


class Tokens:
    """Tokens of rows: made once and held where they fit, else batch by batch."""

    def __init__(self, rows: Rows, tokenize: Tokenize, context: int, memory: int) -> None:
        self._captions, self._tokenize = rows.captions, tokenize
        self._held = None
        if len(rows) * context * 4 <= memory:
            self._held = tokenize(rows.captions.to_pylist()).to(torch.int32)

    def __call__(self, rows: NDArray[np.int64]) -> Tensor:
        """
        Look up.

        Parameters
        ----------
        rows : ndarray, (n,)
            Rows.

        Returns
        -------
        Tensor, int64, (n, context)
            Of their captions.
        """
        if self._held is not None:
            return self._held[torch.from_numpy(rows)].long()
        return self._tokenize(self._captions.take(rows).to_pylist())


def loader(batches: Batches, start: int, workers: int) -> DataLoader[Batch]:
    """
    Iterate over the batches from a step on.

    Parameters
    ----------
    workers : int
        Reading processes; each makes whole batches, which come back in order.

    Returns
    -------
    DataLoader
        Of `Batch`.
    """
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, len(batches)),
        num_workers=workers,
        collate_fn=cast(Any, _as_is),
        pin_memory=torch.cuda.is_available(),
    )


def _as_is(batch: Batch) -> Batch:
    return batch
