"""Points of a study: which there are, what they are called, and how their settings reach DVC."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

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


def test_every_method_meets_every_alpha_in_order_with_all_replicates(params):
    found = points(params, study(), "c")
    assert [(p.settings["balance.method"], p.settings["contamination.alpha"], p.seed) for p in found] == [
        (method, alpha, seed) for method in ("none", "m4") for alpha in (0.0, 0.6) for seed in (0, 1, 2)
    ]
    assert all(p.settings["balance.target"] == "equal" for p in found)
    assert [p.name.rsplit("-", 1)[0] for p in found[::3]] == [
        "study-smoke-a0-none-s0", "study-smoke-a0.6-none-s0", "study-smoke-a0-m4-s0", "study-smoke-a0.6-m4-s0",
    ]  # fmt: skip
    assert [(p.alpha, p.line) for p in found[::3]] == [
        (0, "not balanced"),
        (0.6, "not balanced"),
        (0, "m4"),
        (0.6, "m4"),
    ]


def test_a_replicate_is_a_model_and_a_draw_of_its_own(params):
    assert [(p.settings["seeds"], p.settings["contamination.seed"]) for p in points(params, study(), "c")[:3]] == [
        ([0], 0), ([1], 1), ([2], 2),
    ]  # fmt: skip
    fixed = points(params, study(fixed={"contamination.seed": 7}), "c")
    assert {p.settings["contamination.seed"] for p in fixed} == {7}  # as stated: another model on the same rows


def test_further_points_come_last_and_once(params):
    proxies = {"balance.method": "m4", "contamination.alpha": 0.6, "balance.proxies": True}
    known = {"balance.method": "m4", "contamination.alpha": 0.6}
    found = names(params, further=[proxies, known])
    assert len(found) == len(set(found)) == 15 and found[:12] == names(params)


def test_a_further_point_may_have_fewer_replicates(params):
    proxies = {"balance.method": "m4", "contamination.alpha": 0.6, "balance.proxies": True}
    every = names(params, further=[proxies])
    fewer = names(params, further=[proxies | {"replicates": 2}])
    assert len(every) == 15 and fewer == every[:14]


@pytest.mark.parametrize("replicates", [0, 4, True, 1.5, "2"])
def test_replicates_that_are_no_number_of_seeds_are_refused(replicates):
    with pytest.raises(ValidationError, match=r"replicates .* in entry 1, expected 1 to 3"):
        study(further=[{"contamination.alpha": 0.6, "replicates": replicates}])


def test_random_at_a_fixed_share_of_rows_is_a_line_of_its_own(params):
    further = [{"balance.method": "random", "contamination.alpha": alpha, "balance.eta": 0.25} for alpha in (0.0, 0.6)]
    found = points(params, study(methods=["none", "m4", "random"], further=further), "c")
    assert {p.line for p in found[-6:]} == {"random, eta 0.25"} and {p.line for p in found[12:18]} == {"random"}


def test_more_replicates_leave_the_names_of_those_that_are_there(params):
    assert set(names(params, seeds=[0, 1])) < set(names(params))


@pytest.mark.parametrize("more", [{"fixed": {"balance.target": "none"}}, {"fixed": {"train.epochs": 1}}, {"code": "d"}])
def test_what_shapes_a_point_changes_its_name(params, more):
    assert not set(names(params)) & set(names(params, **more))


def test_what_no_score_depends_on_leaves_the_name(project):
    first = names(load(project(profile="smoke")))
    assert names(load(project(profile="smoke", gate={"metrics": {}}))) == first
    assert names(load(project(profile="smoke")), alphas=[0.0, 0.6, 1.0])[:6] == first[:6]


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
