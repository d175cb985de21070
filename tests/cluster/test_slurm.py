"""The scripts of stages/cluster on a real SLURM of two nodes, which this test starts on this machine."""

import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import slurm
from tests.helpers.machines import SHARDS, Clone, Machines, ran, tars, wait, weights
from tests.helpers.slurm import Slurm

pytestmark = pytest.mark.skipif(bool(slurm.why_not()), reason=slurm.why_not() or "SLURM is there")
GENERATE = ("--array=0-1%64", "stages/cluster/slurm/generate.sbatch")
TRAIN = ("--array=0-1", "--nodes=2", "stages/cluster/slurm/train.sbatch")
KILLS = (1,) if slurm.SHORT else range(5)


@pytest.fixture(scope="module")
def machines(module_folder: Path) -> Machines:
    return Machines(module_folder)


@pytest.fixture(scope="module")
def cluster(machines: Machines) -> Iterator[Slurm]:
    with Slurm(machines.folder / "slurm", machines.first) as started:
        yield started


@pytest.fixture(scope="module")
def undisturbed(machines: Machines) -> Clone:
    """A machine that does it all itself, two processes per training, before any other has pushed anything."""
    alone = machines.clone("undisturbed")
    alone.do("dvc", "pull", "--quiet", "check", "download")
    assert alone.executed("repro", "balance") == {*(f"generate@{shard}" for shard in SHARDS), "annotate", "balance"}
    alone.environment["LAUNCH"] = "torchrun --standalone --nproc-per-node 2 -m"
    assert alone.executed("repro", "--single-item", "train@0", "train@1") == {"train@0", "train@1"}
    return alone


def disturb(cluster: Slurm, task: str, progress: Callable[[], int], seed: int) -> None:
    """Requeue a running task: the even times at random moments, the odd ones as soon as it has come further."""
    moments = random.Random(seed)
    for kill in KILLS:
        wait(f"{task} to run", lambda: cluster.queue().get(task, "RUNNING") == "RUNNING")
        if kill % 2:
            before = progress()
            wait("progress", lambda before=before: task not in cluster.queue() or progress() > before)
        time.sleep(moments.uniform(0, 1 if kill % 2 else 8))
        if task in cluster.queue():
            cluster.requeue(task)
    cluster.finish(600)


def parts(cluster: Slurm) -> list[Path]:
    return list(cluster.project.folder.glob(".work/generate/*/*.safetensors"))


@pytest.fixture(scope="module")
def generated(cluster: Slurm, undisturbed: Clone) -> list[str]:
    """The array cancelled in the middle, submitted again, and one task of it disturbed."""
    cluster.submit(*GENERATE)
    wait("the first images", lambda: parts(cluster))
    cluster.do("scancel", "--user=root")
    cluster.finish()
    job = cluster.submit(*GENERATE)
    disturb(cluster, f"{job}_0", lambda: len(parts(cluster)), seed=0)
    return [cluster.log(f"generate-{job}_{task}.log") for task in (0, 1)]


def test_each_task_of_the_array_generated_its_shard(cluster: Slurm, generated: list[str]) -> None:
    for shard, said in zip(SHARDS, generated, strict=True):
        assert set(ran(said)) == {f"generate@{shard}"}
    assert not [path for path in cluster.project.folder.glob(".work/clones/*") if path.is_dir()]
    assert cluster.project.do("git", "status", "--short") == ""


def test_the_collector_generates_nothing_and_has_the_bytes_of_an_undisturbed_run(
    cluster: Slurm, generated: list[str], undisturbed: Clone
) -> None:
    assert generated
    assert cluster.project.executed("repro", "--pull", "balance") == {"annotate", "balance"}
    assert tars(cluster.project) == tars(undisturbed)


def test_an_array_that_is_done_generates_nothing(cluster: Slurm, generated: list[str]) -> None:
    assert generated
    job = cluster.submit(*GENERATE)
    cluster.finish()
    for task, shard in enumerate(SHARDS):
        said = cluster.log(f"generate-{job}_{task}.log")
        assert ran(said) == []
        assert f"Stage 'generate@{shard}' is cached" in said


def test_two_models_on_the_same_two_nodes_end_with_the_weights_of_an_undisturbed_run(
    cluster: Slurm, generated: list[str], undisturbed: Clone
) -> None:
    """Both jobs at once, and one of them disturbed."""
    assert generated
    cluster.project.executed("repro", "--pull", "balance")
    cluster.project.commit("the mix")
    job = cluster.submit(*TRAIN, PROCESSES="1")
    log = cluster.project.folder / f"train-{job}_0.log"
    disturb(cluster, f"{job}_0", lambda: log.exists() and len(re.findall(r"step \d+ of", log.read_text())), seed=1)
    assert "going on at step" in cluster.log(f"train-{job}_0.log")
    for seed in (0, 1):
        assert set(ran(cluster.log(f"train-{job}_{seed}.log"))) == {f"train@{seed}"}
    assert cluster.project.executed("repro", "--pull", "--single-item", "train@0", "train@1") == set()
    assert [weights(cluster.project, seed) for seed in (0, 1)] == [weights(undisturbed, seed) for seed in (0, 1)]


@pytest.mark.skipif(slurm.SHORT, reason="ENGINES=1 runs it: two trainings with nothing to do start no node")
def test_where_there_is_nothing_to_train_no_node_is_started(cluster: Slurm, undisturbed: Clone) -> None:
    assert weights(undisturbed)
    job = cluster.submit(*TRAIN, PROCESSES="1")
    cluster.finish()
    for seed in (0, 1):
        said = cluster.log(f"train-{job}_{seed}.log")
        assert ran(said) == []
        assert f"Stage 'train@{seed}' is cached" in said


def test_a_task_without_an_index_says_how_to_submit_it(cluster: Slurm) -> None:
    for script, task in (("generate", "shard"), ("train", "seed")):
        job = cluster.submit("--output=%j.log", f"stages/cluster/slurm/{script}.sbatch")
        cluster.finish()
        assert f"submit with --array: one task per {task}" in cluster.log(f"{job}.log")
        (cluster.project.folder / f"{job}.log").unlink()
