"""Drawings as image files, and projects whose corpus is the user's own."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from stages.download.emoji.icons import Art
from stages.download.emoji.people import Emoji
from tests.helpers.own_corpus import COUNT, Drawing, Project


@pytest.fixture(scope="session")
def drawings(emojis: list[Emoji], art: Art) -> list[Drawing]:
    """Of several sizes, wide and high ones, as PNG and as JPEG."""
    chosen = [emoji for emoji in emojis if art.has("noto", emoji.hexcode)][:: max(1, len(emojis) // (2 * COUNT))][
        :COUNT
    ]
    assert len(chosen) == COUNT
    made = []
    for number, emoji in enumerate(chosen):
        raster = art.raster("noto", emoji.hexcode, 48)
        canvas = Image.new("RGB", (64 + 16 * (number % 3), 64 + 8 * (number % 2)), (90, 160, 200))
        canvas.paste(raster, (8, 8), raster)
        buffer = io.BytesIO()
        canvas.save(buffer, format="JPEG" if number % 2 else "PNG")
        made.append(Drawing(f'{emoji.label} — "{number}"', emoji.gender, buffer.getvalue()))
    return made


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Project]:
    return lambda: Project(tmp_path_factory.mktemp("project"))
