"""Pictures made by several processes, in order: each process holds its own copy of the art."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from stages.core.scratch import end_with_parent
from stages.corpus.images import encode_png
from stages.download.emoji.duplicates import twins
from stages.download.emoji.icons import Art
from stages.download.emoji.people import Emoji, catalog
from stages.download.emoji.scenes import Scene, raster_side, render


class Sitter(Protocol):
    """What can be pictured: a drawing of a style in a scene."""

    @property
    def style(self) -> str:
        """Key of the style."""
        ...

    @property
    def emoji(self) -> Emoji:
        """Who or what is drawn."""
        ...

    @property
    def scene(self) -> Scene:
        """How it is shown."""
        ...


@dataclass(frozen=True)
class _Desk:
    """What one process holds."""

    art: Art
    emojis: list[Emoji]
    resolution: int


_desk: list[_Desk] = []


class Studio:
    """
    A pool of processes that draw.

    Parameters
    ----------
    resolution : int
        Side of the pictures, pixels.
    processes : int
        How many processes; the pictures do not depend on it.
    """

    def __init__(self, styles: Sequence[str], cache: Path, resolution: int, processes: int) -> None:
        self._styles = tuple(styles)
        self._pool = ProcessPoolExecutor(processes, initializer=_start, initargs=(self._styles, cache, resolution))

    def pictures(self, sitters: Sequence[Sitter]) -> Iterator[bytes]:
        """Draw pictures: PNG files, in the order of the sitters."""
        return self._pool.map(_picture, sitters, chunksize=32)

    def twins(self) -> dict[str, dict[str, tuple[Emoji, ...]]]:
        """Find the emoji that look alike: `duplicates.twins` of each style."""
        return dict(zip(self._styles, self._pool.map(_twins, self._styles), strict=True))

    def __enter__(self) -> "Studio":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)


def _start(styles: tuple[str, ...], cache: Path, resolution: int) -> None:
    end_with_parent()
    _desk.append(_Desk(Art(styles, cache), catalog(cache), resolution))


def _picture(sitter: Sitter) -> bytes:
    desk = _desk[-1]
    drawing = desk.art.raster(sitter.style, sitter.emoji.hexcode, raster_side(desk.resolution))
    return encode_png(render(sitter.scene, drawing, desk.resolution))


def _twins(style: str) -> dict[str, tuple[Emoji, ...]]:
    return twins(_desk[-1].emojis, _desk[-1].art, style)
