"""Results appear whole or not at all."""

from pathlib import Path

import pytest

from stages.staging import merged, replaced, written


def tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    (tmp_path / "results" / "tables").mkdir(parents=True)
    (tmp_path / "results" / "tables" / "a.csv").write_text("old")
    (tmp_path / "results" / "kept.txt").write_text("kept")
    return tmp_path / "results"


def test_a_replaced_folder_holds_only_what_was_written(old):
    with replaced(old) as folder:
        (folder / "b.txt").write_text("new")
    assert tree(old) == {"b.txt": "new"}


def test_a_merged_folder_keeps_what_others_wrote(old):
    with merged(old) as folder:
        (folder / "tables").mkdir()
        (folder / "tables" / "b.csv").write_text("new")
    assert tree(old) == {"tables/b.csv": "new", "kept.txt": "kept"}


@pytest.mark.parametrize("manager", [merged, replaced])
def test_parents_need_not_exist(tmp_path, manager):
    with manager(tmp_path / "x" / "y") as folder:
        (folder / "b.txt").write_text("new")
    assert tree(tmp_path) == {"x/y/b.txt": "new"}


@pytest.mark.parametrize("manager", [merged, replaced])
def test_an_error_on_the_way_leaves_everything_as_it_was(old, manager):
    before = tree(old.parent)
    with pytest.raises(RuntimeError), manager(old) as folder:
        (folder / "tables").mkdir()
        (folder / "tables" / "b.csv").write_text("half")
        raise RuntimeError
    assert tree(old.parent) == before and [path.name for path in old.parent.iterdir()] == ["results"]


def test_a_written_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with written(path) as file:
        file.write_text("new")
        assert path.read_text() == "old"
    assert tree(tmp_path) == {"a.txt": "new"}


def test_an_error_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), written(path) as file:
        file.write_text("half")
        raise RuntimeError
    assert tree(tmp_path) == {"a.txt": "old"}
