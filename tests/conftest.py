"""Fixtures that several test folders share."""

import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
gc.set_threshold(100_000, 20, 20)  # libraries bring a million objects, which all live to the end


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder that goes with the module's last test: clones with their runs are large, and disks are not."""
    folder = tmp_path_factory.mktemp("module")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of project folders: params.yaml with changes by dotted key, and the profiles."""

    def make(**changes: object) -> Path:
        shutil.copytree(ROOT / "stages" / "profiles", tmp_path / "stages" / "profiles", dirs_exist_ok=True)
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        for dotted, value in changes.items():
            *parents, last = dotted.split(".")
            block = values
            for parent in parents:
                block = block[parent]
            block[last] = value
        for dotted in changes:  # a key stands in one file only
            _leave_out(tmp_path / "stages" / "profiles", *dotted.split(".")[:2])
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        return tmp_path

    return make


def _leave_out(profiles: Path, section: str, key: str = "") -> None:
    """Take a key out of the profiles that have it."""
    for path in profiles.glob("*.yaml"):
        scale = yaml.safe_load(path.read_text())
        if key in scale.get(section, {}):
            del scale[section][key]
            path.write_text(yaml.safe_dump(scale))
