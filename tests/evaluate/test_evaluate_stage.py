"""The stage as a command, on a real tiny model and drawn sets: files, keys, cache, modes, processes, errors."""

import contextlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import open_clip
import pandas as pd
import pytest
import yaml

from stages.core.errors import run
from stages.corpus.attributes import occupation_column, sensitive_columns
from stages.corpus.words import OCCUPATIONS
from stages.evaluate.__main__ import _occupations, main
from stages.results.details import fold
from stages.results.registry import CATALOGUE, SECTIONS, describe

ROOT = Path(__file__).parents[2]


def prepare(folder):
    """Make a folder that has only params.yaml and the profiles; return its environment."""
    if not (folder / "params.yaml").exists():
        shutil.copy(ROOT / "params.yaml", folder)
        shutil.copytree(ROOT / "stages" / "profiles", folder / "stages" / "profiles")
    return {"COUNTERWEIGHT_WORK": str(folder / "work"), "OMP_NUM_THREADS": "1"}


def evaluate(folder, *arguments):
    """Run the command in this process; return its exit code and what it wrote to stderr."""
    stderr = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(stderr):
        for name, value in prepare(folder).items():
            patch.setenv(name, value)
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["evaluate", "--profile", "smoke", *map(str, arguments)])
        try:
            run(main)
        except SystemExit as error:
            return error.code, stderr.getvalue()
    return 0, stderr.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model_folder, data_folder):
    folder = tmp_path_factory.mktemp("run")
    assert evaluate(folder, "--model", model_folder, "--data", data_folder, "--out", "scores")[0] == 0
    return folder


def metrics(folder, name="scores"):
    return json.loads((folder / name / "metrics.json").read_text())


def test_every_key_is_documented_and_finite(finished):
    found = metrics(finished)
    assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())
    described = {describe(key).key for key in fold(found)}
    other = (*SECTIONS["Captions"], *SECTIONS["Data and balancing"])  # and faces, and what training itself logs
    only_elsewhere = {e.key for e in CATALOGUE if ".harm." in e.key or e in other or e.key in ("loss", "temperature")}
    only_elsewhere |= {e.key for e in CATALOGUE if ".transfer" in e.key or ".position" in e.key}  # of training rows
    only_elsewhere.add("{set}.drift")  # the committed study has it
    only_elsewhere |= {e.key for e in CATALOGUE if e.key.startswith("leftover.")}  # of training rows, too
    undefined = {"{set}.preference.{marked}.ratio.{attribute}"}  # where a group is never the nearest
    assert {entry.key for entry in CATALOGUE} - described - undefined == only_elsewhere


def test_counts_stand_beside_the_figures(finished):
    found = metrics(finished)
    assert (found["n.people"], found["n.people.captions"]) == (40, 80)
    assert (found["n.portraits"], found["n.objects"], found["n.objects.classes"]) == (80, 24, 8)


def test_every_value_lies_in_its_interval_or_next_to_it(finished):
    found = metrics(finished)
    for key in [key for key in found if f"{key}.lo" in found]:
        assert found[f"{key}.lo"] <= found[f"{key}.hi"], key


def test_tables_have_counts_and_intervals(finished):
    for name in ("retrieval", "preference", "similarity", "recognition", "harm"):
        path = finished / "scores" / f"{name}.csv"
        if name == "harm":
            assert not path.exists()  # no ethnicity is annotated
            continue
        table = pd.read_csv(path)
        assert {"n", "value", "lo", "hi", "small"} <= set(table.columns), name
        assert table["n"].min() > 0
    association = pd.read_csv(finished / "scores" / "association.csv")
    assert set(association["part"]) == {"seen", "unseen"}
    assert set(association["attribute"]) == {"gender", "skin_tone"}
    assert (association.groupby(["part", "attribute"]).size() == 7).all()


def test_published_beside_corrected(finished):
    table = pd.read_csv(finished / "scores" / "published.csv")
    assert {"t2i.r5", "self_similarity", "person_preference"} <= set(table["metric"])
    assert not table[["as_published", "corrected", "n"]].isna().to_numpy().any()


def test_again_reads_the_features_and_gives_the_same(finished, model_folder, data_folder):
    features = {file: file.stat().st_mtime_ns for file in (finished / "work" / "features").iterdir()}
    evaluate(finished, "--model", model_folder, "--data", data_folder, "--out", "again")
    assert metrics(finished, "again") == metrics(finished)
    assert {file: file.stat().st_mtime_ns for file in (finished / "work" / "features").iterdir()} == features
    assert not [file for file in features if file.suffix != ".safetensors"]


