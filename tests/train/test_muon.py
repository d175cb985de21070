import copy

import numpy as np
import open_clip
import pytest
import torch
from torch import nn

from stages.train import models, muon
from tests.helpers.shapes import TINY, TINY_RESNET

RATES = {"lr": 0.01, "betas": (0.9, 0.98), "eps": 1e-6, "momentum": 0.95}


def layers(seed: int = 0) -> nn.Module:
    """Make numbered layers: a linear one, a convolution, and attention with packed queries, keys and values."""
    torch.manual_seed(seed)
    attention = nn.MultiheadAttention(8, 2)
    return nn.ModuleDict({"0": nn.Linear(6, 12), "1": nn.Conv2d(4, 8, 3), "2": attention, "head": nn.Linear(8, 5)})


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    for step in range(first, last):
        generator = torch.Generator().manual_seed(step)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


def made(model: nn.Module, weight_decay: float = 0.1, rate: float = 1.0) -> muon.Muon:
    return muon.Muon(muon.parameter_groups(model, weight_decay, rate), **RATES)


@pytest.mark.parametrize("shape", [(2, 12, 30), (3, 30, 12), (1, 16, 16)])
def test_singular_values_come_near_one_and_their_vectors_stay(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, s, v = torch.linalg.svd(matrices, full_matrices=False)
    turned = u.mT @ muon.orthogonal(matrices) @ v.mT
    values = turned.diagonal(dim1=-2, dim2=-1)
    assert (turned - torch.diag_embed(values)).abs().max() < 1e-3
    clear = s > 0.02 * s.norm(dim=-1, keepdim=True)
    assert values[clear].min() > 0.65
    assert values[clear].max() < 1.25


def test_a_diagonal_matrix_follows_the_polynomial() -> None:
    expected = np.array([0.6, 0.8])  # 3 and 4 over their norm
    for _ in range(5):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    found = muon.orthogonal(torch.diag(torch.tensor([3.0, 4.0]))[None])[0]
    torch.testing.assert_close(found, torch.diag(torch.tensor(expected, dtype=torch.float32)))


def test_one_update_by_hand() -> None:
    # a matrix of rank 1 with norm 1: its singular value 1 becomes p(1) five times; decay 1 − lr · 0.1 comes first
    model = nn.ModuleDict({"0": nn.Linear(2, 2, bias=False)})
    weight = next(model.parameters())
    with torch.no_grad():
        weight.fill_(1.0)
    weight.grad = torch.tensor([[0.6, 0.0], [0.8, 0.0]])
    made(model, rate=1.0).step()
    size = 1.0
    for _ in range(5):
        size = 3.4445 * size - 4.7750 * size**3 + 2.0315 * size**5
    change = 0.01 * 0.2 * 2**0.5 * size
    expected = torch.tensor([[0.999 - 0.6 * change, 0.999], [0.999 - 0.8 * change, 0.999]])
    torch.testing.assert_close(weight.data, expected)


def test_a_matrix_moves_as_under_torchs_muon_and_the_rest_as_under_adamw() -> None:
    ours, theirs = layers(), layers()
    steps(ours, made(ours), 0, 5)
    hidden = dict(theirs.named_parameters())["0.weight"]
    with torch.no_grad():
        start = hidden.clone()
    steps(theirs, torch.optim.Muon([hidden], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"), 0, 5)
    found = dict(ours.named_parameters())["0.weight"]
    difference = (found - hidden).norm() / (hidden - start).norm()
    assert difference < 0.02  # torch's is computed in bfloat16
    adamw = layers()
    steps(adamw, torch.optim.AdamW(models.parameter_groups(adamw, 0.1), 0.01, (0.9, 0.98), 1e-6, fused=True), 0, 5)
    expected = dict(adamw.named_parameters())
    for name, parameter in ours.named_parameters():
        matrix = name in ("0.weight", "1.weight", "2.in_proj_weight", "2.out_proj.weight")
        assert torch.equal(parameter, expected[name]) != matrix, name


@pytest.mark.parametrize("name, parts", [("0.weight", 1), ("1.weight", 1), ("2.in_proj_weight", 3)])
def test_updates_are_orthogonal_kernel_by_kernel_and_packed_part_by_packed_part(name: str, parts: int) -> None:
    model = layers()
    before = dict(copy.deepcopy(model).named_parameters())[name]
    steps(model, made(model, weight_decay=0.0), 0, 1)
    change = (before - dict(model.named_parameters())[name]).detach().flatten(1).chunk(parts)
    for part in change:
        values = torch.linalg.svdvals(part / (0.01 * 0.2 * max(part.shape) ** 0.5))
        assert len(change) == parts
        assert values.max() < 1.25
        assert values.median() > 0.65


def test_the_rate_of_matrices_scales_their_update_alone() -> None:
    start, slow, fast = layers(), layers(), layers()
    for model, rate in ((slow, 1.0), (fast, 3.0)):
        optimizer = made(model, weight_decay=0.0, rate=rate)
        for group in optimizer.param_groups:  # as the training loop does at each step
            group["lr"] = 0.01 * group.get("rate", 1.0)
        steps(model, optimizer, 0, 1)
    for (name, a), b, c in zip(start.named_parameters(), slow.parameters(), fast.parameters(), strict=True):
        expected = 3.0 if name[0] in "012" and a.ndim > 1 else 1.0
        torch.testing.assert_close(c - a, expected * (b - a), atol=1e-6, rtol=1e-4)


def test_a_stored_state_goes_on_to_the_bit() -> None:
    whole, first = layers(), layers()
    steps(whole, made(whole), 0, 6)
    optimizer = made(first)
    steps(first, optimizer, 0, 3)
    second = copy.deepcopy(first)
    again = made(second)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    steps(second, again, 3, 6)
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_kernel_moves_alike_in_both_memory_layouts() -> None:
    plain, last = layers(), layers().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    steps(plain, made(plain), 0, 3)
    steps(last, made(last), 0, 3)
    for a, b in zip(plain.parameters(), last.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def hidden(config: dict) -> tuple[set[str], set[str]]:
    """Return the names of the matrices that Muon moves, and of those that it leaves to AdamW."""
    model = open_clip.CLIP(**config)
    groups = muon.parameter_groups(model, 0.2, 2.0)
    names = {parameter: name for name, parameter in model.named_parameters()}
    everything = [parameter for group in groups for parameter in group["params"]]
    assert len(everything) == len(set(everything)) == len(names)
    moved = {names[parameter] for group in groups if "parts" in group for parameter in group["params"]}
    return moved, {name for parameter, name in names.items() if parameter.ndim > 1 and name not in moved}


def test_embeddings_and_projections_of_transformers_are_adamws() -> None:
    moved, left = hidden(TINY)
    block = ("attn.in_proj_weight", "attn.out_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    assert moved == {f"{tower}transformer.resblocks.0.{name}" for tower in ("", "visual.") for name in block}
    assert left == {
        "positional_embedding", "token_embedding.weight", "text_projection",
        "visual.conv1.weight", "visual.positional_embedding", "visual.proj",
    }  # fmt: skip


def test_kernels_of_numbered_layers_are_muons_and_stem_and_pool_adamws() -> None:
    moved, left = hidden(TINY_RESNET)
    assert "visual.layer3.0.conv2.weight" in moved
    assert {"visual.conv1.weight", "visual.conv3.weight", "visual.attnpool.c_proj.weight"} <= left
