"""Settings of `generate`: the text-to-image model and how it draws."""

from typing import Literal

from pydantic import Field, model_validator

from stages.core.settings import Count, NonNegative, Profile, Section, Seed, Share, View
from stages.corpus.words import GROUPS, PHRASES, Attribute


class Generate(Section):
    """
    One synthetic image per caption, by a latent diffusion model in the Stable Diffusion format, or in its place.

    No key has a default, so all that shapes an image stands in the profile, which DVC tracks; this file it does not.
    """

    source: Literal["diffusion", "oracle", "autoencoder"] = Field(
        description="diffusion: the model; oracle: real drawings at the shares of the generator's world, what it "
        "believes without how it draws; autoencoder: these through the model's autoencoder"
    )
    model: str = Field(description="folder or hub id of a StableDiffusionPipeline")
    revision: str | None = Field(description="hub revision (commit) of the model; none for a folder")
    scheduler: Literal["dpmsolver++", "ddim", "pndm", "euler", "unipc"] = Field(description="diffusion solver")
    steps: Count = Field(description="solver steps an image")
    guidance: NonNegative = Field(description="classifier-free guidance scale; 1 or less: no guidance")
    guidance_stop: Share = Field(description="share of the steps that are guided, from the first on")
    negative_prompt: str = Field(description="prompt to steer away from")
    safety_checker: bool = Field(description="blank images that the model's safety checker flags (published: off)")
    resolution: Count = Field(description="side of the generated images before the resize to download.resolution")
    batch_size: Count = Field(description="prompts a batch; halved when memory runs out")
    dtype: Literal["float32", "float16", "bfloat16"] = Field(description="precision of the denoiser")
    max_alpha: Share = Field(description="images are made for samples with u below this: the largest α that can run")
    seed: Seed = Field(description="seed of the initial noise; one derived seed a key")
    prompts: Literal["as_is", "balanced"] = Field(
        description="captions, or captions with a drawn word for each attribute that they leave open"
    )
    # a key of its own, not balance.target: another target must not draw every image again
    prompt_shares: dict[Attribute, Literal["equal"] | dict[str, Share]] = Field(
        description="`prompts: balanced` draws from: attribute to `equal` or {group: share}"
    )
    candidates: Count = Field(description="images a caption, of which `balance` takes at most one")

    @model_validator(mode="after")
    def _is_drawn_as_asked(self) -> "Generate":
        if self.source != "diffusion" and (self.candidates > 1 or self.prompts != "as_is"):
            raise ValueError(
                f"source: found {self.source}, which has one drawing per caption as it is; set candidates to 1 and "
                "prompts to as_is, or source to diffusion"
            )
        return self

    @model_validator(mode="after")
    def _has_phrases(self) -> "Generate":
        for attribute, goal in self.prompt_shares.items():
            known = GROUPS.get(attribute, ())
            if not known or any((attribute, group) not in PHRASES for group in known):
                raise ValueError(f"prompt_shares: no phrases for {attribute} in stages/corpus/words.py")
            if goal != "equal" and (sorted(goal) != sorted(known) or abs(sum(goal.values()) - 1) > 1e-6):
                found = ", ".join(f"{group} {share:g}" for group, share in goal.items()) or "no group"
                raise ValueError(
                    f"prompt_shares.{attribute}: found {found}, expected shares of {', '.join(known)} that sum to 1"
                )
        return self


class Corpus(View):
    """The part of the section `download` that shapes generated images."""

    resolution: Count
    seed: Seed


class Settings(Profile):
    """What this stage reads of all parameters."""

    shards: list[str]
    download: Corpus
    generate: Generate
