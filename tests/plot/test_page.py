"""The report in headless Chromium: no error, no request, nothing hidden or cut off; tables sort; light and dark."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.recorded_run import FOLDER

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECTIONS = [
    "headline",
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
    letters: Math.min(...[...document.querySelectorAll("section:not(#none) svg text")]
      .map((t) => t.getBoundingClientRect()).filter((b) => b.width > b.height).map((b) => b.height)),
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


def test_chart_text_is_legible(seen):
    assert seen[0]["letters"] >= 7


def test_tables_sort_both_ways(seen):
    assert seen[0]["ascending"] == sorted(seen[0]["ascending"]) != seen[0]["descending"]
    assert seen[0]["descending"] == sorted(seen[0]["descending"], reverse=True)


def test_the_filter_keeps_rows_with_all_words(seen):
    assert "people.t2i.r5" in seen[0]["left"]
    assert all(key.startswith("people.") and "r5" in key for key in seen[0]["left"])


def test_dark_pages_have_light_ink(page, tmp_path):
    light, dark = (
        look(page, tmp_path, 1000 + i, *flags)[0]
        for i, flags in enumerate([(), ("--blink-settings=preferredColorScheme=0",)])
    )
    brightness = [
        sum(map(int, re.findall(r"\d+", p[name])[:3])) for p in (light, dark) for name in ("background", "ink")
    ]
    assert brightness[0] > 600 > 150 > brightness[1]
    assert brightness[2] < 150 < 600 < brightness[3]
