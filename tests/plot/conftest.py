"""A project whose stages have all run but `plot`, and one whose `plot` has run."""

from pathlib import Path

import pytest

from tests.helpers import recorded_run


@pytest.fixture(scope="session")
def plotted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project folder whose stages have all run."""
    root = recorded_run.project(tmp_path_factory.mktemp("plot") / "project")
    code, _, error = recorded_run.plot(root)
    assert code == 0, error
    return root
