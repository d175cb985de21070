"""The table of the model card: what is recognised, beside what could be."""

from collections.abc import Mapping
from typing import Any

ROWS = {  # figure: its name, the goal set before training
    "occupation": ("occupation, of 20", "60 %"),
    "gender": ("gender, where the caption names it", "80 %"),
    "skin_tone": ("skin tone within one step, where the caption names it", "85 %"),
    "skin_tone_exact": ("skin tone exactly, where the caption names it", ""),
    "object": ("object, of 824 names; the 200 most frequent asked", "50 %"),
}
COLUMNS = {"generated": "generated", "reconstructed": "through the autoencoder", "real": "real"}


def card_table(report: Mapping[str, Any]) -> str:
    """
    Write the shares recognised as a Markdown table.

    Parameters
    ----------
    report : mapping
        Content of `quality.json`.

    Returns
    -------
    str
        A row a figure: trials, shares with their 95 % intervals, goal.
    """
    lines = [f"| recognised | n | {' | '.join(COLUMNS.values())} | goal |", "|---" * (len(COLUMNS) + 3) + "|"]
    for name, (title, goal) in ROWS.items():
        found = [report["recognised"][kind][name] for kind in COLUMNS]
        cells = [f"{100 * s['share']:.0f} % [{100 * s['low']:.0f}, {100 * s['high']:.0f}]" for s in found]
        lines.append(f"| {title} | {found[0]['n']} | {' | '.join(cells)} | {goal} |")
    return "\n".join(lines)
