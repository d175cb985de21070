"""Reading ahead: the same results in the same order, whatever the number of processes."""

import os

import pytest
import torch

from stages.core.ahead import ahead, workers_beside


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    found = [*ahead(lambda item: torch.tensor([item, item**2]), range(7), workers)]
    assert torch.stack(found).tolist() == [[item, item**2] for item in range(7)]


def test_workers_are_processes_of_their_own() -> None:
    assert os.getpid() not in [*ahead(lambda _item: os.getpid(), range(4), 2)]
    assert {os.getpid()} == {*ahead(lambda _item: os.getpid(), range(4), 0)}


@pytest.mark.parametrize("workers", [0, 2])
def test_what_goes_wrong_is_raised_here(workers: int) -> None:
    with pytest.raises(ZeroDivisionError):
        [*ahead(lambda item: 1 / item, range(3), workers)]


def test_nothing_reads_beside_the_cpu() -> None:
    assert workers_beside("cpu") == 0
    assert workers_beside("cuda") >= 1
