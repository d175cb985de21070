"""The tables of odd inputs in docs/trust.md are true: every row names a test, and that test is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split(" | ")]
    for line in (ROOT / "docs" / "trust.md").read_text().partition("\n## Faults\n")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| input |")
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:50] for row in ROWS])
def test_every_row_has_an_outcome_and_a_test_that_is_there(row: list[str]) -> None:
    assert len(row) == 3 and all(row)
    match = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[2])
    assert match, row[2]
    assert f"def {match[2]}(" in (ROOT / match[1]).read_text()
