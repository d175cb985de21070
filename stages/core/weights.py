"""Why weights cannot be loaded, in words that are safe to follow: torch advises to run what a file holds."""

import logging
import pickle
from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError

UNREADABLE = (  # what open_clip, torch, safetensors and transformers raise on files that hold no such weights
    RuntimeError, OSError, ValueError, TypeError, LookupError, AttributeError, EOFError, pickle.UnpicklingError,
    SafetensorError,
)  # fmt: skip


def reason(error: Exception) -> str:
    """Say in one line why weights could not be loaded; never how to load a refused pickle all the same."""
    text = " ".join(str(error).split())
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in text:
        return "not weights alone but a pickle, which could run code, or damaged; get or save them as safetensors"
    if isinstance(error, (EOFError, SafetensorError)) or "zip archive" in text:
        return f"empty, cut off or damaged ({text[:60]})" if text else "empty or cut off"
    if isinstance(error, (LookupError, AttributeError)) or text.isdigit():
        return "not weights of this model"
    return text if len(text) <= 200 else f"{text[:199]}…"


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep libraries from logging what they raise as well: an error is said once, in one line."""
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
