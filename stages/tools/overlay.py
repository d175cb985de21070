"""Curves and figures by group of two revisions in one page that needs no network: `dvc plots diff`, library inside.

    make plots                                     the working tree over origin/main, in .work/plots/index.html
    python -m stages.tools.overlay --against main        the same against another revision or experiment

The page that `dvc plots diff` itself writes loads its library from a host, and is blank without one.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import vl_convert

from stages.core.errors import InputError, run
from stages.core.scratch import work_folder
from stages.results.repository import git

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>clip-counterweight, {title}</title>
<style>body {{ font-family: sans-serif; margin: 1.5rem; overflow-x: auto }}</style>
<script>{library}</script>
</head>
<body>{{plot_divs}}</body>
</html>
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.overlay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", default="origin/main", metavar="REVISION", help="the other (default: origin/main)")
    parser.add_argument("--out", type=Path, help="folder (default: plots in the work folder)")
    arguments = parser.parse_args()
    known = git(Path(), "rev-parse", "--verify", "--quiet", f"{arguments.against}^{{commit}}")
    if not known and not git(Path(), "for-each-ref", f"refs/exps/*/*/{arguments.against}"):
        raise InputError(f"{arguments.against}: no such revision or experiment here; fetch it, or correct the name")
    template = work_folder("overlay") / "page.html"
    library = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    template.write_text(PAGE.format(title=f"this against {arguments.against}", library=library))
    out = arguments.out or work_folder("plots")
    command = [sys.executable, "-m", "dvc", "plots", "diff", arguments.against, "--out", str(out)]
    done = subprocess.run([*command, "--html-template", str(template)], capture_output=True, text=True, check=False)
    page = out / "index.html"
    if done.returncode or not page.is_file():
        reason = done.stderr.strip().splitlines()[-1:] or ["it drew nothing: no revision has results"]
        raise InputError(f"dvc plots diff: {reason[0]}")
    print(f"plots: {page}")


if __name__ == "__main__":
    run(main)
