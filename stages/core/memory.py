"""What a stage says when a device's memory is used up."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from stages.core.errors import InputError


def used_up(error: BaseException) -> bool:
    """Tell whether an error means that memory did not suffice, on the CPU or on an accelerator."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


@contextmanager
def enough_for(key: str, found: object, remedy: str) -> Iterator[None]:
    """
    Turn a lack of memory into one line that names the key at fault.

    Parameters
    ----------
    key : str
        The parameter that sets how much memory is needed, e.g. ``"train.batch_size"``.

    Yields
    ------
    None
        Within, the memory is needed.

    Raises
    ------
    InputError
        If memory does not suffice.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not used_up(error):
            raise
        size = (
            f" of {torch.cuda.get_device_properties(0).total_memory / 1e9:.0f} GB" if torch.cuda.is_available() else ""
        )
        raise InputError(f"{key}: found {found}: the memory{size} does not suffice; {remedy}") from None
