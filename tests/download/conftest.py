from pathlib import Path

import pytest

from stages.core.scratch import work_folder
from stages.download.emoji.icons import Art
from stages.download.emoji.packages import METADATA, STYLES, fetch
from stages.download.emoji.people import Emoji, catalog

HELD_OUT = "fluent-emoji-flat"


@pytest.fixture(scope="session")
def cache() -> Path:
    """The work folder's archives: fetched once through npm, then offline."""
    folder = work_folder("packages")
    for package in (METADATA, *STYLES.values()):
        fetch(package, folder)
    return folder


@pytest.fixture(scope="session")
def emojis(cache: Path) -> list[Emoji]:
    return catalog(cache)


@pytest.fixture(scope="session")
def by_code(emojis: list[Emoji]) -> dict[str, Emoji]:
    return {emoji.hexcode: emoji for emoji in emojis}


@pytest.fixture(scope="session")
def art(cache: Path) -> Art:
    return Art(STYLES, cache)


@pytest.fixture(scope="session")
def training_art(cache: Path) -> Art:
    return Art([style for style in STYLES if style != HELD_OUT], cache)
