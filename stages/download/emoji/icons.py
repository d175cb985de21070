"""Iconify icon sets: from a code point sequence to an RGBA raster.

An icon is the body of an SVG with its own view box; an alias points to its parent (those of the pinned packages that
also flip it stand for no code point) (https://iconify.design/docs/types/iconify-json.html).
"""

import functools
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import resvg_py
from PIL import Image

from stages.core.errors import InputError
from stages.download.emoji.packages import STYLES, fetch, read_json

NAMED_AFTER = {"noto-v1": "noto"}  # the set without a table of code points uses the icon names of this one


class Art:
    """
    The icon sets of several styles.

    Parameters
    ----------
    cache : Path
        Existing folder of npm archives, see `packages.fetch`.

    Raises
    ------
    InputError
        If a style is unknown, or a package cannot be fetched or verified.
    """

    def __init__(self, styles: Iterable[str], cache: Path) -> None:
        self.styles = tuple(styles)
        if unknown := sorted(set(self.styles) - set(STYLES)):
            raise InputError(f"style {unknown[0]!r}: unknown; expected one of {', '.join(STYLES)}")
        self._sets = {style: read_json(fetch(STYLES[style], cache), "package/icons.json") for style in self.styles}
        self._names = {style: _names(style, cache) for style in self.styles}

    def has(self, style: str, hexcode: str) -> bool:
        """
        Tell whether a style has an icon of an emoji, its own or an alias.

        Parameters
        ----------
        hexcode : str
            Code points joined by ``-``, upper case, with or without FE0F.
        """
        name = self._names[style].get(plain(hexcode))
        icons = self._sets[style]
        return name is not None and (name in icons["icons"] or name in icons.get("aliases", {}))

    def svg(self, style: str, hexcode: str) -> "Svg":
        """
        Compose the SVG of an emoji.

        Raises
        ------
        InputError
            If the style does not draw this emoji, or an alias transforms it.
        """
        if not self.has(style, hexcode):
            raise InputError(f"style {style}: no icon for {hexcode}")
        icons = self._sets[style]
        name = self._names[style][plain(hexcode)]
        while name not in icons["icons"]:
            alias = icons["aliases"][name]
            if unknown := sorted(alias.keys() - {"parent", "hidden"}):
                raise InputError(f"style {style}: alias {name} uses {unknown[0]!r}, which is not supported")
            name = alias["parent"]
        icon = icons["icons"][name]
        left, top, width, height = (
            icon.get(key, icons.get(key, default))
            for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
        )
        side = max(width, height)
        return Svg(icon["body"], left + (width - side) / 2, top + (height - side) / 2, side)

    @functools.lru_cache(maxsize=16384)  # noqa: B019  (one Art lives as long as the process)
    def raster(self, style: str, hexcode: str, pixels: int) -> Image.Image:
        """
        Rasterise an emoji, cropped to what is drawn: some styles leave a wide margin, others none.

        Returns
        -------
        Image.Image
            RGBA, straight alpha, `pixels` × `pixels`; shared between calls, not to be changed.
        """
        svg = self.svg(style, hexcode)
        probe = 32
        drawn = rasterise(svg, probe).getchannel("A").getbbox() or (0, 0, probe, probe)
        unit = svg.side / probe
        side = unit * max(drawn[2] - drawn[0], drawn[3] - drawn[1])
        left = svg.left + unit * (drawn[0] + drawn[2]) / 2 - side / 2
        top = svg.top + unit * (drawn[1] + drawn[3]) / 2 - side / 2
        return rasterise(Svg(svg.body, left, top, side), pixels)


@dataclass(frozen=True)
class Svg:
    """Body of an SVG and the square that is looked at: left, top and side in the body's units."""

    body: str
    left: float
    top: float
    side: float


def rasterise(svg: Svg, pixels: int) -> Image.Image:
    """Rasterise an SVG: RGBA, straight alpha, `pixels` × `pixels`."""
    document = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{svg.left:g} {svg.top:g} {svg.side:g} {svg.side:g}">{svg.body}</svg>'
    )
    data = resvg_py.svg_to_bytes(svg_string=document, width=pixels, height=pixels)
    return Image.open(io.BytesIO(bytes(data))).convert("RGBA")


def plain(hexcode: str) -> str:
    """
    Write a code point sequence as the icon sets do: lower case, without the variation selector FE0F.

    Parameters
    ----------
    hexcode : str
        Code points joined by ``-``.
    """
    return "-".join(part for part in hexcode.lower().split("-") if part != "fe0f")


def _names(style: str, cache: Path) -> dict[str, str]:
    source = STYLES[NAMED_AFTER.get(style, style)]
    table: dict[str, str] = read_json(fetch(source, cache), "package/chars.json")
    return {plain(code): name for code, name in table.items()}
