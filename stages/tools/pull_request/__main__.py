"""What a pull request changes, as a comment: verdict, parameters, ten metrics, what else moved beyond noise.

    make pr-check                                               the last commit against origin/main
    python -m stages.tools.pull_request --against main          the same, printed only

Two things are looked at. The results that both sides have committed, of the profile in params.yaml, go through the
gate (`stages.tools.gate`), stale ones first. And a small profile runs on both sides on this machine, in a clone: that
the pipeline still works and training learns; of that size, it says nothing about bias. `--out FOLDER` takes
comment.md (at most 6,000 characters), full.md, gate.json and gate.xml. Exit codes are those of the gate: 0 passed,
1 failed, 2 cannot be judged, 3 cannot tell.
"""

import argparse
import io
import json
import os
import sys
from pathlib import Path

import pandas as pd

from stages.core.errors import InputError, run
from stages.core.scratch import VARIABLE, work_folder
from stages.results import details
from stages.results.repository import git, show
from stages.tools.check_lock import outdated
from stages.tools.experiment_clone import Workplace, experiments
from stages.tools.gate import documents
from stages.tools.gate.__main__ import exit_code, noise_before, of_revision
from stages.tools.gate.checks import Side, judge, outcome
from stages.tools.params import Params, load
from stages.tools.pull_request import comment

SCALE = "smoke"


def main() -> None:
    """Compare the last commit with the one that it branched off."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.pull_request",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--against", default="origin/main", metavar="REVISION", help="target (default: origin/main)")
    parser.add_argument("--profile", default=SCALE, help=f"what is run on both sides (default: {SCALE})")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write comment, full report and outcome there")
    parser.add_argument("--artifact", default="", metavar="URL", help="where the full report can be read")
    arguments = parser.parse_args()
    params = load()
    if not params.gate.metrics:
        raise InputError("params.yaml: gate.metrics: empty, so nothing is guarded; name at least one metric")
    scale = load(profile=arguments.profile)
    head, base = _commit("HEAD"), _base(arguments.against)
    environment = {**os.environ, VARIABLE: str(work_folder("").resolve())}
    bare = Workplace(Path(), work_folder("pull-request") / "lock", environment)  # without data: only the lock counts
    bare.prepare(head)
    stale = outdated(bare.folder)
    place = Workplace(Path(), work_folder("pull-request") / "clone", environment)
    _run(place, base, scale.profile)
    tried = _try(place, _run(place, head, scale.profile), scale)
    learns = tried[0]
    sides = _sides(base, head, params.folder)
    spread = noise_before(Path(), base, params.folder)
    checks = judge(params.gate.metrics, *sides, spread, params.gate.quality_drop) if sides else []
    files = {f"stages/profiles/{name}.yaml" for name in (params.profile, scale.profile)}
    diff = ("diff", "--targets", "params.yaml", *sorted(files), "--json", base, head)
    heading = {
        "commits": f"{_name(head)} against {_name(base)}",
        "profile": params.profile,
        "scale": scale.profile,
    }
    blocks = comment.blocks(
        heading, stale, comment.parameters(_dvc(bare, "params", *diff)), sides, checks, spread, tried
    )
    text = comment.assemble(blocks, arguments.artifact)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        written = {
            "comment.md": text,
            "full.md": documents.markdown(checks, stale) + (_every(*sides) if sides else ""),
            "gate.json": documents.as_json(checks, stale, learns),
            "gate.xml": documents.junit(checks, stale, params.gate.cannot_tell == "pass", learns),
        }
        for name, content in written.items():
            (arguments.out / name).write_text(content)
    print(text, end="")
    if code := exit_code(outcome(checks, stale.keys(), learns), params.gate):
        raise SystemExit(code)


def _commit(revision: str) -> str:
    commit = git(Path(), "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit is None:
        raise InputError(f"{revision}: no such revision here; fetch it, or name another one by --against")
    return commit.strip()


def _base(revision: str) -> str:
    """Find the commit that the change branched off."""
    commit = git(Path(), "merge-base", "HEAD", _commit(revision))
    if commit is None:
        raise InputError(f"{revision}: has no commit in common with HEAD; fetch the whole history (fetch-depth: 0)")
    return commit.strip()


def _name(commit: str) -> str:
    subject = (git(Path(), "log", "-1", "--format=%s", commit) or "").strip()
    return f"`{commit[:8]}` ({documents.escaped(subject[:100])})"


def _run(place: Workplace, commit: str, profile: str) -> str:
    """Run a profile at a commit, unless that was done; return the experiment's commit."""
    place.prepare(commit)
    name = f"pr-{profile}-{commit[:12]}"
    log = place.folder.with_name(f"{name}.log")
    if name not in experiments(place.folder):
        print(f"{name}: running; output in {log}", file=sys.stderr, flush=True)
        if not place.run(name, commit, [f"++profile='{profile}'"], log):
            said = [line for line in log.read_text(errors="replace").splitlines() if "error" in line.lower()]
            raise InputError(f"profile {profile} fails at {commit[:8]}: {(said or ['no message'])[-1]}; see {log}")
    found = git(place.folder, "rev-parse", experiments(place.folder)[name])
    assert found is not None
    return found.strip()


def _try(place: Workplace, commit: str, scale: Params) -> tuple[bool, str]:
    """Check the results of the small run: metrics that are numbers, and a loss that falls."""
    results = scale.folder / "results"
    details.read(show(place.folder, commit, results / "details.json"), f"{scale.profile}: details.json")
    return comment.loss(pd.read_csv(io.StringIO(show(place.folder, commit, results / "tables" / "curves.csv"))))


def _sides(base: str, head: str, folder: Path) -> tuple[Side, Side] | None:
    """Read the committed results of both sides; None where one has none."""
    path = (folder / "results" / "details.json").as_posix()
    if any(git(Path(), "cat-file", "-e", f"{commit}:./{path}") is None for commit in (base, head)):
        return None
    return of_revision(Path(), base, folder), of_revision(Path(), head, folder)


def _dvc(place: Workplace, what: str, *words: str) -> dict[str, dict[str, dict[str, object]]]:
    """Let DVC say a difference."""
    return json.loads(place.do(sys.executable, "-m", "dvc", what, *words) or "{}")


def _every(old: Side, new: Side) -> str:
    """Tabulate every metric that differs."""
    rows = [
        f"| {documents.code(key)} | {old.metrics[key].value if key in old.metrics else '–'} | "
        f"{new.metrics[key].value if key in new.metrics else '–'} |"
        for key in sorted(old.metrics.keys() | new.metrics.keys())
        if key not in old.metrics or key not in new.metrics or old.metrics[key].value != new.metrics[key].value
    ]
    return "\n".join(
        ["", "## Every metric that differs", "", "| metric | before | after |", "|---|--:|--:|", *rows, ""]
    )


if __name__ == "__main__":
    run(main)
