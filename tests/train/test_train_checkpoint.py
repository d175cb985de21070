import resource
from pathlib import Path

import pytest
import torch

from stages.core.errors import InputError
from stages.train import checkpoint

WEIGHTS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(3)}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    state = {"optimizer": {"state": {0: {"step": torch.tensor(2.0)}}}, "points": [{"x": 1.5}]}
    checkpoint.save(tmp_path, 7, WEIGHTS, state, 2)
    found = checkpoint.load(tmp_path)
    assert found is not None
    step, weights, trainer = found
    assert step == 7
    assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)
    assert trainer == state


def test_nothing_to_load(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path) is None


def test_the_last_k_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15, 100):
        checkpoint.save(tmp_path, step, WEIGHTS, {}, keep=2)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step-000000015", "step-000000100"]
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found[0] == 100


def test_a_folder_that_was_never_renamed_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 5, WEIGHTS, {}, keep=2)
    partial = tmp_path / ".partial-1"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half")
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert found[0] == 5


@pytest.mark.parametrize("name", ["model.safetensors", "trainer.pt"])
@pytest.mark.parametrize("content", [b"", b"half", None])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes | None
) -> None:
    checkpoint.save(tmp_path, 5, WEIGHTS, {"n": 1}, keep=2)
    last = checkpoint.save(tmp_path, 10, WEIGHTS, {"n": 2}, keep=2) / name
    last.unlink() if content is None else last.write_bytes(content)
    found = checkpoint.load(tmp_path)
    assert found is not None and (found[0], found[2]) == (5, {"n": 1})
    assert "step-000000010: not a readable checkpoint" in capsys.readouterr().err


def test_a_full_disk_leaves_the_last_checkpoint_and_says_what_to_do(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 5, WEIGHTS, {}, keep=2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # a write beyond fails as on a full disk
    try:
        with pytest.raises(InputError, match=r"checkpoint at step 6 cannot be written .*COUNTERWEIGHT_WORK"):
            checkpoint.save(tmp_path, 6, {"a": torch.zeros(100_000)}, {}, keep=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000005"]
