"""The comparison of runs: statistics against scipy and by hand, sentences, and real DVC experiments."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from scipy import stats

from stages.core.errors import InputError
from stages.results.panels import png
from stages.results.sweep import panels, sentences
from stages.tools.compare.__main__ import study_files
from stages.tools.compare.differences import compare, holm, mean_interval, trends
from stages.tools.compare.runs import Run, experiments, flatten, lines, tabulate

ROOT = Path(__file__).parents[2]
KEY = "portraits.unseen.ab.max"
PLAIN = "not balanced"
ALPHAS, SEEDS = (0.0, 0.4, 0.8), (0, 1, 2)


def run_of(name, alpha, method, target="equal", seeds=SEEDS, value=0.0, **more):
    settings = {"contamination.alpha": alpha, "balance.method": method, "balance.target": target, **more}
    rng = np.random.default_rng(0)  # the same noise of a seed in every run: what pairing takes away
    noise = {seed: float(rng.normal(0, 0.05)) for seed in SEEDS}
    rows = [(KEY, seed, 0.3 + noise[seed] + 0.1 * alpha + value) for seed in seeds]
    return Run(name, settings, pd.DataFrame(rows, columns=["metric", "seed", "value"]))


@pytest.fixture
def table():
    effect = {"none": 0.0, "random": 0.0, "m4": -0.2}
    jitter = np.random.default_rng(1)
    runs = [
        run_of(f"{method}-{alpha}", alpha, method, value=effect[method] + jitter.normal(0, 0.004))
        for method in effect
        for alpha in ALPHAS
    ]
    return tabulate(runs)


def row(found, **where):
    for name, value in where.items():
        found = found[found[name] == value]
    return found.iloc[0]


def test_flatten_joins_keys_and_writes_lists():
    assert flatten({"a": {"b": 1, "c": [1, 2]}, "d": "x"}) == {"a.b": 1, "a.c": "[1, 2]", "d": "x"}


def test_lines_are_named_by_what_differs():
    runs = [run_of("a", 0, "m4", "equal"), run_of("b", 0, "m4", "observed"), run_of("c", 0.4, "random", "equal")]
    assert lines(runs) == ["m4, equal", "m4, observed", "random, equal"]


def test_lines_of_one_target_are_the_methods():
    assert lines([run_of("a", 0, "m4"), run_of("b", 0.4, "none", "none")]) == ["m4", PLAIN]


def test_what_balances_nothing_is_one_line_whatever_its_method_or_target():
    runs = [run_of("a", 0, "m4", "none"), run_of("b", 0.4, "none", "equal"), run_of("c", 0, "random", "none")]
    assert lines([*runs, run_of("d", 0, "m4")]) == [PLAIN, PLAIN, PLAIN, "m4"]


def test_targets_of_attributes_alone():
    runs = [run_of("a", 0, "m4"), run_of("b", 0, "m4"), run_of("c", 0, "random")]
    for one, goal in zip(runs, ("none", "equal"), strict=False):
        del one.settings["balance.target"]
        one.settings["balance.target.gender"] = goal
    assert lines(runs) == [PLAIN, "m4", "random"]


def test_a_stated_share_of_rows_is_a_line_without_a_target_too():
    runs = [run_of("a", 0, "none"), run_of("b", 0, "random", "none", **{"balance.eta": 0.5})]
    assert lines(runs) == [PLAIN, "random"]


def test_other_parameters_come_with_their_names():
    runs = [run_of("a", 0, "m4", **{"train.loss": "clip"}), run_of("b", 0, "m4", **{"train.loss": "siglip"})]
    assert lines(runs) == ["m4, train.loss clip", "m4, train.loss siglip"]


def test_what_most_runs_share_goes_without_saying():
    runs = [run_of(str(alpha), alpha, "m4", **{"balance.proxies": False}) for alpha in ALPHAS]
    runs += [
        run_of("none", 0, "none", **{"balance.proxies": False}),
        run_of("p", 0.4, "m4", **{"balance.proxies": True}),
    ]
    assert lines(runs) == ["m4", "m4", "m4", PLAIN, "m4, proxies on"]


def test_parameters_that_no_score_depends_on_make_no_line():
    runs = [run_of("a", 0, "m4", **{"gate.metrics.x": 1, "plot.pairs": 8}), run_of("b", 0, "m4", **{"plot.pairs": 24})]
    assert lines(runs) == ["m4", "m4"]


def test_a_repeated_point_counts_once_the_newest():
    table = tabulate([run_of("old", 0, "m4"), run_of("new", 0, "m4", value=1.0)])
    assert len(table) == len(SEEDS) and set(table["run"]) == {"new"}


def test_no_run_is_refused():
    with pytest.raises(InputError, match="run a sweep first"):
        tabulate([])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_is_not_tested():
    assert holm([0.01, np.nan, 0.04])[0] == 0.02 and np.isnan(holm([0.01, np.nan])[1])


def test_holm_never_exceeds_one():
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_mean_interval_is_students():
    d = np.array([0.1, 0.3, 0.2, 0.6])
    expected = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert mean_interval(d) == pytest.approx((0.3, expected.low, expected.high))


def test_one_value_has_no_interval():
    mean, low, high = mean_interval(np.array([0.2]))
    assert mean == 0.2 and np.isnan(low) and np.isnan(high)


def test_pairing_finds_what_the_spread_of_seeds_hides(table):
    found = row(compare(table, [PLAIN]), method="m4")
    assert (found["pairs"], found["seeds"], found["alphas"]) == (9, 3, 3)
    assert found["difference"] == pytest.approx(-0.2, abs=0.01) and found["hi"] < -0.15
    assert found["everywhere"] == 1


def test_p_is_scipys_wilcoxon_of_the_pairs(table):
    wide = table.pivot(index=["alpha", "seed"], columns="method", values="value")
    expected = stats.wilcoxon(wide["m4"] - wide[PLAIN]).pvalue
    found = row(compare(table, [PLAIN]), method="m4")
    assert found["p"] == pytest.approx(expected) and found["p_holm"] == pytest.approx(2 * expected)


def test_few_pairs_are_not_tested(table):
    found = row(compare(table[table["alpha"] == 0.0], [PLAIN]), method="m4")
    assert found["pairs"] == 3 and np.isnan(found["p"]) and np.isnan(found["p_holm"])


def test_equal_methods_do_not_differ():
    same = tabulate([run_of(f"{m}{a}", a, m) for m in ("none", "random") for a in ALPHAS])
    found = row(compare(same, [PLAIN]), method="random")
    assert (found["difference"], found["p"]) == (0, 1)


def test_only_common_points_are_paired():
    runs = [run_of("a", 0, "none"), run_of("b", 0.4, "none"), run_of("c", 0.4, "m4", seeds=(1, 2))]
    assert row(compare(tabulate(runs), [PLAIN]), method="m4")["pairs"] == 2


def test_trend_is_the_paired_change_over_alpha(table):
    found = row(trends(table), method=PLAIN)
    assert (found["alpha_from"], found["alpha_to"], found["seeds"], found["runs"]) == (0.0, 0.8, 3, 9)
    assert found["difference"] == pytest.approx(0.08, abs=0.02)
    assert found["hi"] - found["lo"] < 0.01  # the noise of the seeds is taken away


def test_a_trend_of_two_alphas_is_the_paired_t_test(table):
    two = table[(table["method"] == "m4") & (table["alpha"] != 0.4)].copy()
    two["value"] += np.random.default_rng(2).normal(0, 0.02, len(two))
    wide = two.pivot(index="seed", columns="alpha", values="value")
    d = (wide[0.8] - wide[0.0]).to_numpy()
    found = row(trends(two), method="m4")
    assert (found["difference"], found["lo"], found["hi"]) == pytest.approx(mean_interval(d))


def test_a_trend_is_least_squares_with_an_intercept_a_seed(table):
    some = table[table["method"] == "m4"].copy()
    some["value"] += np.random.default_rng(3).normal(0, 0.02, len(some))
    design = np.column_stack([some["alpha"], *(some["seed"] == seed for seed in SEEDS)]).astype(float)
    y = some["value"].to_numpy()
    solution, residual, *_ = np.linalg.lstsq(design, y, rcond=None)
    freedom = len(y) - design.shape[1]
    error = np.sqrt(residual[0] / freedom * np.linalg.inv(design.T @ design)[0, 0])
    low, high = stats.t.interval(0.95, freedom, solution[0], error)
    found = row(trends(some), method="m4")
    assert (found["difference"], found["lo"], found["hi"]) == pytest.approx((0.8 * solution[0], 0.8 * low, 0.8 * high))


def test_the_main_metrics_are_a_family_of_tests_of_their_own(table):
    other = table.assign(metric="rb.gender")
    both = compare(pd.concat([table, other]), [PLAIN], main=[KEY])
    assert set(both["tests"]) == {2}
    pd.testing.assert_series_equal(
        both.loc[both["metric"] == KEY, "p_holm"], compare(table, [PLAIN])["p_holm"], check_index=False
    )
    assert set(compare(pd.concat([table, other]), [PLAIN])["tests"]) == {4}


def test_each_pair_of_methods_is_compared_once(table):
    found = compare(table, [PLAIN, "random"])
    pairs = list(zip(found["method"], found["reference"], strict=True))
    assert sorted(pairs) == [("m4", PLAIN), ("m4", "random"), ("random", PLAIN)]


def test_the_interval_of_the_seeds_means(table):
    wide = table.pivot(index=["alpha", "seed"], columns="method", values="value")
    d = (wide["m4"] - wide[PLAIN]).groupby(level="seed").mean().to_numpy()
    found = row(compare(table, [PLAIN]), method="m4")
    assert (found["seed_lo"], found["seed_hi"]) == pytest.approx(mean_interval(d)[1:])


def test_one_alpha_has_no_trend(table):
    assert trends(table[table["alpha"] == 0.4]).empty


def test_a_sentence_says_size_interval_and_test(table):
    (said,) = sentences(compare(table, [PLAIN]), trends(table), [KEY])
    assert said.startswith(
        "**association bias · portraits · unseen** (lower is better). Against not balanced: m4 lowers it by 0.2"
    )
    assert "] at every α (9 pairs, p = 0.0" in said
    assert "Contamination, from α = 0 to 0.8 (3 seeds): with m4 it raises it by 0.0" in said


def test_a_sentence_says_that_nothing_changes():
    same = tabulate([run_of(f"{m}{a}", a, m, value=-0.1 * a) for m in ("none", "m4") for a in ALPHAS])
    (said,) = sentences(compare(same, [PLAIN]), trends(same), [KEY])
    assert "Against not balanced: m4 does not change it (9 pairs, p = 1)." in said
    assert "(3 seeds): with m4 it does not change it; when not balanced it does not change it." in said


def test_a_difference_of_0_with_an_interval_is_not_no_change():
    found = compare(tabulate([run_of("a", 0, "none"), run_of("b", 0, "m4")]), [PLAIN])
    (said,) = sentences(found.assign(lo=-0.2, hi=0.2), trends(tabulate([run_of("a", 0, "none")])), [KEY])
    assert "m4 does not clearly change it: +0.000 [−0.200, +0.200] (3 pairs)" in said


def test_one_seed_and_one_line_in_the_singular():
    two = tabulate([run_of("a", 0, "m4", seeds=(0,)), run_of("b", 0.4, "m4", seeds=(0,))])
    said = study_files(two, "smoke")["findings.md"].decode()
    assert said.startswith("2 runs: 2 α, 1 balancing method, 1 seed each. Contamination: slope of")
    assert "from α = 0 to 0.4 (1 seed): with m4 it raises it by 0.040 (no interval)." in said


def test_a_run_that_repeats_another_counts_once():
    runs = [run_of("a", 0, "none"), run_of("again", 0, "none"), run_of("b", 0, "m4")]
    said = study_files(tabulate(runs), "smoke")["findings.md"].decode()
    assert said.startswith("2 runs: 1 α, 2 balancing methods, 3 seeds each. Differences: mean over pairs")
    assert "Contamination" not in said


def test_one_line_leaves_an_empty_table_of_comparisons():
    files = study_files(tabulate([run_of("a", 0, "m4"), run_of("b", 0.4, "m4")]), "smoke")
    found = pd.read_csv(io.BytesIO(files["comparisons.csv"]))
    assert found.empty and {"metric", "method", "reference", "difference", "lo", "hi", "p_holm"} <= set(found)


def test_a_sentence_does_not_claim_what_noise_allows(table):
    (said,) = sentences(compare(table, [PLAIN]), trends(table).iloc[:0], [KEY])
    assert "random does not clearly change it: " in said


def test_a_panel_draws_the_means_over_seeds(table):
    (panel,) = panels(table, [KEY])
    axes = Figure().add_subplot()
    panel.draw(axes)
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines if not str(line.get_label()).startswith("_")}
    expected = table.groupby(["method", "alpha"])["value"].mean()
    assert set(drawn) == {PLAIN, "random", "m4"}
    for method, values in drawn.items():
        assert np.allclose(values, expected[method])


def test_the_legend_of_five_lines_has_room_between_title_and_chart():
    runs = [run_of(f"{m}{a}", a, m) for m in ("none", "random", "m4", "m4_sgd") for a in ALPHAS]
    runs += [run_of("p", 0.4, "m4", **{"balance.proxies": True})]
    (panel,) = panels(tabulate([Run(r.name, {"balance.proxies": False, **r.settings}, r.values) for r in runs]), [KEY])
    kept: list[Axes] = []

    def draw(axes: Axes) -> None:
        panel.draw(axes)
        kept.append(axes)

    png([replace(panel, draw=draw)], columns=1)
    (axes,) = kept
    legend, chart, sheet = axes.get_legend(), axes.get_window_extent(), axes.get_figure().bbox
    (title,) = (text for text in axes.findobj(Text) if text.get_text() == axes.get_title(loc="left"))
    box = legend.get_window_extent()
    assert len(legend.get_texts()) == 5
    assert chart.y1 - 2 <= box.y0 and box.y1 <= title.get_window_extent().y0 and box.x1 <= sheet.x1


def test_experiments_are_listed_oldest_first_unfinished_apart():
    def commit(rev, name, when, **more):
        return {"rev": rev, "name": name, "data": {"timestamp": when}, "error": None, "experiments": None, **more}

    children = [
        {"name": "b", "revs": [commit("r3", "b", "2026-01-03")], "executor": None},
        {"name": "a", "revs": [commit("r2", "a", "2026-01-02")], "executor": None},
        {"name": "queued", "revs": [{"rev": "r9", "data": None, "error": None}], "executor": {"state": "queued"}},
    ]
    shown = [commit("workspace", None, None), commit("r1", "main", "2026-01-01", experiments=children)]
    assert experiments(shown) == ([("main", "r1"), ("a", "r2"), ("b", "r3")], ["queued"])


STAGE = """
import yaml, json, pathlib
p = yaml.safe_load(open("params.yaml"))
alpha, method = p["contamination"]["alpha"], p["balance"]["method"]
folder = pathlib.Path("data/smoke/results/tables"); folder.mkdir(parents=True, exist_ok=True)
rows = [f"rb.gender,{s},{0.2 + 0.1 * alpha - (0.15 if method == 'm4' else 0) + 0.01 * s}" for s in p["seeds"]]
(folder / "seeds.csv").write_text("\\n".join(["metric,seed,value", *rows]) + "\\n")
"""


def command(folder, *arguments, ok=True):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run([*map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True)
    assert not ok or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Return a DVC repository with three experiments, made by `dvc exp run` itself."""
    folder = tmp_path_factory.mktemp("sweep")
    command(folder, "cp", "-r", ROOT / "stages" / "profiles", folder)
    (folder / "stages").mkdir()
    (folder / "profiles").rename(folder / "stages" / "profiles")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params |= {"profile": "smoke", "seeds": [0, 1], "contamination": {"alpha": 0.0}}
    params["balance"] |= {"method": "none", "target": "equal"}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "stage.py").write_text(STAGE)
    stage = {
        "cmd": f"{sys.executable} stage.py",
        "params": ["contamination", "balance", "seeds"],
        "outs": [{"data/smoke/results/tables": {"cache": False}}],
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"plot": stage}}))
    command(folder, "git", "init", "-q")
    command(folder, "git", "config", "user.name", "tester")
    command(folder, "git", "config", "user.email", "tester@localhost")
    dvc = [sys.executable, "-m", "dvc"]
    command(folder, *dvc, "init", "-q")
    command(folder, *dvc, "repro", "-q")
    command(folder, "git", "add", ".")
    command(folder, "git", "commit", "-qm", "start")
    for name, alpha, method in (("far", 0.8, "none"), ("m4-near", 0.0, "m4"), ("m4-far", 0.8, "m4")):
        change = ["-S", f"contamination.alpha={alpha}", "-S", f"balance.method={method}"]
        command(folder, *dvc, "exp", "run", "-q", "-n", name, *change)
    command(folder, "git", "checkout", "-q", "--", ".")
    return folder


