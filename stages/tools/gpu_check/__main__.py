"""`make gpu-check`: what an accelerator gives, before GPU-hours are spent on it; at most five minutes on one card.

Five questions: the same result as on the CPU, images per second, evaluation, training pairs per second, and the memory
of each. A line is passed, failed or skipped, with its figure; a figure without a goal is measured for its own sake.
Exit code 1 where a line failed, 2 where there is no accelerator.
"""

import argparse
import logging
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import torch

from stages.core.errors import InputError, run
from stages.tools.gpu_check import evaluation, generation, memory, same, training
from stages.tools.gpu_check.bench import Bench
from stages.tools.gpu_check.report import Report
from stages.tools.gpu_check.sizes import SIZES


def _generate(bench: Bench, report: Report) -> None:
    """Measure images; the pipeline leaves the card before anything else is measured there."""
    drawing = generation.check(bench, report)
    if drawing is not None:
        memory.of_generation(bench, report, drawing)
    if bench.sizes.compiled:
        torch.compiler.reset()


def _train(bench: Bench, report: Report) -> None:
    """Measure pairs."""
    memory.of_training(bench, report, training.check(bench, report))


SECTIONS: dict[str, Callable[[Bench, Report], None]] = {
    "same": same.check,
    "generate": _generate,
    "evaluate": evaluation.check,
    "train": _train,
}


def main() -> None:
    """Check, and print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.gpu_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: its whole way, without a GPU")
    parser.add_argument("--size", choices=sorted(SIZES), default="full", help="tiny: a minute on a CPU")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=[*SECTIONS], help="some of them, in order")
    parser.add_argument("--seconds", type=float, default=300.0, help="what would start later is skipped (default: 300)")
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="only the lines that this regular expression finds"
    )
    parser.add_argument("--out", type=Path, help="JSON, whole after every line")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "gpu-check: torch finds no GPU on this machine; run it where there is one, "
            "or try its way with --device cpu --size tiny"
        )
    report = Report(
        {**_machine(arguments.device), "size": arguments.size}, arguments.out, arguments.seconds, arguments.only
    )
    check(arguments.device, arguments.size, arguments.sections, report)
    if report.failed:
        raise SystemExit(1)


def check(device: str, size: str, sections: Sequence[str], report: Report) -> None:
    """
    Run sections in a scratch folder, and print the table.

    Parameters
    ----------
    device, size : str
        ``"cuda"`` or ``"cpu"``; a key of `SIZES`.
    sections : sequence of str
        Some of `SECTIONS`, in order.
    """
    root, held = Path.cwd(), logging.root.level
    logging.root.setLevel(logging.ERROR)  # open_clip warns that random weights are random
    try:
        with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch, chdir(scratch):
            os.environ["COUNTERWEIGHT_WORK"] = str(Path(scratch) / "work")
            bench = Bench(torch.device(device), SIZES[size], root, Path(scratch))
            for section in sections:
                SECTIONS[section](bench, report)
                torch.backends.cudnn.benchmark = False  # each section starts as its stage does
                bench.clear()
    finally:
        logging.root.setLevel(held)
    print(report.table())
    states = [line.state for line in report.lines]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("passed", "failed", "skipped"))
    print(f"\n{report.machine['card']}: {counts}, {report.spent:.0f} s")


def _machine(device: str) -> dict[str, Any]:
    """Name the card, its driver and the versions that a speed depends on."""
    import accelerate
    import diffusers
    import open_clip
    import transformers

    found = {
        "card": torch.cuda.get_device_name() if device == "cuda" else f"no card ({platform.machine()})",
        "cores": len(os.sched_getaffinity(0)),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "accelerate": accelerate.__version__,
        "open_clip": open_clip.__version__,
    }
    if device == "cuda":
        query = ["nvidia-smi", "--query-gpu=driver_version,memory.total", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, check=False)
        driver, _, size = done.stdout.strip().partition(", ")
        found |= {"driver": driver, "memory": size, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return found


if __name__ == "__main__":
    run(main)
