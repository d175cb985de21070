"""The stage as a command on a run of the smoke profile: files, figures by an independent way, repeats, errors."""

import contextlib
import io
import json
import shutil
import statistics
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import SEEDS, git
from PIL import Image

from stages.core.errors import run
from stages.plot import provenance
from stages.plot.__main__ import main

FOLDER = Path("data/smoke")


def plot(root: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the command in this process; return its exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(root)
        patch.setattr(sys, "argv", ["plot", *arguments])
        try:
            run(main)
        except SystemExit as stop:
            return int(str(stop.code or 0)), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def contents(root: Path) -> dict[str, bytes]:
    results = root / FOLDER / "results"
    return {str(path.relative_to(results)): path.read_bytes() for path in results.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def plotted(finished: Path) -> Path:
    code, _, error = plot(finished)
    assert code == 0, error
    return finished


@pytest.fixture
def copy(plotted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plotted, tmp_path / "copy", symlinks=True))


def metrics(root: Path) -> dict[str, float]:
    return json.loads((root / FOLDER / "results" / "metrics.json").read_text())


def test_every_file_is_there(plotted):
    names = set(contents(plotted))
    assert names >= {"metrics.json", "report.html"}
    assert {
        f"tables/{name}.csv"
        for name in ("metrics", "seeds", "groups", "associations", "occupations", "curves", "published")
    } <= names
    assert {
        f"figures/{name}.png" for name in ("data", "occupations", "groups", "curves", "published", "images")
    } <= names
    assert not [name for name in names if "partial" in name]


def test_metrics_are_mean_and_spread_of_the_scores(plotted):
    scores = [json.loads((plotted / FOLDER / "scores" / str(seed) / "metrics.json").read_text()) for seed in SEEDS]
    found = metrics(plotted)
    for key in scores[0]:
        values = [score[key] for score in scores]
        assert found[key] == pytest.approx(statistics.fmean(values), abs=1e-12)
        if not key.endswith((".lo", ".hi")):
            assert found[f"{key}.std"] == pytest.approx(statistics.stdev(values), abs=1e-12)
    assert found["seeds"] == len(SEEDS)


def test_metrics_hold_the_bias_of_the_data(plotted):
    balance = json.loads((plotted / FOLDER / "balance" / "balance.json").read_text())
    found = metrics(plotted)
    for name in ("rb", "ab", "ab_mean"):
        for when in ("before", "realised"):
            assert found[f"data.{name}.{when}"] == balance[when][name]
    assert found["data.ab.realised"] < found["data.ab.before"]


def test_tables_hold_every_seed(plotted):
    tables = plotted / FOLDER / "results" / "tables"
    seeds, curves = pd.read_csv(tables / "seeds.csv"), pd.read_csv(tables / "curves.csv")
    assert set(seeds["seed"]) == set(curves["seed"]) == set(SEEDS)
    assert set(curves["metric"]) >= {"loss", "retrieval_r5", "representation_bias", "pairwise_association"}
    one = json.loads((plotted / FOLDER / "scores" / "1" / "metrics.json").read_text())
    row = seeds[(seeds["seed"] == 1) & (seeds["metric"] == "people.t2i.r5")]
    assert row["value"].item() == pytest.approx(one["people.t2i.r5"], rel=1e-5)


def test_groups_are_the_means_of_the_seeds_tables(plotted):
    found = pd.read_csv(plotted / FOLDER / "results" / "tables" / "groups.csv")
    mine = found[(found["metric"] == "retrieval.t2i.5") & (found["group"] == "woman")]
    expected = []
    for seed in SEEDS:
        table = pd.read_csv(plotted / FOLDER / "scores" / str(seed) / "retrieval.csv")
        table = table[(table["direction"] == "t2i") & (table["k"] == 5) & (table["group"] == "woman")]
        expected.append(table["value"].item())
    assert mine["value"].item() == pytest.approx(statistics.fmean(expected), rel=1e-5)


def test_figures_are_pictures_with_something_on_them(plotted):
    for path in (plotted / FOLDER / "results" / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.width > 400 and len(image.convert("RGB").getcolors(1 << 24)) > 20


@pytest.fixture(scope="module")
def again(plotted: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the results before and after another run, at a later commit, among files of others."""
    root = Path(shutil.copytree(plotted, tmp_path_factory.mktemp("again") / "copy", symlinks=True))
    before = contents(root)
    results = root / FOLDER / "results"
    (results / "others").mkdir()
    (results / "others" / "runs.csv").write_text("x\n")
    (results / "tables" / "stale.csv").write_text("x\n")
    shutil.copytree(root / FOLDER / "scores" / "0", root / FOLDER / "scores" / "99")
    (root / FOLDER / "scores" / "99" / "metrics.json").write_text("{}")
    values = metrics(root)
    (results / "metrics.json").write_text(json.dumps(values | {"people.t2i.r5": values["people.t2i.r5"] - 1}))
    git(root, "add", "-f", str(FOLDER / "results" / "metrics.json"))
    git(root, "commit", "-qm", "results")
    assert plot(root)[0] == 0
    return before, contents(root)


def test_another_run_gives_the_same_bytes_but_for_the_report_that_names_the_commit(again):
    before, after = again
    assert {name for name in before if before[name] != after[name]} == {"report.html"}


def test_the_report_names_what_changed_but_not_what_a_run_writes(again, copy):
    assert "git checkout</code> the commit and run it again" in again[1]["report.html"].decode()
    git(copy, "commit", "-qm", "what dvclive adds")
    (copy / "dvc.lock").write_text("{}\n")
    git(copy, "add", "-f", "dvc.lock", str(FOLDER / "results" / "metrics.json"))
    assert provenance.commit(copy).changed == ()
    with (copy / "params.yaml").open("a") as file:
        file.write("# changed\n")
    assert provenance.commit(copy).changed == ("params.yaml",)
    assert plot(copy)[0] == 0
    said = (copy / FOLDER / "results" / "report.html").read_text()
    assert "with changes that are not in it: params.yaml" in said and "run it again" not in said


def test_the_report_compares_with_the_last_commit(again):
    said = "the change against the last commit"
    assert said not in again[0]["report.html"].decode() and said in again[1]["report.html"].decode()


def test_what_others_keep_in_the_results_stays(again):
    assert again[1]["others/runs.csv"] == b"x\n"


def test_stale_tables_go(again):
    assert "tables/stale.csv" not in again[1]


def test_summary_prints_the_headline_and_writes_nothing(copy):
    before = contents(copy)
    code, out, _ = plot(copy, "--summary")
    assert code == 0
    assert f"{metrics(copy)['people.t2i.r5']:.1f} %" in out and "data/smoke/results/report.html" in out
    assert contents(copy) == before


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("scores/1/metrics.json", "scores/1/metrics.json: no such file"),
        ("balance/associations.csv", "associations.csv: no such file"),
        ("captions/0/clipcap.parquet", "clipcap.parquet: no such file"),
        ("models/2/curves", "models/2/curves"),
        ("annotation.json", "annotation.json: no such file"),
        ("attributes.parquet", "attributes.parquet: no such file"),
        ("synthetic/00000.tar", "00000.tar: no such shard"),
    ],
)
def test_a_missing_input_is_one_line_and_leaves_the_old_results(copy, path, said):
    before = contents(copy)
    target = copy / FOLDER / path
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    code, _, error = plot(copy)
    assert code == 2
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error
    assert contents(copy) == before


def test_broken_json_is_one_line(copy):
    (copy / FOLDER / "scores" / "0" / "metrics.json").write_text('{"a": ')
    code, _, error = plot(copy)
    assert code == 2 and error.count("\n") == 1 and "not readable JSON" in error


def test_summary_without_results_says_what_to_do(copy):
    shutil.rmtree(copy / FOLDER / "results")
    code, _, error = plot(copy, "--summary")
    assert code == 2 and "run `dvc repro`" in error
