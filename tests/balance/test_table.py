"""M4 on any table: fairlearn's rates as the oracle, columns of every kind, exports read by those they are for."""

import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import webdataset
from fairlearn.metrics import MetricFrame, mean_prediction, selection_rate
from open_clip_train.data import CsvDataset
from PIL import Image

from stages.balance import balance_table
from stages.balance.__main__ import main
from stages.balance.table import indicators
from stages.core.errors import InputError
from tests.helpers import documented

AGES = ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")


def people(rows: int = 4000, seed: int = 0) -> pd.DataFrame:
    """Ages in eight groups and gender, some unknown; nurses are women, judges are old."""
    rng = np.random.default_rng(seed)
    gender = rng.choice(["woman", "man", ""], rows, p=[0.35, 0.55, 0.1])
    age = rng.choice(AGES, rows, p=[0.05, 0.1, 0.25, 0.2, 0.15, 0.1, 0.1, 0.05])
    nurse = rng.random(rows) < np.where(gender == "woman", 0.3, 0.1)
    judge = ~nurse & (rng.random(rows) < np.where(np.isin(age, AGES[5:]), 0.3, 0.1))
    occupation = np.select([nurse, judge], ["nurse", "judge"], "")
    return pd.DataFrame({"gender": gender, "age": age, "occupation": occupation, "tie": rng.random(rows) < 0.4})


def test_groups_have_equal_shares_and_equal_rates_as_fairlearn_measures_them() -> None:
    table = people()
    weights, report = balance_table(table, ["gender", "age"], ["occupation", "tie"], eps_r=0, eps_d=0)
    assert weights.index.equals(table.index) and weights["weight"].between(0, 1).all()
    assert report.facts["certificate"]["relative_gap"] < 1e-8 and report.facts["violated"] == 0
    np.testing.assert_allclose(weights["weight"].mean(), report.facts["eta"])
    assert report.facts["eta"] == pytest.approx(report.facts["largest_eta"], rel=1e-5)
    for attribute, groups in (("gender", 2), ("age", 8)):
        known = table[attribute] != ""
        shares = weights.loc[known, "weight"].groupby(table[attribute]).sum()
        np.testing.assert_allclose(shares / shares.sum(), 1 / groups, atol=1e-6)
        for label in (table["occupation"] == "nurse", table["occupation"] == "judge", table["tie"]):
            frame = MetricFrame(
                metrics=mean_prediction,
                y_true=label[known],
                y_pred=label[known].astype(float),
                sensitive_features=table.loc[known, attribute],
                sample_params={"sample_weight": weights.loc[known, "weight"]},
            )
            assert frame.difference() < 1e-5


def test_before_is_what_fairlearn_measures() -> None:
    table = people()
    _, report = balance_table(table, ["gender"], ["tie"])
    known = table["gender"] != ""
    frame = MetricFrame(
        metrics=selection_rate,
        y_true=table["tie"][known],
        y_pred=table["tie"][known],
        sensitive_features=table["gender"][known],
    )
    found = report.associations.set_index("group")["before"]
    assert found["woman"] == pytest.approx(frame.by_group["woman"] - frame.by_group["man"])


def test_rows_in_no_group_are_counted_by_label() -> None:
    table = pd.DataFrame(
        {"gender": ["woman", "man", None, "unknown"], "occupation": ["nurse", "judge", "judge", "judge"]}
    )
    _, report = balance_table(table, ["gender"], ["occupation"], eta=0.5)
    found = report.unknown.set_index("label")["unknown"]
    assert found.to_dict() == {"": 0.5, "occupation: judge": pytest.approx(2 / 3), "occupation: nurse": 0.0}


def test_whole_rows_keep_what_the_weights_keep() -> None:
    weights, report = balance_table(people(), ["gender", "age"], ["occupation"])
    assert weights["kept"].sum() == report.facts["kept_rows"]
    assert abs(weights["kept"].mean() - report.facts["eta"]) < 1e-3
    assert not weights["kept"][weights["weight"] == 0].any()
    assert report.facts["realised"]["rb"] < 0.01 < report.facts["before"]["rb"]
    assert report.facts["realised"]["ab"] < 0.05 < report.facts["before"]["ab"]


def test_a_smaller_table_of_marginals_is_a_target() -> None:
    marginals = pd.DataFrame({"gender": ["woman", "man"], "count": [1, 3]})
    table = people()
    weights, _ = balance_table(table, ["gender"], target=marginals, eps_r=0)
    shares = weights["weight"].groupby(table["gender"]).sum()
    assert shares["man"] / shares["woman"] == pytest.approx(3, abs=1e-5)


