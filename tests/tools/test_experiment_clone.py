"""Experiments in a clone of a repository whose lock file names what another machine has made."""

import re

from stages.tools.experiment_clone import Workplace
from tests.helpers.small_project import Project


def test_what_this_machine_has_made_is_not_made_again_for_the_lock_of_another(tmp_path) -> None:
    project = Project(tmp_path)
    place = Workplace(project.folder, tmp_path / "place", project.environment)

    def run(name: str) -> int:
        commit = project.do("git", "rev-parse", "HEAD").strip()
        place.prepare(commit)
        assert place.run(name, commit, [], tmp_path / "log"), (tmp_path / "log").read_text()
        return len((project.work / "started").read_text().splitlines())

    assert run("one") == 2  # a stage per seed
    lock = (place.folder / "dvc.lock").read_text()
    of_another, count = re.subn(r"md5: \w{32}\.dir", f"md5: {'0' * 32}.dir", lock)
    assert count >= 2
    project.write("dvc.lock", of_another)
    project.commit("the lock of another machine")
    assert run("two") == 2
    assert "0" * 32 not in (place.folder / "dvc.lock").read_text()
