"""Section 2: images per second at the size of the papers, against the library's own calls in the same run."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, PNDMScheduler, StableDiffusionPipeline
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor
from transformers import CLIPTokenizer

from stages.corpus.images import encode_png, square
from stages.generate import sampler
from stages.tools import cost
from stages.tools.gpu_check import corpus
from stages.tools.gpu_check.bench import Bench
from stages.tools.gpu_check.report import Figure, Report, SkipError

SECTION = "generate"
FEW = 2  # solver steps of a warm-up
EQUAL = 2.0  # grey levels, mean over pixels: the stage's images against the library's, float16
GUIDANCE, STORED = 7.5, 256  # the published scale; side of the stored images, pixels


class Generation:
    """The pipeline and what was measured with it."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.sizes = bench, bench.sizes
        self.dtype = torch.float16 if bench.accelerated else torch.float32
        self.pipeline = self._pipeline()
        self.library: dict[str, float] = {}  # images per second
        self.drawn: np.ndarray | None = None  # by the library, at its largest batch
        self.peaks: dict[int, float] = {}  # GB by images per batch, of the stage

    def _pipeline(self) -> StableDiffusionPipeline:
        """Load a folder, or make Stable Diffusion v1.5 with random weights on the device itself."""
        if self.sizes.diffusion:
            folder = str(self.bench.root / self.sizes.diffusion)
            loaded: Any = StableDiffusionPipeline.from_pretrained(folder, dtype=self.dtype, safety_checker=None)
            loaded.set_progress_bar_config(disable=True)
            return loaded.to(self.bench.device)
        torch.manual_seed(0)
        made = cost.stable_diffusion(self.bench.device)
        parts: dict[str, Any] = {name: part.to(self.dtype).eval() for name, part in made.items()}
        none: Any = None
        solver: Any = PNDMScheduler(**PNDM)
        pipeline = StableDiffusionPipeline(
            vae=parts["decoder"],
            text_encoder=parts["text"],
            tokenizer=_tokenizer(),
            unet=parts["denoiser"],
            scheduler=solver,
            safety_checker=none,
            feature_extractor=none,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def texts(self, count: int) -> list[str]:
        """Return captions, all different."""
        return [f"{corpus.caption(index)}, number {index}" for index in range(count)]

    def call(self, count: int, steps: int) -> np.ndarray:
        """Draw by one call of the library, with its defaults but for the number of steps."""
        side = self.sizes.resolution
        noise = sampler.Sampler(self.pipeline, sampler.Sampling(steps, GUIDANCE, 1.0, "", side)).noise(range(count))
        drawn: Any = self.pipeline(
            self.texts(count), num_inference_steps=steps, guidance_scale=GUIDANCE, height=side, width=side,
            latents=noise, output_type="np",
        )  # fmt: skip
        return np.round(drawn.images * 255).astype(np.uint8)

    def solver(self, name: str) -> None:
        """Exchange the solver."""
        config = self.pipeline.scheduler.config
        made: Any = (
            PNDMScheduler.from_config(config, skip_prk_steps=True)
            if name == "pndm"
            else DPMSolverMultistepScheduler.from_config(config)
        )
        self.pipeline.scheduler = made

    def per_prompt(self) -> Figure:
        """Call the library once per prompt, as the published code does."""
        steps = self.sizes.pndm
        self.solver("pndm")
        self.call(1, FEW)
        with self.bench.clock() as seconds:
            self.call(1, steps)
        self.library["one"] = 1 / seconds[0]
        return Figure(self.library["one"], "images/s", note=f"PNDM, {steps} steps, StableDiffusionPipeline as it is")

    def batched(self, count: int) -> Figure:
        """Call the library once per batch."""
        self.solver("pndm")
        self.call(count, FEW)
        self.bench.clear()
        with self.bench.clock() as seconds:
            self.drawn = self.call(count, self.sizes.pndm)
        self.library[str(count)] = count / seconds[0]
        return Figure(count / seconds[0], "images/s", detail={"peak GB": self.bench.peak()})

    def forward(self) -> Figure:
        """Time the denoiser alone, guided, at the largest batch."""
        count = 2 * max(self.sizes.library)
        unet: Any = self.pipeline.unet
        side, width = unet.config.sample_size, unet.config.cross_attention_dim
        length = self.pipeline.tokenizer.model_max_length
        like: dict[str, Any] = {"device": self.bench.device, "dtype": self.dtype}

        # as the pipeline calls it: what is compiled for one serves the other
        def once(sample: Tensor, step: Tensor, states: Tensor) -> None:
            unet(
                sample, step, encoder_hidden_states=states, timestep_cond=None, cross_attention_kwargs=None,
                added_cond_kwargs=None, return_dict=False,
            )  # fmt: skip

        with torch.inference_mode(), torch.no_grad():
            sample = torch.randn(count, unet.config.in_channels, side, side, **like)
            inputs = sample, torch.tensor([500], device=self.bench.device)[0], torch.randn(count, length, width, **like)
            for _ in range(2):
                once(*inputs)
            with self.bench.clock() as seconds:
                for _ in range(5):
                    once(*inputs)
        return Figure(1000 * seconds[0] / 5, "ms", note=f"{count} inputs: {count // 2} guided images")

    def quicken(self, compiled: bool) -> None:
        """Prepare the pipeline as the stage does."""
        sampler.quicken(self.pipeline, compiled)

    def stage(self, count: int, scheduler: str, steps: int) -> tuple[float, np.ndarray]:
        """Draw a batch and encode it as the stage does; return images per second, PNGs included, and the images."""
        self.solver(scheduler)
        sampling = sampler.Sampling(steps, GUIDANCE, 1.0, "", self.sizes.resolution)
        drawing = sampler.Sampler(self.pipeline, sampling)
        images = np.empty(0, np.uint8)
        with self.bench.clock() as seconds, ThreadPoolExecutor() as pool:
            images, _ = drawing.images(self.texts(count), range(count))
            for _ in pool.map(lambda image: encode_png(square(image, STORED)), images):
                pass
        return count / seconds[0], images

    def by_batch(self, count: int) -> Figure:
        """Measure speed and peak memory at a batch size."""
        steps = self.sizes.dpmsolver
        self.stage(count, "dpmsolver++", FEW)
        self.bench.clear()
        rate, _ = self.stage(count, "dpmsolver++", steps)
        self.peaks[count] = self.bench.peak()
        detail = {"peak GB": self.bench.peak()}
        return Figure(rate, "images/s", note=f"DPM-Solver++, {steps} steps, not compiled", detail=detail)

    def compiling(self) -> Figure:
        """Compile, as the first batch does."""
        self.quicken(compiled=True)
        with self.bench.clock() as seconds:
            self.stage(max(self.sizes.library), "pndm", FEW)
        return Figure(seconds[0], "s", note="once per process and batch size")

    def best(self, scheduler: str, steps: int) -> tuple[Figure, np.ndarray]:
        """Measure the stage at its fastest, with the share of the card's peak that it reaches."""
        count = max(self.sizes.library)
        self.stage(count, scheduler, FEW)
        self.bench.clear()
        rate, images = self.stage(count, scheduler, steps)
        detail = {"peak GB": self.bench.peak()}
        if self.bench.accelerated and not self.sizes.diffusion:
            wanted = self.bench.params("cc3m", generate={"scheduler": scheduler, "steps": steps}).generate
            detail["TFLOP/s"] = sum(cost.image_flops(wanted).values()) * rate / 1e12
            detail["% of the stated peak"] = 100 * detail["TFLOP/s"] / (cost.RATES["float16"] / 1e12)
        return Figure(rate, "images/s", note=f"{scheduler}, {steps} steps, PNG included", detail=detail), images


PNDM = {
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000,
    "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1,
}  # fmt: skip


def check(bench: Bench, report: Report) -> "Generation | None":
    """Measure the library, what each measure brings, and the stage; return what the memory section goes on with."""
    made: list[Generation] = []

    def make() -> Figure:
        with bench.clock() as seconds:
            made.append(Generation(bench))
        parameters = sum(p.numel() for p in made[0].pipeline.unet.parameters()) / 1e6
        return Figure(seconds[0], "s", note="built", detail={"denoiser's million parameters": parameters})

    kind = bench.sizes.diffusion or "Stable Diffusion v1.5's architecture, random weights"
    if report.ask(SECTION, kind, make) is None:
        return None
    one, sizes = made[0], bench.sizes
    report.ask(SECTION, "library, one call per prompt", one.per_prompt)
    for count in sizes.library:
        report.ask(SECTION, f"library, batches of {count}", lambda n=count: one.batched(n), 10)
    report.ask(SECTION, "denoiser: as the library calls it", one.forward)
    one.quicken(compiled=False)
    report.ask(SECTION, "denoiser: convolutions chosen by measuring", one.forward)
    for count in sizes.batches:
        report.ask(SECTION, f"stage, batches of {count}", lambda n=count: one.by_batch(n), 5)
    if sizes.compiled:
        report.ask(SECTION, "compilation", one.compiling, 30)
        report.ask(SECTION, "denoiser: compiled", one.forward, 2)
    images: list[np.ndarray] = []
    rates: dict[str, float] = {}

    def run(scheduler: str, steps: int) -> Figure:
        figure, drawn = one.best(scheduler, steps)
        images.append(drawn)
        rates[scheduler] = figure.value
        return figure

    report.ask(SECTION, f"stage, batches of {max(sizes.library)}, PNDM", lambda: run("pndm", sizes.pndm), 10)

    def equal() -> Figure:
        if not images or one.drawn is None or len(one.drawn) != len(images[0]):
            raise SkipError("one of the two did not draw")
        difference = np.abs(images[0].astype(int) - one.drawn.astype(int))
        deviation = float(one.drawn.std())
        return Figure(float(difference.mean()), "grey levels", EQUAL, False, detail={"spread of the pixels": deviation})

    report.ask(SECTION, "stage against library: images of the same seeds", equal)

    def ratio(names: list[str], goal: float) -> Figure:
        known = [one.library[name] for name in names if name in one.library]
        if "pndm" not in rates or not known:
            raise SkipError("one of the two was not measured")
        wanted = goal if bench.accelerated else None
        return Figure(rates["pndm"] / max(known), "×", wanted)

    batched = [str(count) for count in sizes.library]
    report.ask(SECTION, "stage over the library's best batch", lambda: ratio(batched, 1.5))
    report.ask(SECTION, "stage over one call per prompt", lambda: ratio(["one"], 5.0))
    what = f"stage, batches of {max(sizes.library)}, DPM-Solver++"
    report.ask(SECTION, what, lambda: run("dpmsolver++", sizes.dpmsolver), 5)
    return one


def _tokenizer() -> CLIPTokenizer:
    """Make CLIP's tokenizer from the vocabulary that open_clip brings."""
    theirs = SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocab = {names.get(word, word): index for word, index in theirs.encoder.items()}
    merges: Any = [*theirs.bpe_ranks]
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)
