"""The stage itself, from tables on disk to the selection."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.balance.__main__ import main
from stages.core.errors import InputError
from stages.core.scratch import VARIABLE
from stages.core.seeds import uniform
from stages.corpus.attributes import OCCUPATIONS, occupation_column, sensitive_columns

ROWS = 3000
WOMEN = np.linspace(0.04, 0.8, len(OCCUPATIONS))  # shares of women as skewed as a census


def write_tables(folder: Path, rows: int = ROWS) -> None:
    """Half of the rows show somebody and name an occupation; generated images show fewer women."""
    rng = np.random.default_rng(0)
    keys = [f"{i:06d}" for i in range(rows)]
    samples = pd.DataFrame({"key": keys, "shard": "00000", "caption": "", "u": [uniform(0, key) for key in keys]})
    person, occupation = rng.random(rows) < 0.6, rng.integers(len(OCCUPATIONS), size=rows)
    darker = rng.random(rows) < 0.25
    parts = []
    for source, factor in (("real", 1.0), ("synthetic", 0.7)):
        woman = rng.random(rows) < factor * WOMEN[occupation]
        part = pd.DataFrame({"key": keys, "source": source})
        groups = (person & woman, person & ~woman, person & ~darker, person & darker)
        for column, values in zip(sensitive_columns(), groups, strict=True):
            part[column] = values
        for index, name in enumerate(OCCUPATIONS):
            part[occupation_column(name)] = person & (occupation == index)
        part["y_proxy_dress"] = person & woman & (rng.random(rows) < 0.2)
        parts.append(part)
    folder.mkdir(parents=True, exist_ok=True)
    samples.to_parquet(folder / "samples.parquet", index=False)
    pd.concat(parts).to_parquet(folder / "attributes.parquet", index=False)


@pytest.fixture
def balance(project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Run the stage with changes to balance.* and α; return the folder it wrote."""

    def run(alpha: float = 0.6, **changes: object) -> Path:
        changed = {f"balance.{name}": value for name, value in ({"target": "equal", "method": "m4"} | changes).items()}
        root = project(**changed, **{"contamination.alpha": alpha, "profile": "smoke"})
        folder = root / "data" / "smoke"
        if not folder.exists():
            write_tables(folder)
        monkeypatch.chdir(root)
        monkeypatch.setenv(VARIABLE, str(root / "work"))
        monkeypatch.setattr(sys, "argv", ["balance"])
        main()
        return folder

    return run


def content(folder: Path) -> dict:
    return json.loads((folder / "balance" / "balance.json").read_text())


@pytest.mark.parametrize("alpha", [0.0, 0.6])
@pytest.mark.parametrize("compensate", ["none", "repeat"])
def test_bias_is_within_tolerance_after_selection(balance, alpha: float, compensate: str) -> None:
    folder = balance(alpha, compensate=compensate, eps_r=0.005, eps_d=0.001)
    found = content(folder)
    assert found["violated"] == found["violated_realised"] == 0
    assert found["certificate"]["relative_gap"] <= 1e-8
    assert found["realised"]["rb"] <= 0.005 + 1e-6
    assert found["before"]["ab"] > 0.05 > 0.03 > found["realised"]["ab"]
    assert found["eta"] <= found["largest_eta"] < 0.9


def test_realised_figures_are_those_of_the_selected_rows(balance) -> None:
    folder = balance(compensate="repeat")
    selection = pd.read_parquet(folder / "selection.parquet")
    attributes = pd.read_parquet(folder / "attributes.parquet")
    assert len(selection) == ROWS == selection["key"].nunique()
    assert selection["copies"].sum() == content(folder)["rows_an_epoch"] == ROWS
    rows = selection.merge(attributes, on=["key", "source"], validate="1:1")
    rows = rows.loc[np.repeat(np.arange(ROWS), rows["copies"])]
    shares = rows[sensitive_columns()].mean()
    groups = pd.read_csv(folder / "balance" / "groups.csv")
    assert groups["realised"].to_numpy() == pytest.approx(shares.to_numpy(), abs=1e-8)
    pairs = pd.read_csv(folder / "balance" / "associations.csv").set_index(["attribute", "group", "label"])
    women, men = rows[rows["s_gender_woman"]], rows[rows["s_gender_man"]]
    gap = women["y_occupation_judge"].mean() - men["y_occupation_judge"].mean()
    assert pairs.loc[("gender", "woman", "y_occupation_judge"), "realised"] == pytest.approx(gap, abs=1e-8)


def test_random_of_the_same_size_leaves_the_bias(balance) -> None:
    balanced = content(balance())
    control = content(balance(method="random"))
    assert control["rows_taken"] == pytest.approx(balanced["rows_taken"], abs=3)
    assert control["realised"]["ab"] == pytest.approx(control["before"]["ab"], abs=0.01)
    assert control["realised"]["rb"] == pytest.approx(control["before"]["rb"], abs=0.002)
    assert balanced["realised"]["ab"] < 0.2 * control["realised"]["ab"]


