"""Why weights cannot be loaded: one line, that never advises to run what a file holds."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from stages.core.weights import UNREADABLE, reason


class Order:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def files(folder: Path) -> dict[str, Path]:
    contents = {
        "empty": b"",
        "page": b"<html>no such file</html>",
        "pickle": pickle.dumps(Order()),
        "zeros": bytes(400),
    }
    paths = {name: folder / f"{name}.pt" for name in (*contents, "cut", "code")}
    for name, data in contents.items():
        paths[name].write_bytes(data)
    torch.save({"x": torch.zeros(100)}, paths["cut"])
    paths["cut"].write_bytes(paths["cut"].read_bytes()[:300])
    torch.save({"x": Order()}, paths["code"])
    return paths


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", ["empty", "page", "pickle", "zeros", "cut", "code"])
@pytest.mark.parametrize("library", ["torch", "safetensors"])
def test_a_file_that_holds_no_weights_is_one_safe_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, library: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = files(tmp_path)[name]
    with pytest.raises(UNREADABLE) as caught:
        if library == "torch":
            torch.load(path, map_location="cpu", weights_only=True)
        else:
            with safe_open(path, "pt"):
                pass
    said = reason(caught.value)
    assert said and "\n" not in said and len(said) <= 200
    assert "weights_only" not in said and "torch.load" not in said
    assert not (tmp_path / "executed").exists()


def test_what_torch_says_of_a_pickle_is_not_passed_on() -> None:
    advice = "Weights only load failed. Re-running `torch.load` with `weights_only` set to `False` will likely succeed"
    for error in (pickle.UnpicklingError(advice), RuntimeError(advice), ValueError(advice)):
        assert reason(error).startswith("not weights alone but a pickle, which could run code, or damaged; get or save")


def test_other_reasons_are_said_shortly() -> None:
    assert reason(EOFError()) == "empty or cut off"
    assert reason(KeyError("visual.conv1.weight")) == "not weights of this model"
    assert reason(RuntimeError("size mismatch for x:\n\tcopying")) == "size mismatch for x: copying"
