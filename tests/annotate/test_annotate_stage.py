import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from stages.core.scratch import VARIABLE, work_folder
from stages.corpus.attributes import sensitive_columns
from stages.corpus.images import encode_png
from stages.corpus.shards import Shard, write_shard
from tests.helpers import programs, tiny_clip

ROOT = Path(__file__).resolve().parents[2]
SHARDS = ["00000", "00001"]
SAMPLES = 240


def run(stage: str, project: Path, work: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: str(work or work_folder("packages").parent)}
    return programs.run(f"stages.{stage}", folder=project, environment=environment)


def configure(project: Path, made: str = "diffusion", **annotate: object) -> None:
    science = yaml.safe_load((ROOT / "params.yaml").read_text())
    scale = yaml.safe_load((ROOT / "stages/profiles/smoke.yaml").read_text())
    scale["download"]["emoji"] |= {"samples": SAMPLES, "eval_people": 20, "eval_portraits": 4, "eval_objects": 4}
    scale["annotate"] |= {"epochs": 40, **annotate}
    scale["generate"]["source"] = made
    (project / "stages/profiles").mkdir(parents=True, exist_ok=True)
    (project / "params.yaml").write_text(yaml.safe_dump(science | {"profile": "smoke", "shards": SHARDS}))
    (project / "stages/profiles/smoke.yaml").write_text(yaml.safe_dump(scale))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real drawings; as generated images, the mirrored drawings of the samples with u below one half."""
    folder = tmp_path_factory.mktemp("project")
    configure(folder)
    done = run("download", folder)
    assert done.returncode == 0, done.stderr
    data = folder / "data/smoke"
    u = pd.read_parquet(data / "samples.parquet").set_index("key")["u"]
    for name in SHARDS:
        with Shard(data / f"real/{name}.tar") as real:
            images = [
                (key, {"png": encode_png(np.ascontiguousarray(real.read_image(key)[:, ::-1]))})
                for key in real.keys
                if u[key] < 0.5
            ]
        write_shard(data / f"synthetic/{name}.tar", images)
    done = run("annotate", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def samples(project: Path) -> pd.DataFrame:
    return pd.read_parquet(project / "data/smoke/samples.parquet").set_index("key")


@pytest.fixture(scope="module")
def table(project: Path) -> pd.DataFrame:
    return pd.read_parquet(project / "data/smoke/attributes.parquet")


def test_a_row_for_each_real_and_each_generated_image(table: pd.DataFrame, samples: pd.DataFrame) -> None:
    assert table.loc[table["source"] == "real", "key"].tolist() == samples.index.tolist()
    assert table.loc[table["source"] == "synthetic", "key"].tolist() == samples.index[samples["u"] < 0.5].tolist()


def test_real_rows_carry_the_metadata(table: pd.DataFrame, samples: pd.DataFrame) -> None:
    real = table[table["source"] == "real"].set_index("key")
    assert (real["s_gender_woman"] == (samples["gender"] == "woman")).all()
    assert (real["s_skin_tone_darker"] == samples["skin_tone"].isin(["3", "4", "5"])).all()
    assert (real["y_occupation_judge"] == (samples["occupation"] == "judge")).all()


def test_synthetic_rows_share_the_caption_but_not_the_groups(table: pd.DataFrame) -> None:
    pairs = table.pivot(index="key", columns="source")
    labels = [name for name in table if name.startswith("y_")]
    both = pairs.dropna()
    assert (both.xs("real", axis=1, level=1)[labels] == both.xs("synthetic", axis=1, level=1)[labels]).to_numpy().all()


def test_the_classifier_recognises_what_it_is_sure_of(table: pd.DataFrame, samples: pd.DataFrame) -> None:
    """The generated images of this test show known people: right well above chance, and unsure of some."""
    synthetic = table[table["source"] == "synthetic"].set_index("key")
    known = samples.loc[synthetic.index, "skin_tone"] != ""
    sure = synthetic["s_skin_tone_lighter"] | synthetic["s_skin_tone_darker"]
    right = synthetic["s_skin_tone_lighter"] == samples.loc[synthetic.index, "skin_tone"].isin(["1", "2"])
    assert 20 < (known & sure).sum() < known.sum()
    assert right[known & sure].mean() > 0.8


def test_groups_exclude_each_other(table: pd.DataFrame) -> None:
    woman, man, lighter, darker = (table[name] for name in sensitive_columns())
    assert not (woman & man).any()
    assert not (lighter & darker).any()


def test_the_accuracy_is_reported_with_n(project: Path, samples: pd.DataFrame) -> None:
    figures = json.loads((project / "data/smoke/annotation.json").read_text())
    assert figures["rows.real"] == SAMPLES
    assert figures["rows.synthetic"] == (samples["u"] < 0.5).sum()
    assert figures["style.skin_tone.n"] == 20
    assert 0 < figures["scenes.skin_tone.n"] < SAMPLES / 4
    assert 0 <= figures["scenes.gender.accuracy"] <= 1


def test_errors_of_a_model_are_counted_where_captions_say_a_group(
    project: Path, samples: pd.DataFrame, table: pd.DataFrame
) -> None:
    figures = json.loads((project / "data/smoke/annotation.json").read_text())
    synthetic = table[table["source"] == "synthetic"].set_index("key")
    said = samples.loc[synthetic.index, "mentions_gender"]
    woman = samples.loc[synthetic.index, "gender"] == "woman"
    wrong = said & ((woman & synthetic["s_gender_man"]) | (~woman & synthetic["s_gender_woman"]))
    assert figures["error.synthetic.gender.n"] == figures["error.synthetic.gender.said.n"] == said.sum()
    assert figures["error.synthetic.gender.wrong"] == pytest.approx(wrong.sum() / said.sum())
    assert figures["shares.synthetic.gender.woman.share"] == pytest.approx(synthetic["s_gender_woman"].mean())
    assert figures["error.scenes.skin_tone.n"] == figures["scenes.skin_tone.n"]
    assert figures["error.style.skin_tone.n"] == 20
    assert "shares.synthetic.gender.woman.known" not in figures


def test_errors_of_drawings_are_counted_on_all_of_them(project: Path, tmp_path: Path, samples: pd.DataFrame) -> None:
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    configure(tmp_path, made="oracle")
    data = tmp_path / "data/smoke"
    for name in SHARDS:
        with Shard(data / f"synthetic/{name}.tar") as shard:
            known = [(key, {"json": samples.loc[key, ["gender", "skin_tone"]].to_dict()}) for key in shard.keys]
        write_shard(data / f"oracle/{name}.tar", known)
    done = run("annotate", tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads((data / "annotation.json").read_text())
    table = pd.read_parquet(data / "attributes.parquet")
    synthetic = table[table["source"] == "synthetic"].set_index("key")
    shown = samples.loc[synthetic.index]
    of = {group: shown["gender"] == group for group in ("woman", "man", "")}
    wrong = (of["woman"] & synthetic["s_gender_man"]) | (of["man"] & synthetic["s_gender_woman"])
    gendered = (of["woman"] | of["man"]).sum()
    assert figures["error.synthetic.gender.n"] == gendered
    assert figures["error.synthetic.gender.wrong"] == pytest.approx(wrong.sum() / gendered)
    invented = (of[""] & (synthetic["s_gender_man"] | synthetic["s_gender_woman"])).sum() / of[""].sum()
    assert figures["error.synthetic.gender.invented"] == pytest.approx(invented)
    assert figures["shares.synthetic.gender.woman.known"] == pytest.approx(of["woman"].mean())


def test_a_second_run_gives_the_same_bytes(project: Path) -> None:
    path = project / "data/smoke/attributes.parquet"
    before = path.read_bytes()
    assert run("annotate", project).returncode == 0
    assert path.read_bytes() == before


def test_captions_as_the_source(project: Path, tmp_path: Path, samples: pd.DataFrame) -> None:
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    configure(tmp_path, source="caption")
    assert run("annotate", tmp_path).returncode == 0
    table = pd.read_parquet(tmp_path / "data/smoke/attributes.parquet")
    for source in ("real", "synthetic"):
        rows = table[table["source"] == source].set_index("key")
        said = samples.loc[rows.index, "gender"].where(samples.loc[rows.index, "mentions_gender"], "")
        assert (rows["s_gender_woman"] == (said == "woman")).all()


def test_images_that_the_corpus_calls_generated_are_in_the_group_of_those_generated_here(
    project: Path, tmp_path: Path
) -> None:
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    configure(tmp_path, source="caption", columns=["synthetic"])
    samples = pd.read_parquet(tmp_path / "data/smoke/samples.parquet")
    samples["synthetic"] = pd.array([(True, False, None)[row % 3] for row in range(len(samples))], "boolean")
    samples.to_parquet(tmp_path / "data/smoke/samples.parquet", index=False)
    assert run("annotate", tmp_path).returncode == 0
    table = pd.read_parquet(tmp_path / "data/smoke/attributes.parquet").set_index("key")
    real, made = (table[table["source"] == source] for source in ("real", "synthetic"))
    known = samples.set_index("key")["synthetic"].loc[real.index]
    assert real["s_synthetic_true"].tolist() == known.fillna(False).tolist()
    assert real["s_synthetic_false"].tolist() == (~known).fillna(False).tolist()
    assert set(made["s_synthetic_true"]) == {True} and set(made["s_synthetic_false"]) == {False}


@pytest.mark.parametrize("source", ["caption", "zero_shot"])
def test_a_pretrained_model_beside_the_captions(
    project: Path, tmp_path: Path, samples: pd.DataFrame, source: str
) -> None:
    """Whichever decides, both are compared; what the model saw is kept, so that a second run needs no model."""
    shutil.copytree(project, tmp_path / "project", dirs_exist_ok=True)
    root = tmp_path / "project"
    model = tiny_clip.save(tmp_path / "tiny")
    configure(root, source=source, threshold=0.51, zero_shot={"model": model, "batch_size": 64})
    done = run("annotate", root, tmp_path / "work")
    assert done.returncode == 0, done.stderr
    table = pd.read_parquet(root / "data/smoke/attributes.parquet")
    figures = json.loads((root / "data/smoke/annotation.json").read_text())
    real = table[table["source"] == "real"].set_index("key")
    said = samples.loc[real.index, "gender"].where(samples.loc[real.index, "mentions_gender"], "")
    either = real["s_gender_woman"] | real["s_gender_man"]
    assert figures["real.gender.said"] == pytest.approx((said != "").mean())
    if source == "caption":
        assert (real["s_gender_woman"] == (said == "woman")).all()
    else:
        assert figures["real.gender.seen"] == pytest.approx(either.mean())
        assert not (real["s_gender_woman"] & real["s_gender_man"]).any()
        both = either & (said != "")
        assert figures["real.gender.n"] == both.sum()
        if both.any():
            same = real["s_gender_woman"][both] == (said[both] == "woman")
            assert figures["real.gender.agreement"] == pytest.approx(same.mean())
    assert len(list((tmp_path / "work" / "annotate").rglob("seen.json"))) == 2 * len(SHARDS)


def test_blanked_images_are_marked_and_counted_by_group(
    project: Path, tmp_path: Path, table: pd.DataFrame, samples: pd.DataFrame
) -> None:
    assert not table["blanked"].any()
    assert "blanked" not in json.loads((project / "data/smoke/annotation.json").read_text())
    shutil.copytree(project, tmp_path / "project", dirs_exist_ok=True)
    root = tmp_path / "project"
    configure(root, source="caption", similarity={"model": tiny_clip.save(tmp_path / "tiny"), "batch_size": 64})
    path = root / "data/smoke/synthetic/00000.tar"
    with Shard(path) as shard:
        keys = shard.keys
        blanked = set(keys[::3])
        members = [
            (key, {"png": shard.read(key, "png")} | ({"json": {"blanked": True}} if key in blanked else {}))
            for key in keys
        ]
    write_shard(path, members)
    done = run("annotate", root, tmp_path / "work")
    assert done.returncode == 0, done.stderr
    found = pd.read_parquet(root / "data/smoke/attributes.parquet")
    assert set(found["key"][found["blanked"]]) == blanked
    assert set(found["source"][found["blanked"]]) == {"synthetic"}
    figures = json.loads((root / "data/smoke/annotation.json").read_text())
    said = samples["gender"].where(samples["mentions_gender"], "").loc[sorted(blanked)]
    assert figures["blanked"] == len(blanked)
    assert figures["blanked.gender.woman"] == (said == "woman").sum()
    assert found["similarity"].between(-1, 1).all()
    assert len(list((tmp_path / "work" / "similarity").rglob("scores.npy"))) == 2 * len(SHARDS)


def test_a_missing_synthetic_shard_is_named(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    (tmp_path / "data/smoke/synthetic/00001.tar").unlink()
    before = (tmp_path / "data/smoke/attributes.parquet").read_bytes()
    done = run("annotate", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: data/smoke/synthetic/00001.tar: no such shard")
    assert (tmp_path / "data/smoke/attributes.parquet").read_bytes() == before


def test_shards_of_another_corpus_are_refused(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    write_shard(tmp_path / "data/smoke/synthetic/00001.tar", [("stranger", {"png": b""})])
    done = run("annotate", tmp_path)
    assert done.returncode == 2
    assert "keys that are not those of samples.parquet" in done.stderr
