"""The work folder: one absolute place, keyed by what shapes the work."""

from pathlib import Path

import pytest

from stages.core.scratch import fingerprint, work_folder


def test_the_variable_moves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERWEIGHT_WORK", str(tmp_path / "w"))
    folder = work_folder("train", {"seed": 1})
    assert folder.is_dir()
    assert folder.parent == tmp_path / "w" / "train"


def test_without_it_the_folder_lies_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUNTERWEIGHT_WORK", raising=False)
    monkeypatch.chdir(tmp_path)
    assert work_folder("packages") == tmp_path / ".work" / "packages"


def test_another_shape_is_another_folder() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 1.5})