@pytest.mark.parametrize(
    ("column", "names", "members"),
    [
        (pd.Series(["b", "a", None, "unknown"]), ["a", "b"], [[0, 1], [1, 0], [0, 0], [0, 0]]),
        (pd.Series([True, False]), ["false", "true"], [[0, 1], [1, 0]]),
        (pd.Series(["True", "false", ""]), ["false", "true"], [[0, 1], [1, 0], [0, 0]]),
        (pd.Series([True, pd.NA], dtype="boolean"), ["false", "true"], [[0, 1], [0, 0]]),
        (pd.Series([["b", "a"], [], None, ("a",)]), ["a", "b"], [[1, 1], [0, 0], [0, 0], [1, 0]]),
        (pd.Series([3, 12, 3]), ["12", "3"], [[0, 1], [1, 0], [0, 1]]),
        (pd.Series([3.0, np.nan]), ["3"], [[1], [0]]),
        (pd.Series(["1.0", "7"]), ["1.0", "7"], [[1, 0], [0, 1]]),
        (pd.Series(["0.5", "half"]), ["0.5", "half"], [[1, 0], [0, 1]]),
        (pd.Series(pd.Categorical(["b", "a"], ["b", "a", "c"])), ["b", "a"], [[1, 0], [0, 1]]),
    ],
)  # fmt: skip
def test_what_a_column_holds_says_what_it_means(column: pd.Series, names: list[str], members: list[list[int]]) -> None:
    found, matrix = indicators(column, "column")
    assert found == names
    assert matrix.astype(int).tolist() == members


@pytest.mark.parametrize(
    ("table", "arguments", "said"),
    [
        ({"a": ["x", "y"]}, {"sensitive": ["b"]}, "no column b (found: a)"),
        ({"a": ["x", "x"]}, {"sensitive": ["a"]}, "column a: found x, expected two groups"),
        ({"a": [0.5, 1]}, {"sensitive": ["a"]}, "row 1: column a: found the number 0.5"),
        ({"a": ["x", "['x', 'y']"]}, {"sensitive": ["a"]}, "row 2: column a: found ['x', 'y'], a list"),
        ({"a": ["x", "y"]}, {"sensitive": ["a"], "eta": 2}, "eta: found 2"),
        ({"a": ["x", "y"]}, {"sensitive": ["a"], "target": "same"}, "target: found 'same'"),
        ({"a": ["x", "y"]}, {"sensitive": ["a"], "target": {"a": {"x": 1.0}}}, "expected the groups x, y"),
        ({"a": ["x", "y"], "k": ["1", "1"]}, {"sensitive": ["a"], "key": "k"}, "row 2: column k: found '1' twice"),
        ({"a": ["0.5", "2"]}, {"sensitive": ["a"]}, "column a: found the number 0.5"),
        ({"a": ["inf", "2"]}, {"sensitive": ["a"]}, "column a: found the number inf"),
        ({"a": ["x", "y"]}, {"sensitive": ["a", "a"]}, "column a: named twice"),
        ({"a": ["x", "y"]}, {"sensitive": ["a"], "labels": ["a"]}, "column a: named twice"),
        (
            {"a": ["x", "y"], "l": ["p", "q"], "l: p": [1, 0]},
            {"sensitive": ["a"], "labels": ["l", "l: p"]},
            "label l: p: found as a column and as a value of another",
        ),
        ({"a": ["x", "y"]}, {"sensitive": ["a"], "eps_r": -1}, "eps_r: found -1, expected a finite number"),
        ({"a": ["x", "y"]}, {"sensitive": ["a"], "eps_d": float("nan")}, "eps_d: found nan"),
        ({"a": ["x", "y"]}, {"sensitive": ["a"], "target": pd.DataFrame({"b": ["x"]})}, "target: no column a"),
        ({"a": ["x", "y"], "l": ["p", "q"]}, {"sensitive": ["a"], "labels": ["l"]}, "no weights meet the constraints"),
    ],
)
def test_what_cannot_be_balanced_is_refused(table: dict, arguments: dict, said: str) -> None:
    with pytest.raises(InputError, match=said.replace("[", r"\[").replace("(", r"\(").replace(")", r"\)")):
        balance_table(pd.DataFrame(table), **arguments)


