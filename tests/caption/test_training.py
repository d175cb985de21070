import math

import pytest
import torch

from stages.caption.training import Optimisation, Trainer
from tests.helpers.captioners import make_batch, make_captioner

HOW = Optimisation(steps=8, warmup=2, learning_rate=1e-2, weight_decay=0.1, seed=3)


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in trainer.captioner.parameters()]


def test_the_learning_rate_rises_and_falls_in_lines() -> None:
    how = Optimisation(steps=10, warmup=4, learning_rate=1.0, weight_decay=0, seed=0)
    rates = [how.rate(step) for step in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_a_warmup_longer_than_the_training_is_cut() -> None:
    how = Optimisation(steps=4, warmup=5000, learning_rate=1.0, weight_decay=0, seed=0)
    assert [how.rate(step) for step in range(4)] == pytest.approx([0.5, 1, 1, 0.5])
    assert Optimisation(steps=1, warmup=9, learning_rate=1.0, weight_decay=0, seed=0).rate(0) == 1


def test_a_stopped_training_goes_on_to_the_same_weights(kind: str) -> None:
    whole = Trainer(make_captioner(kind), HOW)
    losses = [whole.step(*make_batch(kind, seed=step)) for step in range(8)]
    stopped = Trainer(make_captioner(kind), HOW)
    for step in range(3):
        stopped.step(*make_batch(kind, seed=step))
    state = stopped.state_dict()
    torch.rand(7)  # another process draws other numbers in between
    resumed = Trainer(make_captioner(kind, seed=99), HOW)
    resumed.load_state_dict(state)
    assert [resumed.step(*make_batch(kind, seed=step)) for step in range(3, 8)] == losses[3:]
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))


def test_training_leaves_the_global_generator_alone() -> None:
    trainer = Trainer(make_captioner("mlp"), HOW)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    trainer.step(*make_batch("mlp"))
    assert torch.equal(before, torch.random.get_rng_state())


def test_another_seed_drops_other_units() -> None:
    losses = [
        Trainer(make_captioner("mlp"), Optimisation(8, 0, 1e-2, 0, seed)).step(*make_batch("mlp")) for seed in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_bfloat16_is_close_to_float32(kind: str) -> None:
    losses = [
        Trainer(make_captioner(kind), Optimisation(8, 0, 1e-2, 0, 0, bfloat16=half)).step(*make_batch(kind, count=32))
        for half in (False, True)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
    assert math.log(12) - 0.5 < losses[0] < math.log(12) + 1  # nothing known yet: about uniform over twelve words
