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
        (method, alpha, seed) for seed in (0, 1, 2) for method in ("none", "m4") for alpha in (0.0, 0.6)
    ]
    assert all(p.settings["balance.target"] == "equal" for p in found)
    assert [p.name.rsplit("-", 1)[0] for p in found[:4]] == [
        "study-smoke-a0-none-s0", "study-smoke-a0.6-none-s0", "study-smoke-a0-m4-s0", "study-smoke-a0.6-m4-s0",
    ]  # fmt: skip
    assert [(p.alpha, p.line) for p in found[:4]] == [
        (0, "not balanced"),
        (0.6, "not balanced"),
        (0, "m4"),
        (0.6, "m4"),
    ]


def test_a_replicate_is_a_model_and_a_draw_of_its_own(params):
    assert [(p.settings["seeds"], p.settings["contamination.seed"]) for p in points(params, study(), "c")[::4]] == [
        ([0], 0), ([1], 1), ([2], 2),
    ]  # fmt: skip
    fixed = points(params, study(fixed={"contamination.seed": 7}), "c")
    assert {p.settings["contamination.seed"] for p in fixed} == {7}  # as stated: another model on the same rows


PROXIES = {"alphas": [0.6], "lines": {"m4, proxies": {"balance.method": "m4", "balance.proxies": True}}}


def test_parts_come_last_with_lines_of_their_own(params):
    found = points(params, study(parts={"proxies": PROXIES}), "c")
    assert [point.name for point in found[:12]] == names(params)
    assert [(point.line, point.alpha, point.seed) for point in found[12:]] == [
        ("m4, proxies", 0.6, seed) for seed in (0, 1, 2)
    ]
    assert all(point.settings["balance.proxies"] for point in found[12:])


def test_a_part_may_have_fewer_replicates(params):
    assert (
        names(params, parts={"proxies": PROXIES | {"replicates": 2}}) == names(params, parts={"proxies": PROXIES})[:14]
    )


def test_a_part_may_give_a_line_of_the_grid_more_alphas(params):
    more = {"alphas": [0.3, 0.6], "lines": {"m4": {"balance.method": "m4"}}}
    found = points(params, study(parts={"course": more}), "c")
    assert len(found) == 15 and [(point.line, point.alpha) for point in found[12:]] == [("m4", 0.3)] * 3


def test_two_lines_that_set_the_same_are_refused(params):
    twice = {"alphas": [0.6], "lines": {"m4, again": {"balance.method": "m4", "balance.open": False}}}
    with pytest.raises(InputError, match=r"m4, again and m4 set the same at α = 0\.6"):
        names(params, parts={"twice": twice})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"parts": {"p": PROXIES | {"replicates": 4}}}, r"parts\.p\.replicates: found 4, expected at most 3"),
        ({"parts": {"p": PROXIES | {"replicates": 0}}}, "replicates"),
        ({"parts": {"p": PROXIES | {"references": ["m5"]}}}, r"parts\.p\.references: found 'm5', expected a line: m4"),
        ({"parts": {"p": PROXIES, "q": PROXIES}}, r"parts\.q\.lines: found 'm4, proxies', which parts\.p has; rename"),
        ({"parts": {"p": {"alphas": [0.6], "lines": {"m4": {"balance.method": "none"}}}}}, "'m4', which the grid has"),
        ({"claims": [{"claim": "c", "published": "p", "metric": "m", "line": "m6", "expected": "lower", "least": 1}]},
         r"claims\.0\.line: found 'm6'"),
    ],
)  # fmt: skip
def test_a_part_or_claim_that_names_no_line_is_refused(more, said):
    with pytest.raises(ValidationError, match=said):
        study(**more)


def test_more_replicates_leave_the_names_of_those_that_are_there(params):
    assert set(names(params, seeds=[0, 1])) < set(names(params))


@pytest.mark.parametrize("more", [{"fixed": {"balance.target": "none"}}, {"fixed": {"train.epochs": 1}}, {"code": "d"}])
def test_what_shapes_a_point_changes_its_name(params, more):
    assert not set(names(params)) & set(names(params, **more))


def test_what_no_score_depends_on_leaves_the_name(project):
    first = names(load(project(profile="smoke")))
    assert names(load(project(profile="smoke", gate={"metrics": {}}))) == first
    assert set(first) < set(names(load(project(profile="smoke")), alphas=[0.0, 0.6, 1.0]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train.epochs": -1}, "smoke.yaml: study: one: train.epochs: found -1"),
        ({"balance.methd": "m4"}, "smoke.yaml: study: one: balance.methd: unknown key"),
        ({"annotate.similarity.model": 1}, "one: annotate.similarity.model: similarity is null in the profile, not a"),
        ({"caption.captioners": ["gpt"]}, "study: one: caption.captioners.0: found 'gpt'"),
        ({"evaluate.sets": ["coco"]}, "study: one: evaluate.sets: found 'coco', expected some of people, portraits"),
        ({"balance.eta": True}, "study: one: balance.eta: found true, expected a number"),
        ({"train.threads": "2"}, "study: one: train.threads: found '2', expected a whole number"),
    ],
)
def test_a_point_that_cannot_run_is_refused_before_any_work(params, settings, said):
    with pytest.raises(InputError, match=said):
        points(params, study(parts={"p": {"alphas": [0.6], "lines": {"one": settings}}}), "c")


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
        "evaluate.templates": ["it's {}, a: b", r"{}, 'b' \ c", "{} ends in \\", r"\'{}", "{label}"],
        "generate.model": "data/x y", "evaluate.leakage.masked": {}, "generate.prompt_shares": {"gender": "equal"},
        "train.model.vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "image_size": 64},
    }  # fmt: skip
    files = [yaml.safe_load((folder / name).read_text()) for name in ("params.yaml", scale_path)]
    expected = change(load(folder), settings, "study")
    for path, own in to_path_overrides(overrides(settings, *files, scale_path)).items():
        apply_overrides(Path(folder) / path, own)
    assert load(folder) == expected
