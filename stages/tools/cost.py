"""What a run at the papers' scale takes: counted from the parameters by `python -m stages.tools.cost`.

FLOPs are counted by PyTorch's `FlopCounterMode` over the real architectures, built without weights on the meta device:
two for a multiply-add of matrix products, convolutions and attention, nothing for the rest. Hours are FLOPs over the
rate that NVIDIA states for an H100 SXM (dense, no sparsity; an H200 has the same), the same at the share of it that
such work is assumed to reach, and at the share that it reached on one card. Bytes of an image are an assumption, stated
beside the table.

References
----------
Stable Diffusion v1.5: Rombach et al., CVPR 2022, arXiv 2112.10752; the configurations of its repository. NVIDIA H100
Tensor Core GPU data sheet [S]: 989.4 TFLOP/s in float16 and bfloat16, 494.7 in TF32.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.core.errors import InputError, run
from stages.tools.params import Generate, Params, Train, load

if TYPE_CHECKING:  # ten seconds, which neither a list of options nor the refusal of one needs
    import torch
    from torch import Tensor, nn

RATES = {"float16": 989.4e12, "bfloat16": 989.4e12, "float32": 494.7e12}  # FLOP/s; float32 as TF32
REACHED = 0.4  # share of the stated rate: an assumption
# shares that `python -m stages.tools.gpu_check` measured: 4.33 images/s at 512 px, 2750 pairs/s of RN50 (docs/gpu)
MEASURED = {"card": "NVIDIA H200", "generate": 0.369, "train": 0.152}
ROWS = 2_905_954  # CC3M as the first study could download it, of 3,318,333 [P]
PNG = 122_000  # bytes of a 256 px photograph: mean of the two in scikit-learn, as `corpus.images.encode_png` writes it
FETCHED = 90_000  # bytes of a file from the web, at the least: of a public copy whose sides are at most 1024 px [S]
HEADERS = 1536  # bytes of the three members of a sample in a tar, beside their contents and padding


@dataclass(frozen=True)
class Work:
    """
    Work of one kind.

    Attributes
    ----------
    rate : float
        Stated FLOP/s of one GPU in the precision of this work.
    reached : float
        Share of it that the stage reached on the card of `MEASURED`, with the published models in float16.
    """

    what: str
    items: int
    unit: str
    flops: float
    rate: float
    reached: float

    @property
    def hours(self) -> float:
        """GPU-hours at the stated rate: a lower bound."""
        return self.items * self.flops / self.rate / 3600


def stable_diffusion(device: "str | torch.device" = "meta") -> "dict[str, nn.Module]":
    """
    Build the parts of Stable Diffusion v1.5: ``denoiser``, ``decoder`` (the autoencoder) and ``text``.

    Parameters
    ----------
    device : str or torch.device
        Where to; on the meta device without weights, elsewhere with random ones.
    """
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    autoencoder: Any = AutoencoderKL  # its signature has tuples of one
    with torch.device(device):
        return {
            "denoiser": UNet2DConditionModel(
                sample_size=64,
                block_out_channels=(320, 640, 1280, 1280),
                layers_per_block=2,
                attention_head_dim=8,
                cross_attention_dim=768,
            ),
            "decoder": autoencoder(
                block_out_channels=(128, 256, 512, 512),
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                layers_per_block=2,
                latent_channels=4,
            ),
            "text": CLIPTextModel(
                CLIPTextConfig(
                    hidden_size=768,
                    intermediate_size=3072,
                    projection_dim=768,
                    num_hidden_layers=12,
                    num_attention_heads=12,
                )
            ),
        }


def flops(work: Callable[[], object]) -> float:
    """Count the FLOPs of a computation."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def evaluations(generate: Generate) -> int:
    """Count the denoiser's forwards of an image: one per solver step, two where guided; PNDM runs its first twice."""
    steps = generate.steps + (generate.scheduler == "pndm")
    return steps + (round(steps * generate.guidance_stop) if generate.guidance > 1 else 0)


def image_flops(generate: Generate) -> dict[str, float]:
    """Count the FLOPs of one Stable Diffusion v1.5 image: ``denoiser`` (all forwards), ``decoder``, ``text``."""
    import torch

    parts, side = stable_diffusion(), generate.resolution // 8
    denoiser, decoder, text = (part.eval() for part in parts.values())
    with torch.device("meta"), torch.no_grad():
        latent, states = torch.empty(1, 4, side, side), torch.empty(1, 77, 768)
        step = flops(lambda: denoiser(latent, torch.empty(1), states))
        return {
            "denoiser": step * evaluations(generate),
            "decoder": flops(lambda: _call(decoder, "decode", latent)),
            "text": flops(lambda: text(torch.empty(1, 77, dtype=torch.long))),
        }


