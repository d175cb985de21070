from collections.abc import Callable

import numpy as np
import open_clip
import pytest
import torch

from stages.core.errors import InputError
from stages.train import loop
from tests.helpers.shapes import TINY, TINY_RESNET
from tests.helpers.training import MEAN, STD, batch, gradients, trainer


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_a_batch_in_pieces_has_the_loss_and_the_gradient_of_the_whole(one_thread, loss: str) -> None:
    whole, pieces = trainer(loss=loss), trainer(loss=loss, accumulate=4)
    assert pieces.step(0, batch(), 0.0).item() == pytest.approx(whole.step(0, batch(), 0.0).item(), rel=1e-6)
    expected, found = gradients(whole), gradients(pieces)
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-6)


def test_pieces_count_once_in_the_running_moments() -> None:
    made = trainer(TINY_RESNET, accumulate=2)
    made.step(0, batch(), 0.0)
    norm = next(module for module in made.bare.modules() if isinstance(module, torch.nn.BatchNorm2d))
    assert norm.num_batches_tracked == 2  # one a piece, not two


def test_loss_and_gradient_are_those_of_plain_torch(one_thread) -> None:
    made, data = trainer(), batch()
    torch.manual_seed(0)
    model = open_clip.CLIP(**TINY, output_dict=True)
    pixels = (data.images / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    loss = open_clip.ClipLoss()(**model(pixels, data.tokens))
    loss.backward()
    assert made.step(0, data, 0.01).item() == pytest.approx(loss.item(), rel=1e-5)
    found = gradients(made)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-5)


def test_the_temperature_never_falls_below_a_hundredth() -> None:
    made = trainer()
    with torch.no_grad():
        made.bare.logit_scale.fill_(9.0)  # pyright: ignore[reportCallIssue]
    made.step(0, batch(), 1e-9)
    assert made.bare.logit_scale.item() == pytest.approx(np.log(100))  # pyright: ignore[reportCallIssue]


def test_the_gradient_is_clipped() -> None:
    made = trainer(clip_norm=1e-3)
    made.step(0, batch(), 0.0)
    norm = torch.stack([gradient.norm() for gradient in gradients(made).values()]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_activation_checkpointing_changes_nothing_but_memory(one_thread) -> None:
    plain, saving = trainer(), trainer()
    saving.bare.set_grad_checkpointing(True)  # pyright: ignore[reportCallIssue]
    plain.step(0, batch(), 0.0)
    saving.step(0, batch(), 0.0)
    found = gradients(saving)
    for name, gradient in gradients(plain).items():
        torch.testing.assert_close(found[name], gradient)


def run(made: loop.Trainer, steps: int, first: int = 0, on_keep: Callable[[int], None] = lambda _: None) -> list:
    points: list[tuple[int, float]] = []
    loop.train(
        made,
        [batch(seed=step % 3) for step in range(first, steps)],
        first=first,
        steps=steps,
        peak=0.01,
        warmup=2,
        log=frozenset({2, 5, steps}),
        keep=frozenset({4}),
        on_log=lambda done, loss: points.append((done, loss)),
        on_keep=on_keep,
        on_step=lambda _: None,
    )
    return points


def test_the_loss_falls_and_is_logged_as_a_mean_since_the_last_point() -> None:
    points = run(trainer(), 30)
    assert [done for done, _ in points] == [2, 5, 30]
    assert points[-1][1] < 0.8 * points[0][1]


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    made = trainer()
    with torch.no_grad():
        next(made.model.parameters()).fill_(float("nan"))
    with pytest.raises(InputError, match=r"the loss is nan by step 1 of 30.*learning_rate"):
        run(made, 30)


def test_time_is_accounted_for() -> None:
    made = trainer()
    run(made, 3)
    assert {"data", "forward", "backward", "optimiser"} <= set(made.clock.seconds)
