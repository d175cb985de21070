"""What a pull request changes, as Markdown: parameters, metrics, and whether the gate lets it through.

    make pr-check                                         the last commit against origin/main, in .work/pull-request.md
    python -m stages.tools.pull_request --against main          printed

Two things are compared. The results that both sides have committed, of the profile in params.yaml: what the change
does. And a run of a small profile from both sides on this machine, in a clone: that the pipeline still works, and does
nothing grossly worse; of that size, it says little about bias. Parameters are those of params.yaml and of both
profiles. Exit code 0: the gate lets it through, 1: it does not, 2: it cannot be judged.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from stages.core.errors import InputError, run
from stages.core.scratch import VARIABLE, work_folder
from stages.results.formatting import counted
from stages.results.repository import git, show
from stages.tools.experiment_clone import Workplace, experiments
from stages.tools.gate import check, markdown
from stages.tools.params import load

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
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the Markdown there, too")
    arguments = parser.parse_args()
    params = load()
    if not params.gate.metrics:
        raise InputError("params.yaml: gate.metrics: empty, so nothing is guarded; name at least one metric")
    scale = load(profile=arguments.profile)
    head, base = _commit("HEAD"), _base(arguments.against)
    place = Workplace(
        Path(), work_folder("pull-request") / "clone", {**os.environ, VARIABLE: str(work_folder("").resolve())}
    )
    before, after = (_run(place, commit, scale.profile) for commit in (base, head))
    committed = params.folder / "results" / "metrics.json"
    profiles = {f"stages/profiles/{name}.yaml" for name in (params.profile, scale.profile)}
    blocks = [
        f"## {_name(head)} against {_name(base)}",
        "### Parameters",
        _dvc(place, "params", base, head, "--targets", "params.yaml", *sorted(profiles)) or "No parameter changes.",
    ]
    failed = False
    parts = ((f"Committed results, profile {params.profile}", committed, base, head),) * (scale != params) + (
        (f"Run on this machine, profile {scale.profile}", scale.folder / "results" / "metrics.json", before, after),
    )
    for title, path, old, new in parts:
        sides = [_metrics(place, revision, path) for revision in (old, new)]
        blocks.append(f"### {title}")
        if sides[0] is None or sides[1] is None:
            where = "base" if sides[0] is None else "change"
            blocks.append(f"`{path.as_posix()}` is not committed on the side of the {where}: nothing to compare.")
            continue
        checks = check(params.gate.metrics, sides[0], sides[1])
        failed |= any(one.failed for one in checks)
        blocks += [markdown(checks), _folded(_dvc(place, "metrics", old, new, "--targets", path.as_posix()))]
    text = "\n\n".join(blocks) + "\n"
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text)
    print(text, end="")
    if failed:
        raise SystemExit(1)


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
    return f"`{commit[:8]}` ({subject})"


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


def _metrics(place: Workplace, revision: str, path: Path) -> Mapping[str, float] | None:
    try:
        return json.loads(show(place.folder, revision, path))
    except InputError:
        return None


def _dvc(place: Workplace, what: str, old: str, new: str, *more: str) -> str:
    """Let DVC write a difference; empty where there is none."""
    table = place.do(sys.executable, "-m", "dvc", what, "diff", "--md", old, new, *more).strip()
    rows = [row.replace(old, "before").replace(new, "after") for row in table.splitlines()]
    return "\n".join(rows) if len(rows) > 2 else ""


def _folded(table: str) -> str:
    if not table:
        return "No metric changes."
    count = counted(len(table.splitlines()) - 2, "metric")
    return f"<details><summary>{count} changed</summary>\n\n{table}\n\n</details>"


if __name__ == "__main__":
    run(main)
