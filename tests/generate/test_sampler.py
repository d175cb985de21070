"""The sampler: an image is a function of its caption and seed, whatever the batch."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.core.errors import InputError
from stages.generate.sampler import SCHEDULERS, Sampler, Sampling, load_pipeline

CAPTIONS = ["a judge", "a firefighter", "", "a picture of a red apple", "an emoji of a woman singer", "a cat"]
SEEDS = list(range(len(CAPTIONS)))
CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]


def make(model: Path, scheduler: str = "dpmsolver++", **changes: Any) -> Sampler:
    settings = {"steps": 4, "guidance": 3.0, "guidance_stop": 1.0, "negative_prompt": "", "resolution": 16, **changes}
    return Sampler(load_pipeline(str(model), None, scheduler, False, torch.float32, CPU), Sampling(**settings))


@pytest.fixture
def denoiser_batches() -> Callable[[Sampler], list[int]]:
    def watch(sampler: Sampler) -> list[int]:
        sizes: list[int] = []
        sampler.pipeline.unet.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
        return sizes

    return watch


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
def test_images_do_not_depend_on_the_batch(tiny_model: Path, scheduler: str) -> None:
    """One batch of six, and six batches of one: at most one grey level apart (the order of float32 sums differs)."""
    sampler = make(tiny_model, scheduler)
    together, _ = sampler.images(CAPTIONS, SEEDS)
    alone = np.concatenate([sampler.images([c], [s])[0] for c, s in zip(CAPTIONS, SEEDS, strict=True)])
    assert together.shape == (6, 16, 16, 3)
    assert together.dtype == np.uint8
    assert np.abs(together.astype(int) - alone.astype(int)).max() <= 1


def test_the_same_seed_gives_the_same_image_and_another_seed_another(tiny_model: Path) -> None:
    sampler = make(tiny_model)
    first, again, other = (sampler.images(["a cat"], [seed])[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.abs(first.astype(int) - other.astype(int)).mean() > 1


def test_the_caption_matters_more_with_more_guidance(tiny_model: Path) -> None:
    def distance(guidance: float) -> float:
        images, _ = make(tiny_model, guidance=guidance).images(["a judge", "a cat"], [5, 5])
        return float(np.abs(images[0].astype(int) - images[1].astype(int)).mean())

    assert distance(30.0) > distance(1.0)


def test_guidance_costs_two_forwards_only_while_it_lasts(
    tiny_model: Path, denoiser_batches: Callable[[Sampler], list[int]]
) -> None:
    sampler = make(tiny_model, guidance_stop=0.5)
    sizes = denoiser_batches(sampler)
    sampler.images(CAPTIONS[:3], SEEDS[:3])
    assert sizes == [6, 6, 3, 3]


@pytest.mark.parametrize("scheduler", sorted(SCHEDULERS))
def test_full_guidance_lasts_to_the_last_forward(
    tiny_model: Path, denoiser_batches: Callable[[Sampler], list[int]], scheduler: str
) -> None:
    """PNDM, the published solver, takes one forward more than the steps it is asked for."""
    sampler = make(tiny_model, scheduler, guidance_stop=1.0)
    sizes = denoiser_batches(sampler)
    sampler.images(CAPTIONS[:3], SEEDS[:3])
    assert sizes == [6] * len(sampler.pipeline.scheduler.timesteps)


@pytest.mark.parametrize("changes", [{"guidance": 1.0}, {"guidance_stop": 0.0}])
def test_without_guidance_there_is_one_forward_a_step(
    tiny_model: Path, denoiser_batches: Callable[[Sampler], list[int]], changes: dict
) -> None:
    sampler = make(tiny_model, **changes)
    sizes = denoiser_batches(sampler)
    sampler.images(CAPTIONS[:3], SEEDS[:3])
    assert sizes == [3, 3, 3, 3]


def test_full_guidance_equals_a_plain_pipeline_call(tiny_model: Path) -> None:
    sampler = make(tiny_model)
    ours, _ = sampler.images(["a judge"], [7])
    theirs: Any = sampler.pipeline(
        "a judge",
        num_inference_steps=4,
        guidance_scale=3.0,
        height=16,
        width=16,
        generator=torch.Generator().manual_seed(7),
        output_type="np",
    )
    assert np.abs(ours.astype(int) - np.round(theirs.images * 255).astype(int)).max() <= 1


def test_each_distinct_caption_is_encoded_once(tiny_model: Path) -> None:
    sampler = make(tiny_model)
    encoded: list[int] = []
    sampler.pipeline.text_encoder.register_forward_pre_hook(
        lambda _module, args, kwargs: encoded.append(len(args[0] if args else kwargs["input_ids"])), with_kwargs=True
    )
    sampler.images(["a cat", "a cat", "a judge"], [1, 2, 3])
    sampler.images(["a judge", "a cat"], [4, 5])
    assert encoded == [3]  # a cat, a judge, and the empty negative prompt


def test_a_batch_that_does_not_fit_is_halved_and_the_images_stay(tiny_model: Path) -> None:
    """The denoiser refuses more than six inputs, three guided images, as a full device would."""
    expected, _ = make(tiny_model).images(CAPTIONS, SEEDS)
    sampler = make(tiny_model)

    def refuse(_module: torch.nn.Module, inputs: tuple) -> None:
        if len(inputs[0]) > 6:
            raise torch.OutOfMemoryError("full")

    sampler.pipeline.unet.register_forward_pre_hook(refuse)
    with pytest.warns(UserWarning, match="out of memory at 6 images a batch; going on with 3"):
        images, _ = sampler.images(CAPTIONS, SEEDS)
    assert np.abs(images.astype(int) - expected.astype(int)).max() <= 1


def overflowing(sampler: Sampler, row: int, always: bool = False) -> Sampler:
    """Make the denoiser overflow for one row of a batch, in half precision only unless `always`."""

    def overflow(module: Any, _inputs: Any, output: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        if always or module.dtype == torch.bfloat16:
            output[0][row] = float("nan")
        return output

    sampler.pipeline.unet.register_forward_hook(overflow)
    return sampler


def test_an_image_that_overflows_in_half_precision_is_drawn_again_and_never_black(tiny_model: Path) -> None:
    def half() -> Sampler:
        pipeline = load_pipeline(str(tiny_model), None, "dpmsolver++", False, torch.bfloat16, CPU)
        return Sampler(pipeline, Sampling(4, 0.0, 1.0, "", 16))

    plain, _ = half().images(CAPTIONS, SEEDS)
    sampler = overflowing(half(), row=2)
    with pytest.warns(UserWarning, match=r"1 images were not finite in torch.bfloat16; drawn again in float32"):
        found, flagged = sampler.images(CAPTIONS, SEEDS)
    exact, _ = make(tiny_model, guidance=0.0).images([CAPTIONS[2]], [SEEDS[2]])
    others = [0, 1, 3, 4, 5]
    assert np.array_equal(found[others], plain[others])
    assert np.array_equal(found[2], exact[0])
    assert not flagged.any()
    assert sampler.pipeline.dtype == torch.bfloat16
    with pytest.warns(UserWarning, match="drawn again"):
        assert np.array_equal(sampler.images(CAPTIONS, SEEDS)[0], found)  # its weights are the rounded ones again


def test_an_image_that_is_not_finite_in_float32_either_is_an_error(tiny_model: Path) -> None:
    sampler = overflowing(make(tiny_model, guidance=0.0), row=0, always=True)
    with pytest.raises(InputError, match="the image of 'a judge' is not finite in float32 either"):
        sampler.images(CAPTIONS[:2], SEEDS[:2])


def test_memory_that_does_not_hold_one_image_is_a_clear_error(tiny_model: Path) -> None:
    sampler = make(tiny_model)

    def refuse(_module: torch.nn.Module, _inputs: tuple) -> None:
        raise torch.OutOfMemoryError("full")

    sampler.pipeline.unet.register_forward_pre_hook(refuse)
    with pytest.raises(InputError, match=r"generate\.batch_size: not enough memory for a single image"):
        sampler.images(["a cat"], [1])


def test_overlong_captions_are_found_and_drawn(tiny_model: Path) -> None:
    sampler = make(tiny_model)
    long = "a picture of a very " + "red " * 40 + "apple"
    assert sampler.overlong(["a cat", long, ""]) == [1]
    images, _ = sampler.images([long], [1])
    assert images.shape == (1, 16, 16, 3)


def test_pickled_weights_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_model, folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({"weight": torch.zeros(1)}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(InputError, match=r"generate\.model: .*pickled: cannot be loaded .*safetensors"):
        load_pipeline(str(folder), None, "ddim", False, torch.float32, CPU)


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(InputError, match=r"generate\.model: data/nowhere: no such folder"):
        load_pipeline("data/nowhere", None, "ddim", False, torch.float32, CPU)


def test_a_hub_model_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"generate\.model: nobody/nothing: cannot be loaded") as caught:
        load_pipeline("nobody/nothing", None, "ddim", False, torch.float32, CPU)
    assert "\n" not in str(caught.value)


def test_a_revision_of_a_folder_makes_no_sense(tiny_model: Path) -> None:
    with pytest.raises(InputError, match=r"generate\.revision: found 'main'"):
        load_pipeline(str(tiny_model), "main", "ddim", False, torch.float32, CPU)


def test_a_safety_checker_that_the_model_lacks_is_an_error(tiny_model: Path) -> None:
    with pytest.raises(InputError, match=r"generate\.safety_checker: true, but"):
        load_pipeline(str(tiny_model), None, "ddim", True, torch.float32, CPU)


def test_the_noise_of_a_seed_does_not_depend_on_the_precision(tiny_model: Path) -> None:
    sampler = make(tiny_model)
    exact = sampler.noise([3, 4])
    sampler.pipeline.unet.to(torch.bfloat16)
    assert torch.equal(sampler.noise([3, 4]), exact.to(torch.bfloat16))


def test_a_batch_of_fixed_size_is_filled_up_and_gives_the_same_images(
    tiny_model: Path, denoiser_batches: Callable[[Sampler], list[int]]
) -> None:
    expected, _ = make(tiny_model).images(CAPTIONS, SEEDS)
    plain = make(tiny_model)
    sampler = Sampler(plain.pipeline, plain.settings, fixed=4)
    sizes = denoiser_batches(sampler)
    images, flagged = sampler.images(CAPTIONS, SEEDS)
    assert set(sizes) == {8}  # four guided images each time, though only two are left the second time
    assert len(flagged) == len(CAPTIONS)
    assert np.abs(images.astype(int) - expected.astype(int)).max() <= 1


def test_the_size_that_fits_is_kept(tiny_model: Path) -> None:
    sampler = make(tiny_model)
    tried: list[int] = []

    def refuse(_module: torch.nn.Module, inputs: tuple) -> None:
        tried.append(len(inputs[0]))
        if len(inputs[0]) > 6:
            raise torch.OutOfMemoryError("full")

    sampler.pipeline.unet.register_forward_pre_hook(refuse)
    with pytest.warns(UserWarning, match="going on with 3"):
        sampler.images(CAPTIONS, SEEDS)
    tried.clear()
    sampler.images(CAPTIONS, SEEDS)
    assert set(tried) == {6}


@pytest.mark.parametrize("kernels", ["default", "avx2"])
def test_bfloat16_runs_on_kernels_of_an_older_processor(kernels: str) -> None:
    """On a processor with matrix units, torch's attention fails where this variable hides them."""
    code = (
        "import numpy, torch; from stages.generate.sampler import Sampler, Sampling, load_pipeline\n"
        "model = 'data/pretrained/emoji-sd', None, 'dpmsolver++', False, torch.bfloat16, torch.device('cpu')\n"
        "images, _ = Sampler(load_pipeline(*model), Sampling(2, 4.0, 1.0, '', 64)).images(['a cat'], [1])\n"
        "assert images.shape == (1, 64, 64, 3) and images.std() > 1"
    )
    variables = os.environ | {"ATEN_CPU_CAPABILITY": kernels, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