def test_the_documented_commands_and_functions(project: Path) -> None:
    rng = np.random.default_rng(1)
    table = people(2000).assign(image="0.png", caption="a caption", key=[f"{number:05d}" for number in range(2000)])
    table["similarity"] = rng.normal(size=2000) - (table["gender"] == "woman")  # a judge against women
    table.to_csv("people.csv", index=False)
    with tarfile.open(project / "tars" / "0.tar", "w") as tar:
        for key in rng.permutation(table["key"]):
            info = tarfile.TarInfo(f"{key}.txt")
            tar.addfile(info, io.BytesIO(b""))
    environment = {**os.environ, "PYTHONPATH": str(documented.ROOT)}
    documented.run(documented.block("docs/own-data.md", "--out weights.parquet\n"), project, environment)
    documented.run(documented.block("docs/own-data.md", "--export tars"), project, environment)
    said = documented.run(documented.block("docs/own-data.md", "--filter similarity"), project, environment)
    kept = table["similarity"].rank(method="first") > 600
    found = pd.read_csv("filtered.filter.csv", keep_default_na=False).set_index(["group", "label"])
    assert found.loc[("", ""), ["before", "after"]].tolist() == [2000, 1400]
    women = table["gender"] == "woman"
    assert found.loc[("gender: woman", ""), ["before", "after"]].tolist() == [women.sum(), (women & kept).sum()]
    nurses = women & (table["occupation"] == "nurse")
    row = found.loc[("gender: woman", "occupation: nurse")]
    assert (row["before"], row["after"]) == (nurses.sum(), (nurses & kept).sum())
    assert float(row["relative"]) == pytest.approx((nurses & kept).sum() / nurses.sum() / 0.7)
    assert float(found.loc[("gender: woman", ""), "relative"]) < 0.9 and "gender: woman" in said
    filtered = pd.read_parquet("filtered.parquet")
    assert len(filtered) == 2000 and not filtered["kept"][~kept.to_numpy()].any()
    assert (filtered["weight"][~kept.to_numpy()] == 0).all()
    weights = pd.read_parquet("weights.parquet")
    with tarfile.open("kept/0.tar") as tar:
        assert {name.removesuffix(".txt") for name in tar.getnames()} == set(weights["key"][weights["kept"]])
    assert not Path("weights.origin.csv").exists()
    names: dict[str, Any] = {}
    exec(documented.block("docs/own-data.md", "import balance_table"), names)
    assert names["report"].facts["violated"] == 0
    exec(documented.block("docs/own-data.md", "WeightedRandomSampler("), names)
    drawn = table["gender"].iloc[list(names["sampler"])].value_counts()
    expected = weights["weight"].groupby(table["gender"]).sum() / weights["weight"].sum()
    assert (drawn / drawn.sum() - expected).abs().max() < 0.06


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of keys, images, captions and genders, its images, and two tars of them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"uid": [f"{number:032x}" for number in range(2**70, 2**70 + 40)]})
    table["gender"] = ["woman"] * 10 + ["man"] * 30
    table["file"] = [f"{tmp_path}/{number}.png" for number in range(40)]
    table["text"] = [f"caption\t{number}, with a tab" for number in range(40)]
    (tmp_path / "tars").mkdir()
    for half in (0, 1):
        with tarfile.open(tmp_path / "tars" / f"{half}.tar", "w") as tar:
            for number in range(20 * half, 20 * half + 20):
                image = io.BytesIO()
                Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(image, "png")
                (tmp_path / f"{number}.png").write_bytes(image.getvalue())
                for suffix, data in (("png", image.getvalue()), ("txt", f"caption {number}".encode())):
                    info = tarfile.TarInfo(f"{table['uid'][number]}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    table.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path


def webdataset_reads(tar: Path) -> list[dict]:
    decode = webdataset.autodecode.Decoder([webdataset.autodecode.imagehandler("rgb8")])
    with tar.open("rb") as file:
        files = webdataset.tariterators.tar_file_iterator(file)
        grouped = webdataset.tariterators.group_by_keys({**sample, "__url__": "x"} for sample in files)
        return [decode(sample) for sample in grouped]


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["balance", *words])
    main()


