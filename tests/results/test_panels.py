"""Colours: one meaning each, and readable as text on light and on dark pages; marks that tell their values."""

import io
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from stages.plot.figures import GROUP_COLOURS
from stages.results.panels import COLOURS, HEAD, SMALL, Panel, css, mark, png, svg, width, wrapped
from stages.results.sweep import LOOKS

PAGES = ("#f4f5f7", "#101317")  # behind the cards, as in report.css
UNREAD = {"paper", "rule"}  # background and grid


def luminance(colour: str) -> float:
    """WCAG 2.1's relative luminance."""
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("name", sorted(COLOURS.keys() - UNREAD))
def test_every_colour_can_be_read_as_text(name, theme):
    assert contrast(COLOURS[name][theme], COLOURS["paper"][theme]) >= 4.5


def test_ink_and_notes_can_be_read_beside_the_cards():
    assert all(contrast(COLOURS[name][t], PAGES[t]) >= 4.5 for name in ("ink", "muted") for t in (0, 1))


@pytest.mark.parametrize("theme", [0, 1])
def test_no_two_meanings_share_a_colour(theme):
    apart = [max(map(abs, (x - y for x, y in zip(to_rgb(a[theme]), to_rgb(b[theme]), strict=True))))
             for a, b in combinations(COLOURS.values(), 2)]  # fmt: skip
    assert min(apart) > 0.05


def test_no_two_methods_share_a_colour():
    assert len({colour for colour, *_ in LOOKS.values()}) == len(LOOKS)


def test_methods_have_no_colour_of_a_group():
    assert not {colour for colour, *_ in LOOKS.values()} & set(GROUP_COLOURS.values())


def test_the_page_defines_every_colour_of_a_chart():
    assert css(1).startswith("--ink: #e8eaed; --muted: #a2acb8;") and css(0).count("--") == len(COLOURS)


def test_a_mark_carries_its_value_and_its_line_as_text():
    def draw(axes):
        mark(axes.plot([0], [1], "o")[0], 'a "b" <c> & 1|2', "m4|x")
        mark(axes.plot([0], [1])[0], series="m4|x")

    text = svg(Panel("p", "alt", draw))
    assert text.count('data-series="m4/x"') == 2
    assert text.count('data-tip="a &quot;b&quot; &lt;c&gt; &amp; 1|2"') == 1
    assert "mark|" not in text


def test_the_smallest_text_has_11_pixels_on_a_phone():
    """A page of 390 pixels leaves 340 to a panel of the usual width."""
    assert SMALL * 4 / 3 * 340 / (96 * Panel("p", "", lambda _: None).width) >= 11


def test_a_text_is_broken_where_it_would_be_cut():
    title = (
        "Published definitions against corrected ones, the same model, and a_word_that_is_wider_than_the_whole_panel"
    )
    lines = wrapped(title, 3.46, 12, "bold")
    assert " ".join(lines) == title and len(lines) > 2
    assert all(width(line, 12, "bold") <= 3.46 for line in lines[:-1])
    assert wrapped("", 3, 12) == [] and wrapped("r\u00a0=\u00a00.1", 0.1, 12) == ["r\u00a0=\u00a00.1"]


def ink(panel, title=""):
    """Return whether the outermost column on the right of a sheet is blank, and the size of the sheet."""
    with Image.open(io.BytesIO(png([panel], columns=3, title=title))) as image:
        pixels = np.asarray(image.convert("L"))
    return bool((pixels[:, -4:] == 255).all()), pixels.shape


def test_long_titles_and_notes_stay_on_the_sheet():
    def draw(axes):
        axes.plot([0, 1], [0, 1])
        axes.set_yticks([0, 1], ["a construction worker", "a police officer"])

    long = "P(occupation | woman) − P(occupation | man); grey: before, in colour: after; " * 2
    blank, (height, _) = ink(Panel("p", "", draw, title=long, note=long), title=long)
    assert blank and height > ink(Panel("p", "", draw))[1][0] + 12 * HEAD
