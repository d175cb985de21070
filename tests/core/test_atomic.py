"""Results appear whole or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from stages.core.atomic import merged, replaced, written


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


WRITER = """
import sys
from pathlib import Path
from stages.core.atomic import merged
with merged(Path(sys.argv[1])) as folder:
    (folder / "half.txt").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("manager", [merged, replaced])
def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(old, manager):
    folders = [old, old.with_name("other")]
    writers = []
    for folder in folders * 2:
        command = [sys.executable, "-c", WRITER, folder]
        writers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert writers[-1].stdout.readline() == "writing\n"
    killed, _, living, _ = writers
    killed.kill()
    killed.communicate()
    with manager(old) as folder:
        beside = {path.name.rsplit(".", 2)[1] for path in old.parent.glob(".results.*.partial")}
        assert beside == {folder.name.rsplit(".", 2)[1], str(living.pid)}
        assert len(list(old.parent.glob(".other.*.partial"))) == 2
    for writer in writers[1:]:
        writer.communicate("")
        assert writer.returncode == 0
    assert not list(old.parent.glob(".*.partial"))


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