def training_flops(train: Train) -> tuple[float, int]:
    """
    Count the FLOPs of an image-text pair, forward and backward without the similarity matrix, and parameters.

    Raises
    ------
    InputError
        If open_clip has no such model.
    """
    import open_clip
    import torch

    config: Any = open_clip.get_model_config(train.model) if isinstance(train.model, str) else dict(train.model)
    if config is None or "text_cfg" not in config:
        raise InputError(f"train.model: found {train.model!r}, expected a name of open_clip.list_models()")
    with torch.device("meta"):
        custom = config.get("custom_text") or "hf_model_name" in config["text_cfg"]
        kind: Any = open_clip.CustomTextCLIP if custom else open_clip.CLIP
        model = kind(**{key: value for key, value in config.items() if key != "custom_text"})
        size = config["vision_cfg"]["image_size"]
        images = torch.empty(2, 3, *((size, size) if isinstance(size, int) else size))
        texts = torch.zeros(2, config["text_cfg"].get("context_length", 77), dtype=torch.long)

        def step() -> None:
            features: Sequence[Tensor] = (model.encode_image(images), model.encode_text(texts))
            sum(feature.sum() for feature in features).backward()  # pyright: ignore[reportAttributeAccessIssue]

        return flops(step) / 2, sum(parameter.numel() for parameter in model.parameters())


def work(params: Params, rows: int) -> list[Work]:
    """List the work on GPUs: generation (once, whatever α) and the training of one model."""
    generate, train = params.generate, params.train
    steps = max(1, round(rows * train.epochs / train.batch_size))
    return [
        Work(
            "generate, once",
            round(rows * generate.max_alpha),
            "images",
            sum(image_flops(generate).values()),
            RATES[generate.dtype],
            float(MEASURED["generate"]),
        ),
        Work(
            "train, a model",
            steps * train.batch_size,
            "pairs",
            training_flops(train)[0],
            RATES[train.precision],
            float(MEASURED["train"]),
        ),
    ]


def storage(params: Params, rows: int) -> list[tuple[str, float, str]]:
    """
    List what the stages write.

    Returns
    -------
    list of (str, float, str)
        Path, bytes, and who keeps it or for how long. Tables: as many bytes a row as the embedded
        default's have, and url and hash.
    """
    image = PNG * (params.download.resolution / 256) ** 2
    weights = 4 * training_flops(params.train)[1]
    alpha, shard = params.generate.max_alpha, 10_000
    return [
        ("$COUNTERWEIGHT_WORK/cc3m", FETCHED * rows, "files as fetched; may be deleted after `download`"),
        ("real/", (image + HEADERS + 1024) * rows, "DVC"),
        ("samples.parquet", 170 * rows, "DVC"),
        ("synthetic/", (image + HEADERS / 3 + 256) * rows * alpha, "DVC, a file a shard"),
        ("$COUNTERWEIGHT_WORK/generate", 3 * params.download.resolution**2 * shard, "a shard of 10,000, while it runs"),
        ("attributes.parquet", 6 * rows * (1 + alpha), "DVC"),
        ("selection.parquet", rows, "DVC, one each α and target"),
        ("models/<seed>", weights, "DVC, one each α, target and seed"),
        ("$COUNTERWEIGHT_WORK/train", 3 * weights * params.train.checkpoints, "checkpoints, while it runs"),
    ]


def tables(params: Params, rows: int) -> str:
    """Write both tables."""
    card = MEASURED["card"]
    lines = [
        f"{rows:,} samples on one GPU: at the rate that NVIDIA states for an H100, at {REACHED:.0%} of it, and at the",
        f"shares of it that were measured on one {card}.",
        "",
        f"| work | items | TFLOPs per item | EFLOPs | GPU-hours, stated rate | … at {REACHED:.0%} | … on one {card} |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in work(params, rows):
        total = one.items * one.flops
        lines.append(
            f"| {one.what} | {one.items:,} {one.unit} | {one.flops / 1e12:,.4g} | {total / 1e18:,.4g} | "
            f"{one.hours:,.0f} | {one.hours / REACHED:,.0f} | {one.hours / one.reached:,.0f} ({one.reached:.0%}) |"
        )
    lines += ["", "| written | GB | kept |", "|---|---|---|"]
    lines += [f"| `{path}` | {size / 1e9:,.3g} | {keeper} |" for path, size, keeper in storage(params, rows)]
    return "\n".join(lines)


def _call(module: "nn.Module", method: str, *arguments: "Tensor") -> object:
    return getattr(module, method)(*arguments)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m stages.tools.cost", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--profile", default="cc3m", help="whose settings (default: cc3m)")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"samples of the corpus (default: CC3M's {ROWS:,})")
    arguments = parser.parse_args()
    if arguments.rows < 1:
        raise InputError(f"--rows: found {arguments.rows}, expected a number of samples, 1 or more")
    print(tables(load(profile=arguments.profile), arguments.rows))


if __name__ == "__main__":
    run(main)
