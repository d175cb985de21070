import numpy as np
import open_clip
import pytest
import torch

from stages.train import models, probe, tokens
from tests.helpers.shapes import TINY_RESNET


def test_association_by_hand() -> None:
    # two women, two men; labels nurse (.9), pilot (.02), other (unknown share)
    logits = np.log([[0.6, 0.2, 0.2], [0.4, 0.2, 0.4], [0.2, 0.6, 0.2], [0.5, 0.3, 0.2]])
    woman, man = np.array([1, 1, 0, 0], bool), np.array([0, 0, 1, 1], bool)
    result = probe.association(logits, woman, man, np.array([0.9, 0.02, np.nan]))
    assert result["probe.ab.max"] == pytest.approx(0.25)  # pilot: .2 against .45
    assert result["probe.ab.mean"] == pytest.approx((0.15 + 0.25 + 0.1) / 3)
    assert result["probe.pairwise_association"] == pytest.approx(1.0 - 0.5)


def test_a_tie_is_half_a_preference() -> None:
    half = np.array([True, False])
    result = probe.association(np.array([[1.0, 1.0], [0.0, 1.0]]), half, ~half, np.array([0.9, 0.01]))
    assert result["probe.pairwise_association"] == 0.5  # a tie of the woman's image, none of the man's


def test_without_known_shares_there_is_no_pairwise_association() -> None:
    half = np.array([True, False])
    result = probe.association(np.eye(2), half, ~half, np.array([0.5, 0.4]))
    assert set(result) == {"probe.ab.max", "probe.ab.mean"}


def prepared(pairs: int, persons: int, neutral: int) -> tuple[torch.nn.Module, probe.Probe]:
    shape = models.Architecture(TINY_RESNET, None)
    vocabulary = tokens.learn(["a man", "a woman", "a red circle"], 400, 8)
    torch.manual_seed(0)
    model = open_clip.CLIP(**shape.config, output_dict=True)
    images = torch.randn(pairs + persons + neutral, 3, 32, 32)
    parts: dict[str, torch.Tensor] = dict(
        zip(("pairs", "persons", "neutral"), images.split([pairs, persons, neutral]), strict=True)
    )
    made = probe.prepare(
        parts,
        ["a red circle"] * pairs,
        ["woman", "man"] * (persons // 2),
        {"nurse": 0.9, "pilot": 0.01},
        lambda texts: torch.tensor([e.ids for e in vocabulary.encode_batch(texts)]),
    )
    return model, made


def test_a_model_is_left_in_train_mode_with_its_running_moments() -> None:
    model, made = prepared(4, 4, 4)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    values = probe.measure(model, made)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert set(values) == {
        "temperature", "probe.t2i.r5", "probe.rb.gender", "probe.ab.max", "probe.ab.mean",
        "probe.pairwise_association",
    }  # fmt: skip
    assert values["temperature"] == pytest.approx(0.07)


def test_numbers_do_not_depend_on_the_batch_size() -> None:
    model, made = prepared(5, 6, 3)
    assert probe.measure(model, made, 2) == pytest.approx(probe.measure(model, made, 100), abs=1e-5)


def test_missing_sets_leave_out_their_numbers() -> None:
    model, made = prepared(4, 0, 0)
    assert set(probe.measure(model, made)) == {"temperature", "probe.t2i.r5"}
