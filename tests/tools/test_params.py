"""Parameters: every mistake is one line that names file, key, what was found and what is expected."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from stages.core.errors import InputError
from stages.core.settings import load_section
from stages.tools import params
from tests.helpers import programs

ROOT = Path(__file__).parents[2]
Project = Callable[..., Path]


@pytest.fixture
def scaled(project: Project) -> Project:
    """Return a maker of project folders: the emoji profile with changes by dotted key."""

    def make(**changes: object) -> Path:
        root = project()
        path = root / "stages" / "profiles" / "emoji.yaml"
        values = yaml.safe_load(path.read_text())
        for dotted, value in changes.items():
            *parents, last = dotted.split(".")
            block = values
            for parent in parents:
                block = block[parent]
            block[last] = value
        path.write_text(yaml.safe_dump(values))
        return root

    return make


@pytest.mark.parametrize("profile", ["smoke", "emoji", "cc3m", "example"])
def test_every_profile_is_valid(profile: str) -> None:
    loaded = params.load(ROOT, profile)
    assert loaded.profile == profile
    assert loaded.folder == Path("data") / profile


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("contamination.alpha", 1.5, ["contamination.alpha", "found 1.5", "less than or equal to 1"]),
        ("contamination.alpha", -0.1, ["contamination.alpha", "greater than or equal to 0"]),
        ("contamination.alpha", "abc", ["contamination.alpha", "found 'abc'", "valid number"]),
        ("contamination.alpha", float("nan"), ["contamination.alpha"]),
        ("contamination.alpa", 0.5, ["contamination.alpa", "unknown key", "known: alpha"]),
        ("contamination", 3, ["contamination", "found 3"]),
        ("profile", "huge", ["profile", "found 'huge'", "cc3m, emoji, example, smoke"]),
        ("balance.target", "even", ["balance.target", "found 'even'", "equal"]),
        ("balance.target", {"gender": {"woman": 2}}, ["balance.target"]),
        (
            "balance.target",
            {"gender": {"wman": 0.5, "man": 0.5}},
            ["balance.target.gender: found man, wman, expected the groups woman, man"],
        ),
        ("balance.target", {"gender": {"woman": 1}}, ["balance.target.gender: found woman, expected", "woman, man"]),
        (
            "balance.target",
            {"gender": {"woman": 0.5, "man": 0.4}},
            ["balance.target.gender: the shares sum to 0.9, expected 1"],
        ),
        ("balance.target", "census.csv", ["balance.target", "census.csv: no such file", "expected a csv"]),
        ("balance.attributes", ["age"], ["balance.attributes: found age", "gender, skin_tone"]),
        ("balance.method", "m5", ["balance.method", "found 'm5'", "m4_sgd"]),
        (
            "train.schedule",
            [{"data": "mixed", "share": 0.4}],
            ["params.yaml: train.schedule: the shares of the phases sum to 0.4, expected 1"],
        ),
        ("contamination", {"alfa": 0.5}, ["contamination.alfa: unknown key", "; contamination.alpha: missing"]),
        ("train.schedule", [{"data": "best", "share": 1}], ["train.schedule", "found 'best'", "balanced"]),
        ("seeds", [], ["seeds", "1 or more"]),
        ("seeds", [1, 1], ["seeds", "each seed once"]),
        ("shards", ["0"], ["shards", "00000"]),
        ("colour", "red", ["colour", "unknown key"]),
    ],
)
def test_a_mistake_is_one_clear_line(project: Project, key: str, value: object, says: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        params.load(project(**{key: value}))
    message = str(caught.value)
    assert "params.yaml" in message
    assert "\n" not in message
    assert len(message) < 450
    for words in says:
        assert words in message


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (
            "download.emoji.object_share",
            0.2,
            "download.emoji.portrait_share, occupation_share, person_share, obj",
        ),
        ("download.source", "table", "download.source: found 'table' and the block emoji set"),
        ("train.accumulate", 7, "train.accumulate: found 7, expected a divisor of batch_size 64"),
        (
            "caption.captioners",
            ["clipcap", "clipcap"],
            "caption.captioners: found ['clipcap', 'clipcap']: expected each once",
        ),
        ("evaluate.sets", ["people", "coco"], "evaluate.sets: found 'coco', expected some of people, portraits, obj"),
        (
            "caption.evaluation_set",
            "coco",
            "caption.evaluation_set: found 'coco', expected one of people, portraits, ob",
        ),
        ("evaluate.sets", ["faces"], "evaluate.sets: found 'faces', expected some of people"),
    ],
)
def test_a_mistake_of_the_scale_names_the_profile_and_shows_no_block(
    scaled: Callable[..., Path], key: str, value: object, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        params.load(scaled(**{key: value}))
    message = str(caught.value)
    assert says in message
    assert message.split(": ")[0].endswith("stages/profiles/emoji.yaml")
    assert len(message) < 450


def test_sets_of_a_users_corpus_are_those_of_its_evaluation(scaled: Callable[..., Path]) -> None:
    mine = {"source": "table", "resolution": 64, "seed": 0, "table": {"path": "mine.csv"}}
    assert params.load(scaled(download=mine)).evaluate.sets == ["people", "portraits", "objects"]  # only data is made
    with pytest.raises(InputError, match=r"evaluate\.sets: found 'portraits', expected some of people: those of downl"):
        params.load(scaled(download={**mine, "evaluation": {"people": "people.csv"}}))


def test_a_set_of_ones_own_has_a_kind(scaled: Callable[..., Path]) -> None:
    mine = {"source": "table", "resolution": 64, "seed": 0, "table": {"path": "mine.csv"}}
    own = {**mine, "evaluation": {"faces": {"path": "faces.csv", "kind": "persons"}}}
    changes = {"download": own, "evaluate.sets": ["faces"], "caption.captioners": []}
    assert params.load(scaled(**changes)).evaluate.sets == ["faces"]


def test_an_attribute_of_the_corpus_can_be_balanced(project: Project) -> None:
    root = project(**{"balance.attributes": ["gender", "age"]})
    with pytest.raises(InputError, match=r"balance\.attributes: found age, expected some of those annotated"):
        params.load(root)


def test_marginals_are_looked_for_in_the_projects_folder(project: Project) -> None:
    root = project(**{"balance.target": "census.csv"})
    (root / "census.csv").write_text("gender,count\nwoman,3\nman,1\n")
    with pytest.raises(InputError, match=r"census\.csv: no column skin_tone \(found gender, count\)"):
        params.load(root)
    (root / "census.csv").write_text("gender,skin_tone,count\nwoman,lighter,3\n")
    assert params.load(root).balance.target == "census.csv"


@pytest.mark.parametrize("name", ["params.yaml", "stages/profiles/emoji.yaml"])
def test_a_key_that_comes_twice_is_named_with_its_lines(project: Project, name: str) -> None:
    root = project()
    text = (root / name).read_text()
    (root / name).write_text(f"{text}further:\n  pairs: 1\n  pairs: 2\n")
    line = text.count("\n") + 3
    with pytest.raises(InputError, match=rf"{name}: line {line}: pairs: set in line {line - 1} already"):
        params.load(root)


def test_a_block_that_comes_twice_is_refused_and_merged_keys_are_not(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("a: &a\n  alpha: 0.1\nb: &b\n  <<: *a\n  alpha: 0.2\nknob:\n  <<: *b\n  alpha: 0.3\n")
    assert load_section(path, "knob", params.Contamination).alpha == 0.3
    path.write_text(path.read_text() + "knob: {alpha: 0.4}\n")
    with pytest.raises(InputError, match=r"own\.yaml: line 9: knob: set in line 6 already; keep one of the two"):
        load_section(path, "knob", params.Contamination)


def test_broken_yaml_is_one_line_with_its_number(project: Project) -> None:
    path = project() / "params.yaml"
    path.write_text("profile: emoji\nseeds: [0\ntrain: 1\n")
    with pytest.raises(InputError) as caught:
        params.load(path.parent)
    assert str(caught.value).startswith(f"{path}: line 3: ")
    assert "\n" not in str(caught.value)


def run_program(root: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return programs.run(module, *arguments, folder=root, environment={"PYTHONPATH": str(ROOT), "PATH": ""})


def test_the_program_checks_the_metrics_of_the_gate_too(project: Project) -> None:
    module = "stages.tools.params"
    done = run_program(project(**{"gate.metrics": {"people.t2i.r5": 1.0, "people.t2i.recall": 1.0}}), module)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: params.yaml: gate.metrics: people.t2i.recall: unknown")
    assert run_program(project(**{"gate.metrics": {"people.t2i.r5": 1.0}}), module).returncode == 0


@pytest.mark.parametrize("stage", ["train", "caption", "evaluate"])
def test_a_seed_that_is_not_among_the_seeds_is_refused(project: Project, stage: str) -> None:
    root = project(profile="smoke")
    done = run_program(root, f"stages.{stage}", "--seed", "7")
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["error: --seed: found 7, expected one of 0, 1 (params.yaml: seeds)"]
    assert not (root / "data").exists()


def test_a_profile_without_tolerances_is_refused_before_anything_runs(project: Project) -> None:
    root = project()
    path = root / "stages" / "profiles" / "emoji.yaml"
    values = yaml.safe_load(path.read_text())
    del values["balance"]
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=r"emoji\.yaml: balance: missing; state the tolerances: balance: \{eps_r"):
        params.load(root)


def test_alpha_above_what_is_generated_is_refused(project: Project) -> None:
    root = project(**{"contamination.alpha": 0.9})
    profile = root / "stages" / "profiles" / "emoji.yaml"
    values = yaml.safe_load(profile.read_text())
    values["generate"]["max_alpha"] = 0.5
    profile.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=r"contamination\.alpha: found 0\.9, above generate\.max_alpha 0\.5"):
        params.load(root)


def test_another_draw_with_few_images_is_refused(scaled: Project) -> None:
    root = scaled(**{"generate.max_alpha": 0.5})
    science = yaml.safe_load((root / "params.yaml").read_text())
    science["contamination"] = {"alpha": 0.3, "seed": 4}
    (root / "params.yaml").write_text(yaml.safe_dump(science))
    with pytest.raises(InputError, match=r"params\.yaml: contamination\.seed: found 4 with generate\.max_alpha 0\.5"):
        params.load(root)
    science["contamination"]["alpha"] = 0.0
    (root / "params.yaml").write_text(yaml.safe_dump(science))
    assert params.load(root).contamination.seed == 4


def test_a_filter_without_a_model_that_scores_is_refused(project: Project) -> None:
    root = project(**{"balance.filter": {"quantile": 0.1}})
    with pytest.raises(InputError, match=r"balance\.filter\.quantile: found 0\.1, but annotate\.similarity is not set"):
        params.load(root)


def test_the_profile_file_is_named_when_the_mistake_is_there(project: Project) -> None:
    root = project()
    profile = root / "stages" / "profiles" / "emoji.yaml"
    values = yaml.safe_load(profile.read_text())
    values["generate"]["steps"] = 0
    profile.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=r"emoji\.yaml: generate\.steps: found 0"):
        params.load(root)


def test_a_key_stands_in_one_file_only(project: Project) -> None:
    root = project()
    profile = root / "stages" / "profiles" / "emoji.yaml"
    values = yaml.safe_load(profile.read_text())
    values["train"]["loss"] = "clip"
    profile.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=r"emoji\.yaml: train\.loss: also set in .*params\.yaml"):
        params.load(root)


@pytest.mark.parametrize("written", ["1e-4", "1e-05", 0, "0.25"])
def test_numbers_that_yaml_reads_as_text_are_numbers(project: Project, written: object) -> None:
    assert params.load(project(**{"contamination.alpha": written})).contamination.alpha == float(str(written))


def test_parameters_cannot_be_changed_later() -> None:
    loaded = params.load(ROOT)
    with pytest.raises(ValueError, match="frozen"):
        loaded.contamination.alpha = 0.1  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("program", "key"),
    [
        (
            ["stages.tools.params", "--check", "data/valid.txt"],
            "contamination.alpha",
        ),  # the first stage, for all others
        (["stages.balance"], "contamination.alpha"),
        (["stages.train", "--seed", "0"], "train.loss"),
    ],
)
def test_a_stage_refuses_bad_parameters_of_its_own_before_any_work(
    project: Project, program: list[str], key: str
) -> None:
    root = project(**{key: "abc"})
    done = run_program(root, *program)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1
    assert lines[0].startswith(f"error: params.yaml: {key}: found 'abc'")
    assert not (root / "data").exists()
