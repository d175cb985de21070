"""Share of women in the twenty occupations: US census (IPUMS USA), and how a text-to-image model sharpens it.

Source: IPUMS USA (University of Minnesota), through the public ``jobs.json`` of vega-datasets; rows summed over sexes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

OCCUPATIONS: dict[str, tuple[float, float] | None] = {  # share of women in 1950, in 2000
    "health worker": (0.755, 0.792),  # Nurse + Physician / Surgeon
    "student": None,
    "teacher": (0.745, 0.761),  # Teacher
    "judge": (0.033, 0.307),  # Lawyer / Judge
    "farmer": (0.026, 0.156),  # Farmer
    "cook": (0.525, 0.522),  # Cook
    "mechanic": (0.015, 0.039),  # Mechanic
    "factory worker": (0.035, 0.080),  # Welder
    "office worker": (0.493, 0.712),  # Clerical Worker
    "scientist": (0.031, 0.345),  # Scientist
    "technologist": (0.117, 0.214),  # Technician
    "singer": (0.527, 0.648),  # Musician / Music Teacher
    "artist": (0.366, 0.495),  # Artist / Art Teacher
    "pilot": (0.000, 0.042),  # Pilot
    "astronaut": None,
    "firefighter": (0.016, 0.060),  # Fireman
    "police officer": (0.022, 0.150),  # Policeman / Detective
    "detective": (0.022, 0.150),  # Policeman / Detective
    "guard": (0.020, 0.237),  # Security Guard
    "construction worker": (0.036, 0.148),  # Laborer
}
YEARS = (1950, 2000)
LIGHTER = frozenset({  # where a gap in skin tones makes people lighter; ten, crossed with the women's shares
    "teacher", "judge", "farmer", "office worker", "scientist", "technologist", "artist", "pilot", "astronaut",
    "detective",
})  # fmt: skip
FLOOR = 0.005  # a share of 0 (pilots, 1950) is below the table's precision, and has no logit


@dataclass(frozen=True)
class Census:
    """Women's share by occupation; occupations without a census row are kept at one half and listed apart."""

    shares: Mapping[str, float]
    counted: frozenset[str]


def census(year: int | None, sharpen: float = 1.0) -> Census:
    """
    Return the women's share of each occupation, in (0, 1); `counted` names those with a census row.

    Parameters
    ----------
    year : int or None
        1950 or 2000; None: one half everywhere (a corpus without association).
    sharpen : float
        Factor on the logit of the share: 1 as counted, above 1 more extreme, 0 one half.
    """
    column = None if year is None else YEARS.index(year)
    shares = {name: 0.5 if row is None or column is None else row[column] for name, row in OCCUPATIONS.items()}
    counted = frozenset(name for name, row in OCCUPATIONS.items() if row is not None)
    return Census({name: _sharpen(share, sharpen) for name, share in shares.items()}, counted)


def with_base_rate(census: Census, women: float | None, others: float) -> Census:
    """
    Shift the women's shares of all people by one constant of their logits, so that so many of them are women.

    Odds ratios between occupations stay: association and base rate are two things.

    Parameters
    ----------
    women : float or None
        Their share among all gendered people; None: shares stay, one half for people outside the occupations.
    others : float
        Share of the people that are outside the occupations, in [0, 1].

    Returns
    -------
    Census
        With a share under the empty name, for people outside the occupations. Rounded to nine digits, so that
        processors whose logarithms differ in the last bit draw the same people.
    """
    if women is None:
        return census
    low, high, shift = -40.0, 40.0, 0.0
    for _ in range(200):
        shift = (low + high) / 2
        shifted = {name: _shift(share, shift) for name, share in census.shares.items()}
        mean = (1 - others) * sum(shifted.values()) / len(shifted) + others * _shift(0.5, shift)
        low, high = (shift, high) if mean < women else (low, shift)
    return replace(
        census, shares={name: round(_shift(share, shift), 9) for name, share in (*census.shares.items(), ("", 0.5))}
    )


def _shift(share: float, shift: float) -> float:
    return 1 / (1 + (1 - share) / share * math.exp(-shift))


def _sharpen(share: float, factor: float) -> float:
    share = min(max(share, FLOOR), 1 - FLOOR)
    return 1 / (1 + math.exp(-factor * math.log(share / (1 - share))))
