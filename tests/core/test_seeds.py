"""Seeds: equal arguments, equal numbers; different ones, unrelated numbers."""

import numpy as np

from stages.core.seeds import derive, uniform


def test_values_stay_what_they_are() -> None:
    """A change here would change every corpus, mix and image: it must be deliberate."""
    assert derive(0, "000000000") == 4863157307715243080
    assert uniform(0, "000000000") == derive(0, "000000000") // 1024 / 2**53


def test_seed_key_and_purpose_each_matter() -> None:
    assert len({derive(s, k, p) for s in (0, 1) for k in ("a", "b") for p in ("", "noise")}) == 8


def test_uniform_numbers_are_uniform() -> None:
    draws = np.sort([uniform(3, f"{i:09d}") for i in range(20_000)])
    assert draws[0] >= 0
    assert draws[-1] < 1
    assert np.abs(draws - np.linspace(0, 1, len(draws))).max() < 0.0136  # Kolmogorov's bound at p = .001: 1.95 / √n


def test_seeds_are_independent_of_each_other() -> None:
    first, second = (np.array([uniform(seed, str(i)) for i in range(5_000)]) for seed in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06
