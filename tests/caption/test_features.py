import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from stages.caption.features import extract, load_tower
from stages.core.errors import InputError

CPU = torch.device("cpu")


def images(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 255, (32, 40 + index % 2, 3), np.uint8) for index in range(count)]


def features(folder: Path, count: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    pooled, spatial = zip(*extract(load_tower(folder, CPU), images(count), batch_size), strict=True)
    return np.concatenate(pooled), np.concatenate(spatial)


def test_the_embedding_is_that_of_open_clip_in_eval_mode(clip_folder: Path) -> None:
    model, _, prepare = cast(Any, open_clip.create_model_and_transforms(f"local-dir:{clip_folder}"))
    batch = torch.stack([prepare(Image.fromarray(image)) for image in images(6)])
    with torch.no_grad():
        expected = model.eval().encode_image(batch, normalize=True).numpy()
    pooled, _ = features(clip_folder, 6, 6)
    assert pooled.dtype == np.float16
    assert np.abs(pooled - expected).max() < 1e-3


def test_the_map_is_the_last_block_before_pooling_row_by_row(clip_folder: Path) -> None:
    tower = load_tower(clip_folder, CPU)
    seen: list[torch.Tensor] = []
    cast(Any, tower.model).visual.layer4.register_forward_hook(lambda _module, _input, output: seen.append(output))
    ((_, spatial),) = extract(tower, [np.full((96, 32, 3), 200, np.uint8), images(1)[0]], 4)
    assert spatial.shape == (2, 1, 256)
    assert np.abs(spatial - seen[0].flatten(2).transpose(1, 2).numpy()).max() < 2e-2


def test_features_do_not_depend_on_the_batch(clip_folder: Path) -> None:
    for whole, parts in zip(features(clip_folder, 7, 7), features(clip_folder, 7, 3), strict=True):
        assert np.abs(whole.astype(float) - parts).max() < 2e-2


def test_no_image_gives_no_batch(clip_folder: Path) -> None:
    assert list(extract(load_tower(clip_folder, CPU), [], 4)) == []


def test_a_vision_transformer_has_a_map_too(tmp_path: Path) -> None:
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 24, "patch_size": 8, "head_width": 12},
        "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
    }
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {"size": 32}}))
    model = open_clip.create_model(f"local-dir:{tmp_path}", load_weights=False)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    ((pooled, spatial),) = extract(load_tower(tmp_path, CPU), images(3), 4)
    assert (pooled.shape, spatial.shape) == ((3, 16), (3, 16, 24))


def test_a_missing_or_damaged_model_is_named(clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"open_clip_config.json: no such file"):
        load_tower(tmp_path, CPU)
    (tmp_path / "open_clip_config.json").write_bytes((clip_folder / "open_clip_config.json").read_bytes())
    with pytest.raises(InputError, match=r"model.safetensors: no such file"):
        load_tower(tmp_path, CPU)
    (tmp_path / "model.safetensors").write_bytes((clip_folder / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(InputError, match="not a CLIP of open_clip"):
        load_tower(tmp_path, CPU)


def test_a_diverged_model_is_refused(clip_folder: Path) -> None:
    tower = load_tower(clip_folder, CPU)
    with torch.no_grad():
        for parameter in tower.model.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(InputError, match="not finite"):
        list(extract(tower, images(1), 1))
