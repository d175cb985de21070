"""The report in headless Chromium: no error, no request, nothing hidden, pale or cut off; what can be clicked works."""

import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree.ElementTree import fromstring

import numpy as np
import pandas as pd
import pytest

from stages.plot.answer import Answer
from stages.plot.report import Content, render
from stages.plot.sheets import Described, Pair
from stages.results.details import Estimate
from stages.results.panels import Panel, mark
from stages.tools.params import load
from tests.helpers.recorded_run import FOLDER

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECTIONS = [
    "answer",
    "headline",
    "study",
    "data",
    "images",
    "occupations",
    "groups",
    "curves",
    "captions",
    "published",
    "metrics",
    "provenance",
]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH (apt-get install chromium)")

PROBE = """
<script>
window.addEventListener("load", () => {
  const table = document.querySelector("#metrics table.sortable");
  const column = (i) => [...table.tBodies[0].rows].map((row) => row.cells[i].textContent);
  const buttons = table.tHead.querySelectorAll("button");
  buttons[2].click();
  const ascending = [...table.tBodies[0].rows].map((row) => Number(row.cells[2].dataset.value));
  buttons[2].click();
  const descending = [...table.tBodies[0].rows].map((row) => Number(row.cells[2].dataset.value));
  const filter = document.getElementById("filter");
  filter.value = "people r@5"; filter.dispatchEvent(new Event("input"));
  const left = [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[0].textContent);
  const wide = document.documentElement.clientWidth;
  const shown = (e) => e.getClientRects().length > 0;
  const rgb = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
  };
  const contrast = (e) => {
    const style = getComputedStyle(e);
    const ends = [rgb(e.ownerSVGElement ? style.fill : style.color), behind(e)].map(luminance).sort((a, b) => a - b);
    return (ends[1] + 0.05) / (ends[0] + 0.05);
  };
  const texts = [...document.querySelectorAll("body *:not(script):not(style):not(pre)")]
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) && shown(e));
  const chart = document.querySelector("#study .panel") ?? document.querySelector(".panel");
  const mark = document.querySelector("[data-tip]");
  const tip = document.getElementById("tip");
  mark?.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
  const told = { tip: tip.textContent, hidden: tip.hidden, of: mark?.dataset.tip };
  const toggle = document.querySelector("[data-method]");
  const line = () => [...document.querySelectorAll("#study [data-series]")]
    .filter((e) => e.dataset.series === toggle?.dataset.method && shown(e)).length;
  const lines = [line()];
  toggle?.click(); lines.push(line());
  toggle?.click(); lines.push(line());
  const probe = {
    sections: [...document.querySelectorAll("section")].map((s) => {
      const box = s.getBoundingClientRect();
      return [s.id, box.width, box.height, getComputedStyle(s).visibility];
    }),
    overflow: document.documentElement.scrollWidth - wide,
    beyond: [...document.querySelectorAll("section, h2, p, .card, .panel, .pair, .caption, .scroll, svg")]
      .filter((e) => e.getBoundingClientRect().right > wide + 1).map((e) => e.tagName + "." + e.className),
    requests: performance.getEntriesByType("resource").map((e) => e.name).filter((name) => !name.startsWith("data:")),
    images: [...document.images].filter((i) => !i.complete || i.naturalWidth === 0).length,
    letters: Math.min(...[...document.querySelectorAll("svg text")].filter(shown).map((t) => {
      const { a, b } = t.getScreenCTM();
      return parseFloat(getComputedStyle(t).fontSize) * Math.hypot(a, b);
    })),
    pale: texts.filter((e) => contrast(e) < 4.5).map((e) => [e.textContent.trim().slice(0, 40), contrast(e)]),
    read: texts.length, told, lines, title: document.title,
    csv: chart.dataset.csv, svg: drawing(chart), skip: document.querySelector("a.skip").hash,
    uncaptioned: [...document.querySelectorAll("table")].filter((t) => !t.caption).length,
    broken: [...document.querySelectorAll("nav a")].filter((a) => !document.querySelector(a.hash)).length,
    background: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.querySelector(".panel svg")).color,
    width: wide, ascending, descending, left,
  };
  document.body.insertAdjacentHTML("beforeend", "<pre id=probe></pre>");
  document.getElementById("probe").textContent = JSON.stringify(probe);
});
</script>
"""


def look(page: Path, folder: Path, width: int, *flags: str) -> tuple[dict, str]:
    """Open the page, with every host out of reach; return what the probe saw and the lines of the console."""
    probed = folder / f"page-{width}.html"
    probed.write_text(page.read_text().replace("</body>", PROBE + "</body>"))
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--disable-default-apps",
        f"--user-data-dir={folder / f'user-{width}'}", "--enable-logging=stderr",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--window-size={width},1000", *flags, "--dump-dom", probed.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-500:]
    text = found[1].replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
    return json.loads(text), "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.fixture(scope="module")
def page(plotted: Path) -> Path:
    return plotted / FOLDER / "report.html"


@pytest.fixture(scope="module", params=[1280, 390])
def seen(request: pytest.FixtureRequest, page: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str]:
    return look(page, tmp_path_factory.mktemp("look"), request.param)


def test_no_error_on_the_console(seen):
    assert seen[1] == ""


def test_no_request_leaves_the_page(seen):
    assert seen[0]["requests"] == []


