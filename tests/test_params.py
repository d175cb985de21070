"""Parameters: every mistake is one line that names file, key, what was found and what is expected."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from stages import params
from stages.errors import InputError

ROOT = Path(__file__).parents[1]
Project = Callable[..., Path]


@pytest.mark.parametrize("profile", ["smoke", "emoji", "cc3m"])
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
        ("profile", "huge", ["profile", "found 'huge'", "cc3m, emoji, smoke"]),
        ("balance.target", "even", ["balance.target", "found 'even'", "equal"]),
        ("balance.target", {"gender": {"woman": 2}}, ["balance.target"]),
        ("balance.method", "m5", ["balance.method", "found 'm5'", "m4_sgd"]),
        ("train.schedule", [{"data": "mixed", "share": 0.4}], ["train", "sum to 0.4", "expected 1"]),
        ("train.schedule", [{"data": "best", "share": 1}], ["train.schedule", "found 'best'", "balanced"]),
        ("seeds", [], ["seeds", "at least 1"]),
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
    for words in says:
        assert words in message


def test_alpha_above_what_is_generated_is_refused(project: Project) -> None:
    root = project(**{"contamination.alpha": 0.9})
    profile = root / "stages" / "profiles" / "emoji.yaml"
    values = yaml.safe_load(profile.read_text())
    values["generate"]["max_alpha"] = 0.5
    profile.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=r"contamination\.alpha: found 0\.9, above generate\.max_alpha 0\.5"):
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
    "stage", ["download", "generate", "annotate", "balance", "train", "caption", "evaluate", "plot"]
)
def test_every_stage_refuses_bad_parameters_before_any_work(project: Project, stage: str) -> None:
    root = project(**{"contamination.alpha": "abc"})
    arguments = {"generate": ["--shard", "00000"], "train": ["--seed", "0"], "caption": ["--seed", "0"]}
    arguments["evaluate"] = ["--seed", "0"]
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", *arguments.get(stage, [])],
        cwd=root,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1
    assert lines[0].startswith("error: params.yaml: contamination.alpha: found 'abc'")
    assert not (root / "data").exists()
