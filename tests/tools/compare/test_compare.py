"""The comparison of runs: statistics against scipy and by hand, sentences, and real DVC experiments."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from stages.core.errors import InputError
from stages.results.sweep import panels
from stages.tools.compare.__main__ import study_files
from stages.tools.compare.runs import Run, experiments, flatten, lines, tabulate
from stages.tools.params import Part

ROOT = Path(__file__).parents[3]
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


def test_a_run_that_repeats_another_counts_once():
    runs = [run_of("a", 0, "none"), run_of("again", 0, "none"), run_of("b", 0, "m4")]
    said = study_files(tabulate(runs), "smoke")["findings.md"].decode()
    assert "2 runs: 1 α, 2 lines, 3 replicates each." in said
    assert "Contamination" not in said


def test_one_line_leaves_an_empty_table_of_comparisons():
    files = study_files(tabulate([run_of("a", 0, "m4"), run_of("b", 0.4, "m4")]), "smoke")
    found = pd.read_csv(io.BytesIO(files["comparisons.csv"]))
    assert found.empty and {"metric", "method", "reference", "difference", "lo", "hi", "p_holm"} <= set(found)
    assert "### Contamination: change from α = 0 to 0.4" in files["findings.md"].decode()


def test_a_panel_draws_the_means_over_seeds(table):
    (panel,) = panels(table, [KEY])
    axes = Figure().add_subplot()
    panel.draw(axes)
    drawn = {line.get_label(): line.get_ydata() for line in axes.lines if not str(line.get_label()).startswith("_")}
    expected = table.groupby(["method", "alpha"])["value"].mean()
    assert set(drawn) == {PLAIN, "random", "m4"}
    for method, values in drawn.items():
        assert np.allclose(values, expected[method])


def test_names_of_lines_stand_apart_at_their_ends():
    runs = [run_of(f"{m}{a}", a, m) for m in ("none", "random", "m4", "m4_sgd") for a in ALPHAS]
    (panel,) = panels(tabulate(runs), [KEY])
    figure = Figure(figsize=(panel.width, panel.height), layout="constrained")
    FigureCanvasAgg(figure)  # the layout is made when it draws
    panel.draw(figure.add_subplot())
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 4
    assert not [1 for i, a in enumerate(boxes) for b in boxes[:i] if a.shrunk(1, 0.8).overlaps(b.shrunk(1, 0.8))]
    assert all(box.x1 <= figure.bbox.x1 + 1 for box in boxes)


def test_a_panel_has_at_most_four_lines_and_a_point_is_no_line():
    names = ("none", "random", "m4", "m4_sgd", "reweighing", "other")
    runs = [run_of(f"{m}{a}", a, m, **{"balance.proxies": False}) for m in names for a in ALPHAS]
    runs += [run_of("p", 0.4, "m4", **{"balance.proxies": True})]
    drawn = []
    for panel in panels(tabulate(runs), [KEY]):
        axes = Figure().add_subplot()
        panel.draw(axes)
        drawn.append([str(line.get_label()) for line in axes.lines if not str(line.get_label()).startswith("_")])
    assert drawn == [[PLAIN, "random", "reweighing", "m4_sgd"], [PLAIN, "m4", "other"]]


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


def test_primary_metrics_come_first(table):
    both = pd.concat([table, table.assign(metric="rb.gender"), table.assign(metric="people.t2i.r5")])
    files = study_files(both, "smoke", primary=["rb.gender", "not.there"])
    order = pd.read_csv(io.BytesIO(files["comparisons.csv"]))["metric"].unique().tolist()
    assert order == ["rb.gender", "people.t2i.r5", KEY]
    rows = [line for line in files["findings.md"].decode().splitlines() if line.startswith("| ")]
    assert rows[1].startswith("| representation bias · gender ↓ |")


def test_metrics_of_claims_and_of_worst_groups_are_compared_though_no_headline(table):
    keys = ["rb.gender.bare", "people.acc5", "people.t2i.r5.worst.skin_tone"]
    both = pd.concat([table, *(table.assign(metric=key) for key in keys)])
    files = study_files(both, "smoke", claimed=["rb.gender.bare", "not.there"])
    assert pd.read_csv(io.BytesIO(files["comparisons.csv"]))["metric"].unique().tolist() == [KEY, keys[0], keys[2]]


def test_everything_is_made_again_from_the_table_of_runs(swept, once, tmp_path):
    folder = swept / "data" / "smoke" / "results" / "compare"
    compared(swept, "--runs", folder / "runs.csv", "--out", tmp_path / "again")
    assert read(tmp_path / "again") == once[1]


def test_a_table_of_other_columns_is_refused(swept, tmp_path):
    (tmp_path / "runs.csv").write_text("a,b\n1,2\n")
    done = compared(swept, "--runs", tmp_path / "runs.csv", ok=False)
    assert done.returncode == 2 and "no column run (found a, b)" in done.stderr.splitlines()[-1]


def test_real_experiments_become_table_figure_and_findings(swept, once):
    done = once[0]
    folder = swept / "data" / "smoke" / "results" / "compare"
    assert done.stdout.startswith(
        "No effect stands out: 2 replicates cannot tell one from noise.\n\n4 runs: 2 α, 2 lines,"
    )
    assert "Against not balanced" not in done.stdout
    said = (folder / "findings.md").read_text()
    assert "| representation bias · gender ↓ | −0.150 [−0.150, −0.150] not shown, too few replicates |" in said
    assert re.search(r"\ntable:  \S+/compare/findings\.md\nfigure: \S+/compare/study\.png\n", done.stdout)
    runs = pd.read_csv(folder / "runs.csv")
    found = runs.pivot_table(index=["alpha", "method"], columns="seed", values="value")
    assert found.loc[(0.8, "m4")].tolist() == pytest.approx([0.13, 0.14])
    assert set(runs["run"]) >= {"far", "m4-near", "m4-far"}
    for name in ("study.png", "figures/rb.gender.png"):
        with Image.open(folder / name) as image:
            assert image.width > 300
    assert said.startswith(done.stdout.split("\n\ntable:")[0])
    assert not folder.with_name("study").exists()  # which is `stages.tools.study`'s


def test_a_second_time_gives_the_same_files(swept, once):
    compared(swept)
    folder = swept / "data" / "smoke" / "results" / "compare"
    assert read(folder) == once[1]


def test_named_revisions_alone(swept, tmp_path):
    done = compared(swept, "--revs", "HEAD", "m4-near", "--out", tmp_path / "two")
    assert "2 runs: 1 α, 2 lines" in done.stdout
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


def test_what_the_user_keeps_in_the_folder_of_out_is_not_lost(swept, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    done = compared(swept, "--revs", "HEAD", "m4-near", "--out", tmp_path, ok=False)
    assert done.returncode == 2 and "holds notes.txt, which no earlier run wrote" in done.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_lines_of_a_part_are_held_against_what_it_names_alone():
    lines = ("not balanced", "m4", "m4, worded", "m4, worded, proxies", "m4, open")
    table = pd.DataFrame(
        [(f"{line}{alpha}{seed}", alpha, line, seed, "rb.gender", 0.1 * alpha + 0.01 * seed + 0.02 * place)
         for place, line in enumerate(lines) for alpha in (0.0, 0.5) for seed in (0, 1, 2)],
        columns=["run", "alpha", "method", "seed", "metric", "value"],
    )  # fmt: skip
    apart = {"alphas": [0.5], "lines": {"m4, worded": {"a": 1}, "m4, worded, proxies": {"a": 2}}}
    parts = {
        "proxies": Part.model_validate(apart | {"references": ["m4, worded"]}),
        "open": Part.model_validate({"alphas": [0.0, 0.5], "lines": {"m4, open": {"balance.open": True}}}),
        "course": Part.model_validate({"alphas": [0.5], "lines": {"m4": {"balance.method": "m4"}}}),
    }
    found = pd.read_csv(io.BytesIO(study_files(table, "smoke", parts=parts)["comparisons.csv"]))
    pairs = found.groupby(["method", "reference"])["alpha"].agg(list).to_dict()
    assert pairs == {
        ("m4", "not balanced"): ["0", "0.5", "mean"],
        ("m4, open", "not balanced"): ["0", "0.5", "mean"],
        ("m4, open", "m4"): ["0", "0.5", "mean"],
        ("m4, worded, proxies", "m4, worded"): ["0.5"],
    }


def test_noise_is_that_of_the_grid_and_of_parts_for_what_the_grid_has_not():
    def cell(line, metric, spread):
        return [(f"{line}{seed}", 0.0, line, seed, metric, 0.3 + spread * seed) for seed in (0, 1)]

    rows = [*cell("m4", "rb.gender", 0.02), *cell("m4, worded", "rb.gender", 0.2), *cell("m4, worded", KEY, 0.1)]
    table = pd.DataFrame(rows, columns=["run", "alpha", "method", "seed", "metric", "value"])
    part = Part.model_validate({"alphas": [0.0], "lines": {"m4, worded": {"download.emoji.context_share": 0.5}}})
    found = pd.read_csv(
        io.BytesIO(study_files(table, "smoke", parts={"worded": part})["noise.csv"]), index_col="metric"
    )
    assert found["sd"].to_dict() == pytest.approx({"rb.gender": 0.02 / 2**0.5, KEY: 0.1 / 2**0.5}, rel=1e-4)