@pytest.mark.parametrize("method", ["none", "m4"])
def test_nothing_to_balance_keeps_every_row(balance, method: str) -> None:
    folder = balance(method=method, target="none")
    selection = pd.read_parquet(folder / "selection.parquet")
    assert set(selection["copies"]) == {1} and set(selection["q"]) == {1.0}
    assert content(folder)["before"]["rb"] > 0.01


def test_source_follows_u(balance) -> None:
    folder = balance(0.3)
    samples = pd.read_parquet(folder / "samples.parquet")
    selection = pd.read_parquet(folder / "selection.parquet")
    assert np.array_equal(selection["source"] == "synthetic", samples["u"] < 0.3)


@pytest.mark.parametrize("method", ["reweighing", "m4_sgd"])
def test_other_methods_write_the_same_files(balance, method: str) -> None:
    folder = balance(method=method)
    assert sorted(path.name for path in (folder / "balance").iterdir()) == [
        "associations.csv", "associations.png", "balance.json", "groups.csv",
    ]  # fmt: skip
    assert content(folder)["rows_taken"] > 0


def test_infeasible_eta_names_the_worst_pairs(balance, capsys: pytest.CaptureFixture[str]) -> None:
    found = content(balance(eta=0.9))
    assert found["eta"] == 0.9 > found["largest_eta"]
    assert found["violated"] > 0
    worst = found["violations"][0]
    assert worst["constraint"].startswith(("gender:", "skin_tone:"))
    assert f"worst: {worst['constraint']}" in capsys.readouterr().out


def test_proxies_are_labels_when_asked_for(balance) -> None:
    without = pd.read_csv(balance() / "balance" / "associations.csv")
    found = pd.read_csv(balance(proxies=True) / "balance" / "associations.csv")
    assert "y_proxy_dress" not in set(without["label"])
    dress = found[(found["label"] == "y_proxy_dress") & (found["group"] == "woman")]
    assert dress["before"].item() > 0.15
    assert abs(dress["realised"].item()) < 0.01


def test_targets_from_a_table(balance, tmp_path: Path) -> None:
    (tmp_path / "census.csv").write_text("gender,skin_tone,count\nwoman,lighter,30\nman,darker,10\n")
    groups = pd.read_csv(balance(target="census.csv", eps_r=0.001, eps_d=None) / "balance" / "groups.csv")
    shares = groups["realised"].to_numpy().reshape(2, 2)
    assert shares / shares.sum(axis=1, keepdims=True) == pytest.approx(
        np.array([[0.75, 0.25], [0.75, 0.25]]), abs=0.005
    )


def test_intersections_are_balanced_too(balance) -> None:
    groups = pd.read_csv(balance(intersections=True, eps_r=0.002, eps_d=None) / "balance" / "groups.csv")
    crossed = groups.query("attribute == 'gender×skin_tone'")
    assert len(crossed) == 4
    assert crossed["realised"].to_numpy() == pytest.approx(crossed["target"].to_numpy(), abs=0.003)
    assert crossed["target"].nunique() == 1


def test_selection_does_not_depend_on_the_run(balance) -> None:
    first = (balance() / "selection.parquet").read_bytes()
    assert (balance() / "selection.parquet").read_bytes() == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "nowhere.csv"}, "nowhere.csv: no such file"),
        ({"target": {"gender": {"woman": 0.5, "men": 0.5}}}, "expected the groups woman, man"),
        ({"attributes": ["age"], "target": "none"}, "balance.attributes: found age"),
        ({"utility": "quality"}, "no column quality"),
        ({"utility": "caption"}, r"utility: column caption of samples\.parquet: found .*string, expected numbers; set"),
    ],
)
def test_bad_settings_are_refused_in_one_line(balance, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        balance(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_marginals_are_read_in_any_encoding_that_says_which_it_is(balance, project, encoding: str) -> None:
    (project() / "census.csv").write_text("gender,skin_tone,town\nwoman,lighter,Zürich\nman,darker,Köln\n", encoding)
    if encoding == "latin-1":
        with pytest.raises(InputError, match=r"census\.csv: line 2: byte 0xfc is not UTF-8; expected UTF-8, or UTF-16"):
            balance(target="census.csv")
    else:
        groups = pd.read_csv(balance(target="census.csv", eps_d=None) / "balance" / "groups.csv")
        assert groups["target"].to_numpy() == pytest.approx(groups["target"].mean())


def test_missing_annotation_says_what_to_run(balance, project: Callable[..., Path]) -> None:
    folder = balance()
    (folder / "attributes.parquet").unlink()
    with pytest.raises(InputError, match="run the stage annotate first"):
        balance()


def test_a_refused_run_leaves_the_last_result(balance) -> None:
    folder = balance()
    before = (folder / "selection.parquet").read_bytes()
    samples = pd.read_parquet(folder / "samples.parquet")
    samples.loc[3, "u"] = np.nan
    samples.to_parquet(folder / "samples.parquet", index=False)
    with pytest.raises(InputError, match="no number for key"):
        balance()
    assert (folder / "selection.parquet").read_bytes() == before
    assert not list(folder.glob(".*partial"))
