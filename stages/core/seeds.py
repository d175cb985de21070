"""Randomness of one sample: a hash of (seed, purpose, key), so that nothing depends on order, batch or process."""

import hashlib


def derive(seed: int, key: str, purpose: str = "") -> int:
    """
    Derive the 63-bit seed of one sample; equal arguments give equal seeds on every machine.

    Parameters
    ----------
    purpose : str
        Separates streams of one sample, e.g. ``"scene"`` and ``"caption"``.
    """
    digest = hashlib.blake2b(f"{seed}\0{purpose}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def uniform(seed: int, key: str, purpose: str = "") -> float:
    """Draw the fixed uniform number of one sample; it is synthetic at α iff that is below α, so mixes are nested."""
    return (derive(seed, key, purpose) >> 10) / 2**53
