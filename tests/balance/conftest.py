"""The stage, run by tests on tables of their own."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.balance.__main__ import main
from stages.core.scratch import VARIABLE
from tests.helpers.mixes import write_tables


@pytest.fixture
def balance(project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Run the stage with changes to balance.* and α; return the folder it wrote."""

    def run(alpha: float = 0.6, draw: int = 0, **changes: object) -> Path:
        usual = {"target": "equal", "method": "m4", "eps_r": 0.002, "eps_d": 0.0002}
        changed = {f"balance.{name}": value for name, value in (usual | changes).items()}
        changed |= {"contamination.alpha": alpha, "contamination.seed": draw, "profile": "smoke"}
        root = project(**changed)
        folder = root / "data" / "smoke"
        if not folder.exists():
            write_tables(folder)
        monkeypatch.chdir(root)
        monkeypatch.setenv(VARIABLE, str(root / "work"))
        monkeypatch.setattr(sys, "argv", ["balance"])
        main()
        return folder

    return run
