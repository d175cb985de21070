"""Claims, answered from effects by hand."""

import math

import pandas as pd
import pytest
from scipy.stats import nct, t

from stages.core.errors import InputError
from stages.tools.params import Claim, Study, load
from stages.tools.study.claims import answered, check_claims, detectable, markdown, verdict
from stages.tools.study.grid import Point, points
from tests.helpers.clone import ROOT

KEY = "portraits.seen.pairwise_association"


def claim(**more) -> Claim:
    of = {"claim": "It falls", "published": "by half", "metric": KEY, "line": "m4", "reference": "random"}
    return Claim.model_validate(of | {"alpha": 0.5, "expected": "lower", "least": 0.1} | more)


def effect(size, half, replicates=8, p=math.nan, **more):
    return {
        "metric": KEY, "method": "m4", "reference": "random", "alpha": "0.5", "replicates": replicates, "value": 0.1,
        "reference_value": 0.4, "difference": size, "lo": size - half, "hi": size + half, "p_holm": p, "images": 900,
    } | more  # fmt: skip


@pytest.mark.parametrize(
    ("row", "expected", "said"),
    [
        (effect(-0.3, 0.1), "lower", "reproduced"),
        (effect(0.3, 0.1), "lower", "opposite"),
        (effect(0.3, 0.1), "higher", "reproduced"),
        (effect(-0.3, 0.1, p=0.2), "lower", "cannot tell"),  # its test does not reject
        (effect(-0.3, 0.1, p=0.01), "lower", "reproduced"),
        (effect(-0.02, 0.05), "lower", "not seen"),  # all of it is smaller than .1
        (effect(-0.02, 0.2), "lower", "cannot tell"),
        (effect(-0.3, 0.1, replicates=2), "lower", "cannot tell"),
        (effect(-0.02, 0.05), "equal", "reproduced"),
        (effect(-0.05, 0.04), "equal", "reproduced"),  # an effect, too small to be of interest
        (effect(-0.3, 0.1), "equal", "opposite"),
        (effect(-0.15, 0.1), "equal", "cannot tell"),
        (effect(-0.3, 0.1), "not higher", "reproduced"),  # it falls, so it does not rise
        (effect(0.02, 0.05), "not higher", "reproduced"),
        (effect(0.05, 0.1), "not higher", "cannot tell"),
        (effect(0.3, 0.1), "not higher", "opposite"),
        (effect(0.3, 0.1, p=0.2), "not higher", "cannot tell"),
        (effect(0.3, 0.1), "not lower", "reproduced"),
        (effect(-0.3, 0.1), "not lower", "opposite"),
        (effect(-0.3, 0.3), "not lower", "cannot tell"),
    ],
)
def test_an_effect_answers_a_claim(row, expected, said):
    assert verdict(claim(expected=expected), row) == said


def test_the_detectable_effect_is_found_four_times_in_five():
    """By the noncentral t: nine replicates of SD 1."""
    half = t.ppf(0.975, 8) / 3
    size = detectable({"replicates": 9, "lo": -half, "hi": half})
    power = 1 - nct.cdf(t.ppf(0.975, 8), 8, size * 3)
    assert 0.78 < power < 0.84
    assert math.isnan(detectable({"replicates": 1, "lo": math.nan, "hi": math.nan}))


