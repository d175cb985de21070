"""Text encoder and denoiser: captions to latents, in the parts of a `StableDiffusionPipeline`.

The text encoder is trained along with the denoiser, since no pretrained one is small enough. v-prediction (arXiv
2202.00512) on a cosine schedule: at 8 × 8 latents a schedule made for 64 × 64 would leave too little noise. The weight
of a step is min(SNR, 5) / (SNR + 1), Min-SNR for v-prediction (arXiv 2303.09556); a model of others that predicts noise
is trained on with min(SNR, 5) / SNR.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from stages.core.errors import InputError
from stages.pretrain import autoencoder
from stages.pretrain.optimise import DEVICE

START, END = "<|startoftext|>", "<|endoftext|>"
MIN_SNR = 5.0
PREDICTIONS = ("v_prediction", "epsilon")


def tokenizer(captions: Iterable[str], vocabulary: int, length: int) -> CLIPTokenizer:
    """
    Build a byte-pair tokenizer in CLIP's format from captions.

    Parameters
    ----------
    length : int
        Tokens a caption, start and end included; longer captions are cut.
    """
    pairs = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    pairs.normalizer = normalizers.Lowercase()
    pairs.pre_tokenizer = CLIPTokenizer().backend_tokenizer.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    pairs.train_from_iterator(captions, trainer)
    vocab = pairs.get_vocab()
    for character in pre_tokenizers.ByteLevel.alphabet():  # any text can be written, even bytes no caption holds
        vocab.setdefault(f"{character}</w>", len(vocab))
    merges: Any = [tuple(pair) for pair in json.loads(pairs.to_str())["model"]["merges"]]
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=length)


def text_encoder(words: CLIPTokenizer, width: int, layers: int, heads: int) -> CLIPTextModel:
    """
    Make an untrained text encoder.

    Parameters
    ----------
    width : int
        Width of the hidden states, the denoiser's cross-attention width.

    Returns
    -------
    CLIPTextModel
        Random weights from the global generator.
    """
    config: Any = CLIPTextConfig  # takes arguments that its signature does not show
    return CLIPTextModel(
        config(
            vocab_size=len(words),
            hidden_size=width,
            intermediate_size=4 * width,
            projection_dim=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            max_position_embeddings=words.model_max_length,
            hidden_act="gelu",
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
            attn_implementation="eager",  # as in `denoiser`: the fused backward is slow on a CPU
        )
    )


def denoiser(
    channels: Sequence[int], latent_channels: int, size: int, text_width: int, heads: int
) -> UNet2DConditionModel:
    """
    Make an untrained denoiser.

    Parameters
    ----------
    text_width : int
        Width of the text encoder's hidden states.

    Returns
    -------
    UNet2DConditionModel
        Random weights from the global generator.
    """
    unet = UNet2DConditionModel(
        sample_size=size,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=tuple(channels),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * len(channels),
        up_block_types=("CrossAttnUpBlock2D",) * len(channels),
        cross_attention_dim=text_width,
        attention_head_dim=heads,
        norm_num_groups=16,
    )
    return plain_attention(unet)


def plain_attention(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Compute attention step by step on a CPU, where the fused one's backward costs more than all the rest."""
    if DEVICE.type == "cpu":
        unet.set_attn_processor(AttnProcessor())
    return unet


def tokens(words: CLIPTokenizer, captions: list[str]) -> torch.Tensor:
    """
    Encode captions as `StableDiffusionPipeline` does.

    Returns
    -------
    Tensor
        int64, (N, length).
    """
    return words(
        captions, padding="max_length", truncation=True, max_length=words.model_max_length, return_tensors="pt"
    ).input_ids


