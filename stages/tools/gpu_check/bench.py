"""What all sections share: the device, the sizes, a scratch folder, and clocks that wait for the device."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradScalerKwargs

from stages.core.settings import Section
from stages.tools.gpu_check.sizes import Sizes
from stages.tools.params import Params, load

MIXED = {"float32": "no", "float16": "fp16", "bfloat16": "bf16"}


@dataclass(frozen=True)
class Bench:
    """
    Where and how large.

    Attributes
    ----------
    device : torch.device
        The accelerator; in the tests the CPU.
    scratch : Path
        Empty folder; the working directory while the check runs.
    """

    device: torch.device
    sizes: Sizes
    root: Path
    scratch: Path

    @property
    def accelerated(self) -> bool:
        """Whether there is an accelerator."""
        return self.device.type != "cpu"

    def params(self, profile: str, **changes: dict[str, Any]) -> Params:
        """Load a profile's parameters with changes by section, checked."""
        params = load(self.root, profile)
        changed: dict[str, Section] = {}
        for name, values in changes.items():
            section: Section = getattr(params, name)
            changed[name] = type(section).model_validate({**section.model_dump(), **values})
        return params.model_copy(update=changed)

    def accelerator(
        self, precision: str, device: torch.device | None = None, loss_scale: float = 65536.0
    ) -> Accelerator:
        """Make an Accelerator of this device, or of another; accelerate holds one state at a time."""
        AcceleratorState._reset_state(reset_partial_state=True)
        return Accelerator(
            mixed_precision=MIXED[precision],
            cpu=(device or self.device).type == "cpu",
            kwargs_handlers=[GradScalerKwargs(init_scale=loss_scale)],
        )

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        if self.accelerated:
            torch.cuda.synchronize()

    def peak(self) -> float:
        """Return the most memory that tensors took since `clear`, GB."""
        return torch.cuda.max_memory_allocated() / 1e9 if self.accelerated else 0.0

    def clear(self) -> None:
        """Give back unused memory, and start a new peak."""
        gc.collect()
        if self.accelerated:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    @contextmanager
    def clock(self) -> Iterator[list[float]]:
        """Time a block until the device has done it; the list gets the seconds."""
        seconds: list[float] = []
        self.wait()
        started = time.perf_counter()
        yield seconds
        self.wait()
        seconds.append(time.perf_counter() - started)


@contextmanager
def exact_products() -> Iterator[None]:
    """Compute float32 products in float32, not in TF32, which convolutions take by default."""
    held = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = held
