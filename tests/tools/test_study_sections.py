"""The sections study, counterweights and generations: what would run otherwise than its name says is refused."""

import pytest
from pydantic import ValidationError

from stages.tools.params import Counterweights, Generations, Study, load
from tests.helpers.clone import ROOT

EMOJI = load(ROOT, "emoji")


def refusal(section: Study | Counterweights | Generations | None, **more: object) -> str:
    """Change keys of a section; return the message, or nothing."""
    assert section is not None
    try:
        type(section).model_validate(section.model_dump(mode="json") | more)
    except ValidationError as error:
        return str(error)
    return ""


def line(**values: object) -> dict[str, object]:
    return {"parts": {"one": {"alphas": [0.5], "lines": {"m4, x": values}}}, "claims": []}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (line(**{"contamination.alpha": 0.3}), "parts.one.lines.m4, x: found contamination.alpha, but"),
        (
            line(contamination={"alpha": 0.3}),
            "m4, x: found contamination, but contamination.alpha is what alphas",
        ),
        (line(**{"contamination.seed": 1}), "contamination.seed is what the replicate states"),
        (line(seeds=[7]), "seeds is what the replicate states"),
        (line(profile="smoke"), "profile is what params.yaml states"),
        ({"fixed": {"contamination.alpha": 0.3}}, "fixed: found contamination.alpha"),
        ({"fixed": {"seeds": [7]}}, "fixed: found seeds"),
        ({"seeds": [0, 0, 1]}, "Expected each once"),
        ({"alphas": [0.5, 0.5]}, "Expected each once"),
        ({"methods": ["m4", "m4"]}, "Expected each once"),
        ({"main": ["rb.gender", "rb.gender"]}, "Expected each once"),
        ({"main": ["text.positon"]}, "main: found 'text.positon', expected a metric"),
    ],
)
def test_a_study(more: dict[str, object], said: str) -> None:
    assert said in refusal(EMOJI.study, **more)


def test_one_draw_for_all_replicates_may_be_asked_for() -> None:
    assert refusal(EMOJI.study, fixed={"contamination.seed": 7}) == ""


def test_a_claim_on_no_metric() -> None:
    assert EMOJI.study is not None
    claims = [claim.model_dump() for claim in EMOJI.study.claims]
    claims[1]["metric"] = "people.t2i.r55x"
    assert "claims.1.metric: found 'people.t2i.r55x'" in refusal(EMOJI.study, claims=claims)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"levers": {"a": {"contamination.alpha": 0.3}}}, "levers.a: found contamination.alpha, but"),
        ({"levers": {"a": {"seeds": [5]}}}, "levers.a: found seeds"),
        ({"fixed": {"profile": "smoke"}}, "fixed: found profile"),
        ({"levers": {"a": {"evaluate.erase.methods": ["leace"]}, "a+leace": {}}}, "levers: found 'a+leace', as the"),
        ({"levers": {"a": {}, "a+leace": {}}, "fixed": {"evaluate.erase.methods": ["leace"]}}, "found 'a+leace'"),
        ({"seeds": [0, 0]}, "Expected each once"),
        ({"metrics": ["rb.gender", "rb.gender"]}, "Expected each once"),
        ({"metrics": ["people.t2i.r5/people.t2i.r5.ceiling/2"]}, "expected a metric, or two of them as a/b"),
        ({"metrics": ["people.t2i.r5/"]}, "metrics: found '', expected a metric"),
        ({"bias": "portraits.bias"}, "bias: found 'portraits.bias'"),
        ({"quality": "people.quality"}, "quality: found 'people.quality'"),
    ],
)
def test_counterweights(more: dict[str, object], said: str) -> None:
    assert said in refusal(EMOJI.counterweights, **more)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"arms": {"a": {"set": {"contamination.alpha": 0.2}}}}, "arms.a.set: found contamination.alpha, but"),
        ({"arms": {"a": {"set": {"generate.model": "x"}}}}, "generate.model is what the round states"),
        ({"arms": {"a": {"fresh": True, "set": {"download.seed": 3}}}}, "download.seed is what the round of an arm"),
        ({"fixed": {"generate": {"model": "x"}}}, "fixed: found generate, but generate.model"),
        ({"seeds": [0, 0]}, "Expected each once"),
        ({"metrics": ["nothing"]}, "metrics: found 'nothing'"),
        ({"position": "nowhere"}, "position: found 'nowhere'"),
    ],
)
def test_generations(more: dict[str, object], said: str) -> None:
    assert said in refusal(EMOJI.generations, **more)


def test_a_seed_of_the_corpus_may_be_set_where_the_corpus_stays() -> None:
    assert refusal(EMOJI.generations, arms={"a": {"set": {"download.seed": 3}}}) == ""
