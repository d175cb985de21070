"""The train stage's own `Run`, without DVCLive, and with a clock in its loop."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import torch

from stages.train import data, loop, probe, schedule
from stages.train.__main__ import Progress, Run


class Points:
    """The points of the curves, in memory alone; takes the place of the stage's `Curves`."""

    def __init__(self, points: list[dict[str, float]]) -> None:
        self.points = [*points]

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        self.points.append({"step": step, **values})

    def __enter__(self) -> "Points":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""


class QuietRun(Run):
    """A run whose curves stay in memory; `on_point` is called with the finished steps at each point."""

    on_point: Callable[[int], None] = staticmethod(lambda _done: None)
    curve: Points

    def _curves(self, points: list[dict[str, float]]) -> Any:
        self.curve = Points(points)
        return self.curve

    def _say(self, line: str) -> None:
        """Say nothing: the check's table does."""
        if line.startswith("step "):
            self.on_point(int(line.split()[1]))

    @property
    def losses(self) -> list[float]:
        """Of the points."""
        return [point["loss"] for point in self.curve.points]


@dataclass
class Speed:
    """
    What `TimedRun` measured.

    Attributes
    ----------
    seconds, pairs : float, int
        Of the timed steps.
    waited : float
        Seconds of these that were spent waiting for data.
    fixed : float
        GB that weights, gradients and optimiser take, whatever the batch: 16 bytes per parameter.
    """

    seconds: float = 0.0
    pairs: int = 0
    waited: float = 0.0
    fixed: float = 0.0

    @property
    def rate(self) -> float:
        """Pairs per second."""
        return self.pairs / self.seconds


class TimedRun(QuietRun):
    """
    A run that takes a few steps, times them and writes nothing.

    Attributes
    ----------
    warm, timed : int
        Steps before the clock starts, and while it runs.
    held : bool
        Whether a few batches are read before, and taken again and again: the speed without the reader.
    pinned : bool
        Whether held batches lie in pinned memory, as those of the stage's loader do.
    """

    warm: int = 0
    timed: int = 0
    held: bool = False
    pinned: bool = False

    def _train(
        self,
        trainer: loop.Trainer,
        batches: data.Batches,
        before: Progress,
        curves: Any,
        images: probe.Probe | None,
    ) -> set[str]:
        section, steps = self.section, self.warm + self.timed
        loader: Iterable[data.Batch] = data.loader(batches, 0, section.workers)
        if self.held:
            few = [*islice(loader, 2)]
            loader = cycle([batch.pin_memory() for batch in few] if self.pinned else few)
        self.speed = Speed(fixed=16 * sum(parameter.numel() for parameter in trainer.bare.parameters()) / 1e9)
        stream: Iterator[data.Batch] = iter(loader)
        trainer.model.train()
        begun, loss = 0.0, torch.zeros(())
        for step in range(steps):
            if step == self.warm:
                self._wait()
                begun = time.perf_counter()
            asked = time.perf_counter()
            batch = next(stream)
            if step >= self.warm:
                self.speed.waited += time.perf_counter() - asked
                self.speed.pairs += len(batch.rows)
            rate = schedule.learning_rate(step, len(batches), section.learning_rate, section.warmup)
            loss = trainer.step(step, batch, rate)
        self._wait()
        self.speed.seconds = time.perf_counter() - begun
        curves.add(steps, {"loss": float(loss)})
        return set()

    def _wait(self) -> None:
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize()

    def _write(self, *_given: Any, **_more: Any) -> None:
        """Write nothing."""


def set_up(run: type[QuietRun], params: Any, seed: int, accelerator: Any, **fields: Any) -> Any:
    """Make a run of the folder `data/<profile>` below the working directory."""
    made = run(params, params.train, params.folder, seed, accelerator)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def weights(folder: Path, seed: int) -> dict[str, torch.Tensor]:
    """Read the weights that a run of a seed wrote."""
    from safetensors.torch import load_file

    return cast(dict[str, torch.Tensor], load_file(folder / "models" / str(seed) / "clip" / "model.safetensors"))
