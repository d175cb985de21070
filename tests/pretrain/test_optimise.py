"""The resumable loop: a killed run that goes on ends in the very weights of an uninterrupted one."""

from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from stages.pretrain.optimise import Recipe, batch, fit, generator

RECIPE = Recipe(steps=12, learning_rate=0.05, warmup=3, decay=0.5, ema=0.9)


class Killed(Exception):  # noqa: N818
    pass


def problem() -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 1), torch.randn(20, 3, generator=torch.Generator().manual_seed(1))


def train(checkpoint: Path, stop_at: int | None = None) -> tuple[dict[str, torch.Tensor], torch.nn.Module]:
    model, data = problem()

    def loss(step: int) -> torch.Tensor:
        rows = batch(len(data), 4, 0, step)
        noise = torch.randn(4, 1, generator=generator(5, step))
        return (model(data[rows]) - data[rows].sum(1, keepdim=True) - 0.1 * noise).square().mean()

    def report(step: int, _value: float) -> None:
        if step == stop_at:
            raise Killed

    return fit(model, loss, RECIPE, checkpoint, report, save_every=0.0), model


@pytest.mark.parametrize("stop_at", [2, 7, 11])
def test_going_on_equals_not_stopping(tmp_path: Path, stop_at: int) -> None:
    whole, model = train(tmp_path / "whole.pt")
    with pytest.raises(Killed):
        train(tmp_path / "cut.pt", stop_at)
    again, resumed = train(tmp_path / "cut.pt")
    for name in whole:
        assert torch.equal(whole[name], again[name])
        assert torch.equal(model.state_dict()[name], resumed.state_dict()[name])


def test_the_loss_falls(tmp_path: Path) -> None:
    values: list[float] = []
    model, data = problem()
    target = data.sum(1, keepdim=True)
    fit(
        model,
        lambda _step: (model(data) - target).square().mean(),
        Recipe(steps=60, learning_rate=0.1, warmup=2, decay=0.5, ema=0.9),
        tmp_path / "x.pt",
        lambda _step, value: values.append(value),
    )
    assert values[-1] < 0.05 * values[0]


def _without_noise(checkpoint: Path) -> dict[str, torch.Tensor]:
    model, data = problem()

    def loss(step: int) -> torch.Tensor:
        rows = batch(len(data), 4, 0, step)
        return (model(data[rows]) - data[rows].sum(1, keepdim=True)).square().mean()

    return fit(model, loss, RECIPE, checkpoint, lambda *_: None)


def _process(rank: int, folder: Path) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    weights = _without_noise(folder / "two.pt")
    drawn = torch.randn(3, generator=generator(0, 5))
    torch.save((weights, drawn), folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_share_the_batch_and_end_where_one_does(tmp_path: Path) -> None:
    multiprocessing.spawn(_process, (tmp_path,), nprocs=2)  # pyright: ignore[reportPrivateImportUsage]
    (first, noise), (second, other) = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = _without_noise(tmp_path / "one.pt")
    for name in alone:
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], alone[name])
    assert not torch.equal(noise, other)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    model, _ = problem()
    with pytest.raises(FloatingPointError, match="step 0"):
        fit(model, lambda _step: torch.tensor(float("nan")), RECIPE, tmp_path / "x.pt", lambda *_: None)


def test_the_rate_rises_stays_and_falls_to_zero() -> None:
    rates = [RECIPE.rate(step) for step in range(13)]
    assert rates[:3] == pytest.approx([0.05 / 3, 0.1 / 3, 0.05])
    assert rates[3:7] == pytest.approx([0.05] * 4)
    assert rates[12] == 0


def test_every_row_comes_once_an_epoch_in_an_order_of_its_own() -> None:
    first = torch.cat([batch(12, 4, 0, step) for step in range(3)])
    second = torch.cat([batch(12, 4, 0, step) for step in range(3, 6)])
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(12))
    assert first.tolist() != second.tolist()
