"""A real open_clip model, tiny and with random weights, saved as a `local-dir:` folder."""

from pathlib import Path

from stages.train import models, tokens

SHAPE = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 400, "width": 32, "heads": 2, "layers": 1},
}
WORDS = ["a photo of a woman", "a picture of a man", "an image of a dark light pale person with skin", "an animal"] * 3


def save(folder: Path) -> str:
    """Return its open_clip id."""
    shape = models.architecture(SHAPE, "clip")
    shape = shape.with_vocabulary(tokens.learn(WORDS, 400, shape.context), folder.as_posix())
    model = models.create(shape, None, 0, folder.parent / "design")
    folder.mkdir(parents=True, exist_ok=True)
    models.save(model, shape, models.tokenizer(shape, folder.parent / "design"), folder)
    return f"local-dir:{folder}"