@dataclass(frozen=True)
class Encoded:
    """
    A corpus as the denoiser sees it.

    Parameters
    ----------
    means, deviations : Tensor
        Of the latents, (N, C, h, w).
    scale : float
        Brings latents to unit variance.
    captions : Tensor
        Tokens, int64, (N, length).
    empty : Tensor
        Tokens of the empty caption, int64, (length,).
    """

    means: torch.Tensor
    deviations: torch.Tensor
    scale: float
    captions: torch.Tensor
    empty: torch.Tensor

    @classmethod
    def of(
        cls, vae: AutoencoderKL, words: CLIPTokenizer, images: Iterable[torch.Tensor], captions: list[str]
    ) -> "Encoded":
        """
        Encode a corpus.

        Parameters
        ----------
        vae : AutoencoderKL
            In float32 and evaluation mode.
        images : iterable of Tensor
            Parts of the N images: uint8, (n, H, W, 3).

        Returns
        -------
        Encoded
            Latents in bfloat16, tokens.
        """
        scale: float = vae.config["scaling_factor"]
        read = (tokens(words, captions), tokens(words, [""])[0])
        means, deviations = zip(*(autoencoder.encode(vae, part.to(DEVICE)) for part in images), strict=True)
        return cls(torch.cat(means), torch.cat(deviations), scale, *(of.to(DEVICE) for of in read))

    def drawn(self, rows: torch.Tensor, dropout: float, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """
        Draw latents of some rows, and their captions or none.

        Parameters
        ----------
        rows : Tensor
            int64, (B,).
        dropout : float
            Share of captions left empty, for classifier-free guidance.

        Returns
        -------
        tuple of (Tensor, Tensor)
            Latents of unit variance, float32, (B, C, h, w), and tokens, int64, (B, length).
        """
        mean = self.means[rows].float()
        latents = mean + self.deviations[rows].float() * torch.randn(mean.shape, generator=random).to(DEVICE)
        dropped = (torch.rand(len(rows), generator=random) < dropout).to(DEVICE)
        return latents * self.scale, torch.where(dropped[:, None], self.empty, self.captions[rows])


def scheduler() -> DPMSolverMultistepScheduler:
    """
    Make the noise schedule and solver that the model is trained for.

    Returns
    -------
    DPMSolverMultistepScheduler
        1,000 training steps, cosine schedule, v-prediction.
    """
    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        solver_order=2,
        steps_offset=1,
    )


class TextToLatent(nn.Module):
    """
    Text encoder and denoiser as one module, for one optimiser.

    Parameters
    ----------
    schedule : scheduler of diffusers, optional
        Whose noise levels and prediction type (v or noise) the model is trained for; ours by default.

    Raises
    ------
    InputError
        If the model predicts anything else.
    """

    def __init__(self, text: CLIPTextModel, unet: UNet2DConditionModel, schedule: Any = None) -> None:
        super().__init__()
        self.text = text
        self.unet = unet
        schedule = schedule or scheduler()
        self.alphas: torch.Tensor = schedule.alphas_cumprod.to(DEVICE)
        self.predicts: str = schedule.config.prediction_type
        if self.predicts not in PREDICTIONS:
            raise InputError(
                f"scheduler: prediction_type: found {self.predicts!r}, expected one of {', '.join(PREDICTIONS)}; name "
                "another model"
            )

    def loss(self, latents: torch.Tensor, tokens: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """
        Compute the loss of the prediction, weighted by Min-SNR.

        Parameters
        ----------
        latents : Tensor
            (B, C, h, w), scaled to unit variance.
        tokens : Tensor
            int64, (B, length); rows to be unconditional hold the empty caption.
        """
        times = torch.randint(0, len(self.alphas), (len(latents),), generator=random).to(DEVICE)
        noise = torch.randn(latents.shape, generator=random).to(DEVICE)
        alpha = self.alphas[times].view(-1, 1, 1, 1)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        of_noise = self.predicts == "epsilon"
        target = noise if of_noise else alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
        with torch.autocast(DEVICE.type, torch.bfloat16):
            hidden = self.text(tokens).last_hidden_state
            predicted = self.unet(noisy, times, hidden).sample
        error = (predicted.float() - target).square().mean(dim=(1, 2, 3))
        snr = (alpha / (1 - alpha)).flatten()
        return (error * snr.clamp(max=MIN_SNR) / (snr if of_noise else snr + 1)).mean()
