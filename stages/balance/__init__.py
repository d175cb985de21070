"""The mix at α, the weights that balance its moments, and the rows they select.

``mixing`` says which source each key has, and counts its distinct rows (s, y, u) out of core; ``moments`` turns counts
into a ``problem``; ``feasibility`` finds the largest share that can be kept, ``solver`` the weights, ``baselines`` what
to compare them with; ``selection`` turns weights into numbers of copies; ``report`` says what changed.
``table`` does all of it for any table (``table_command``: as a program), and ``export`` writes what others read.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stages.balance.table import BalanceReport, balance_table

__all__ = ["BalanceReport", "balance_table"]


def __getattr__(name: str) -> Any:
    """Load what is for other programs when they ask for it: a stage's settings need none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stages.balance import table

    return getattr(table, name)
