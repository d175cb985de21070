"""Blocks of code as they stand in a page of docs/, for tests that run them."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def block(page: str, holding: str) -> str:
    """Return the one block of a page that holds a text."""
    found = [code for code in re.findall(r"```\w+\n(.*?)```", (ROOT / page).read_text(), re.DOTALL) if holding in code]
    assert len(found) == 1, f"{page}: {len(found)} blocks hold {holding!r}"
    return found[0]


def run(commands: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run commands as a reader would, and return what they print."""
    words = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(words, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout
