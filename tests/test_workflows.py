"""The workflows give a stranger's pull request nothing to keep."""

import re
from pathlib import Path

import yaml

WORKFLOWS = sorted((Path(__file__).parents[1] / ".github" / "workflows").glob("*.yml"))


def test_actions_are_pinned_by_commit_and_rights_are_least():
    for path in WORKFLOWS:
        flow = yaml.safe_load(path.read_text())
        assert flow["permissions"] in ({}, {"contents": "read"})
        for name, job in flow["jobs"].items():
            if "steps" not in job:  # it calls a workflow of this repository, which is looked at for itself
                assert re.fullmatch(r"\./\.github/workflows/[\w-]+\.yml", job["uses"])
                continue
            used = [step["uses"] for step in job["steps"] if "uses" in step]
            assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in used)
            rights = job.get("permissions", flow["permissions"])
            runs_their_code = any("make" in step.get("run", "") for step in job["steps"])
            assert "write" not in rights.values() or not runs_their_code, name


def test_a_pull_request_writes_to_no_cache():
    for path in WORKFLOWS:
        flow = yaml.safe_load(path.read_text())
        assert set(flow[True]) <= {
            "push",
            "pull_request",
            "workflow_call",
        }  # none lends its rights to strangers
        for job in flow["jobs"].values():
            for step in job.get("steps", []):
                action = step.get("uses", "").partition("@")[0]
                assert action != "actions/cache" and "cache" not in step.get("with", {})
                if action == "actions/cache/save":
                    assert "github.event_name == 'push'" in step["if"].split(" && ") and "||" not in step["if"]
