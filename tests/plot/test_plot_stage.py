"""The stage as a command on a recorded run of the smoke profile: files, figures another way, repeats, errors."""

import json
import shutil
import statistics
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from stages.results import rounds
from stages.results.details import ENDS, Details, read
from stages.results.headline import MOST
from tests.helpers.recorded_run import FOLDER, SEEDS, plot

TABLES = ("metrics", "seeds", "groups", "associations", "occupations", "curves", "published")
FIGURES = ("answer", "data", "occupations", "groups", "curves", "published", "images")


def contents(root: Path) -> dict[str, bytes]:
    results = root / FOLDER / "results"
    files = {
        str(path.relative_to(results)): path.read_bytes()
        for path in results.rglob("*")
        if path.is_file() and path.parent.name != "study"  # an input
    }
    return files | {"report.html": (root / FOLDER / "report.html").read_bytes()}


@pytest.fixture
def copy(plotted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plotted, tmp_path / "copy", symlinks=True))


def details(root: Path) -> Details:
    return read(root / FOLDER / "results" / "details.json")


def test_every_file_is_there(plotted):
    expected = {"metrics.json", "details.json", "report.html"}
    expected |= {f"tables/{name}.csv" for name in TABLES} | {f"figures/{name}.png" for name in FIGURES}
    assert set(contents(plotted)) == expected


def test_details_are_mean_interval_and_spread_of_the_scores(plotted):
    scores = [json.loads((plotted / FOLDER / "scores" / str(seed) / "metrics.json").read_text()) for seed in SEEDS]
    found = details(plotted)
    assert len([key for key in scores[0] if key in found]) > 100
    for key in scores[0].keys() & scores[1].keys():
        name, _, end = key.rpartition(".")
        values = [score[key] for score in scores]
        if end in ENDS:
            assert getattr(found[name], end) == pytest.approx(statistics.fmean(values), abs=1e-12)
        else:
            assert found[key].value == pytest.approx(statistics.fmean(values), abs=1e-12)
            assert found[key].std == pytest.approx(statistics.stdev(values), abs=1e-12)
            assert found[key].n == len(SEEDS)


def test_metrics_are_the_headline_of_the_details(plotted):
    head = json.loads((plotted / FOLDER / "results" / "metrics.json").read_text())
    assert 10 < len(head) <= MOST
    assert head == {key: details(plotted)[key].value for key in head}
    assert {"people.t2i.r5", "rb.gender", "captions.clipcap.cider"} <= head.keys()


def test_details_hold_the_bias_of_the_data(plotted):
    balance = json.loads((plotted / FOLDER / "balance" / "balance.json").read_text())
    found = details(plotted)
    for name in ("rb", "ab", "ab_mean"):
        for when in ("before", "realised"):
            assert found[f"data.{name}.{when}"].value == balance[when][name]
    assert found["data.alpha"].value == 0.4 and found["data.alpha"].n == 1


def test_tables_hold_every_seed(plotted):
    tables = plotted / FOLDER / "results" / "tables"
    seeds, curves = pd.read_csv(tables / "seeds.csv"), pd.read_csv(tables / "curves.csv")
    assert set(seeds["seed"]) == set(curves["seed"]) == set(SEEDS)
    assert set(curves["metric"]) >= {"loss", "probe.t2i.r5", "probe.rb.gender", "probe.pairwise_association"}
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
            assert image.width > 380 and len(image.convert("RGB").getcolors(1 << 24)) > 20