def test_exports_are_read_by_the_programs_they_are_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(
        monkeypatch, "--table", "table.csv", "--sensitive", "gender", "--key", "uid", "--out", "weights.parquet",
        "--export", "uids=kept.npy", "--export", "csv=kept.csv", "--export", "tars=kept", "--tars", "tars",
        "--image", "file", "--caption", "text", "--eps-r", "0",
    )  # fmt: skip
    table = pd.read_csv("table.csv")
    weights = pd.read_parquet("weights.parquet")
    assert weights["key"].tolist() == table["uid"].tolist()
    kept = table.loc[weights["kept"].to_numpy()]
    assert kept["gender"].value_counts().to_dict() == {"woman": 10, "man": 10}
    uids = np.load("kept.npy")
    assert [f"{high:016x}{low:016x}" for high, low in uids] == sorted(kept["uid"])
    dataset = CsvDataset("kept.csv", np.asarray, "filepath", "title", tokenizer=lambda texts: texts)
    read = [dataset[number] for number in range(len(dataset))]
    assert [text for _, text in read] == [" ".join(text.split()) for text in kept["text"]]
    samples = [sample for half in (0, 1) for sample in webdataset_reads(Path(f"kept/{half}.tar"))]
    assert [sample["__key__"] for sample in samples] == kept["uid"].tolist()
    for sample, (image, _) in zip(samples, read, strict=True):
        np.testing.assert_array_equal(sample["png"], image)
    facts = json.loads(Path("weights.json").read_text())
    assert facts["before"]["rb"] == pytest.approx(0.25) and facts["solved"]["rb"] == pytest.approx(0, abs=1e-6)
    with Image.open("weights.png") as plot:
        assert plot.size[0] > 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "w.csv"], "--out w.csv: found .csv, expected .parquet"),
        (["--out", "no/w.parquet"], "no folder no"),
        (["--out", "w.parquet", "--export", "zip=a"], "--export: found 'zip'"),
        (["--out", "w.parquet", "--export", "uids=a.npy"], "need --key"),
        (["--out", "w.parquet", "--export", "tars=a", "--key", "uid"], "--tars : no .tar"),
        (["--out", "w.parquet", "--export", "uids=a.npy", "--key", "file"], "expected DataComp's uid"),
        (["--out", "w.parquet", "--export", "tars=a", "--tars", "tars", "--key", "file"], "no key of column file"),
        (["--out", "w.parquet", "--labels", "age"], "table.csv: no column age"),
        (["--out", "w.parquet", "--eta", "all"], "--eta: found 'all'"),
        (["--out", "w.parquet", "--eps-r", "inf"], "eps_r: found inf"),
        (["--out", "w.parquet", "--target", "none.tsv"], "none.tsv: no such file"),
        (
            ["--out", "w.parquet", "--target", "wrong.csv"],
            "--target wrong.csv: target: row 1: column count: found",
        ),
        (["--out", "w.parquet", "--export", "csv=table.csv"], "table.csv: is read, or written for something else too"),
        (["--out", "w.parquet", "--export", "csv=w.groups.csv"], "w.groups.csv: is read, or written for something"),
        (["--out", "w.parquet", "--export", "csv=tars"], "tars: found a folder, expected a file"),
        (["--out", "w.parquet", "--export", "csv=pipe"], "pipe: found a device, a pipe or a socket"),
        (
            ["--out", "w.parquet", "--export", "csv=a", "--export", "csv=b"],
            "--export: found csv=a csv=b, expected",
        ),
        (["--out", "w.parquet", "--tars", "tars"], "--tars needs --export tars=FOLDER"),
    ],
)
def test_nothing_is_written_where_something_is_wrong(
    project: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    os.mkfifo(project / "pipe")
    (project / "wrong.csv").write_text("gender,count\nwoman,-1\n")
    before = sorted(project.rglob("*"))
    with pytest.raises(InputError) as error:
        run(monkeypatch, "--table", "table.csv", "--sensitive", "gender", *words)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert sorted(project.rglob("*")) == before


TARS = ["--key", "uid", "--out", "w.parquet", "--export", "tars=kept", "--tars", "tars", "--eps-r", "0"]


def damage(project: Path, how: str) -> None:
    first, second = project / "tars" / "0.tar", project / "tars" / "1.tar"
    content = bytearray(first.read_bytes())
    if how == "header":
        content[4096:4100] = b"\xff" * 4
    elif how == "cut between members":
        del content[4096:]
    elif how == "twice":
        second.write_bytes(content)
    elif how == "folder":
        (project / "tars" / "2.tar").mkdir()
    elif how == "link":
        with tarfile.open(first, "a") as tar:
            info = tarfile.TarInfo("link.png")
            info.type, info.linkname = tarfile.LNKTYPE, "x.png"
            tar.addfile(info)
    if how != "link":
        first.write_bytes(content)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("header", "0.tar: not a readable tar"),
        ("cut between members", "0.tar: not a readable tar: cut off"),
        ("twice", "is in tars/0.tar, too"),
        ("folder", "2.tar: is a folder, expected a tar"),
        ("link", "member link.png is a link"),
    ],
)
def test_tars_that_would_lose_samples_are_refused_and_nothing_is_written(
    project: Path, monkeypatch: pytest.MonkeyPatch, how: str, said: str
) -> None:
    damage(project, how)
    before = sorted(project.rglob("*"))
    with pytest.raises(InputError, match=said):
        run(monkeypatch, "--table", "table.csv", "--sensitive", "gender", *TARS, "--export", "uids=kept.npy")
    assert sorted(project.rglob("*")) == before


