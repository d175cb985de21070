"""The reference of metrics: complete, and written from the registry of today."""

import re
from pathlib import Path

from stages.results.registry import CATALOGUE
from stages.tools.metric_help import markdown

ROOT = Path(__file__).parents[2]
ROWS = [line for line in markdown().splitlines() if line.startswith("| `")]


def test_the_document_lists_the_metrics_of_today() -> None:
    said = "run `python -m stages.tools.metric_help > docs/metrics.md`"
    assert (ROOT / "docs" / "metrics.md").read_text() == markdown(), said


def test_every_entry_has_a_row_of_eight_cells() -> None:
    assert [re.findall(r"`([^`]+)`", row)[0] for row in ROWS] == [entry.key for entry in CATALOGUE]
    assert {row.count("|") - row.count(r"\|") for row in ROWS} == {9}


def test_chance_and_ceiling_are_said() -> None:
    (recall,) = (row for row in ROWS if row.startswith("| `{set}.t2i.r{k}` ★"))
    assert recall.endswith("| 100 k ÷ `n.{set}` | below 100 where a caption fits several images |")
    (bias,) = (row for row in ROWS if row.startswith("| `{set}.[{attribute}.]ab.max` ★"))
    assert bias.endswith("| `{set}.[{attribute}.]ab.null` | 0 |")