def test_a_request_would_be_noticed(page, tmp_path):
    text = page.read_text().replace("</main>", '<img src="http://127.0.0.1:9/pixel.png" alt=""></main>')
    (tmp_path / "strict.html").write_text(text)
    (tmp_path / "lax.html").write_text(re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", text))
    probe, console = look(tmp_path / "strict.html", tmp_path, 1280)
    assert "violates the following Content Security Policy" in console and probe["images"] == 1
    probe, _ = look(tmp_path / "lax.html", tmp_path, 1281)
    assert probe["requests"] == ["http://127.0.0.1:9/pixel.png"]


def test_every_section_is_visible(seen):
    assert [name for name, *_ in seen[0]["sections"]] == SECTIONS
    assert all(width > 300 and height > 80 and shown == "visible" for _, width, height, shown in seen[0]["sections"])


def test_nothing_is_cut_off(seen):
    assert seen[0]["overflow"] <= 0 and seen[0]["beyond"] == []


def test_every_image_shows(seen):
    assert seen[0]["images"] == 0


def test_text_in_charts_is_11_pixels_or_more(seen):
    assert seen[0]["letters"] >= 11


def test_every_text_has_the_contrast_of_the_standard(seen):
    assert seen[0]["pale"] == [] and seen[0]["read"] > 500


def test_a_mark_says_its_value_where_the_pointer_is(seen):
    told = seen[0]["told"]
    assert not told["hidden"] and told["tip"] == told["of"] != ""


def test_a_line_can_be_switched_off_and_on(seen):
    before, off, on = seen[0]["lines"]
    assert before == on > 20 and off == 0


def test_a_chart_can_be_taken_along_as_svg_and_csv(seen):
    table = pd.read_csv(io.StringIO(seen[0]["csv"]))
    assert {"method", "alpha", "mean", "std", "replicates"} <= set(table) and len(table) > 10
    drawing = fromstring(seen[0]["svg"])
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg" and "var(" not in seen[0]["svg"]
    assert "R@5" in drawing.find("{http://www.w3.org/2000/svg}text").text


def test_tables_have_captions_and_links_lead_somewhere(seen):
    assert seen[0]["uncaptioned"] == seen[0]["broken"] == 0 and seen[0]["skip"] == "#main"


def test_the_answer_is_on_the_first_screen(seen):
    """The first of the sections ends within the 1000 pixels of the window, at the width of a desktop."""
    if seen[0]["width"] > 1000:
        (height,) = (height for name, _, height, _ in seen[0]["sections"] if name == "answer")
        assert 300 < height < 850


EVIL = """"><img src="x" onerror="document.title='taken'"><script>document.title='taken'</script> | $\\frac{$"""


@pytest.mark.filterwarnings("ignore:constrained_layout not applied")  # the name is too long to fit, and shall be
def test_what_a_caption_or_a_label_says_is_never_run(tmp_path):
    blank = np.zeros((8, 8, 3), np.uint8)

    def draw(axes):
        mark(axes.barh([EVIL, "other"], [1, 2])[0], EVIL, EVIL)

    panel = Panel("evil", EVIL, draw, title=EVIL, note=EVIL, data=pd.DataFrame({EVIL: [EVIL]}))
    content = Content(
        params=load().model_dump(mode="json"),
        metrics={"people.t2i.r5": Estimate(4.0), EVIL: Estimate(1.0), "people.t2i.r1": Estimate(1.0)},
        pairs=[Pair("k", EVIL, blank, blank, {"real": EVIL, "synthetic": EVIL})],
        described=[Described("k", blank, [EVIL, EVIL], {EVIL: EVIL})],
        panels={"groups": [panel]},
        answers=[Answer(EVIL, EVIL, [EVIL])],
    )
    (tmp_path / "evil.html").write_text(render(content))
    probe, console = look(tmp_path / "evil.html", tmp_path, 1280)
    assert console == "" and probe["title"].startswith("clip-counterweight")
    assert (
        probe["told"]["tip"] == EVIL and EVIL in fromstring(probe["svg"]).find("{http://www.w3.org/2000/svg}text").text
    )


def test_it_prints_on_twelve_pages_or_fewer(page, tmp_path):
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}",
        f"--print-to-pdf={tmp_path / 'page.pdf'}", page.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, capture_output=True, timeout=240, check=True)
    pages = re.findall(rb"/Type\s*/Page\b", (tmp_path / "page.pdf").read_bytes())
    assert 3 < len(pages) <= 12


def test_tables_sort_both_ways(seen):
    assert seen[0]["ascending"] == sorted(seen[0]["ascending"]) != seen[0]["descending"]
    assert seen[0]["descending"] == sorted(seen[0]["descending"], reverse=True)


def test_the_filter_keeps_rows_with_all_words(seen):
    assert "people.t2i.r5" in seen[0]["left"]
    assert all(key.startswith("people.") and "r5" in key for key in seen[0]["left"])


def test_dark_pages_have_light_ink_and_the_same_contrast(page, tmp_path):
    light, dark = (
        look(page, tmp_path, 1000 + i, *flags)[0]
        for i, flags in enumerate([(), ("--blink-settings=preferredColorScheme=0",)])
    )
    assert dark["pale"] == []
    brightness = [
        sum(map(int, re.findall(r"\d+", p[name])[:3])) for p in (light, dark) for name in ("background", "ink")
    ]
    assert brightness[0] > 600 > 150 > brightness[1]
    assert brightness[2] < 150 < 600 < brightness[3]
