import json
import multiprocessing
import os
import shutil
import socket
import warnings
from itertools import combinations
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from stages.annotate.table import attribute_rows
from stages.core.errors import InputError
from stages.train import loop, models, penalty
from tests.helpers.shapes import TINY, TINY_RESNET
from tests.helpers.training import MEAN, STD, batch, curve, gradients, losses_of_two, train, trainer

N, LABELS, SIZE = 40, 5, 3
RNG = np.random.default_rng(0)
ENDLESS, TOTALS = torch.full((SIZE,), torch.inf), torch.tensor([5.0, 4.0])
LOGITS = RNG.normal(size=(N, LABELS)) + RNG.normal(size=LABELS)
GROUPS = RNG.integers(-1, SIZE, N)


def by_hand(logits: np.ndarray, groups: np.ndarray, size: int) -> float:
    """Mean over pairs of groups and labels, with numpy's means and variances."""
    values = []
    for g, h in combinations(range(size), 2):
        one, other = logits[groups == g], logits[groups == h]
        if min(len(one), len(other)) > 1:
            noise = one.var(axis=0, ddof=1) / len(one) + other.var(axis=0, ddof=1) / len(other)
            values.append((one.mean(axis=0) - other.mean(axis=0)) ** 2 - noise)
    return float(np.mean(values)) if values else 0.0


def measured(logits: np.ndarray, groups: np.ndarray, size: int) -> float:
    return float(penalty.association(torch.from_numpy(logits), torch.from_numpy(groups), ENDLESS[:size]))


@pytest.mark.parametrize("kept", [range(-1, SIZE), (0, 1), (-1, 2), (-1,)], ids=str)
def test_the_value_is_that_of_numpy(kept) -> None:
    """Also where a group, or every pair of groups, is missing."""
    groups = np.where(np.isin(GROUPS, list(kept)), GROUPS, -1)
    assert measured(LOGITS, groups, SIZE) == pytest.approx(by_hand(LOGITS, groups, SIZE), rel=1e-12, abs=1e-15)


def test_groups_of_one_row_do_not_count() -> None:
    groups = np.full(N, -1)
    groups[:7] = [0, 0, 0, 1, 1, 1, 2]
    assert measured(LOGITS, groups, SIZE) == pytest.approx(by_hand(LOGITS, groups, 2), rel=1e-12)


def test_a_small_batch_has_the_expectation_of_the_corpus() -> None:
    """Means differ by 1 in one of two labels, with a spread of 3: the naive square of 12 rows would be 3.5."""
    rng, groups = np.random.default_rng(1), np.repeat([0, 1], 6)
    found = [measured(rng.normal(0, 3, (12, 2)) + np.outer(groups, [1, 0]), groups, 2) for _ in range(4000)]
    assert abs(np.mean(found) - 0.5) < 4 * np.std(found) / np.sqrt(len(found)) < 0.3


def test_all_batches_of_a_corpus_have_its_mean() -> None:
    """Every way to draw 3 of 5 rows and 2 of 4 without replacement."""
    logits = RNG.normal(size=(9, LABELS))
    found = [
        float(penalty.association(torch.from_numpy(logits[[*one, *two]]), torch.tensor([0] * 3 + [1] * 2), TOTALS))
        for one in combinations(range(5), 3)
        for two in combinations(range(5, 9), 2)
    ]
    expected = np.mean((logits[:5].mean(axis=0) - logits[5:].mean(axis=0)) ** 2)
    assert np.mean(found) == pytest.approx(expected, rel=1e-12)


def test_the_gradient_is_that_of_finite_differences() -> None:
    groups = torch.from_numpy(GROUPS)
    logits = torch.from_numpy(LOGITS).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: penalty.association(z, groups, ENDLESS), logits)
    images, labels = (torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for n in (N, LABELS))
    assert torch.autograd.gradcheck(lambda i, r: penalty.association(3 * i @ r.T, groups, ENDLESS), (images, labels))


