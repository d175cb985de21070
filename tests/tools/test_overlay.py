"""The plots of two revisions over each other, in headless Chromium with every host out of reach."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.helpers.small_project import RESULTS, ROOT, Project

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CURVES = "seed,step,metric,value\n" + "".join(f"0,{step},loss,{{}}\n" for step in (10, 20, 30))
PROBE = """<script>const timer = setInterval(() => {
  const drawn = document.querySelectorAll("canvas, svg.marks").length;
  if (!drawn) return;
  clearInterval(timer);
  const asked = performance.getEntriesByType("resource").filter((e) => !e.name.startsWith("data:")).length;
  document.body.insertAdjacentHTML("beforeend", `<pre id=probe>${drawn} ${asked}</pre>`);
}, 100)</script>"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with the templates of this one, and curves at two commits."""
    made = Project(tmp_path_factory.mktemp("overlay"))
    shutil.copytree(ROOT / ".dvc" / "plots", made.folder / ".dvc" / "plots")
    (curves,) = (of for of in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] if "curves" in str(of))
    settings = next(iter(curves.values()))
    path = RESULTS / "tables" / "curves.csv"
    graph = yaml.safe_load((made.folder / "dvc.yaml").read_text())
    made.write("dvc.yaml", yaml.safe_dump(graph | {"plots": [{path.as_posix(): settings}]}))
    (made.folder / path.parent).mkdir(parents=True)
    for values in ((3, 2, 1), (3, 1, 0.5)):
        made.write(str(path), CURVES.format(*values))
        made.commit("curves")
    return made


def overlay(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.tools.overlay", *arguments]
    return subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, text=True)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH (apt-get install chromium)")
def test_two_revisions_are_drawn_without_a_network(project, tmp_path):
    done = overlay(project, "--against", "HEAD~1")
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.removeprefix("plots: ").strip()).read_text()
    assert page.count('"rev": "HEAD~1"') == page.count('"rev": "workspace"') == 3
    assert not re.search(r"<script[^>]* src=", page)
    (tmp_path / "page.html").write_text(PROBE.join(page.rpartition("</body>")[:2]))
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'user'}", "--virtual-time-budget=20000",
        "--dump-dom", (tmp_path / "page.html").as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert re.search(r'<pre id="probe">1 0</pre>', dom), dom[-300:]


def test_an_unknown_revision_is_one_line(project):
    done = overlay(project, "--against", "nowhere")
    assert done.returncode == 2 and done.stderr.startswith("error: nowhere: no such revision")
    assert done.stderr.count("\n") == 1
