"""Run a trainer in this process and time its loop alone: seconds on the wall, and of all its processors and processes.

``ours``: the train stage; further arguments are its own. ``theirs``: `open_clip_train.main`; first the model's JSON
configuration (it has no option for one) and the number of threads, then its own arguments.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any


def main() -> None:
    """Run, and print the seconds as the last line."""
    spent = [0.0, 0.0]

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: object, **named: object) -> object:
            wall, processors = time.perf_counter(), sum(os.times()[:4])
            try:
                return function(*arguments, **named)
            finally:
                spent[0] += time.perf_counter() - wall
                spent[1] += sum(os.times()[:4]) - processors

        return run

    kind, *arguments = sys.argv[1:]
    if kind == "ours":
        from stages.train import __main__ as stage

        stage.loop.train = timed(stage.loop.train)
        sys.argv = ["stages.train", *arguments]
        stage.main()
    else:
        import open_clip
        import open_clip_train.main as trainer
        import torch

        open_clip.add_model_config(arguments[0])
        torch.set_num_threads(int(arguments[1]))
        trainer.train_one_epoch = timed(trainer.train_one_epoch)
        trainer.main(arguments[2:])
    print("seconds:", *spent)


if __name__ == "__main__":
    main()
