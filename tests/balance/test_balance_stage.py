"""The stage itself, from tables on disk to the selection."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.annotate.table import group_fields
from stages.core.errors import InputError
from stages.corpus.attributes import occupation_column, open_attribute, sensitive_columns
from stages.corpus.words import OCCUPATIONS
from tests.helpers.mixes import ROWS, content


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


def test_columns_that_differ_in_case_alone_are_refused(balance) -> None:
    folder = balance()
    path = folder / "attributes.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("S_GENDER_WOMAN", table["s_gender_man"]), path)
    with pytest.raises(InputError, match="s_gender_woman and S_GENDER_WOMAN differ in case alone"):
        balance()


@pytest.mark.parametrize(("alpha", "right"), [(0.6, 1.0), (0.6, 0.8), (0.0, 0.8)])
def test_errors_of_the_annotation_show_in_what_is_certified(balance, alpha: float, right: float) -> None:
    """Men are taken for women in a fifth of the cases, and women are always recognised, among generated images."""
    folder = balance(alpha)
    assert content(folder)["misread"] == {}
    names = ("woman", "man", "none")
    behind = {"woman": (right, 1 - right, 0.0), "man": (0.0, 1.0, 0.0), "none": (0.0, 0.0, 1.0)}
    annotation = {
        f"shares.synthetic.gender.{decided}.is.{group}": share
        for decided, shares in behind.items()
        for group, share in zip(names, shares, strict=True)
    }
    (folder / "annotation.json").write_text(json.dumps(annotation))
    found = content(balance(alpha, target={"gender": "equal"}))
    shown, stated = found["misread"]["realised"], found["realised"]
    if alpha * (1 - right) == 0:
        assert shown["rb"] == pytest.approx(stated["rb"], abs=1e-9)
        assert shown["ab"] == pytest.approx(stated["ab"], abs=1e-9)
    else:
        rows = pd.read_parquet(folder / "selection.parquet").merge(
            pd.read_parquet(folder / "attributes.parquet"), on=["key", "source"], validate="1:1"
        )
        taken = rows.loc[rows["copies"] > 0]
        moved = 0.2 * (taken["s_gender_woman"] & (taken["source"] == "synthetic")).mean()
        assert shown["rb"] == pytest.approx(moved, abs=0.003)
        assert moved > 0.02
    assert shown["rb_worst"] == shown["rb"]
    (folder / "annotation.json").unlink()


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


def test_another_draw_takes_other_rows_and_draw_nought_is_the_default(balance) -> None:
    first = pd.read_parquet(balance(0.3) / "selection.parquet")
    folder = balance(0.3, draw=0)
    assert pd.read_parquet(folder / "selection.parquet").equals(first)
    second = pd.read_parquet(balance(0.3, draw=1) / "selection.parquet")
    assert second["key"].equals(first["key"])
    assert (second["source"] != first["source"]).mean() == pytest.approx(2 * 0.3 * 0.7, abs=0.05)
    assert content(folder)["draw"] == 1


def test_another_draw_needs_all_images(balance) -> None:
    folder = balance(0.3)
    attributes = pd.read_parquet(folder / "attributes.parquet")
    samples = pd.read_parquet(folder / "samples.parquet")
    made = attributes["key"].isin(samples["key"][samples["u"] < 0.5]) | (attributes["source"] == "real")
    attributes[made].to_parquet(folder / "attributes.parquet", index=False)
    balance(0.3)
    balance(0.0, draw=1)  # takes no generated image
    with pytest.raises(InputError, match=r"contamination.seed 1 takes images that draw 0 does not: set generate.max_a"):
        balance(0.3, draw=1)


def test_the_filter_comes_first_so_what_is_left_is_balanced(balance) -> None:
    folder = balance()
    attributes = pd.read_parquet(folder / "attributes.parquet")
    rng = np.random.default_rng(0)
    attributes["similarity"] = rng.normal(size=len(attributes)) - attributes["s_gender_woman"]  # a judge against women
    attributes.to_parquet(folder / "attributes.parquet", index=False)
    found = content(balance(filter={"quantile": 0.3}, eps_r=0.005, eps_d=0.001))
    assert (found["rows"], found["left_out_rows"]) == (0.7 * ROWS, 0.3 * ROWS)
    assert found["violated"] == found["violated_realised"] == 0
    selection = pd.read_parquet(folder / "selection.parquet")
    trained = selection[selection["copies"] > 0].merge(attributes, on=["key", "source"])
    people = trained[trained["s_gender_woman"] | trained["s_gender_man"]]
    assert people["s_gender_woman"].mean() == pytest.approx(0.5, abs=0.02)
    said = pd.read_csv(folder / "balance" / "filter.csv").set_index("name")
    assert said.loc["s_gender_woman", "kept"] < 0.6 < 0.7 < said.loc["s_gender_man", "kept"]
    assert said.loc["all", "after"] == 0.7 * ROWS


def test_a_filter_without_scores_is_refused(balance) -> None:
    with pytest.raises(InputError, match=r"no column similarity, by which balance.filter.quantile filters"):
        balance(filter={"quantile": 0.1})


def test_without_a_filter_there_is_no_table_of_it(balance) -> None:
    balance(filter={"blanked": "keep"})
    assert not (balance() / "balance" / "filter.csv").exists()


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


def test_ages_in_eight_groups_are_balanced_like_ours(balance: Callable[..., Path]) -> None:
    folder = balance(alpha=0.0, method="none")
    path = folder / "attributes.parquet"
    table = pq.read_table(path)
    rows = table.to_pandas()
    rng = np.random.default_rng(1)
    age = rng.choice(9, len(rows), p=[0.04, 0.06, 0.2, 0.16, 0.12, 0.08, 0.08, 0.06, 0.2])  # the last: unknown
    old = rows[occupation_column("judge")].to_numpy() & (rng.random(len(rows)) < 0.7)
    age = np.where((rows["source"] == "synthetic") | (age == 8), 8, np.where(old, 7, age))
    fields = group_fields({"age": [f"{start}0s" for start in range(8)]})
    for number, field in enumerate(fields):
        table = table.append_column(field, pa.array(age == number))
    pq.write_table(table, path)
    changes = {"attributes": ["gender", "age"], "target": {"gender": "equal", "age": "equal"}, "eps_r": 0.005}
    found = content(balance(alpha=0.0, eps_d=0.005, **changes))
    shares = {name: found["groups"][name] for name in found["groups"] if name.startswith("age:")}
    assert len(shares) == 8
    mean = np.mean([share["realised"] for share in shares.values()])
    assert all(abs(share["realised"] - mean) < 0.012 for share in shares.values())
    assert max(share["before"] for share in shares.values()) > 2 * min(share["before"] for share in shares.values())
    selection = pd.read_parquet(folder / "selection.parquet")
    kept = selection.loc[selection["copies"] > 0, "key"]
    real = pd.DataFrame({"key": rows["key"], "age": age})[(rows["source"] == "real").to_numpy()].set_index("key")
    counted = real.loc[kept, "age"].value_counts(normalize=True)
    assert counted[7] == pytest.approx(shares["age:70s"]["realised"], abs=1e-9)


def test_a_known_share_of_generated_images_is_brought_down_to_a_target(
    balance: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a corpus as it was scraped: three in ten of the people are generated, mostly men, and a tenth says nothing."""
    folder = balance(alpha=0.0, method="none")
    path = folder / "attributes.parquet"
    table = pq.read_table(path)
    rows = table.to_pandas()
    rng = np.random.default_rng(1)
    generated = rng.random(len(rows)) < np.where(rows["s_gender_man"], 0.4, 0.2)
    known = rng.random(len(rows)) < 0.9
    for field, members in zip(group_fields({"synthetic": ["false", "true"]}), (~generated, generated), strict=True):
        table = table.append_column(field, pa.array(known & members))
    pq.write_table(table, path)
    wanted = {"gender": "equal", "synthetic": {"true": 0.1, "false": 0.9}}
    balance(alpha=0.0, attributes=["gender", "synthetic"], target=wanted, eps_r=0.005, eps_d=0.001)
    copies = pd.read_parquet(folder / "selection.parquet").set_index("key")["copies"]
    real = rows.assign(true=known & generated, known=known)[(rows["source"] == "real").to_numpy()].set_index("key")
    copies = copies.loc[real.index]
    assert (real["true"] * copies).sum() / (real["known"] * copies).sum() == pytest.approx(0.1, abs=0.01)
    found = pd.read_csv(folder / "balance" / "origin.csv", keep_default_na=False).set_index(["synthetic", "group"])
    assert set(found["attribute"]) == {"gender"}
    for origin, among in (("true", real["true"]), ("", ~real["known"])):
        men = real["s_gender_man"] & among
        assert found.loc[(origin, "man"), "n"] == men.sum()
        assert float(found.loc[(origin, "man"), "before"]) == pytest.approx(men.sum() / among.sum(), abs=1e-5)
        share = (men * copies).sum() / (among * copies).sum()
        assert float(found.loc[(origin, "man"), "realised"]) == pytest.approx(share, abs=1e-5)
    share = real["true"].mean()
    assert f"generated, as the corpus says: {share:.1%} of the rows before" in capsys.readouterr().out


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
    with pytest.raises(InputError, match="run the stage that writes it"):
        balance()