def test_damaged_features_are_made_again(finished, model_folder, data_folder):
    victim = min((finished / "work" / "features").iterdir())
    victim.write_bytes(victim.read_bytes()[:40])
    evaluate(finished, "--model", model_folder, "--data", data_folder, "--out", "repaired")
    assert metrics(finished, "repaired") == metrics(finished)


def test_two_processes_give_what_one_gives(finished, tmp_path, model_folder, data_folder):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"]
    arguments = ["--profile", "smoke", "--model", model_folder, "--data", data_folder, "--out", "scores"]
    environment = {**os.environ, **prepare(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [*launcher, "stages.evaluate", *map(str, arguments)]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert metrics(tmp_path) == pytest.approx(metrics(finished), rel=1e-3, abs=1e-3)


def test_as_published_changes_the_figures(finished, model_folder, data_folder):
    profile = finished / "stages" / "profiles" / "smoke.yaml"
    text = profile.read_text()
    profile.write_text(text.replace("mode: corrected", "mode: as_published"))
    try:
        evaluate(finished, "--model", model_folder, "--data", data_folder, "--out", "published")
    finally:
        profile.write_text(text)
    table = pd.read_csv(finished / "scores" / "published.csv").fillna("")
    old, new = metrics(finished, "published"), metrics(finished)
    assert old["people.t2i.r5"] != new["people.t2i.r5"]
    overall = table[(table["metric"] == "t2i.r5") & (table["attribute"] == "")].iloc[0]
    assert old["people.t2i.r5"] == pytest.approx(overall["as_published"], rel=1e-4)
    similarity = pd.read_csv(finished / "published" / "similarity.csv").fillna("")
    women = similarity[(similarity["part"] == "unseen") & (similarity["group"] == "woman")].iloc[0]
    in_table = table[
        (table["part"] == "unseen") & (table["group"] == "woman") & (table["metric"] == "self_similarity")
    ].iloc[0]
    assert women["value"] == pytest.approx(in_table["as_published"], rel=1e-4)


@pytest.fixture
def captioned(tmp_path, data_folder):
    """A project whose two captioners say the first human caption of each image."""
    prepare(tmp_path)
    data = tmp_path / "data" / "smoke"
    shutil.copytree(data_folder / "eval", data / "eval")
    table = pd.read_parquet(data / "eval" / "people.parquet")
    said = table[["key"]].assign(caption=[captions[0] for captions in table["captions"]])
    for captioner in ("clipcap", "transformer"):
        (data / "captions" / "0").mkdir(parents=True, exist_ok=True)
        said.to_parquet(data / "captions" / "0" / f"{captioner}.parquet", index=False)
    profile = tmp_path / "stages" / "profiles" / "smoke.yaml"  # erasers are fitted on shards, which are not here
    values = yaml.safe_load(profile.read_text())
    values["evaluate"].pop("erase")
    profile.write_text(yaml.safe_dump(values))
    return tmp_path


def test_the_captions_of_a_seed_are_measured_against_its_training_rows(captioned, model_folder):
    data = captioned / "data" / "smoke"
    shutil.copytree(model_folder, data / "models" / "0" / "clip")
    people = pd.read_parquet(data / "eval" / "people.parquet")
    people.assign(occupation=["cook"] * 10 + [""] * 30).to_parquet(data / "eval" / "people.parquet")
    keys, sources = list("abcd"), ["real", "synthetic", "real", "real"]
    pd.DataFrame({"key": keys, "shard": "0", "source": sources, "q": 1.0, "copies": [2, 1, 0, 1]}).assign(
        kept=True
    ).to_parquet(data / "selection.parquet")
    pd.DataFrame({"key": keys, "caption": ["a cook", "a hat", "a hat", "a cat"]}).to_parquet(data / "samples.parquet")
    columns = [*sensitive_columns(), *map(occupation_column, OCCUPATIONS)]
    said = {"s_gender_woman": keys[:2], "s_gender_man": keys[2:], "y_occupation_cook": ["a"]}
    rows = [{name: key in said.get(name, []) for name in columns} for key in keys]
    attributes = pd.DataFrame(rows).assign(key=keys, source=sources)
    attributes.iloc[:3].to_parquet(data / "attributes.parquet")
    code, stderr = evaluate(captioned, "--seed", 0)
    assert (code, "attributes.parquet: no row for key d (real" in stderr) == (2, True)
    attributes.to_parquet(data / "attributes.parquet")
    code, stderr = evaluate(captioned, "--seed", 0)
    assert code == 0, stderr
    found = metrics(captioned, "data/smoke/scores/0")
    described = {describe(key).key for key in fold(found) if key.startswith("captions.")}
    wanted = {entry.key for entry in CATALOGUE if entry.key.startswith("captions.") and "meteor" not in entry.key}
    assert wanted - described == set()
    assert found["captions.clipcap.amplification.t_to_a.gender"] == 0  # the right gender is named of each cook
    pairs = pd.read_csv(data / "scores" / "0" / "amplification.csv").query("captioner == 'clipcap'")
    cooks = pairs.query("attribute == 'gender' and occupation == 'cook'").set_index("group")
    assert set(pairs["attribute"]) == {"gender"}  # nobody's skin tone is known of the training images
    assert cooks["sign"].to_dict() == {"woman": 1, "man": -1}
    assert cooks["n_group"].to_dict() == {"woman": 20, "man": 20}
    assert cooks["a_to_t"].to_dict() == {"woman": -0.25, "man": 0.25}  # 5 of 20 cook, no caption says so


def test_leakage_alone_over_other_seeds(captioned, capsys):
    assert evaluate(captioned, "--seed", 0, "--leakage-seeds", 5, 6, 7, "--out", "lic") == (0, "")
    table = pd.read_csv(captioned / "lic" / "leakage.csv")
    assert table.groupby("captioner")["seed"].agg(list).to_dict() == {"clipcap": [5, 6, 7], "transformer": [5, 6, 7]}
    assert set(table["attribute"]) == {"gender"}  # what the profile asks for
    found = metrics(captioned, "lic")
    women = table.query("captioner == 'clipcap' and attribute == 'gender'")
    assert found["captions.clipcap.lic_m.gender"] == pytest.approx(women["lic_m"].mean(), rel=1e-4)
    assert all(".lic" in key and math.isfinite(value) for key, value in found.items())
    line = f"| captions.clipcap.lic.gender | {found['captions.clipcap.lic.gender']:.2f} |"
    assert line in capsys.readouterr().out


def test_without_seeds_leakage_takes_the_ten_published_ones(captioned):
    settings = captioned / "stages" / "profiles" / "smoke.yaml"
    values = yaml.safe_load(settings.read_text())
    values["evaluate"]["leakage"] |= {"attributes": ["gender"], "epochs": 1}
    settings.write_text(yaml.safe_dump(values))
    assert evaluate(captioned, "--seed", 0, "--leakage-seeds", "--out", "lic")[0] == 0
    table = pd.read_csv(captioned / "lic" / "leakage.csv")
    assert table.query("captioner == 'clipcap'")["seed"].tolist() == [
        0, 12, 456, 789, 100, 200, 300, 400, 500, 1234,
    ]  # fmt: skip


def test_leakage_needs_captioners(captioned):
    settings = captioned / "stages" / "profiles" / "smoke.yaml"
    values = yaml.safe_load(settings.read_text())
    values["caption"]["captioners"] = []
    settings.write_text(yaml.safe_dump(values))
    assert (
        "caption.captioners or evaluate.leakage.attributes is empty"
        in evaluate(captioned, "--seed", 0, "--leakage-seeds")[1]
    )


def test_leakage_needs_captions(captioned, model_folder):
    shutil.rmtree(captioned / "data" / "smoke" / "captions")
    assert (
        "clipcap.parquet: no captions; run `dvc repro caption@0`"
        in evaluate(captioned, "--seed", 0, "--leakage-seeds")[1]
    )
    assert (
        "--leakage-seeds needs --seed"
        in evaluate(captioned, "--model", model_folder, "--out", "x", "--leakage-seeds")[1]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere", "--out", "x"], "nowhere: neither the folder of a trained model"),
        (["--model", "MODEL"], "--model needs --out"),
        (
            ["--model", "MODEL", "--out", "x", "--sets", "faces"],
            "faces.parquet: no such evaluation set (found: objects, people",
        ),
        (["--model", "MODEL", "--out", "x", "--sets", "fairface"], "no such evaluation set (found: objects, people"),
        (["--model", "MODEL", "--out", "x", "--pretrained", "openai"], "a folder has its own weights"),
        (["--model", "MODEL", "--out", "x", "--sets", "objects", "objects"], "--sets: found 'objects', expected names"),
        (["--model", "MODEL", "--out", "x", "--sets", "../objects"], "--sets: found '../objects', expected names"),
        (["--model", "MODEL", "--out", "x", "--leakage-seeds", "1"], "--leakage-seeds needs --seed"),
        (["--model", "s3:x", "--out", "x"], "s3:x: neither the folder of a trained model nor a model"),
        (["--seed", "0", "--random"], "--random: found beside --seed, which does not use it"),
        (["--seed", "0", "--out", "x"], "--out: found beside --seed, which does not use it"),
        (["--models", "m.csv", "--pretrained", "openai", "--out", "x"], "--pretrained: found beside --models"),
        (["--models", "m.csv"], "--models needs --out"),
        (["--seed", "77"], "--seed: found 77, expected one of 0, 1 (params.yaml: seeds)"),
        (["--seed", "0"], "data/smoke/models/0/clip: no trained model; run `dvc repro train@0`"),
    ],
)
def test_bad_arguments_give_one_line(finished, model_folder, data_folder, arguments, message):
    given = [str(model_folder) if a == "MODEL" else a for a in arguments]
    code, stderr = evaluate(finished, *given, "--data", data_folder)
    assert code == 2
    error = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert message in error[0]
    assert not (finished / "x").exists()


@pytest.mark.parametrize("name", [".", "..", "file", "scores/metrics.json", "thesis"])
def test_an_output_folder_is_checked_before_the_work(finished, model_folder, data_folder, name):
    (finished / "thesis").mkdir(exist_ok=True)
    (finished / "thesis" / "chapter.tex").write_text("mine")
    (finished / "file").write_text("mine")
    code, stderr = evaluate(finished, "--model", model_folder, "--data", data_folder, "--out", name)
    assert code == 2 and f"error: --out {name}: " in stderr and stderr.count("\n") == 1
    assert (finished / "thesis" / "chapter.tex").read_text() == (finished / "file").read_text() == "mine"
    assert (finished / "scores" / "metrics.json").is_file()


@pytest.fixture
def architecture(tmp_path, model_folder):
    """The name of an architecture of open_clip's, of a few thousand weights."""
    settings = json.loads((model_folder / "open_clip_config.json").read_text())["model_cfg"]
    settings["text_cfg"] = {k: v for k, v in settings["text_cfg"].items() if "tokenizer" not in k} | {
        "vocab_size": 49408
    }
    (tmp_path / "little.json").write_text(json.dumps(settings))
    open_clip.add_model_config(tmp_path / "little.json")
    return "little"


def test_random_weights_are_scored_on_request_alone_and_the_same_each_time(finished, data_folder, architecture):
    code, stderr = evaluate(finished, "--model", architecture, "--data", data_folder, "--out", "random")
    assert (code, "no --pretrained, so the weights would be random" in stderr) == (2, True)
    for name in ("random", "again-random"):
        arguments = ("--model", architecture, "--random", "--data", data_folder, "--sets", "objects", "--out", name)
        assert evaluate(finished, *arguments)[0] == 0
    assert metrics(finished, "random") == metrics(finished, "again-random")
    assert metrics(finished, "random")["objects.acc1"] < 60


def test_random_weights_of_a_model_that_has_its_own_are_refused(finished, model_folder):
    code, stderr = evaluate(finished, "--model", model_folder, "--random", "--out", "x")
    assert (code, "has weights of its own" in stderr) == (2, True)


def test_a_caption_without_words_is_scored(captioned):
    path = captioned / "data" / "smoke" / "captions" / "0" / "clipcap.parquet"
    said = pd.read_parquet(path)
    said.assign(caption=["", *said["caption"][1:]]).to_parquet(path)
    assert evaluate(captioned, "--seed", 0, "--leakage-seeds", 5, "--out", "lic")[0] == 0


def test_diverged_model_gives_one_line(finished, model_folder, data_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(model_folder, broken)
    state = load_file(broken / "model.safetensors")
    state["visual.conv1.weight"] *= float("nan")
    save_file(state, broken / "model.safetensors")
    code, stderr = evaluate(finished, "--model", broken, "--data", data_folder, "--out", "y")
    assert code == 2
    assert "40 of 40 rows hold NaN or infinity" in stderr
    assert not (finished / "y").exists()


def test_image_missing_in_the_tar_gives_one_line(finished, model_folder, data_folder, tmp_path):
    shutil.copytree(data_folder / "eval", tmp_path / "eval")
    table = pd.read_parquet(tmp_path / "eval" / "people.parquet")
    table.loc[0, "key"] = "lost"
    table.to_parquet(tmp_path / "eval" / "people.parquet")
    arguments = ("--model", model_folder, "--data", tmp_path, "--sets", "people", "--out", "z")
    code, stderr = evaluate(finished, *arguments)
    assert code == 2
    assert "no image for 1 of 40 keys" in stderr


def test_a_corpus_of_unknown_shares_takes_the_published_label_pairs(tmp_path):
    path = tmp_path / "occupations.csv"
    path.write_text("occupation,women_corpus,women_generator\n")
    assert _occupations(path) is None
    path.write_text("occupation,women_corpus,women_generator\njudge,0.3,\n")
    assert len(_occupations(path)) == 1
