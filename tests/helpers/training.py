"""Training in tests: the stage in this process and in forks, and single steps of its loop."""

import multiprocessing
import multiprocessing.process
import os
import shutil
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from stages.train import loop, models
from stages.train.__main__ import main
from stages.train.data import Batch
from tests.helpers.machines import free_ports
from tests.helpers.shapes import TINY

MEAN, STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD


def train(monkeypatch: pytest.MonkeyPatch, seed: int = 0) -> None:
    monkeypatch.setattr(sys, "argv", ["train", "--seed", str(seed)])
    main()


def curve(corpus, name: str) -> list[float]:
    path = corpus.data / "models" / "0" / "curves" / "plots" / "metrics" / f"{name}.tsv"
    return pd.read_csv(path, sep="\t")[name].tolist()


def fork(environment: dict[str, str]) -> multiprocessing.process.BaseProcess:
    """Start the stage in a process of its own that has everything imported."""

    def child() -> None:
        sys.argv = ["train", "--seed", "0"]
        os.environ.update(environment)
        AcceleratorState._reset_state(reset_partial_state=True)
        torch.set_num_threads(1)
        main()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    return process


def two_processes() -> list[multiprocessing.process.BaseProcess]:
    """Start the stage in two processes that train one model together."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_ports(1)[0]), "WORLD_SIZE": "2"}
    return [fork({**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(2)]


def losses_of_two(corpus) -> list[float]:
    """Train with two processes to the end; take the model away, and return its curve of losses."""
    processes = two_processes()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    losses = curve(corpus, "loss")
    shutil.rmtree(corpus.data / "models")
    return losses


def batch(n: int = 8, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Batch(images, torch.randint(1, 399, (n, 8), generator=generator), np.arange(n), [])


def trainer(config=TINY, loss: Any = "clip", **changes: object) -> loop.Trainer:
    extra = {"init_logit_scale": 2.3, "init_logit_bias": -10} if loss == "siglip" else {}
    torch.manual_seed(0)
    model = open_clip.CLIP(**config, **extra, output_dict=True)
    accelerator = Accelerator(cpu=True)
    optimizer = torch.optim.AdamW(models.parameter_groups(model, 0.1), lr=1e-3)
    model, optimizer = accelerator.prepare(model, optimizer)
    made = loop.Trainer(accelerator, model, optimizer, loop.contrastive_loss(loss, accelerator), 0, 1, None, MEAN, STD)
    return replace(made, **changes)


def gradients(made: loop.Trainer) -> dict[str, torch.Tensor]:
    named = made.model.named_parameters()
    return {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}