def test_a_refused_run_leaves_the_last_result(balance) -> None:
    folder = balance()
    before = (folder / "selection.parquet").read_bytes()
    samples = pd.read_parquet(folder / "samples.parquet")
    samples.loc[3, "u"] = np.nan
    samples.to_parquet(folder / "samples.parquet", index=False)
    with pytest.raises(InputError, match="column u: found a null, expected a value in every row"):
        balance()
    assert (folder / "selection.parquet").read_bytes() == before
    assert not list(folder.glob(".*partial"))


def _open_gaps(folder: Path) -> pd.Series:
    """Women's minus men's share of each occupation, among selected rows whose caption says no gender."""
    taken = pd.read_parquet(folder / "selection.parquet").query("copies > 0")
    rows = taken.merge(pd.read_parquet(folder / "attributes.parquet"), on=["key", "source"])
    women, men = rows[rows["s_gender_woman"]], rows[rows["s_gender_man"]]
    labels = [occupation_column(name) for name in OCCUPATIONS]
    open_women, open_men = (part.loc[~part["says_gender"], labels].sum() / len(part) for part in (women, men))
    return (open_women - open_men).abs()


def test_open_balances_where_captions_leave_the_attribute_open(balance) -> None:
    closed = _open_gaps(balance(alpha=0.9, open=False)).max()
    folder = balance(alpha=0.9, open=True)
    found = content(folder)
    assert found["violated"] == 0 and found["certificate"]["relative_gap"] <= 1e-8
    assert closed > 0.02 > 0.006 > _open_gaps(folder).max()
    assert found["before"]["ab_open"] > 0.02 > 0.006 > found["realised"]["ab_open"]


def test_open_names_its_labels_and_belongs_to_its_attribute(balance) -> None:
    folder = balance(alpha=0.9, open=True)
    pairs = pd.read_csv(folder / "balance" / "associations.csv")
    of_open = pairs[pairs["label"].map(open_attribute).notna()]
    assert set(zip(of_open["attribute"], of_open["label"].map(open_attribute), strict=True)) == {
        ("gender", "gender"),
        ("skin_tone", "skin_tone"),
    }


def test_open_without_its_columns_is_one_line(balance) -> None:
    folder = balance()
    table = pd.read_parquet(folder / "attributes.parquet").drop(columns="says_gender")
    table.to_parquet(folder / "attributes.parquet", index=False)
    with pytest.raises(InputError, match=r"attributes\.parquet: no column says_gender"):
        balance(open=True)
