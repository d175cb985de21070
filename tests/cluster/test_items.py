"""One item of the pipeline on each machine, without an engine, and as Kubernetes and SkyPilot would start it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.machines import CLUSTER, ROOT, SHARDS, Clone, Machines, free_ports, kill, ran, tars, wait, weights

SCRIPTS = sorted([*(ROOT / CLUSTER).rglob("*.sh"), *(ROOT / CLUSTER).rglob("*.sbatch")])
FIRST, LAST = SHARDS
EVERY_NODE = """#!/bin/bash
for ((rank = 0; rank < NODES; rank++)); do NODE_RANK=$rank "$@" & nodes+=($!); done
for node in "${nodes[@]}"; do wait "$node" || failed=$?; done
exit "${failed:-0}"
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
@pytest.mark.parametrize("command", [["bash", "-n"], [Path(sys.executable).with_name("shellcheck")]])
def test_the_scripts_are_sound(script: Path, command: list[str | Path]) -> None:
    done = subprocess.run([*command, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def manifest(engine: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / CLUSTER / engine / "generate.yaml").read_text())


@pytest.fixture(scope="module")
def machines(module_folder: Path) -> Machines:
    return Machines(module_folder)


@pytest.fixture(scope="module")
def pod(machines: Machines) -> str:
    """The last shard by the command of the Kubernetes manifest's container, killed in the middle and started again."""
    container = manifest("kubernetes")["spec"]["template"]["spec"]["containers"][0]
    places = {"PROJECT": str(machines.first.folder), "CLONES": "clones", "COUNTERWEIGHT_WORK": "volume"}
    assert places.keys() == {entry["name"] for entry in container["env"]}
    command = [*container["command"][1:], *container["args"]]
    for name in ("pod", "next pod"):
        (machines.folder / name).mkdir()
    volume = places | {"COUNTERWEIGHT_WORK": str(machines.folder / "volume"), "JOB_COMPLETION_INDEX": "1"}
    killed = machines.start(*command, project=machines.folder / "pod", **volume)
    wait("the first images", lambda: parts(machines))
    kill(killed)
    before = parts(machines)
    again = machines.start(*command, project=machines.folder / "next pod", **volume)
    wait("further images", lambda: len(parts(machines)) > len(before) or again.poll() is not None)
    after = parts(machines)
    said, _ = again.communicate()
    assert again.returncode == 0, said[-4000:]
    assert before.items() <= after.items(), "a part was made twice"
    return said


def parts(machines: Machines) -> dict[Path, int]:
    """Return the finished parts of shards, and when they were written."""
    return {path: path.stat().st_mtime_ns for path in machines.folder.glob("volume/generate/*/*.safetensors")}


@pytest.fixture(scope="module")
def collector(machines: Machines, pod: str) -> Clone:
    """A machine that collects; the first shard was made by two tasks at once."""
    assert pod
    tasks = [machines.start(CLUSTER / "shard.sh", "0") for _ in range(2)]
    said = [task.communicate()[0] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert sorted(map(ran, said)) == [[], [f"generate@{FIRST}"]]
    assert not [path for path in machines.first.folder.glob(".work/clones/*") if path.is_dir()]
    machine = machines.clone("collector")
    assert machine.executed("repro", "--pull", "balance") == {"annotate", "balance"}
    return machine


def test_a_task_that_was_killed_goes_on_where_it_stopped(pod: str) -> None:
    assert ran(pod) == [f"generate@{LAST}"]


def test_one_that_is_submitted_again_restores_what_is_done(machines: Machines, collector: Clone) -> None:
    """By the command of the SkyPilot task, on a machine that has git and the remote only."""
    task = manifest("skypilot")
    assert {"INDEX", "PROJECT", "COUNTERWEIGHT_WORK", "CLONES"} == task["envs"].keys()
    fresh = machines.folder / "spot machine"
    fresh.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(machines.first.folder), str(fresh / "project")], check=True)
    said = machines.run("-c", task["run"], project=fresh, INDEX="0", COUNTERWEIGHT_WORK=str(fresh), CLONES="clones")
    assert ran(said) == []
    assert f"Stage 'generate@{FIRST}' is cached" in said
    assert tars(collector)


def test_changes_that_are_not_committed_are_named(machines: Machines, collector: Clone) -> None:
    params = collector.folder / "params.yaml"
    before = params.read_text()
    params.write_text(before + "# changed\n")
    said = machines.run(CLUSTER / "shard.sh", "0", project=collector.folder)
    params.write_text(before)
    assert f"warning: {collector.folder}: there are changes that are not committed" in said
    assert ran(said) == []


def test_two_nodes_train_what_two_processes_of_a_machine_of_its_own_trained(
    machines: Machines, collector: Clone
) -> None:
    collector.commit("the mix")
    alone = {
        "LAUNCH": "torchrun --standalone --nproc-per-node 2 -m",
        "COUNTERWEIGHT_WORK": str(machines.folder / "own"),
    }
    assert ran(machines.run(CLUSTER / "item.sh", "train@0", project=collector.folder, **alone)) == ["train@0"]
    assert collector.executed("repro", "--pull", "--single-item", "train@0") == set()
    expected = weights(collector)
    (machines.folder / "every_node.sh").write_text(EVERY_NODE)
    collector.environment |= {
        "LAUNCH": f"bash {machines.folder}/every_node.sh bash {CLUSTER / 'node.sh'}",
        "NODES": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_ports(1)[0]),
    }  # fmt: skip
    assert collector.executed("repro", "--force", "--no-run-cache", "--single-item", "train@0") == {"train@0"}
    assert weights(collector) == expected


@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_the_manifest_is_what_kubernetes_takes(version: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install '.[engines]'")
    kubernetes_validate.validate(manifest("kubernetes"), version, strict=True)
    wrong = manifest("kubernetes")
    wrong["spec"]["completion"] = wrong["spec"].pop("completions")
    with pytest.raises(kubernetes_validate.ValidationError, match="completion"):
        kubernetes_validate.validate(wrong, version, strict=True)


SKYPILOT = """
import sys, sky, yaml
secrets = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]
task = yaml.safe_load(open(sys.argv[1]))
task = sky.Task.from_yaml_config(task, [("INDEX", "7"), ("PROJECT", "url")], secrets)
print(task.envs["INDEX"], all(resources.use_spot for resources in task.resources))
"""


def test_the_task_is_what_skypilot_takes(tmp_path: Path) -> None:
    """Its pins are others than ours, so it has an environment of its own."""
    interpreter = os.environ.get("SKYPILOT_PYTHON")
    if not interpreter:
        pytest.skip("SKYPILOT_PYTHON is not set to the interpreter of an environment with `pip install skypilot`")
    environment = os.environ | {"HOME": str(tmp_path), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}

    def check(path: Path) -> subprocess.CompletedProcess[str]:
        words = [interpreter, "-c", SKYPILOT, str(path)]
        return subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = check(ROOT / CLUSTER / "skypilot/generate.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["7", "True"]
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((ROOT / CLUSTER / "skypilot/generate.yaml").read_text().replace("use_spot", "use_spots"))
    assert "use_spots" in check(wrong).stderr
