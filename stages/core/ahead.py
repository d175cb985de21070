"""Reading and preparing beside an accelerator: processes work on the next parts while one is computed with.

Processes, not threads: most of preparing an image is short calls that need the interpreter, and threads would spend
their time waiting for it.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

from torch.utils.data import DataLoader, Dataset

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Tasks(Dataset[Any]):
    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self.function, self.items = function, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.function(self.items[index])


def ahead(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """
    Apply a function to items, in order, by forked processes that are two items ahead each.

    Parameters
    ----------
    function : callable
        Must not use an accelerator; a large result is a tensor, which is handed over in shared memory.
    workers : int
        Processes; 0: each item is worked on when it is asked for.

    Yields
    ------
    Result
        Of each item, whatever the number of processes.
    """
    if not workers or len(items) < 2:
        yield from map(function, items)
        return
    yield from DataLoader(
        _Tasks(function, items),
        batch_size=None,
        collate_fn=cast(Any, _as_is),
        num_workers=min(workers, len(items)),
        multiprocessing_context="fork",
    )


def workers_beside(device: str) -> int:
    """Return how many processes read beside a device: none on the CPU, which computes with all its cores itself."""
    return 0 if device == "cpu" else min(16, len(os.sched_getaffinity(0)))


def _as_is(result: Any) -> Any:
    return result