def compared(folder, *arguments, ok=True):
    return command(folder, sys.executable, "-m", "stages.tools.compare", *arguments, ok=ok)


def read(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def once(swept):
    """Return what the command printed, and the files it wrote."""
    done = compared(swept)
    folder = swept / "data" / "smoke" / "results" / "compare"
    return done, read(folder)


def test_main_metrics_come_first(table):
    both = pd.concat([table, table.assign(metric="rb.gender"), table.assign(metric="people.t2i.r5")])
    files = study_files(both, "smoke", main_ones=["rb.gender", "not.there"])
    order = pd.read_csv(io.BytesIO(files["comparisons.csv"]))["metric"].unique().tolist()
    assert order == ["rb.gender", "people.t2i.r5", KEY]
    assert files["findings.md"].decode().splitlines()[2].startswith("- **representation bias")


def test_real_experiments_become_table_figure_and_findings(swept, once):
    done = once[0]
    folder = swept / "data" / "smoke" / "results" / "compare"
    assert "4 runs: 2 α, 2 balancing methods, 2 seeds each." in done.stdout
    assert "- **representation bias · gender** (lower is better). Against not balanced: m4 lowers it by" in done.stdout
    assert "m4 lowers it by 0.150 [0.150, 0.150] at every α (4 pairs)" in done.stdout
    runs = pd.read_csv(folder / "runs.csv")
    found = runs.pivot_table(index=["alpha", "method"], columns="seed", values="value")
    assert found.loc[(0.8, "m4")].tolist() == pytest.approx([0.13, 0.14])
    assert set(runs["run"]) >= {"far", "m4-near", "m4-far"}
    for name in ("study.png", "figures/rb.gender.png"):
        with Image.open(folder / name) as image:
            assert image.width > 300
    assert (folder / "findings.md").read_text().replace("\n\n", "\n") == done.stdout
    assert not folder.with_name("study").exists()  # which is `stages.tools.study`'s


def test_a_second_time_gives_the_same_files(swept, once):
    compared(swept)
    folder = swept / "data" / "smoke" / "results" / "compare"
    assert read(folder) == once[1]


def test_named_revisions_alone(swept, tmp_path):
    done = compared(swept, "--revs", "HEAD", "m4-near", "--out", tmp_path / "two")
    assert "2 runs: 1 α, 2 balancing methods" in done.stdout
    assert set(pd.read_csv(tmp_path / "two" / "runs.csv")["run"]) == {"HEAD", "m4-near"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--revs", "nowhere"], "nowhere: no such revision"),
        (["--revs", "HEAD", "far", "--reference", "m5"], "--reference m5: found not balanced; name one of these"),
        (["--revs", "HEAD", "--metrics", "made.up"], "--metrics made.up: no run has it"),
    ],
)
def test_bad_input_is_one_line(swept, tmp_path, arguments, said):
    done = compared(swept, *arguments, "--out", tmp_path / "none", ok=False)
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1]
    assert not (tmp_path / "none").exists()


def test_shown_json_is_what_the_installed_dvc_prints(swept):
    done = command(swept, sys.executable, "-m", "dvc", "exp", "show", "--json")
    finished, unfinished = experiments(json.loads(done.stdout))
    assert [name for name, _ in finished[1:]] == ["far", "m4-near", "m4-far"] and unfinished == []
