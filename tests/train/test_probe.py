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


class Planted(torch.nn.Module):
    """Towers whose features are known: an image's mean colour, and the colour of the word that a text names."""

    COLOURS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # of women and nurses, of men and pilots

    def __init__(self, captions: torch.Tensor) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)  # the identity in eval mode; in train mode its features depend on the batch
        self.words = torch.cat([captions, self.COLOURS])
        self.logit_scale = torch.nn.Parameter(torch.tensor(10.0).log())

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        return self.norm(images).mean(dim=(2, 3))

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.words[tokens[:, 0]]

    def tokenize(self, texts: list[str]) -> torch.Tensor:
        feminine, masculine = {"woman", "lady", "female", "nurse"}, {"man", "gentleman", "male", "pilot"}
        places = []
        for text in texts:
            words = set(text.split())
            last = len(self.words) - 1
            places.append(last - 1 if words & feminine else last if words & masculine else int(text))
        return torch.tensor(places)[:, None]


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_a_model_whose_answers_are_known_gets_its_numbers_whatever_the_batch_size(batch_size: int) -> None:
    """No two scores that are compared lie closer than .1, so that no rounding decides."""
    angle = 2 * torch.pi * torch.arange(7) / 7
    captions = torch.stack([angle.cos(), torch.zeros(7), angle.sin()], dim=1)
    hers, his = torch.tensor([1.0, 0.2, 0.0]), torch.tensor([0.2, 1.0, 0.0])
    colours = {
        "pairs": torch.cat([captions[:5], -captions[5:]]),  # the last two images show the opposite of their captions
        "persons": torch.stack([hers, hers, hers, his, his, hers]),  # one man of three is taken for a nurse
        "neutral": torch.stack([hers, hers, hers, his]),
    }
    model = Planted(captions).train()
    images = {name: rows[:, :, None, None].expand(-1, 3, 4, 4) for name, rows in colours.items()}
    texts = [str(index) for index in range(7)]
    gender = ["woman"] * 3 + ["man"] * 3
    made = probe.prepare(images, texts, gender, {"nurse": 0.9, "pilot": 0.01}, model.tokenize)
    nurse = 1 / (1 + np.exp(-10 * (1 - 0.2) / np.hypot(1, 0.2)))  # softmax of a woman's two logits
    gap = nurse - (nurse + 2 * (1 - nurse)) / 3
    assert probe.measure(model, made, batch_size) == pytest.approx({
        "temperature": 0.1, "probe.t2i.r5": 100 * 5 / 7, "probe.rb.gender": 3 / 4 - 1 / 2, "probe.ab.max": gap,
        "probe.ab.mean": gap, "probe.pairwise_association": 1 - 1 / 3,
    }, abs=1e-4)  # fmt: skip


def test_missing_sets_leave_out_their_numbers() -> None:
    model, made = prepared(4, 0, 0)
    assert set(probe.measure(model, made)) == {"temperature", "probe.t2i.r5"}
