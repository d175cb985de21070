"""Whether a run is the committed one: by hand on locks and metrics, and on a real repository."""

import math
import subprocess
import sys

import numpy as np
import pytest
import yaml
from scipy import stats

from stages.results.details import Estimate
from stages.results.noise import Noise
from stages.tools.verify import DIFFERENT, EQUAL, WITHIN, distances, markdown, verdicts
from tests.helpers.small_project import RESULTS, SCORE, Project

NOISE = "metric,cells,sd,df,sd_paired,df_paired\nrb.gender,16,0.05,32,0.01,30\n"


def stage(out="1", data="a", code="c", params=None):
    return {
        "cmd": "x",
        "deps": [{"path": "data/x", "md5": data}, {"path": "stages/x", "md5": code}],
        "params": {"params.yaml": params or {"train": {"rate": 1}}},
        "outs": [{"path": "data/smoke/x", "md5": out}],
    }


def judged(name, reference, found, beyond=False):
    return verdicts({name: reference}, {name: found}, beyond)[name.split("@")[0]][0]


def test_equal_hashes_are_equal_whatever_code_and_metrics_say():
    assert judged("train@0", stage(), stage(code="d"), beyond=True) == EQUAL


def test_other_hashes_of_a_network_are_judged_by_the_metrics():
    assert judged("train@0", stage(), stage("2")) == WITHIN
    assert judged("train@0", stage(), stage("2"), beyond=True) == DIFFERENT


def test_what_is_computed_exactly_has_to_be_equal_given_equal_inputs():
    assert judged("download", stage(), stage("2")) == DIFFERENT
    assert judged("balance", stage(), stage("2")) == DIFFERENT
    assert judged("balance", stage(), stage("2", data="b")) == WITHIN


def test_other_parameters_are_another_run():
    found = verdicts({"train@0": stage()}, {"train@0": stage("2", params={"train": {"rate": 2}})}, False)
    assert found == {"train": (DIFFERENT, "train.rate: 2, reference 1")}
    silent = {"gate": {"quality_drop": 0.1}, "train": {"rate": 1}}
    assert judged("plot", stage(), stage("2", params=silent)) == WITHIN  # no score depends on it
    assert judged("train@0", stage(), stage("1", params={"train": {"rate": 2}})) == EQUAL


def test_the_worst_item_of_a_stage_counts():
    items = {f"generate@{i}": stage() for i in range(3)}
    found = verdicts(items, items | {"generate@1": stage("2")}, False)
    assert found == {"generate": (WITHIN, "")}
    assert verdicts(items, items | {"generate@3": stage()}, False)["generate"] == (DIFFERENT, "only in this run")


def test_z_by_hand_and_a_limit_for_all_metrics_together():
    old = {"rb.gender": Estimate(0.1, n=2), "people.t2i.r5": Estimate(8.0, n=2), "people.i2t.r5": Estimate(8.0, n=2)}
    new = old | {"rb.gender": Estimate(0.2, n=2), "people.i2t.r5": Estimate(9.0, n=2)}
    spread = {"rb.gender": Noise(0.05, 32, 0.01, 30), "people.t2i.r5": Noise(0.5, 32, 0.5, 30)}
    first, second, last = distances(old, new, spread)
    assert (first.key, first.z) == ("rb.gender", pytest.approx(2.0)) and not first.beyond
    assert first.limit == pytest.approx(stats.t.ppf(1 - 0.01 / 4, 32))
    assert (second.key, second.z) == ("people.t2i.r5", 0.0)
    assert last.key == "people.i2t.r5" and math.isnan(last.z) and not last.beyond
    assert "The study has no replicates of 1 metric: not judged." in markdown({"train": (WITHIN, "")}, [first, last])


def test_runs_that_differ_by_chance_are_hardly_ever_called_different():
    rng = np.random.default_rng(0)
    keys = ["rb.gender", "people.t2i.r5", "people.i2t.r5", "objects.acc1", "people.recognition.gender"]
    spread, alarms = dict.fromkeys(keys, Noise(1.0, 1000, 1.0, 1000)), 0
    for _ in range(2000):
        old, new = (
            {key: Estimate(float(v), n=2) for key, v in zip(keys, rng.normal(0, 0.5**0.5, 5), strict=True)}
            for _ in "ab"
        )
        alarms += any(one.beyond for one in distances(old, new, spread))
    assert stats.binomtest(alarms, 2000, 0.01).pvalue > 0.001


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("verify"))
    made.do(sys.executable, "-m", "dvc", "repro", "--quiet")
    (made.folder / RESULTS / "study").mkdir()
    made.write(str(RESULTS / "study" / "noise.csv"), NOISE)
    made.commit("reference")
    return made


def verify(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.tools.verify", *arguments]
    return subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, text=True)


def repro(project: Project) -> None:
    project.do(sys.executable, "-m", "dvc", "repro", "--quiet")


def test_a_run_against_its_reference(project):
    done = verify(project)
    assert done.returncode == 0 and "**equal to the byte**" in done.stdout, done.stderr
    project.write("stages/score.py", SCORE + "\n# otherwise, to the same effect\n")
    repro(project)
    assert "**equal to the byte**" in verify(project).stdout
    project.write("stages/score.py", SCORE.replace("value = 0.2", "value = 0.21"))
    repro(project)
    done = verify(project)
    assert done.returncode == 0 and "**equal within the spread**" in done.stdout, done.stderr
    assert "| `evaluate` | equal within the spread |" in done.stdout
    assert "| representation bias · gender | 0.055 | 0.065 | +0.2 | 2.7 |" in done.stdout
    project.write("stages/score.py", SCORE.replace("value = 0.2", "value = 0.45"))
    repro(project)
    done = verify(project)
    assert done.returncode == 1 and "**different**" in done.stdout
    assert "| `evaluate` | different: its metrics are beyond the spread |" in done.stdout
    project.do("git", "checkout", "--", ".")
    params = yaml.safe_load((project.folder / "params.yaml").read_text())
    project.write("params.yaml", yaml.safe_dump(params | {"contamination": {"alpha": 0.1}}))
    repro(project)
    done = verify(project)
    assert done.returncode == 1 and "different: contamination.alpha: 0.1, reference 0.0" in done.stdout
    project.do("git", "checkout", "--", ".")


def test_what_cannot_be_judged_is_one_line(project):
    for arguments, said in (
        (["--against", "nowhere"], "nowhere: no such revision"),
        (["--against", "HEAD~1"], "dvc.lock"),
    ):
        done = verify(project, *arguments)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr
    for damage, said in (("- a\n", "dvc.lock: not as"), ("<<<<<<< x\na: [\n", "dvc.lock: not YAML")):
        project.write("dvc.lock", damage)
        done = verify(project)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr, done.stderr
    project.do("git", "checkout", "--", "dvc.lock")
    details = project.folder / RESULTS / "details.json"
    kept = details.read_text()
    details.write_text("{}\n")
    done = verify(project)
    assert done.returncode == 2 and "is not as dvc.lock has it" in done.stderr, done.stdout
    details.unlink()
    done = verify(project)
    assert done.returncode == 2 and "details.json: is not here" in done.stderr, done.stdout
    details.write_text(kept)
    noise = project.folder / RESULTS / "study" / "noise.csv"
    noise.unlink()
    project.write("stages/score.py", SCORE.replace("value = 0.2", "value = 0.21"))
    repro(project)
    done = verify(project)
    assert done.returncode == 2 and "run `make study`" in done.stderr
    project.do("git", "checkout", "--", ".")
