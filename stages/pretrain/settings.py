"""What shapes the text-to-image model: the section `pretrain` of data/pretrained/params.yaml."""

from typing import Annotated

from pydantic import Field

from stages.core.settings import Count, NonNegative, Section, Seed, Share
from stages.pretrain.recipe import Recipe


class Autoencoder(Section):
    """The autoencoder: size and recipe."""

    channels: list[Count] = Field(description="channels of the levels")
    latent_channels: Count = Field(description="channels of the latents")
    kl_weight: NonNegative = Field(description="weight of the Kullback-Leibler term")
    batch_size: Count = Field(description="images a step")
    recipe: Recipe = Field(description="optimisation")


class Text(Section):
    """The text encoder: size and recipe of its contrastive training."""

    vocabulary: Count = Field(description="largest number of tokens")
    length: Annotated[int, Field(ge=3)] = Field(description="tokens a caption, start and end included")
    width: Count = Field(description="width of the hidden states")
    layers: Count = Field(description="transformer layers")
    heads: Count = Field(description="attention heads")
    batch_size: Count = Field(description="samples a step")
    recipe: Recipe = Field(description="optimisation")


class Denoiser(Section):
    """The denoiser: size and recipe."""

    channels: list[Count] = Field(description="channels of the levels")
    heads: Count = Field(description="attention heads")
    dropout: Share = Field(description="share of captions left empty, for classifier-free guidance")
    batch_size: Count = Field(description="samples a step")
    recipe: Recipe = Field(description="optimisation")


class Settle(Section):
    """How the denoiser is trained on, to its end."""

    occupations: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="share of a batch whose captions name an occupation, beside those of the rest"
    )
    dropout: Share = Field(description="share of captions left empty, for classifier-free guidance")
    batch_size: Count = Field(description="samples a step")
    recipe: Recipe = Field(description="optimisation")


class Judge(Section):
    """The recogniser: size and recipe."""

    width: Count = Field(description="channels of the first level")
    features: Count = Field(description="length of the image features")
    batch_size: Count = Field(description="images a step")
    recipe: Recipe = Field(description="optimisation")


class Quality(Section):
    """What the quality figures are measured on."""

    occupations: Count = Field(description="captions of occupations, none trained on")
    objects: Count = Field(description="captions of frequent objects, none trained on")
    frequent: Count = Field(description="so many objects count as frequent")
    distances: Count = Field(description="captions for the Frechet distances")
    images: Count = Field(description="images an occupation and prompt, for the known bias")
    batch_size: Count = Field(description="captions a batch")
    steps: Count = Field(description="denoising steps")
    guidance: NonNegative = Field(description="classifier-free guidance scale")


class Pretrain(Section):
    """Everything that shapes the model."""

    seed: Seed = Field(description="seed of weights, order and noise")
    held_out: Share = Field(description="share of (occupation, skin tone) pairs never trained on")
    autoencoder: Autoencoder = Field(description="images to latents")
    text: Text = Field(description="captions to hidden states")
    denoiser: Denoiser = Field(description="hidden states to latents")
    settle: Settle = Field(description="the denoiser, trained on with more captions that name an occupation")
    recogniser: Judge = Field(description="images to what they show, for the quality figures")
    quality: Quality = Field(description="the quality figures")


class Tune(Section):
    """How a text-to-image model is trained on, on the images of a mix: into that of the next round."""

    steps: Count = Field(description="optimiser steps")
    batch_size: Count = Field(description="images a step, real and synthetic as the mix has them")
    learning_rate: Annotated[float, Field(gt=0)] = Field(description="highest rate of AdamW")
    warmup: Count = Field(description="steps to it")
    decay: Share = Field(description="last share of the steps, with a rate falling to zero")
    ema: Share = Field(description="decay of the moving average of the weights, which is what is kept")
    dropout: Share = Field(description="share of captions left empty, for classifier-free guidance")
    text: bool = Field(description="whether the text encoder is trained along")
    lora: Annotated[int, Field(ge=0)] = Field(
        default=0, description="rank of low-rank updates of the denoiser's attention, with peft; 0: all its weights"
    )
    threads: Count = Field(default=1, description="threads of a CPU; their number counts as part of the seed")

    @property
    def recipe(self) -> Recipe:
        """Give the optimisation."""
        return Recipe(self.steps, self.learning_rate, self.warmup, self.decay, self.ema)


class Measures(Section):
    """What is measured of the generator of each round, by the recogniser."""

    images: Annotated[int, Field(ge=2)] = Field(description="images an occupation, of prompts that name no gender")
    captions: Annotated[int, Field(ge=2)] = Field(
        description="captions of the corpus that are drawn, for recognisability and Frechet distance"
    )
    prompts: Annotated[list[str], Field(min_length=1)] = Field(description="prompts of the sheet, drawn in each round")
    seed: Seed = Field(default=0, description="seed of these images, the same in each round")
