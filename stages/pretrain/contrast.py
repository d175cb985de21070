"""The text encoder's first training: with a small image encoder, by the contrastive loss, as Stable Diffusion's was.

A text encoder that starts at random learns slowly through the denoiser; one that has seen which picture goes with which
caption (arXiv 2103.00020) conditions from the first step.
"""

import math

import torch
from open_clip import ClipLoss
from open_clip.modified_resnet import ModifiedResNet
from torch import nn
from torch.nn.functional import normalize
from transformers import CLIPTextModel

LAYERS, WIDTH = (1, 1, 1, 1), 16  # the image encoder of the default profile, and thrown away afterwards


class Contrast(nn.Module):
    """
    Text encoder and image encoder as one module, for one optimiser.

    Parameters
    ----------
    resolution : int
        Side of the images, pixels.
    """

    def __init__(self, text: CLIPTextModel, resolution: int) -> None:
        super().__init__()
        width: int = text.config.hidden_size
        self.text = text
        self.image = ModifiedResNet(list(LAYERS), width, heads=WIDTH * 32 // 64, image_size=resolution, width=WIDTH)
        self.project = nn.Linear(width, width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def loss(self, images: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """
        Compute the symmetric contrastive loss.

        Parameters
        ----------
        images : Tensor
            float32, (B, 3, H, W) in [-1, 1].
        tokens : Tensor
            int64, (B, length).
        """
        seen = normalize(self.image(images), dim=-1)
        read = normalize(self.project(self.text(tokens).pooler_output), dim=-1)
        return ClipLoss()(seen, read, self.log_scale.clamp(max=math.log(100)).exp())