def priced(weight: float = 0.3, rows: int = 8) -> penalty.Penalty:
    labels = torch.randint(1, 399, (3, 8), generator=torch.Generator().manual_seed(1))
    groups = np.column_stack([np.arange(rows) % 2, np.arange(rows) // 3 - 1]).astype(np.int8)
    return penalty.Penalty(weight, labels, groups, penalty.totals(groups, (2, 2)))


def test_the_scale_carries_no_gradient() -> None:
    scale = torch.tensor(10.0, requires_grad=True)
    images, labels = torch.randn(8, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    priced()(images, labels, scale, np.arange(8)).backward()
    assert scale.grad is None and images.grad is not None and labels.grad is not None


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_loss_and_gradient_are_the_sum_of_both(one_thread, loss: str) -> None:
    made, price = trainer(loss=loss, penalty=priced()), priced()
    found = made.step(0, batch(), 0.0)
    plain = trainer(loss=loss)
    plain.step(0, batch(), 0.0)
    pixels = (batch().images / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    model = plain.bare
    out = model(pixels, torch.cat([batch().tokens, price.labels]))
    added = price(out["image_features"], out["text_features"][8:], out["logit_scale"], np.arange(8))
    total = plain.loss(**{**out, "text_features": out["text_features"][:8]}) + added
    model.zero_grad()
    total.backward()
    assert added.item() != 0 and found.item() == pytest.approx(total.item(), rel=1e-5)
    for name, gradient in gradients(made).items():
        torch.testing.assert_close(gradient, gradients(plain)[name], rtol=1e-3, atol=1e-5)


def test_a_batch_in_pieces_has_the_loss_and_the_gradient_of_the_whole(one_thread) -> None:
    whole, pieces = trainer(penalty=priced()), trainer(penalty=priced(), accumulate=4)
    assert pieces.step(0, batch(), 0.0).item() == pytest.approx(whole.step(0, batch(), 0.0).item(), rel=1e-6)
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradients(pieces)[name], gradient, rtol=1e-3, atol=1e-6)


def test_training_lowers_the_association(one_thread) -> None:
    def left(weight: float) -> float:
        made = trainer(penalty=priced(weight))
        for step in range(40):
            made.step(step, batch(), 0.003)
        with torch.no_grad():
            pixels = (batch().images / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
            out = made.bare(pixels, priced().labels)
        return priced(1.0)(out["image_features"], out["text_features"], torch.tensor(100.0), np.arange(8)).item()

    assert abs(left(10.0)) < 0.2 * abs(left(1e-12))


def test_half_precision_gives_nearly_the_same(one_thread) -> None:
    full = trainer(penalty=priced()).step(0, batch(), 0.0)
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        accelerator = Accelerator(cpu=True, mixed_precision="bf16")
        torch.manual_seed(0)
        model = open_clip.CLIP(**TINY, output_dict=True)
        optimizer = torch.optim.AdamW(models.parameter_groups(model, 0.1), lr=1e-3)
        model, optimizer = accelerator.prepare(model, optimizer)
        made = loop.Trainer(
            accelerator, model, optimizer, loop.contrastive_loss("clip", accelerator), 0, 1, None, MEAN, STD, priced()
        )
        half = made.step(0, batch(), 1e-3)
        assert half.item() != full.item() and half.item() == pytest.approx(full.item(), rel=0.05)
        assert all(torch.isfinite(gradient).all() for gradient in gradients(made).values())
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def _part(rank: int, port: int, folder: Path) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FutureWarning)  # torch's, of the differentiable all_reduce
    dist.init_process_group("gloo", rank=rank, world_size=2)
    mine = slice(0, 13) if rank == 0 else slice(13, N)  # parts of unlike size, and groups that one part lacks
    logits = torch.from_numpy(LOGITS[mine]).requires_grad_()
    value = penalty.association(logits, torch.from_numpy(np.sort(GROUPS)[mine]), ENDLESS)
    value.backward()
    assert logits.grad is not None
    kept = {"value": value.item(), "gradient": (logits.grad / 2).tolist()}  # the mean over processes, as DDP takes it
    (folder / f"{rank}.json").write_text(json.dumps(kept))
    dist.destroy_process_group()


def test_two_processes_are_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [multiprocessing.get_context("fork").Process(target=_part, args=(i, port, tmp_path)) for i in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    parts = [json.loads((tmp_path / f"{i}.json").read_text()) for i in range(2)]
    whole = torch.from_numpy(LOGITS).requires_grad_()
    value = penalty.association(whole, torch.from_numpy(np.sort(GROUPS)), ENDLESS)
    value.backward()
    assert [part["value"] for part in parts] == pytest.approx([value.item()] * 2, rel=1e-12)
    assert whole.grad is not None
    np.testing.assert_allclose(np.vstack([part["gradient"] for part in parts]), whole.grad, rtol=1e-10, atol=1e-13)


def annotated(corpus) -> None:
    """Give the drawn corpus captions that name occupations, and attributes."""
    samples = pd.read_parquet(corpus.data / "samples.parquet")
    people = ("a pilot", "a woman pilot", "an artist")
    samples["caption"] = [f"{people[i % 3]}, {caption}" for i, caption in enumerate(samples["caption"])]
    samples.to_parquet(corpus.data / "samples.parquet", index=False)
    groups = {"gender": ["woman", "man", "man", ""] * 6, "skin_tone": ["lighter", "darker"] * 12}
    keys, captions = samples["key"].tolist(), samples["caption"].tolist()
    tables = [attribute_rows(keys, source, groups, captions, []) for source in ("real", "synthetic")]
    pd.concat(tables).to_parquet(corpus.data / "attributes.parquet", index=False)


def test_rows_that_count_show_one_group_and_say_none(corpus) -> None:
    annotated(corpus)
    attributes = pd.read_parquet(corpus.data / "attributes.parquet")
    rows = pd.DataFrame({"key": [f"{i:09d}" for i in range(5)], "source": "real"})
    groups, labels = penalty.prepare(rows, attributes, ["gender", "skin_tone"], ["key", "source"])
    assert groups.tolist() == [[0, 0], [-1, 1], [1, 0], [-1, 1], [-1, 0]]  # 1 and 4 say "woman", 3 shows nobody
    assert labels == ["artist", "pilot"]
    with pytest.raises(InputError, match=r"no row for 000000099 real of selection\.parquet"):
        penalty.prepare(rows.tail(1).assign(key="000000099"), attributes, ["gender"], ["key", "source"])
    with pytest.raises(InputError, match="no caption names an occupation"):
        bare = attributes.assign(y_occupation_pilot=False, y_occupation_artist=False)
        penalty.prepare(rows, bare, ["gender"], ["key", "source"])


def test_no_weight_reads_nothing_and_changes_no_bit(corpus, monkeypatch, one_thread) -> None:
    train(monkeypatch)
    expected = corpus.weights()
    corpus.configure(penalty={"of": "association", "weight": 0.0})
    train(monkeypatch)  # without attributes.parquet
    assert corpus.weights() == expected
    annotated(corpus)
    corpus.configure(penalty={"of": "association", "weight": 1.0})
    train(monkeypatch)
    assert corpus.weights() != expected


@pytest.mark.parametrize("model", [TINY, TINY_RESNET], ids=["transformer", "resnet"])
def test_two_processes_train_as_one_does(corpus, monkeypatch, one_thread, model) -> None:
    annotated(corpus)
    schedule = [{"data": "mixed", "share": 0.5}, {"data": "balanced", "share": 0.5}]
    settings = {"model": model, "schedule": schedule, "epochs": 4, "penalty": {"weight": 0.5}}
    corpus.configure(**settings)
    two = losses_of_two(corpus)
    train(monkeypatch)
    one = curve(corpus, "loss")
    shutil.rmtree(corpus.data / "models")
    corpus.configure(**{**settings, "penalty": {"weight": 0.0}})
    train(monkeypatch)
    plain = curve(corpus, "loss")
    # three steps are equal but for rounding; what follows has to stay near, since training magnifies rounding
    np.testing.assert_allclose(two[0], one[0], rtol=1e-4)
    np.testing.assert_allclose(two, one, rtol=0.02)
    assert abs(plain[0] - one[0]) > 0.1 * one[0]
