"""The generate stage: same bytes after a kill and with two processes; real and synthetic shards aligned."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from diffusers import AutoencoderKL
from safetensors.numpy import save_file

from stages.core.seeds import derive, uniform
from stages.corpus.images import encode_png, square
from stages.corpus.shards import Shard, write_shard
from stages.corpus.words import caption_group
from stages.generate.__main__ import _members
from stages.generate.sampler import Sampler, Sampling, load_pipeline
from tests.helpers import programs

ROOT = Path(__file__).parents[2]
COUNT = 24


@pytest.fixture
def corpus(project: Callable[..., Path], tiny_model: Path) -> Path:
    root = project(profile="smoke", shards=["00000"], **{"contamination.alpha": 0.2})
    profile = root / "stages" / "profiles" / "smoke.yaml"
    values = yaml.safe_load(profile.read_text())
    values["generate"] |= {"model": str(tiny_model), "resolution": 16, "batch_size": 2, "steps": 3, "max_alpha": 0.8}
    values["generate"] |= {"dtype": "float32"}
    values["download"]["resolution"] = 8
    profile.write_text(yaml.safe_dump(values))
    samples = (
        (f"{i:09d}", {"png": encode_png(np.zeros((8, 8, 3), np.uint8)), "txt": f"cat {i}"}) for i in range(COUNT)
    )
    write_shard(root / "data" / "smoke" / "real" / "00000.tar", samples)
    return root


def command(root: Path, work: str, *launcher: str, threads: int = 1) -> tuple[list[str], dict[str, str]]:
    variables = {"COUNTERWEIGHT_WORK": str(root / work), "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    environment = os.environ | variables
    return [*(launcher or (sys.executable, "-m")), "stages.generate", "--shard", "00000"], environment


def run(root: Path, work: str, *launcher: str, threads: int = 1) -> bytes:
    words, environment = command(root, work, *launcher, threads=threads)
    if launcher or threads > 1:
        done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=False)
    else:
        done = programs.run(*words[2:], folder=root, environment=environment)
    assert done.returncode == 0, done.stderr
    return (root / "data" / "smoke" / "synthetic" / "00000.tar").read_bytes()


def test_bytes_survive_a_kill_a_second_process_and_forks(corpus: Path, tiny_model: Path) -> None:
    whole = run(corpus, "whole")
    assert not list((corpus / "whole" / "generate").iterdir())  # the parts are as large as the shard
    shard = Shard(corpus / "data" / "smoke" / "synthetic" / "00000.tar")
    expected = [key for key in (f"{i:09d}" for i in range(COUNT)) if uniform(0, key) < 0.8]
    assert shard.keys == expected
    assert 0 < len(expected) < COUNT
    settings = Sampling(steps=3, guidance=3.0, guidance_stop=0.5, negative_prompt="", resolution=16)
    pipeline = load_pipeline(str(tiny_model), None, "dpmsolver++", False, torch.float32, torch.device("cpu"))
    alone, _ = Sampler(pipeline, settings).images([f"cat {int(expected[1])}"], [derive(123, expected[1], "noise")])
    stored = shard.read_image(expected[1])
    assert stored.shape == (8, 8, 3)
    assert np.abs(stored.astype(int) - square(alone[0], 8)).max() <= 1
    shard.path.unlink()

    words, environment = command(corpus, "killed")
    process = subprocess.Popen(words, cwd=corpus, env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 300
    while not list((corpus / "killed").rglob("*.safetensors")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    left = len(list((corpus / "killed").rglob("*.safetensors")))
    assert 0 < left < (len(expected) + 1) // 2
    assert not shard.path.exists()
    assert run(corpus, "killed") == whole

    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")
    assert run(corpus, "two", *launcher) == whole
    assert run(corpus, "forks", threads=3) == whole


def test_what_the_safety_checker_blanked_says_so_beside_its_image(tmp_path: Path) -> None:
    images = np.zeros((2, 8, 8, 3), np.uint8)
    save_file({"images": images, "flagged": np.array([False, True])}, tmp_path / "0.safetensors")
    write_shard(tmp_path / "0.tar", _members([["a", "b"]], [tmp_path / "0.safetensors"]))
    shard = Shard(tmp_path / "0.tar")
    assert (shard.suffixes("a"), shard.suffixes("b"), shard.suffixes("c")) == (("png",), ("png", "json"), ())
    assert json.loads(shard.read("b", "json")) == {"blanked": True}
    assert shard.read_image("b").shape == (8, 8, 3)


def test_balanced_prompts_and_candidates_are_drawn_and_recorded(corpus: Path) -> None:
    real = corpus / "data" / "smoke" / "real" / "00000.tar"
    captions = [f"a pilot {i}" if i % 2 else f"cat {i}" for i in range(COUNT)]
    blank = encode_png(np.zeros((8, 8, 3), np.uint8))
    write_shard(real, ((f"{i:09d}", {"png": blank, "txt": text}) for i, text in enumerate(captions)))
    profile = corpus / "stages" / "profiles" / "smoke.yaml"
    values = yaml.safe_load(profile.read_text())
    run(corpus, "plain")
    plain = Shard(corpus / "data" / "smoke" / "synthetic" / "00000.tar")
    first = {key: plain.read_image(key) for key in plain.keys}
    assert all(plain.suffixes(key) == ("png",) for key in first)
    values["generate"] |= {"prompts": "balanced", "candidates": 2}
    profile.write_text(yaml.safe_dump(values))
    run(corpus, "both")
    shard = Shard(plain.path)
    assert shard.keys == [image for key in first for image in (key, f"{key}-c1")]
    for key in shard.keys:
        if int(key[:9]) % 2:
            said = json.loads(shard.read(key, "json"))
            assert {attribute: caption_group(said["prompt"], attribute) for attribute in said["drawn"]} == said["drawn"]
            assert said["drawn"].keys() == {"gender", "skin_tone"}
        else:
            assert shard.suffixes(key) == ("png",)  # nobody to say it of
    cats = [key for key in first if not int(key) % 2]
    assert all(np.abs(shard.read_image(key).astype(int) - first[key]).max() <= 1 for key in cats)
    assert all((shard.read_image(key) != shard.read_image(f"{key}-c1")).any() for key in cats)


def test_an_unknown_shard_is_refused(corpus: Path) -> None:
    words, environment = command(corpus, "work")
    done = programs.run(*words[2:-1], "00009", folder=corpus, environment=environment)
    assert done.returncode == 2
    assert done.stderr.strip() == "error: --shard: found 00009, expected one of 00000 (params.yaml: shards)"


def with_source(root: Path, source: str) -> dict[str, np.ndarray]:
    """Set the source, and store a random drawing of each caption."""
    profile = root / "stages" / "profiles" / "smoke.yaml"
    values = yaml.safe_load(profile.read_text())
    values["generate"]["source"] = source
    profile.write_text(yaml.safe_dump(values))
    random = np.random.default_rng(0)
    drawn = {f"{i:09d}": random.integers(0, 256, (8, 8, 3), np.uint8) for i in range(COUNT)}
    write_shard(root / "data/smoke/oracle/00000.tar", [(key, {"png": encode_png(of)}) for key, of in drawn.items()])
    return drawn


def test_the_oracle_gives_the_drawings_as_they_are(corpus: Path) -> None:
    drawn = with_source(corpus, "oracle")
    run(corpus, "work")
    shard = Shard(corpus / "data/smoke/synthetic/00000.tar")
    assert shard.keys == [key for key in drawn if uniform(0, key) < 0.8]
    assert all(np.array_equal(shard.read_image(key), drawn[key]) for key in shard.keys)


def test_the_autoencoder_gives_what_comes_back_of_them(corpus: Path, tiny_model: Path) -> None:
    drawn = with_source(corpus, "autoencoder")
    run(corpus, "work")
    shard = Shard(corpus / "data/smoke/synthetic/00000.tar")
    vae = AutoencoderKL.from_pretrained(tiny_model / "vae")
    for key in shard.keys[:3]:
        large = torch.from_numpy(square(drawn[key], 16).copy()).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            back = vae(large, sample_posterior=False).sample[0]  # pyright: ignore[reportAttributeAccessIssue]
        pixels = ((back.permute(1, 2, 0) / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
        assert np.abs(shard.read_image(key).astype(int) - square(pixels, 8)).max() <= 1


@pytest.mark.parametrize("source", ["oracle", "autoencoder"])
def test_a_source_without_drawings_is_refused(corpus: Path, source: str) -> None:
    with_source(corpus, source)
    write_shard(corpus / "data/smoke/oracle/00000.tar", [])
    words, environment = command(corpus, "work")
    done = programs.run(*words[2:], folder=corpus, environment=environment)
    assert done.returncode == 2
    assert done.stderr.strip().startswith("error: data/smoke/oracle/00000.tar: no drawing for ")
    assert done.stderr.strip().endswith("download.emoji.oracle true; or set it to diffusion")
    assert not (corpus / "data/smoke/synthetic").exists()