@pytest.fixture(scope="module")
def again(plotted: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the results before and after another run, among files of others."""
    root = Path(shutil.copytree(plotted, tmp_path_factory.mktemp("again") / "copy", symlinks=True))
    before = contents(root)
    results = root / FOLDER / "results"
    (results / "others").mkdir()
    (results / "others" / "runs.csv").write_text("x\n")
    (results / "tables" / "stale.csv").write_text("x\n")
    shutil.copytree(root / FOLDER / "scores" / "0", root / FOLDER / "scores" / "99")
    (root / FOLDER / "scores" / "99" / "metrics.json").write_text("{}")
    (results / "metrics.json").write_text('{"people.t2i.r5": 1}')
    assert plot(root)[0] == 0
    return before, contents(root)


def test_another_run_gives_the_same_bytes_whatever_the_last_results_were(again):
    before, after = again
    assert {name for name in before if before[name] != after[name]} == set()


def test_what_others_keep_in_the_results_stays(again):
    assert again[1]["others/runs.csv"] == b"x\n"


def test_stale_tables_go(again):
    assert "tables/stale.csv" not in again[1]


def test_summary_prints_the_headline_and_writes_nothing(copy):
    before = contents(copy)
    code, out, _ = plot(copy, "--summary")
    assert code == 0
    assert f"{details(copy)['people.t2i.r5'].value:.1f} %" in out and "report: data/smoke/report.html" in out
    assert "mean over 2 seeds" in out and "chance" in out
    assert contents(copy) == before


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("scores/1/metrics.json", "scores/1/metrics.json: no such file"),
        ("balance/associations.csv", "associations.csv: no such file"),
        ("captions/0/clipcap.parquet", "clipcap.parquet: no such file"),
        ("models/1/curves", "models/1/curves"),
        ("annotation.json", "annotation.json: no such file"),
        ("attributes.parquet", "attributes.parquet: no such file"),
        ("synthetic/00000.tar", "00000.tar: no such shard"),
        ("results/study/trends.csv", "study/trends.csv: no such file or directory"),
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


def beside(root: Path) -> None:
    """Put levers and a loop of the profile beside the run."""
    params = yaml.safe_load((root / "params.yaml").read_text())
    for name in ("counterweights", "generations"):
        folder = FOLDER / "results" / name
        (root / folder).mkdir()
        params["plot"][name] = folder.as_posix()
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    runs = pd.read_csv(root / FOLDER / "results" / "study" / "runs.csv")
    runs.replace({"method": {"not balanced": "none"}}).to_csv(root / params["plot"]["counterweights"] / "runs.csv")
    rows = [("none", number, "generator.position", 1, 0.1 * number, None, None) for number in (0, 1)]
    table = pd.DataFrame(rows, columns=pd.Index([*rounds.COLUMNS]))
    table.to_csv(root / params["plot"]["generations"] / "table.csv", index=False)


def test_levers_and_rounds_of_the_profile_are_shown(copy):
    beside(copy)
    assert plot(copy)[0] == 0
    page = (copy / FOLDER / "report.html").read_text()
    assert (
        'id="generations"' in page
        and "One replicate of each arm" in page
        and "position (0 corpus, 1 its first world)" in page
    )
    assert "Best trade-offs in the mean of" in page and 'class="sheet"' not in page
    Image.new("RGB", (300, 40)).save(copy / FOLDER / "results" / "generations" / "sheet.png")
    assert plot(copy)[0] == 0
    assert 'class="sheet"' in (copy / FOLDER / "report.html").read_text()


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("counterweights/runs.csv", "alpha,method\n1,m4\n", "no column run (found alpha, method); restore it from git"),
        ("counterweights/runs.csv", "run,alpha,method,seed,metric,value\na,x,m4,0,b,1\n", "line 2: alpha: found 'x'"),
        ("generations/table.csv", "arm,round\nnone,0\n", "no column metric (found arm, round); restore it from git"),
        ("generations/sheet.png", "no picture", "write it again: `python -m stages.tools.generations --compare`"),
        ("study/comparisons.csv", "metric,method\nb,m4\n", "no column difference"),
    ],
)
def test_levers_and_rounds_that_are_no_such_tables_are_one_line(copy, path, content, said):
    beside(copy)
    (copy / FOLDER / "results" / path).write_text(content)
    code, _, error = plot(copy)
    assert code == 2 and error.count("\n") == 1 and path in error and said in error


@pytest.mark.parametrize("name", ["study", "counterweights", "generations"])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("data/smoke/results/nope", "no such folder; restore it from git, or write it again"),
        ("data/smok/results/study", "found 'data/smok/results/study', expected a folder of results of a profile"),
        (".", "found '.', expected a folder"),
        ("data/smoke", "found 'data/smoke', expected a folder"),
        (None, "found null: input should be a valid string"),
    ],
)
def test_a_folder_beside_the_run_that_is_none_is_one_line(copy, name, given, said):
    params = yaml.safe_load((copy / "params.yaml").read_text())
    params["plot"][name] = given
    (copy / "params.yaml").write_text(yaml.safe_dump(params))
    code, _, error = plot(copy)
    assert code == 2 and error.count("\n") == 1 and f"plot.{name}" in error and said in error


@pytest.mark.parametrize("write", [lambda path: f"./{path}", lambda path: path.absolute().as_posix()])
def test_another_spelling_of_a_folder_is_the_same_folder(copy, write, monkeypatch):
    before = contents(copy)
    monkeypatch.chdir(copy)
    params = yaml.safe_load((copy / "params.yaml").read_text())
    params["plot"]["study"] = write(FOLDER / "results" / "study")
    (copy / "params.yaml").write_text(yaml.safe_dump(params))
    assert plot(copy)[0] == 0
    assert {path: made for path, made in contents(copy).items() if path != "report.html"} == {
        path: made for path, made in before.items() if path != "report.html"
    }


def test_broken_json_is_one_line(copy):
    (copy / FOLDER / "scores" / "0" / "metrics.json").write_text('{"a": ')
    code, _, error = plot(copy)
    assert code == 2 and error.count("\n") == 1 and "not readable JSON" in error


def test_summary_without_results_says_what_to_do(copy):
    shutil.rmtree(copy / FOLDER / "results")
    code, _, error = plot(copy, "--summary")
    assert code == 2 and "run `dvc repro`" in error
