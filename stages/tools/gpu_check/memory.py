"""Section 5: the largest batch of each model, and what is said where memory does not suffice."""

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
from stages.tools.gpu_check.training import Peak, settings
from stages.tools.gpu_check.training_run import TimedRun, set_up

SECTION = "memory"
LESS, MORE = 0.9, 1.3  # times the memory that a batch took: not enough for it, and not enough for twice as many


def of_generation(bench: Bench, report: Report, generation: Generation) -> None:
    """Foretell the largest batch from the measured peaks; take memory away until a batch does not fit."""
    report.ask(SECTION, "generate: largest batch", lambda: _generate(bench, generation), 10)


def of_training(bench: Bench, report: Report, peaks: Mapping[str, Peak]) -> None:
    """Do the same for each model whose training was measured."""
    with chdir(bench.scratch / "train"):
        for model in bench.sizes.models:
            if model.name in peaks:
                what = f"train {model.name}: largest batch"
                report.ask(SECTION, what, lambda m=model: _train(bench, m, peaks[m.name]), 10)


def foretold(batch: int, peak: float, fixed: float, memory: float) -> int:
    """Extend the line from what an empty batch takes through the peak of a batch to all memory, GB."""
    return int(batch * (memory - fixed) / (peak - fixed))


def _memory(bench: Bench) -> float:
    """Return the memory that could be had, GB."""
    if not bench.accelerated:
        raise SkipError("memory is measured on accelerators only")
    bench.clear()
    free, _ = torch.cuda.mem_get_info()
    return (free + torch.cuda.memory_reserved()) / 1e9


def _train(bench: Bench, model: Training, found: Peak) -> Figure:
    """Train once more with less memory than the batch took before; one model is enough for that."""
    memory = _memory(bench)
    largest = foretold(found.batch, found.peak, found.fixed, memory)
    if model is not bench.sizes.models[0]:
        return Figure(largest, "pairs", note="foretold from the peak", detail={"GB": memory})
    params = settings(bench, model, found.batch, 2)
    run = set_up(TimedRun, params, 0, bench.accelerator(params.train.precision), warm=1, timed=1, held=True)
    torch.cuda.set_per_process_memory_fraction(LESS * found.peak / memory)
    try:
        run.execute()
    except InputError as error:
        note = f"foretold from the peak; batch {found.batch} in {LESS} × the memory that it took: {error}"
        return Figure(largest, "pairs", note=note, detail={"GB": memory})
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    return Figure(float("nan"), "pairs", note=f"batch {found.batch} fits into {LESS} × the memory that it took")


def _generate(bench: Bench, generation: Generation) -> Figure:
    """Ask for twice the largest measured batch, with little more memory than that one took."""
    memory, peaks = _memory(bench), generation.peaks
    small, fits = min(peaks), max(peaks)
    fixed = peaks[small] - small * (peaks[fits] - peaks[small]) / (fits - small)
    unet: Any = generation.pipeline.unet
    unet._compiled_call_impl = None  # another size would be compiled first
    torch.cuda.set_per_process_memory_fraction(MORE * peaks[fits] / memory)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _, images = generation.stage(2 * fits, "dpmsolver++", FEW)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    said = [str(one.message) for one in caught if "out of memory" in str(one.message)]
    if not said or len(images) != 2 * fits:
        return Figure(float("nan"), "images", note=f"{2 * fits} images fit into {MORE} × the memory of {fits}")
    note = f"foretold from the peaks; all {2 * fits} are drawn in {MORE} × the memory of {fits}: {said[0]}"
    return Figure(foretold(fits, peaks[fits], fixed, memory), "images", note=note, detail={"GB": memory})
