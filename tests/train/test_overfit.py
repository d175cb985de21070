"""Training learns: by the smoke profile 64 pictures are learned by heart, and at a rate of 0 they are not."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import yaml
from accelerate import Accelerator

from stages.evaluate.retrieval import hits, image_to_text_ranks, text_to_image_ranks
from stages.train import loop, models
from stages.train.data import Batch

SMOKE = yaml.safe_load((Path(__file__).parents[2] / "stages" / "profiles" / "smoke.yaml").read_text())["train"]
COUNT, SIZE, EPOCHS = 64, SMOKE["batch_size"], 25


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """Return 64 patterns of 4 × 4 colours, and a caption of eight words for each."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (COUNT, 3, 4, 4), generator=generator).float()
    side, vision = SMOKE["model"]["vision_cfg"]["image_size"], torch.nn.functional.interpolate
    tokens = torch.zeros(COUNT, SMOKE["model"]["text_cfg"]["context_length"], dtype=torch.long)
    last = SMOKE["vocabulary"] - 1
    tokens[:, :8] = torch.randint(1, last, (COUNT, 8), generator=generator)
    tokens[:, 8] = last  # the end of a text has the largest number
    return vision(coarse, (side, side), mode="bilinear").to(torch.uint8), tokens


def recall(rate: float) -> float:
    """Train, and return the lower of text→image and image→text R@5 on the same pictures, in percent."""
    torch.manual_seed(0)
    accelerator, (images, tokens) = Accelerator(cpu=True), pictures()
    model = open_clip.CLIP(**SMOKE["model"], output_dict=True)
    optimizer = torch.optim.AdamW(models.parameter_groups(model, SMOKE["weight_decay"]), lr=1e-3, betas=SMOKE["betas"])
    model, optimizer = accelerator.prepare(model, optimizer)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    criterion = loop.contrastive_loss("clip", accelerator)
    trainer = loop.Trainer(accelerator, model, optimizer, criterion, 0, 1, None, mean, std)
    rng, steps = np.random.default_rng(0), EPOCHS * COUNT // SIZE
    orders = np.concatenate([rng.permutation(COUNT) for _ in range(EPOCHS)]).reshape(steps, SIZE)
    loop.train(
        trainer,
        [Batch(images[rows], tokens[rows], rows, []) for rows in orders],
        first=0, steps=steps, peak=rate, warmup=SMOKE["warmup"], log=frozenset(), keep=frozenset(),
        on_log=lambda done, loss: None, on_keep=lambda done: None, on_step=lambda done: None,
    )  # fmt: skip
    bare = trainer.bare.eval()
    pixels = (images / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.no_grad():
        found = bare(pixels, tokens)
    seen, said = (models.unit(found[name]).numpy() for name in ("image_features", "text_features"))
    owner = np.arange(COUNT)
    ranks = text_to_image_ranks(said, seen, owner), image_to_text_ranks(said, seen, owner)
    return 100 * min(float(hits(of, (5,))[5].mean()) for of in ranks)


@pytest.mark.parametrize(("rate", "low", "high"), [(SMOKE["learning_rate"], 90, 100), (0.0, 0, 30)])
def test_64_pictures_are_learned_by_heart_if_the_rate_is_not_zero(rate: float, low: float, high: float) -> None:
    assert low <= recall(rate) <= high  # of knowing nothing: 7.8 %