def test_joined_tars_are_read_as_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = project / "tars" / "0.tar", project / "tars" / "1.tar"
    first.write_bytes(first.read_bytes() + second.read_bytes())
    second.unlink()
    run(monkeypatch, "--table", "table.csv", "--sensitive", "gender", *TARS)
    assert len(webdataset_reads(Path("kept/0.tar"))) == 20  # ten of each, which were in both


@pytest.mark.parametrize("caption", [None, ["a", "b"], " "])
def test_what_is_no_caption_is_not_exported_as_one(
    project: Path, monkeypatch: pytest.MonkeyPatch, caption: object
) -> None:
    rows = pd.read_csv("table.csv").to_dict("records")
    rows[3]["text"] = caption
    Path("table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"column text: row 4: found .*, expected a text"):
        run(monkeypatch, "--table", "table.jsonl", "--sensitive", "gender", "--out", "w.parquet",
            "--export", "csv=kept.csv", "--image", "file", "--caption", "text")  # fmt: skip
    assert not Path("kept.csv").exists() and not Path("w.parquet").exists()


def test_dollars_in_the_names_of_groups_are_no_formula(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pd.read_csv("table.csv").replace({"gender": {"woman": "$5_$10", "man": r"$\frac{"}})
    table.to_csv("table.csv", index=False)
    run(monkeypatch, "--table", "table.csv", "--sensitive", "gender", "--out", "w.parquet")
    assert Path("w.png").stat().st_size > 1000


def test_the_index_of_a_parquet_file_is_a_column(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd.read_csv("table.csv").set_index("uid").to_parquet("table.parquet")
    run(monkeypatch, "--table", "table.parquet", "--sensitive", "gender", "--key", "uid", "--out", "w.parquet")
    assert pd.read_parquet("w.parquet")["key"].tolist() == pd.read_csv("table.csv")["uid"].tolist()


def test_counts_under_another_spelling_are_not_passed_over(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("c.csv").write_text("gender,Count\nwoman,9\nman,1\n")
    with pytest.raises(InputError, match="column 'Count': found, expected count"):
        run(monkeypatch, "--table", "table.csv", "--sensitive", "gender", "--out", "w.parquet", "--target", "c.csv")


def test_a_table_is_not_overwritten_by_its_weights(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd.read_csv("table.csv").to_parquet("table.parquet")
    before = Path("table.parquet").read_bytes()
    with pytest.raises(InputError, match=r"table\.parquet: is read"):
        run(monkeypatch, "--table", "table.parquet", "--sensitive", "gender", "--out", "table.parquet")
    assert Path("table.parquet").read_bytes() == before


def test_options_of_a_table_without_one_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (["--sensitive", "gender"], ["--eta", "0.5"], ["--export", "csv=a.csv"], ["--eps-d", "1"]):
        with pytest.raises(InputError, match=f"{words[0]} needs --table"):
            run(monkeypatch, *words)


def test_marginals_may_stand_in_any_kind_of_table(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("census.tsv").write_text("gender\tcount\nwoman\t1\nman\t3\n")
    words = ["--table", "table.csv", "--sensitive", "gender", "--out", "w.parquet"]
    run(monkeypatch, *words, "--target", "census.tsv")
    assert pd.read_csv("w.groups.csv").set_index("group")["target"].to_dict() == {"man": 0.75, "woman": 0.25}


def test_groups_of_names_alike_and_many_of_them_are_drawn() -> None:
    table = pd.DataFrame({"a_b": ["x", "y"] * 4, "a b": ["y", "x", "x", "y"] * 2, "l": [1, 0, 1, 1] * 2})
    drawn = balance_table(table, ["a_b", "a b"], ["l"], eta=0.5)[1].figure()
    assert len(drawn.axes[0].get_xticklabels()) == 4
    many = pd.DataFrame({"g": [f"g{n % 500}" for n in range(1000)], "l": [n % 2 for n in range(1000)]})
    assert max(balance_table(many, ["g"], ["l"], eta=1.0)[1].figure().get_size_inches()) <= 60