def test_the_table_names_what_was_found_and_what_could_have_been():
    trends = pd.DataFrame([
        {"metric": KEY, "method": "m4", "alpha_from": 0.0, "alpha_to": alpha, "replicates": 8, "value_from": 0.6,
         "value_to": 0.2, "difference": -0.4, "lo": -0.5, "hi": -0.3, "p_holm": math.nan, "images": 900}
        for alpha in (0.5, 1.0)
    ])  # fmt: skip
    claims = [
        claim(),
        claim(claim="It differs", alpha="mean"),
        claim(claim="It falls with α", reference=None, alpha="mean"),
        claim(claim="It was asked", metric="rb.gender"),
    ]
    differing = [
        effect(math.nan, math.nan, alpha="mean", value=math.nan, reference_value=math.nan, p=0.03),
        effect(-0.3, 0.1, alpha="0", p_mean=0.03),
        effect(-0.04, 0.1, alpha="1", p_mean=0.03),
    ]
    table = answered(claims, pd.DataFrame([effect(-0.02, 0.2, p_mean=0.03), *differing]), trends)
    assert table["verdict"].tolist() == [
        "cannot tell", "cannot tell", "reproduced", "cannot tell", "reproduced", "not run"
    ]  # fmt: skip
    assert table["claim"].tolist() == [*["It falls"], *["It differs"] * 3, "It falls with α", "It was asked"]
    assert table["reference"].tolist() == [*["random"] * 4, "the lowest α", "random"]
    assert table["alpha"].tolist() == [0.5, 0.5, 0.0, 1.0, "mean", 0.5]
    lines = markdown(table).splitlines()
    assert len(lines) == 6 and lines[2] == (
        "| It falls | by half | pairwise association · portraits · seen; m4 against random, α = 0.5: 0.400 to 0.100: "
        "−0.020 [−0.220, +0.180], n = 8 | cannot tell (0.276 or more would be found) |"
    )
    assert lines[3] == (
        "| It differs | by half | pairwise association · portraits · seen; m4 against random, α = 0.5: 0.400 to 0.100: "
        "−0.020 [−0.220, +0.180], n = 8, p = 0.03; α = 0: 0.400 to 0.100: −0.300 [−0.400, −0.200], n = 8; α = 1: "
        "0.400 to 0.100: −0.040 [−0.140, +0.060], n = 8 | cannot tell at α = 0.5 and 1 (0.276 and 0.138 or more would "
        "be found); reproduced at α = 0 |"
    )
    assert "; m4 from the lowest α to the highest: 0.600 to 0.200: −0.400 [−0.500, −0.300], n = 8 | repro" in lines[4]


GRID = {
    "seeds": [0, 1], "alphas": [0.0, 0.5], "methods": ["none", "random", "m4"],
    "parts": {"open": {"alphas": [0.5], "references": ["m4"], "lines": {"m4, open": {"balance.open": True}}}},
}  # fmt: skip


def refusal(**more) -> str:
    """Check one claim of a small study; return what is said of it."""
    of = {"claim": "c", "published": "p", "metric": KEY, "line": "m4", "expected": "lower", "least": 0.1}
    study = Study.model_validate(GRID | {"claims": [of | more]})
    lines = [("not balanced", a) for a in study.alphas] + [("random", a) for a in study.alphas]
    lines += [("m4", a) for a in study.alphas] + [("m4, open", 0.5)]
    grid = [Point(f"{line}{alpha}{seed}", {}, alpha, line, seed) for line, alpha in lines for seed in study.seeds]
    try:
        check_claims(study, grid)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"alpha": 0.5},
        {"reference": "random"},
        {"reference": "not balanced", "alpha": 0.0},
        {"line": "random", "reference": "not balanced"},
        {"line": "m4, open", "reference": "m4", "alpha": 0.5},
    ],
)
def test_a_claim_that_the_study_can_answer_is_let_through(more):
    assert refusal(**more) == ""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"reference": "random", "alpha": 0.3}, "'m4' is not held against 'random' at α = 0.3"),
        ({"alpha": 0.0}, "'m4' is not held against 'itself at the lowest α' at α = 0;"),
        ({"reference": "m4"}, "'m4' is not held against 'm4' on average over α"),
        ({"line": "random", "reference": "m4"}, "'random' is not held against 'm4'"),
        ({"line": "not balanced", "reference": "random"}, "'not balanced' is not held against 'random'"),
        ({"line": "m4, open", "reference": "random", "alpha": 0.5}, "'m4, open' is not held against 'random'"),
        ({"line": "m4, open"}, "'m4, open' is not held against 'itself at the lowest α'"),
    ],
)
def test_a_claim_that_no_run_can_answer_is_refused(more, said):
    assert said in refusal(**more) and refusal(**more).startswith("study.claims.0: ")


def test_the_claims_of_every_profile_can_be_answered():
    for profile in ("emoji", "cc3m"):
        params = load(ROOT, profile)
        assert params.study is not None
        check_claims(params.study, points(params, params.study, "code"))


def test_marks_of_tables_in_a_claim_are_text():
    table = answered([claim(claim="a | b\nc")], pd.DataFrame([effect(-0.02, 0.2)]), pd.DataFrame())
    assert markdown(table).splitlines()[2].startswith(r"| a \| b c | by half | ")
    alone = answered([claim()], pd.DataFrame([effect(-0.02, math.nan, replicates=1)]), pd.DataFrame())
    assert markdown(alone).endswith("cannot tell (one replicate) |\n")
