"""The economical towers against open_clip's own: same features, same gradients, same names."""

from copy import deepcopy

import open_clip
import pytest
import torch

from stages.train import economy
from tests.helpers.shapes import TINY, TINY_RESNET

END = 399
LENGTHS = (1, 2, 8, 3, 3, 5, 1, 7, 4)


def texts(end: int = END) -> torch.Tensor:
    rows = torch.randint(1, 390, (len(LENGTHS), 8), generator=torch.Generator().manual_seed(0))
    for row, length in zip(rows, LENGTHS, strict=True):
        row[length - 1], row[length:] = end, 0
    return rows


def pair(config: dict, **text: object) -> tuple[open_clip.CLIP, open_clip.CLIP]:
    torch.manual_seed(0)
    plain = open_clip.CLIP(**(config | {"text_cfg": config["text_cfg"] | text}), output_dict=True)
    return plain, deepcopy(plain)


def gradients(model: open_clip.CLIP, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    images = torch.randn(len(tokens), 3, 32, 32, generator=torch.Generator().manual_seed(1))
    open_clip.ClipLoss()(**model(images, tokens)).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("pool", [{}, {"pool_type": "eos", "eos_id": 7}, {"proj_bias": True}])
def test_features_and_gradients_are_open_clips(one_thread, layers: int, pool: dict) -> None:
    plain, brief = pair(TINY_RESNET, layers=layers, **pool)
    economy.economise(brief, texts=True)
    assert type(brief) is economy.BriefCLIP
    tokens = texts(pool.get("eos_id", END))
    torch.testing.assert_close(brief.encode_text(tokens), plain.encode_text(tokens), rtol=1e-4, atol=1e-5)
    expected, found = gradients(plain, tokens), gradients(brief, tokens)
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():  # small elements are sums of large ones: round-off is of the largest
        torch.testing.assert_close(found[name], wanted, rtol=1e-3, atol=max(1e-5, 1e-3 * float(wanted.abs().max())))


def test_the_attention_pool_of_a_resnet_is_open_clips(one_thread) -> None:
    plain, brief = pair(TINY_RESNET)
    economy.economise(brief, texts=False)
    assert type(brief) is open_clip.CLIP
    found, expected = (model.visual.get_submodule("attnpool") for model in (brief, plain))
    assert type(found) is economy.OneQuestion
    patches = torch.randn(3, 8 * 32, 1, 1)
    torch.testing.assert_close(found(patches), expected(patches), rtol=1e-4, atol=1e-5)


def test_what_follows_the_end_of_a_text_is_not_read() -> None:
    brief = pair(TINY)[1]
    economy.economise(brief, texts=True)
    tokens, other = texts(), texts()
    for row, length in zip(other, LENGTHS, strict=True):
        row[length:] = 5
    assert torch.equal(brief.encode_text(tokens), brief.encode_text(other))


def test_names_and_weights_stay() -> None:
    plain, brief = pair(TINY_RESNET)
    economy.economise(brief, texts=True)
    state = brief.state_dict()
    assert list(state) == list(plain.state_dict())
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())


def test_mixed_precision_is_followed() -> None:
    plain, brief = pair(TINY_RESNET)
    economy.economise(brief, texts=True)
    with torch.autocast("cpu", torch.bfloat16):
        expected, found = plain.encode_text(texts()), brief.encode_text(texts())
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("text", [{"no_causal_mask": True}, {"pool_type": "last"}, {"qk_norm": True}])
def test_a_tower_of_another_kind_is_left_alone(text: dict) -> None:
    model = pair(TINY, **text)[1]
    economy.economise(model, texts=True)
    assert type(model) is open_clip.CLIP


def test_activation_checkpointing_keeps_open_clips_text_tower() -> None:
    model = pair(TINY)[1]
    model.set_grad_checkpointing(True)
    economy.economise(model, texts=True)
    assert type(model) is open_clip.CLIP
