from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from stages.core.errors import InputError
from stages.corpus import selection
from stages.corpus.schedule import spans
from stages.train import data, rows
from stages.train.settings import Augmentation

COPIES = np.array([1, 0, 2, 3, 1], np.int32)


def test_an_epoch_has_each_row_as_often_as_its_copies() -> None:
    stream = data.Stream(COPIES, seed=0, name="balanced")
    for epoch in range(4):
        assert Counter(stream.take(7 * epoch, 7).tolist()) == {0: 1, 2: 2, 3: 3, 4: 1}


def test_the_sequence_does_not_depend_on_how_it_is_cut() -> None:
    stream = data.Stream(COPIES, seed=0, name="balanced")
    whole = stream.take(0, 35)
    again = data.Stream(COPIES, seed=0, name="balanced")
    parts = [again.take(start, 5) for start in (30, 5, 0, 10, 20, 15, 25)]
    assert np.array_equal(whole[30:], parts[0])
    assert np.array_equal(whole, np.concatenate([parts[i] for i in (2, 1, 3, 5, 4, 6, 0)]))


def test_epochs_seeds_and_data_are_shuffled_differently() -> None:
    ones = np.ones(100, np.int32)
    orders = [
        data.Stream(ones, seed, name).take(start, 100).tolist()
        for seed, name, start in [(0, "mixed", 0), (0, "mixed", 100), (1, "mixed", 0), (0, "balanced", 0)]
    ]
    assert len({tuple(order) for order in orders}) == 4


def located(corpus, tolerant: bool = False) -> rows.Rows:
    samples = pd.read_parquet(corpus.data / "samples.parquet")
    table = selection.join(samples, pd.read_parquet(corpus.data / "selection.parquet"), "selection")
    return rows.locate(table, corpus.data, tolerant)


def batches(
    found: rows.Rows, rank: int = 0, world: int = 1, memory: int = 0, on_bad: Any = "fail", style: float = 0.0
) -> data.Batches:
    plan = spans([("mixed", 0.5), ("balanced", 0.5)], 12)
    streams = {
        "mixed": data.Stream(np.ones(len(found), np.int32), 0, "mixed"),
        "balanced": data.Stream(found.copies, 0, "balanced"),
    }
    images = data.Images(found, memory, on_bad)
    images.preload()
    return data.Batches(
        plan,
        streams,
        images,
        data.Tokens(found, lambda texts: torch.tensor([[len(text)] for text in texts]), 1, memory),
        Augmentation(scale=(0.5, 1.0), mix_style=style),
        (32, 32),
        batch_size=8,
        seed=0,
        rank=rank,
        world=world,
    )


def equal(one: data.Batch, two: data.Batch) -> bool:
    return (
        torch.equal(one.images, two.images)
        and torch.equal(one.tokens, two.tokens)
        and np.array_equal(one.rows, two.rows)
    )


def test_every_row_of_the_mix_is_seen_once_an_epoch_and_of_the_selection_as_copied(corpus) -> None:
    found = located(corpus)
    made = batches(found)
    seen = [Counter(np.concatenate([made[step].rows for step in steps]).tolist()) for steps in (range(3), range(3, 6))]
    assert seen == [Counter(range(24)), Counter(range(24))]
    balanced = Counter(np.concatenate([made[step].rows for step in range(6, 9)]).tolist())
    assert balanced == Counter({row: int(n) for row, n in enumerate(found.copies) if n})


@pytest.mark.parametrize("workers, style", [(0, 0.0), (2, 0.0), (0, 0.7)])
@pytest.mark.parametrize("world", [1, 2])
def test_processes_and_workers_see_exactly_the_batches_of_one_process(
    corpus, world: int, workers: int, style: float
) -> None:
    found = located(corpus)
    reference = batches(found, style=style)
    parts = [list(data.loader(batches(found, rank, world, style=style), 0, workers)) for rank in range(world)]
    for step in range(12):
        together = [part[step] for part in parts]
        joined = data.Batch(
            torch.cat([part.images for part in together]),
            torch.cat([part.tokens for part in together]),
            np.concatenate([part.rows for part in together]),
            [],
        )
        assert equal(joined, reference[step])


def test_the_style_of_another_image_of_the_batch_changes_some_images_and_no_rows(corpus) -> None:
    found = located(corpus)
    plain, mixed = batches(found)[0], batches(found, style=0.5)[0]
    assert np.array_equal(plain.rows, mixed.rows)
    same = [torch.equal(*pair) for pair in zip(plain.images, mixed.images, strict=True)]
    assert 0 < sum(same) < 8


def test_a_loader_that_starts_later_gives_the_later_batches(corpus) -> None:
    made = batches(located(corpus))
    late = list(data.loader(made, 7, 0))
    assert len(late) == 5
    assert all(equal(one, made[7 + i]) for i, one in enumerate(late))


@pytest.mark.parametrize("memory", [5 * 32 * 32 * 3, 10**7])
def test_images_held_in_memory_are_those_on_the_disk(corpus, memory: int) -> None:
    found = located(corpus)
    held, read = batches(found, memory=memory), batches(found)
    assert all(equal(held[step], read[step]) for step in range(12))


def test_memory_is_filled_to_the_budget_and_not_beyond(corpus) -> None:
    found = located(corpus)
    size = 32 * 32 * 3
    assert [data.Images(found, budget).preload() for budget in (0, size - 1, size, 5 * size, 10**7)] == [0, 0, 1, 5, 24]


def spoil(corpus, found: rows.Rows, row: int) -> str:
    path = found.paths[found.shard[row]]
    with path.open("r+b") as file:
        file.seek(int(found.offset[row]) + 20)
        file.write(b"\0" * (int(found.size[row]) - 20))
    return str(found.keys[row])


def test_a_corrupt_image_is_named_with_its_shard(corpus) -> None:
    found = located(corpus)
    key = spoil(corpus, found, 5)
    made = batches(found)
    with pytest.raises(InputError, match=rf"real.00000\.tar: image of {key}: not a readable image"):
        for step in range(3):
            made[step]


def test_skipped_images_are_replaced_and_named(corpus) -> None:
    found = located(corpus)
    key = spoil(corpus, found, 5)
    made = batches(found, on_bad="skip")
    epoch = [made[step] for step in range(3)]
    assert [name for batch in epoch for name in batch.skipped] == [key]
    seen = Counter(np.concatenate([batch.rows for batch in epoch]).tolist())
    assert seen == Counter(range(24)) - Counter([5]) + Counter([6])
    assert all(len(batch.images) == len(batch.tokens) == 8 for batch in epoch)


def test_an_unreadable_partner_is_replaced_as_an_unreadable_image_is(corpus) -> None:
    found = located(corpus)
    key = spoil(corpus, found, 5)
    whole = [batches(found, on_bad="skip", style=1.0)[step] for step in range(3)]
    halves = [[batches(found, rank, 2, on_bad="skip", style=1.0)[step] for rank in range(2)] for step in range(3)]
    assert {name for batch in whole for name in batch.skipped} == {key}
    for one, parts in zip(whole, halves, strict=True):
        assert torch.equal(one.images, torch.cat([part.images for part in parts]))


def test_without_any_readable_image_there_is_an_error(corpus) -> None:
    found = located(corpus)
    for row in range(24):
        spoil(corpus, found, row)
    with pytest.raises(InputError, match="no readable image"):
        batches(found, on_bad="skip")[0]
