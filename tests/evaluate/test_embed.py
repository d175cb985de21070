"""Features: eval mode, batches, the published train mode, loading; open_clip and CLIP_benchmark as oracles."""

import json
import re
import shutil
from typing import Any, cast

import numpy as np
import open_clip
import pytest
import torch
from clip_benchmark.metrics.zeroshot_classification import zero_shot_classifier
from PIL import Image

from stages.evaluate import embed
from stages.evaluate.features import mean_direction


def test_features_are_those_of_open_clip(encoder, model_folder, images):
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{model_folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{model_folder}")
    model = cast(Any, model.eval())
    pixels = torch.stack([cast(Any, preprocess)(Image.fromarray(image)) for image in images])
    with torch.no_grad():
        features, texts = model.encode_image(pixels), model.encode_text(tokenizer(["a cat", "two dogs"]))
    assert embed.image_features(encoder, images) == pytest.approx(features.numpy(), abs=1e-5)
    assert embed.text_features(encoder, ["a cat", "two dogs"]) == pytest.approx(texts.numpy(), abs=1e-5)


def test_features_do_not_depend_on_the_batch(encoder, images):
    one, seven = (embed.image_features(encoder, images, batch_size) for batch_size in (1, 7))
    assert one == pytest.approx(seven, abs=1e-5)


def test_published_features_are_those_of_train_mode_at_batch_one(encoder, model_folder, images):
    published = embed.image_features(encoder, images, batch_size=7, as_published=True)
    left_in_train_mode = cast(Any, embed.load_encoder(str(model_folder)).model).train()
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        literal = [left_in_train_mode.encode_image(encoder.preprocess(Image.fromarray(i))[None]) for i in images]
    assert published == pytest.approx(torch.cat(literal).float().numpy(), abs=5e-3)  # a few units of float16


def test_published_features_are_those_of_half_precision(encoder, images):
    for features in (
        embed.image_features(encoder, images, as_published=True),
        embed.text_features(encoder, ["a cat", "a dog"], as_published=True),
    ):
        assert np.array_equal(features, features.astype(np.float16))
    exact = embed.text_features(encoder, ["a cat", "a dog"])
    assert not np.array_equal(exact, exact.astype(np.float16))
    assert embed.text_features(encoder, ["a cat", "a dog"], as_published=True) == pytest.approx(exact, abs=0.02)


def test_published_features_differ_from_those_of_eval_mode(encoder, images):
    old, new = (embed.image_features(encoder, images, as_published=mode) for mode in (True, False))
    cosine = (old * new).sum(1) / np.linalg.norm(old, axis=1) / np.linalg.norm(new, axis=1)
    assert cosine.max() < 0.99


def test_published_features_leave_the_model_as_it_was(encoder, images):
    before = embed.image_features(encoder, images)
    embed.image_features(encoder, images, as_published=True)
    assert np.array_equal(before, embed.image_features(encoder, images))
    assert not encoder.model.training


def test_equal_texts_have_equal_features_in_order(encoder):
    features = embed.text_features(encoder, ["b", "a", "b"], batch_size=1)
    assert np.array_equal(features[0], features[2])
    assert not np.allclose(features[0], features[1])


def test_class_embeddings_are_those_of_clip_benchmark(encoder):
    classes, templates = ["cat", "dog"], ["a photo of a {c}", "a drawing of a {c}"]
    tokenize = lambda texts: encoder.tokenize(texts)  # noqa: E731
    oracle = zero_shot_classifier(encoder.model, tokenize, classes, templates, "cpu", amp=False)
    for column, name in enumerate(classes):
        ours = mean_direction(embed.text_features(encoder, [t.format(c=name) for t in templates]))
        assert ours == pytest.approx(oracle[:, column].numpy(), abs=1e-6)


def test_fingerprint_follows_the_weights(encoder, model_folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    assert embed.load_encoder(str(copy)).fingerprint == encoder.fingerprint
    model = embed.load_encoder(str(copy)).model
    from safetensors.torch import save_file

    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state["logit_scale"] += 1
    save_file(state, copy / "model.safetensors")
    changed = embed.load_encoder(str(copy))
    assert changed.fingerprint != encoder.fingerprint
    assert changed.logit_scale == pytest.approx(encoder.logit_scale * np.e, rel=1e-5)


def test_own_vocabulary_is_used(model_folder, tmp_path):
    from stages.train import tokens

    vocabulary = tokens.learn(["a cat sat", "a dog sat", "a cat and a dog"], 300, 12)
    config = json.loads((model_folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"] |= {"vocab_size": vocabulary.get_vocab_size(), "context_length": 12}
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "elsewhere"
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    tokens.save(vocabulary, tmp_path, 12)
    model: Any = open_clip.create_model(f"local-dir:{tmp_path}", load_weights=False)
    from safetensors.torch import save_file

    save_file({n: t.contiguous() for n, t in model.state_dict().items()}, tmp_path / "model.safetensors")
    encoder = embed.load_encoder(str(tmp_path))
    ids = encoder.tokenize(["a cat"])
    assert ids.shape == (1, 12)
    assert ids[0].tolist() == vocabulary.encode("a cat").ids
    assert embed.text_features(encoder, ["a cat"]).shape == (1, 32)


def test_open_clip_name_with_a_checkpoint_file(encoder, model_folder, tmp_path):
    config = json.loads((model_folder / "open_clip_config.json").read_text())["model_cfg"]
    (tmp_path / "counterweight-test.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "counterweight-test.json")
    path = tmp_path / "epoch_1.pt"
    torch.save({"state_dict": encoder.model.state_dict()}, path)
    named = embed.load_encoder("counterweight-test", str(path))
    assert not named.model.training
    assert np.array_equal(embed.text_features(named, ["a cat"]), embed.text_features(encoder, ["a cat"]))


@pytest.mark.parametrize(
    ("missing", "message"),
    [("model.safetensors", "no model.safetensors; expected"), ("open_clip_config.json", "no open_clip_config.json")],
)
def test_incomplete_folder_is_refused(model_folder, tmp_path, missing, message):
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    (copy / missing).unlink()
    with pytest.raises(ValueError, match=re.escape(message)):
        embed.load_encoder(str(copy))


def test_weights_of_another_model_are_refused(model_folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    config = json.loads((copy / "open_clip_config.json").read_text())
    config["model_cfg"]["embed_dim"] = 16
    (copy / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"cannot be loaded: .*size mismatch"):
        embed.load_encoder(str(copy))


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="neither the folder of a trained model nor a model that open_clip knows"):
        embed.load_encoder("no-such-model")


@pytest.mark.parametrize("name", ["", "http://x/y", "s3:x", "vit-b-32", "params.yaml"])
def test_what_open_clip_does_not_know_is_refused(name):
    with pytest.raises(ValueError, match="neither the folder of a trained model nor a model that open_clip knows"):
        embed.check_name(name)


def test_unknown_tag_is_refused(capfd):
    with pytest.raises(ValueError, match=r"weights 'no-such-tag' cannot be loaded: .*; name a tag, or a file"):
        embed.load_encoder("ViT-S-32-alt", "no-such-tag")
    assert capfd.readouterr().err == ""  # it is said once


def test_a_folder_that_holds_no_weights_is_not_scored_with_random_ones(model_folder, tmp_path):
    shutil.copy(model_folder / "open_clip_config.json", tmp_path)
    with pytest.raises(ValueError, match=r"cannot be loaded: .*it has to hold weights"):
        embed.load_encoder(f"local-dir:{tmp_path}")
