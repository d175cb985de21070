"""Train for the check, in a process that may kill itself.

Deterministic algorithms are on; operations that torch has none for are written to `nondeterministic.txt`.
"""

import argparse
import os
import signal
import warnings
from pathlib import Path

import torch

from stages.tools.gpu_check.bench import Bench
from stages.tools.gpu_check.sizes import SIZES
from stages.tools.gpu_check.training_run import QuietRun, set_up

STEPS, BATCH = 10, 16
SETTINGS = {"batch_size": BATCH, "log_every": 1 / STEPS, "checkpoint_every": 0.2, "probe": 0, "workers": 0, "warmup": 2}


def main() -> None:
    """Train in the working directory for `STEPS` steps."""
    parser = argparse.ArgumentParser(prog="python -m stages.tools.gpu_check.resumed", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the project's folder")
    parser.add_argument("--stop", type=int, default=0, help="steps after which the process is killed; 0: none")
    parser.add_argument("--device", required=True, help="cuda or cpu")
    arguments = parser.parse_args()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True
    bench = Bench(torch.device(arguments.device), SIZES["tiny"], arguments.root, Path.cwd())

    def end(done: int) -> None:
        if done == arguments.stop:
            os.kill(os.getpid(), signal.SIGKILL)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        params = bench.params("smoke", train={**SETTINGS, "epochs": STEPS * BATCH / 64})
        set_up(QuietRun, params, 0, bench.accelerator("float32"), on_point=end).execute()
    said = [str(one.message) for one in caught if "deterministic" in str(one.message)]
    without = {text.split(" does not")[0].split(" defaults to")[0] for text in said}
    Path("nondeterministic.txt").write_text("\n".join(sorted(without)))


if __name__ == "__main__":
    main()
