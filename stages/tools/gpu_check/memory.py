"""Section 5: the largest batch of each model, and what is said one step above it."""

import warnings
from collections.abc import Mapping
from contextlib import chdir
from typing import Any

import torch

from stages.core.errors import InputError
from stages.tools.gpu_check.bench import Bench
from stages.tools.gpu_check.generation import FEW, Generation
from stages.tools.gpu_check.report import Figure, Report, SkipError
from stages.tools.gpu_check.sizes import Training
from stages.tools.gpu_check.training import settings
from stages.tools.gpu_check.training_run import TimedRun, set_up

SECTION = "memory"
BELOW, ABOVE = 0.92, 1.15  # shares of the largest batch that the peaks foretell: one that must fit, one that must not


def check(
    bench: Bench, report: Report, peaks: Mapping[str, Mapping[int, float]], generation: Generation | None
) -> None:
    """Foretell the largest batch from two peaks, run one just below and one just above it."""
    for model in bench.sizes.models if peaks else ():
        with chdir(bench.scratch / "train"):
            report.ask(
                SECTION, f"train {model.name}: largest batch", lambda m=model: _train(bench, m, peaks[m.name]), 5
            )
    if generation is not None:
        report.ask(SECTION, "generate: largest batch", lambda: _generate(bench, generation), 15)


def foretold(peaks: Mapping[int, float], memory: float) -> int:
    """Extend the line through the peaks of the smallest and the largest batch to all memory, GB."""
    small, large = min(peaks), max(peaks)
    slope = (peaks[large] - peaks[small]) / (large - small)
    return int(large + (memory - peaks[large]) / slope)


def _memory(bench: Bench) -> float:
    if not bench.accelerated:
        raise SkipError("memory is measured on accelerators only")
    bench.clear()
    free, _ = torch.cuda.mem_get_info()
    return (free + torch.cuda.memory_allocated()) / 1e9


def _train(bench: Bench, model: Training, peaks: Mapping[int, float]) -> Figure:
    memory = _memory(bench)
    if len(peaks) < 2:
        raise SkipError("two peaks are needed")
    largest = foretold(peaks, memory)

    def run(batch: int) -> None:
        params = settings(bench, model, batch, 8, bench.sizes.shards * bench.sizes.rows)
        accelerator = bench.accelerator(params.train.precision)
        set_up(TimedRun, params, 0, accelerator, warm=1, timed=1, held=True).execute()
        bench.clear()

    fits = 8 * int(largest * BELOW / 8)
    run(fits)
    try:
        run(8 * int(largest * ABOVE / 8))
    except InputError as error:
        return Figure(fits, "pairs", note=f"runs; above it: {error}", detail={"foretold": largest, "GB": memory})
    return Figure(float("nan"), "pairs", note=f"{int(largest * ABOVE)} fit too: foretold {largest}")


def _generate(bench: Bench, generation: Generation) -> Figure:
    """Let the stage have as much memory as its largest measured batch took, and ask for twice that batch."""
    memory = _memory(bench)
    fits = max(generation.peaks)
    plain: Any = generation.pipeline.unet
    plain._compiled_call_impl = None  # another size would be compiled first
    torch.cuda.set_per_process_memory_fraction(1.3 * generation.peaks[fits] / memory)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _, images = generation.stage(2 * fits, "dpmsolver++", FEW)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    said = [str(one.message) for one in caught if "out of memory" in str(one.message)]
    largest = foretold(generation.peaks, memory)
    if not said or len(images) != 2 * fits:
        return Figure(float("nan"), "images", note=f"{2 * fits} fit into the memory of {fits}")
    note = f"foretold from the peaks; in 1.3 × the memory of {fits}, {2 * fits} are drawn all the same: {said[0]}"
    return Figure(largest, "images", note=note, detail={"GB": memory})
