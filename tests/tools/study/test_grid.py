"""Points of a study: which there are, what they are called, and how their settings reach DVC."""

from pathlib import Path

import pytest
import yaml

from stages.core.errors import InputError
from stages.tools.params import Params, Study, load
from stages.tools.study.grid import change, overrides, points


def study(**more) -> Study:
    values = {"seeds": [0, 1, 2], "alphas": [0.0, 0.6], "methods": ["none", "m4"], "fixed": {"balance.target": "equal"}}
    return Study.model_validate(values | more)


@pytest.fixture
def params(project) -> Params:
    return load(project(profile="smoke"))


def names(params: Params, code: str = "c", **more) -> list[str]:
    return [point.name for point in points(params, study(**more), code)]


def test_every_method_meets_every_alpha_in_order(params):
    found = points(params, study(), "c")
    assert [(p.settings["balance.method"], p.settings["contamination.alpha"]) for p in found] == [
        ("none", 0.0), ("none", 0.6), ("m4", 0.0), ("m4", 0.6),
    ]  # fmt: skip
    assert all(p.settings["seeds"] == [0, 1, 2] and p.settings["balance.target"] == "equal" for p in found)
    assert [p.name.rsplit("-", 1)[0] for p in found] == [
        "study-smoke-a0-none", "study-smoke-a0.6-none", "study-smoke-a0-m4", "study-smoke-a0.6-m4",
    ]  # fmt: skip


def test_further_points_come_last_and_once(params):
    proxies = {"balance.method": "m4", "contamination.alpha": 0.6, "balance.proxies": True}
    known = {"balance.method": "m4", "contamination.alpha": 0.6}
    found = names(params, further=[proxies, known])
    assert len(found) == len(set(found)) == 5 and found[:4] == names(params)


@pytest.mark.parametrize(
    "more", [{"seeds": [0, 1]}, {"fixed": {"balance.target": "none"}}, {"fixed": {"train.epochs": 1}}, {"code": "d"}]
)
def test_what_shapes_a_point_changes_its_name(params, more):
    assert not set(names(params)) & set(names(params, **more))


def test_what_no_score_depends_on_leaves_the_name(project):
    first = names(load(project(profile="smoke")))
    assert names(load(project(profile="smoke", gate={"metrics": {}}))) == first
    assert names(load(project(profile="smoke")), alphas=[0.0, 0.6, 1.0])[:2] == first[:2]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"contamination.alpha": 1.5}, "study: contamination.alpha: found 1.5"),
        ({"balance.methd": "m4"}, "study: balance.methd: unknown key"),
        ({"profile.x": 1}, "study: profile.x: profile has no keys"),
        ({"caption.captioners": ["gpt"]}, "study: caption.captioners.0: found 'gpt'"),
        ({"evaluate.sets": ["coco"]}, "study: evaluate.sets: found 'coco', expected some of people, portraits"),
    ],
)
def test_a_point_that_cannot_run_is_refused_before_any_work(params, settings, said):
    with pytest.raises(InputError, match=said):
        points(params, study(further=[settings]), "c")


def test_settings_are_set_in_the_file_that_holds_them(project):
    folder = project(profile="smoke")
    science = yaml.safe_load((folder / "params.yaml").read_text())
    scale = yaml.safe_load((folder / "stages" / "profiles" / "smoke.yaml").read_text())
    settings = {"seeds": [0], "train.loss": "siglip", "train.epochs": 2, "train.clip_norm": 1.0, "evaluate.seed": 3}
    assert overrides(settings, science, scale, "p.yaml") == [
        "++seeds=[0]", "++train.loss='siglip'", "p.yaml:++train.epochs=2", "++train.clip_norm=1.0",
        "p.yaml:++evaluate.seed=3",
    ]  # fmt: skip


def test_what_dvc_makes_of_the_overrides_is_what_was_meant(project):
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import apply_overrides

    folder = project(profile="smoke")
    scale_path = "stages/profiles/smoke.yaml"
    settings = {
        "seeds": [3, 4], "contamination.alpha": 0.25, "balance.target": {"gender": {"woman": 0.5, "man": 0.5}},
        "balance.proxies": True, "balance.eps_r": None, "caption.captioners": [], "train.learning_rate": 1e-5,
        "evaluate.templates": ["it's {}, a: b"], "generate.model": "data/x y",
    }  # fmt: skip
    files = [yaml.safe_load((folder / name).read_text()) for name in ("params.yaml", scale_path)]
    expected = change(load(folder), settings)
    for path, own in to_path_overrides(overrides(settings, *files, scale_path)).items():
        apply_overrides(Path(folder) / path, own)
    assert load(folder) == expected
