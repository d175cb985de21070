"""Own evaluation sets of every form and kind, and ten models on them in one table and a page."""

import contextlib
import io
import json
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import ValidationError

from stages.core.errors import InputError, run
from stages.corpus.evaluation_sets import read_set
from stages.download.settings import Download
from stages.evaluate import models
from stages.evaluate.__main__ import main
from stages.results.registry import describe
from tests.helpers import documented
from tests.helpers.figures import COLOURS, drawing
from tests.helpers.own_corpus import Project

ROOT = Path(__file__).parents[2]
AGES = ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")
MODELS = 10


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(drawing(COLOURS[("woman", "man")[number % 2]], number)).save(buffer, "PNG")
    return buffer.getvalue()


def table_of_persons(folder: Path) -> None:
    """Write parquet with image bytes, ages in eight groups, a region of the user's, and clusters of two images."""
    rows = 96
    columns = {
        "image": [{"bytes": png(number), "path": f"{number}.png"} for number in range(rows)],
        "gender": [("woman", "man", "unknown")[number % 3] for number in range(rows)],
        "age": [AGES[number // 2 % 8] for number in range(rows)],
        "region": [("north", "south", None)[number // 4 % 3] for number in range(rows)],
        "cluster": [f"figure{number // 2}" for number in range(rows)],
    }
    folder.mkdir()
    pq.write_table(pa.table(columns).slice(0, 50), folder / "a.parquet")
    pq.write_table(pa.table(columns).slice(50), folder / "b.parquet")


def clip_benchmark(folder: Path) -> None:
    """Write a set as CLIP_benchmark's wds converter does: test/<n>.tar, nshards.txt, classnames.txt."""
    (folder / "test").mkdir(parents=True)
    (folder / "classnames.txt").write_text("a red disc\na blue disc")
    (folder / "zeroshot_classification_templates.txt").write_text("a photo of {c}.")
    (folder / "test" / "nshards.txt").write_text("2")
    for shard in (0, 1):
        with tarfile.open(folder / "test" / f"{shard}.tar", "w") as tar:
            for number in range(20 * shard, 20 * shard + 20):
                for suffix, data in (("png", png(number)), ("cls", str(number % 2).encode())):
                    info = tarfile.TarInfo(f"s{number:07d}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))


def folder_of_captions(folder: Path) -> None:
    """Write a folder with metadata.jsonl."""
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.png").write_bytes(png(number))
    rows = [
        {"file_name": f"{n}.png", "caption": [f"disc {n}", f"a drawing {n}"], "gender": ("woman", "man")[n % 2]}
        for n in range(40)
    ]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Sets of all three kinds, written by the stage `download` from the documented profile."""
    made = Project(tmp_path_factory.mktemp("sets"))
    (made.folder / "mine").mkdir()
    table_of_persons(made.folder / "mine" / "faces")
    clip_benchmark(made.folder / "mine" / "discs")
    folder_of_captions(made.folder / "mine" / "street")
    shutil.copytree(made.folder / "mine" / "street", made.folder / "mine" / "corpus")
    import yaml

    wanted = yaml.safe_load(documented.block("docs/own-data.md", "kind: retrieval"))["download"]["evaluation"]
    table = {"path": "mine/corpus", "image": "file_name"}
    made.configure(1, source="table", table=table, evaluation=wanted)
    done = made.run()
    assert done.returncode == 0, done.stderr
    return made


def test_sets_keep_their_kind_attributes_and_clusters(project: Project) -> None:
    faces, discs, street = (read_set(project.data / "eval", name) for name in ("faces", "discs", "street"))
    assert (faces.kind, discs.kind, street.kind) == ("persons", "objects", "retrieval")
    assert faces.attributes[-1] == "region"
    assert faces.table["region"].value_counts().to_dict() == {"north": 32, "south": 32, "": 32}
    assert faces.table["gender"].value_counts().to_dict() == {"woman": 32, "man": 32, "": 32}
    assert faces.table["cluster"].nunique() == 48
    assert discs.table["label"].tolist() == ["a red disc", "a blue disc"] * 20
    assert street.table["captions"].map(list).tolist()[1] == ["disc 1", "a drawing 1"]
    np.testing.assert_array_equal(discs.images.read_image(discs.table["key"][3]), drawing(COLOURS["man"], 3))


def evaluate(folder: Path, *words: object) -> str:
    stdout = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(stdout):
        patch.setenv("COUNTERWEIGHT_WORK", str(folder / "work"))
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["evaluate", *map(str, words)])
        run(main)
    return stdout.getvalue()


@pytest.fixture(scope="module")
def compared(project: Project, model_folder: Path) -> Path:
    """Ten models: nine links to one, and one that open_clip finds by its `local-dir:` id."""
    for number in range(MODELS - 1):
        (project.folder / f"model{number}").symlink_to(model_folder)
    rows = [{"model": f"model{number}"} for number in range(MODELS - 1)]
    rows.append({"model": f"local-dir:{model_folder}", "name": "by_id"})
    pd.DataFrame(rows).to_csv(project.folder / "models.csv", index=False)
    words = documented.block("docs/own-data.md", "--models models.csv").replace("\\\n", " ").split()
    evaluate(project.folder, *words[words.index("stages.evaluate") + 1 :])
    return project.folder / "compared"


def test_ten_models_stand_in_one_table_with_intervals(compared: Path) -> None:
    table = pd.read_csv(compared / "models.csv")
    assert table["model"].nunique() == MODELS
    for metric in set(table["metric"]):
        describe(metric)  # raises for a key that no entry describes
    key = table.set_index(["model", "metric"])
    for metric in ("street.t2i.r5", "faces.age.ab.max", "faces.region.ab.max", "discs.acc1", "discs.rb.gender.margin"):
        values = key.xs(metric, level="metric")
        assert len(values) == MODELS
        assert (values["lo"] <= values["hi"]).all()
        assert values["value"].nunique() == 1  # the same weights
    written = json.loads((compared / "by_id" / "metrics.json").read_text())
    assert written["discs.acc1"] == pytest.approx(key.loc[("by_id", "discs.acc1"), "value"], rel=1e-4)
    page = (compared / "models.html").read_text()
    assert page.count("<th>") == MODELS + 1 and "faces.age.ab.max" in page and "data:image/png" in page


def test_groups_of_any_attribute_have_a_gap_a_ratio_and_a_range_over_prompts(compared: Path) -> None:
    found = json.loads((compared / "model0" / "metrics.json").read_text())
    table = pd.read_csv(compared / "model0" / "group_association.csv")
    ages = table.loc[table["attribute"] == "age"]
    assert set(ages["group"]) == set(AGES) and set(ages["n_1"]) == {12}
    assert found["faces.age.ab.max"] == pytest.approx(ages["softmax"].abs().max(), rel=1e-4)
    retrieval = pd.read_csv(compared / "model0" / "retrieval.csv")
    rows = retrieval.loc[
        (retrieval["direction"] == "t2i") & (retrieval["k"] == 5) & (retrieval["attribute"] == "gender")
    ]
    low, high = rows["value"].min(), rows["value"].max()
    assert found["street.t2i.r5.gap.gender"] == pytest.approx(high - low, abs=1e-3)
    assert found["street.t2i.r5.ratio.gender"] == pytest.approx(low / high, rel=1e-3)
    for key in ("faces.ab.max", "discs.rb.gender.margin", "discs.rb.gender.share"):
        assert found[f"{key}.prompts.lowest"] <= found[f"{key}.prompts.highest"]
    margin = found["discs.rb.gender.margin"]
    assert found["discs.rb.gender.margin.prompts.lowest"] <= margin <= found["discs.rb.gender.margin.prompts.highest"]


def test_published_prompts_stand_in_for_the_profiles(project: Project, compared: Path, model_folder: Path) -> None:
    words = ["--model", model_folder, "--sets", "discs", "--out", "bare"]
    evaluate(project.folder, *words, "--prompts", "webli")
    table = pd.read_csv(project.folder / "bare" / "representation.csv")
    pairs = table.loc[table["attribute"] == "gender", ["first", "second"]].drop_duplicates()
    assert pairs.to_numpy().tolist() == [["Male", "Female"], ["male", "female"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\na\n", "no column model"),
        ("model,name\n,a\n", "row 1: column model"),
        ("model,name\nRN50,a/b\n", "row 1: column name: found 'a/b'"),
        ("model\nRN50\nRN50\n", "row 2: the name RN50 comes twice"),
        ("model\n", "no rows"),
        ("model,name\nRN50,a\nRN50,A\n", "row 2: the name A comes twice"),
        ("model,name\nRN50,models.csv\n", "row 1: column name: found 'models.csv', expected"),
        (f"model,name\nRN50,{'x' * 101}\n", "row 1: column name: found 'xxx"),
    ],
)
def test_a_table_of_models_that_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "models.csv").write_text(text)
    with pytest.raises(InputError) as error:
        models.read(tmp_path / "models.csv")
    assert said in str(error.value)


def test_no_table_or_page_of_the_users_is_replaced(tmp_path: Path) -> None:
    models.check_place(tmp_path / "new")
    (tmp_path / "models.csv").write_text("model,metric,value,lo,hi\n")
    (tmp_path / "models.html").write_text("<p>")
    models.check_place(tmp_path)
    (tmp_path / "models.csv").write_text("model,name\nRN50,a\n")
    with pytest.raises(InputError, match=r"holds models\.csv, which no earlier run wrote and which would be lost"):
        models.check_place(tmp_path)
    (tmp_path / "models.csv").unlink()
    with pytest.raises(InputError, match=r"holds models\.html, which no earlier run wrote"):
        models.check_place(tmp_path)


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        ({"mine": "mine.csv"}, "found a path alone"),
        ({"people": {"path": "p.csv", "kind": "objects"}}, "found kind objects, but sets of this name are retrieval"),
        ({"data": {"path": "p.csv", "kind": "objects"}}, "found the name 'data'"),
        ({"mine": {"path": "p.csv", "kind": "faces"}}, "kind"),
    ],
)
def test_a_set_without_a_kind_is_refused(evaluation: dict, said: str) -> None:
    mine = {"source": "table", "resolution": 64, "seed": 0, "table": {"path": "mine.csv"}}
    with pytest.raises(ValidationError, match=said):
        Download.model_validate({**mine, "evaluation": evaluation})
