"""Work in forks of this process: they share what it has loaded, and each has one thread."""

import sys
from collections.abc import Callable, Iterator

from torch.multiprocessing.spawn import ProcessExitedException, start_processes

from stages.core.errors import InputError


def in_forks(work: Callable[[int], Iterator[object]], forks: int) -> Iterator[None]:
    """
    Exhaust `work` of each number in a fork, and yield about once a second while they work.

    Parameters
    ----------
    work : callable
        Fork, from 0 on, to what it does bit by bit; it must leave its results in files.

    Raises
    ------
    SystemExit
        With code 2 after an `InputError` of a fork, which the fork has printed.
    InputError
        If a fork was killed.
    """

    def exhaust(fork: int) -> None:
        try:
            for _ in work(fork):
                pass
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None

    context = start_processes(exhaust, nprocs=forks, join=False, start_method="fork")  # they end when this one does
    assert context is not None
    try:
        while not context.join(timeout=1):
            yield
    except ProcessExitedException as error:
        if error.exit_code == 2:
            raise SystemExit(2) from None
        raise InputError(f"{error}; if memory ran out, allow fewer processes: OMP_NUM_THREADS") from None
    yield
