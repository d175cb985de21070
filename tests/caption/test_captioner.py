import math

import pytest
import torch
from torch import Tensor

from stages.caption.captioner import Captioner, Standardise, decoding_arguments, token_loss
from stages.caption.clipcap import ClipCap
from stages.caption.transformer import TransformerCaptioner
from tests.helpers.captioners import ENDS, MAX_TOKENS, WORDS, make_batch, make_captioner


def test_features_are_standardised_and_a_constant_one_stays_finite() -> None:
    scale = Standardise(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 0.0]))
    assert scale(torch.tensor([[5.0, 5.0]], dtype=torch.float16)).tolist() == [[2.0, 0.0]]


def test_the_loss_counts_the_end_and_no_padding() -> None:
    logits = torch.zeros(1, 4, 8)
    logits[0, 1, 3] = math.log(7)  # the end token: 7 of 14
    tokens = torch.tensor([[5, 3, 3, 3]])  # a word, the end, padding that is the end token, as for GPT-2
    loss = token_loss(logits, torch.nn.Identity(), tokens, end=3)
    assert loss.item() == pytest.approx((math.log(8) + math.log(2)) / 2)


def test_decoding_is_never_random_and_ends_where_it_should() -> None:
    arguments = decoding_arguments(ENDS, beams=3, max_tokens=9)
    assert (arguments["do_sample"], arguments["num_beams"], arguments["use_cache"]) == (False, 3, True)
    assert arguments["eos_token_id"] == arguments["begin_suppress_tokens"] == [ENDS.end]


def test_the_loss_is_the_mean_over_tokens_of_a_pass_without_padding(kind: str) -> None:
    captioner, (images, tokens) = make_captioner(kind), make_batch(kind)
    total, count = 0.0, 0
    for row in range(len(tokens)):
        length = int((tokens[row] == ENDS.end).nonzero()[0]) + 1
        total += captioner.loss(images[row : row + 1], tokens[row : row + 1, :length]).item() * length
        count += length
    assert captioner.loss(images, tokens).item() == pytest.approx(total / count, rel=1e-5)


def test_greedy_decoding_with_a_cache_takes_the_likeliest_token_each_time(kind: str) -> None:
    captioner, (images, _) = make_captioner(kind, seed=3), make_batch(kind)
    said = captioner.generate(images, beams=1, max_tokens=MAX_TOKENS)
    for row in range(len(images)):
        one, prefix = images[row : row + 1], []
        while len(prefix) < MAX_TOKENS and prefix[-1:] != [ENDS.end]:
            allowed = [t for t in range(WORDS) if t not in ENDS.never and (prefix or t != ENDS.end)]
            losses = [_total(captioner, one, [*prefix, token]) for token in allowed]
            prefix.append(allowed[min(range(len(losses)), key=losses.__getitem__)])
        assert [token for token in said[row].tolist() if token != ENDS.pad] == prefix


def _total(captioner: Captioner, image: Tensor, tokens: list[int]) -> float:
    return captioner.loss(image, torch.tensor([tokens])).item() * len(tokens)


def test_beam_search_finds_captions_that_are_as_likely_or_likelier(kind: str) -> None:
    captioner, (images, _) = make_captioner(kind, seed=5), make_batch(kind, count=12)
    greedy, wide = (
        sum(_per_token(captioner, images, said, row) for row, said in enumerate(_said(captioner, images, beams)))
        for beams in (1, 4)
    )
    assert wide <= greedy + 1e-4


def _said(captioner: Captioner, images: Tensor, beams: int) -> list[list[int]]:
    return [[t for t in row if t != ENDS.pad] for row in captioner.generate(images, beams, MAX_TOKENS).tolist()]


def _per_token(captioner: Captioner, images: Tensor, said: list[int], row: int) -> float:
    return captioner.loss(images[row : row + 1], torch.tensor([said])).item()


def test_captions_do_not_depend_on_the_batch(kind: str) -> None:
    captioner, (images, _) = make_captioner(kind, seed=3), make_batch(kind, count=6)
    together = _said(captioner, images, beams=1)
    apart = [_said(captioner, images[row : row + 1], beams=1)[0] for row in range(len(images))]
    assert together == apart


def test_a_captioner_that_wants_to_end_at_once_still_says_a_word(kind: str) -> None:
    captioner, (images, _) = make_captioner(kind), make_batch(kind)
    head = head_of(captioner)
    bias = torch.zeros(WORDS)
    bias[ENDS.end] = 50.0

    def prefer_the_end(_module: torch.nn.Module, _input: tuple, output: Tensor) -> Tensor:
        return output + bias

    head.register_forward_hook(prefer_the_end)
    for beams in (1, 3):
        assert all(len(said) == 2 and said[1] == ENDS.end for said in _said(captioner, images, beams))


def head_of(captioner: Captioner) -> torch.nn.Module:
    if isinstance(captioner, ClipCap):
        return captioner.language_model.lm_head
    assert isinstance(captioner, TransformerCaptioner)
    return captioner.model.lm_head


def test_the_image_is_what_decides(kind: str) -> None:
    """Two images, two captions: after a few dozen steps each image has its own, so features do reach the words."""
    captioner = make_captioner(kind)
    if isinstance(captioner, ClipCap) and kind == "frozen":
        taught = make_captioner("mlp")
        fit(taught, *make_two("mlp", seed=9))  # other images: the frozen model knows the captions, not the images
        assert isinstance(taught, ClipCap)
        captioner.language_model.load_state_dict(taught.language_model.state_dict())
    images, tokens = make_two(kind, seed=0)
    fit(captioner, images, tokens)
    assert _said(captioner, images, beams=1) == [[4, 5, 6, 3], [7, 8, 3]]


def make_two(kind: str, seed: int) -> tuple[Tensor, Tensor]:
    images, _ = make_batch(kind, count=2, seed=seed)
    return images, torch.tensor([[4, 5, 6, 3, 0, 0], [7, 8, 3, 0, 0, 0]])


def fit(captioner: Captioner, images: Tensor, tokens: Tensor) -> None:
    optimiser = torch.optim.Adam([p for p in captioner.parameters() if p.requires_grad], lr=2e-2)
    captioner.train()
    for _ in range(60):
        optimiser.zero_grad()
        captioner.loss(images, tokens).backward()
        optimiser.step()
    captioner.eval()


def test_a_frozen_language_model_stays_as_it_is() -> None:
    captioner, (images, tokens) = make_captioner("frozen"), make_batch("frozen")
    assert isinstance(captioner, ClipCap)
    captioner.train()
    assert not captioner.language_model.training
    captioner.loss(images, tokens).backward()
    trained = {name.split(".")[0] for name, parameter in captioner.named_parameters() if parameter.grad is not None}
    assert trained == {"mapper"}
