"""Run `open_clip_train.main` with a configuration file (it has no option for one) and time its epochs."""

import sys
import time

import open_clip
import open_clip_train.main as trainer
import torch


def main() -> None:
    """Arguments: the model's JSON configuration, threads, then open_clip's own."""
    open_clip.add_model_config(sys.argv[1])
    torch.set_num_threads(int(sys.argv[2]))
    epoch, spent = trainer.train_one_epoch, [0.0]

    def timed(*arguments: object, **named: object) -> None:
        start = time.perf_counter()
        epoch(*arguments, **named)
        spent[0] += time.perf_counter() - start

    trainer.train_one_epoch = timed
    trainer.main(sys.argv[3:])
    print("seconds in epochs:", spent[0])


if __name__ == "__main__":
    main()
