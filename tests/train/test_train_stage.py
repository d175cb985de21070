import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer

from stages.core.errors import InputError, run
from stages.train.__main__ import main
from tests.helpers.shapes import TINY, TINY_RESNET
from tests.helpers.training import curve, fork, losses_of_two, train, two_processes

ROOT = Path(__file__).parents[2]
MUON = {"optimizer": "muon", "muon": {"rate": 2.0, "momentum": 0.9}, "augmentation": {"mix_style": 0.5}}


def test_a_model_and_its_curves_are_written(corpus, monkeypatch, one_thread, capsys) -> None:
    corpus.configure(model=TINY_RESNET, epochs=20, learning_rate=0.01)
    train(monkeypatch)
    clip = corpus.data / "models" / "0" / "clip"
    model = open_clip.create_model(f"local-dir:{clip}")
    summary = json.loads((clip / "training.json").read_text())
    assert summary["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert (summary["steps"], summary["samples"], summary["rows"]) == (60, 480, 24)
    assert summary["skipped"] == {"count": 0, "keys": []}
    losses = curve(corpus, "loss")
    assert len(losses) == 4
    assert losses[-1] == summary["loss"] < 0.8 * losses[0]
    for name in ("probe.t2i.r5", "probe.rb.gender", "probe.ab.max", "probe.pairwise_association"):
        assert len(curve(corpus, name)) == 4
    assert "samples/s" in capsys.readouterr().out
    assert not list((corpus.root / ".work" / "train").iterdir())


def test_a_set_of_people_without_captions_has_no_retrieval(corpus, monkeypatch, one_thread) -> None:
    path = corpus.data / "eval" / "people.parquet"
    people = pd.read_parquet(path)
    people.assign(captions=[[] for _ in people.index]).to_parquet(path, index=False)
    train(monkeypatch)
    curves = corpus.data / "models" / "0" / "curves" / "plots" / "metrics"
    assert not (curves / "probe.t2i.r5.tsv").exists()
    assert len(curve(corpus, "probe.pairwise_association")) > 0


def test_the_readmes_lines_load_the_model(corpus, monkeypatch, one_thread) -> None:
    train(monkeypatch)
    (lines,) = re.findall(
        r"```python\n(import open_clip\n.*?)```", (ROOT / "docs" / "own-data.md").read_text(), re.DOTALL
    )
    found: dict = {}
    exec(lines.replace("data/emoji", "data/smoke"), found)
    model, stored = found["model"], load_file(corpus.data / "models" / "0" / "clip" / "model.safetensors")
    assert not model.training
    assert all(torch.equal(value, stored[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        texts = model.encode_text(found["tokenizer"](["a red circle", "a blue square"]))
        images = model.encode_image(found["preprocess"](Image.new("RGB", (40, 50)))[None])
    assert texts.shape[1] == images.shape[1] == TINY["embed_dim"]


def test_equal_seeds_give_equal_bits_and_other_seeds_others(corpus, monkeypatch, one_thread) -> None:
    runs = []
    for seed in (0, 0, 1):
        train(monkeypatch, seed)
        runs.append(corpus.weights(seed))
    assert runs[0] == runs[1] != runs[2]


def test_what_is_off_by_default_changes_no_bit(corpus, monkeypatch, one_thread) -> None:
    runs = []
    off = {"optimizer": "adamw", "muon": {"rate": 5.0}, "augmentation": {"mix_style": 0.0}}
    for recipe in ({}, off, {"optimizer": "muon"}, {"augmentation": {"mix_style": 0.5}}):
        corpus.configure(**recipe)
        train(monkeypatch)
        runs.append(corpus.weights())
    assert runs[0] == runs[1]
    assert len(set(runs)) == 3


def test_two_processes_train_as_one_does_under_muon(corpus, monkeypatch, one_thread) -> None:
    corpus.configure(epochs=4, **MUON)
    two = losses_of_two(corpus)
    train(monkeypatch)
    np.testing.assert_allclose(two, curve(corpus, "loss"), rtol=2e-4)


@pytest.mark.parametrize("recipe", [{}, MUON], ids=["default", "muon and mixed styles"])
def test_a_killed_run_ends_with_the_weights_and_curves_of_one_that_was_not(
    corpus, monkeypatch, one_thread, capsys, recipe: dict
) -> None:
    corpus.configure(model=TINY_RESNET, epochs=16, checkpoint_every=0.1, **recipe)
    train(monkeypatch)
    expected, losses = corpus.weights(), curve(corpus, "loss")
    shutil.rmtree(corpus.data / "models")
    work = corpus.root / ".work" / "train"
    process = fork({})
    while len(list(work.glob("*/step-*"))) < 2 and process.is_alive():
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (corpus.data / "models" / "0" / "clip").exists()
    for shard in [*corpus.data.rglob("*.tar")]:  # what a checkout on another machine makes of it
        shutil.copy(shard, shard.with_suffix(".new"))
        shard.with_suffix(".new").replace(shard)
    train(monkeypatch)
    assert "going on at step" in capsys.readouterr().out
    assert corpus.weights() == expected
    assert curve(corpus, "loss") == losses


@pytest.mark.parametrize("loss", ["clip", "siglip"])
@pytest.mark.parametrize("model", [TINY, TINY_RESNET], ids=["transformer", "resnet"])
def test_two_processes_train_as_one_does(corpus, monkeypatch, one_thread, model: dict, loss: str) -> None:
    corpus.configure(model=model, loss=loss, workers=2, epochs=4)
    two = losses_of_two(corpus)
    corpus.configure(model=model, loss=loss, epochs=4)
    train(monkeypatch)
    np.testing.assert_allclose(two, curve(corpus, "loss"), rtol=2e-4)


def test_a_run_goes_on_with_another_number_of_processes(corpus, monkeypatch, one_thread, capsys) -> None:
    corpus.configure(model=TINY, epochs=16, checkpoint_every=0.1)
    train(monkeypatch)
    losses = curve(corpus, "loss")
    shutil.rmtree(corpus.data / "models")
    processes = two_processes()
    while len(list((corpus.root / ".work" / "train").glob("*/step-*"))) < 2 and processes[0].is_alive():
        time.sleep(0.002)
    for process in processes:
        process.kill()
        process.join()
    capsys.readouterr()
    train(monkeypatch)
    said = capsys.readouterr().out
    assert "processes: 1, threads each: 1, on cpu" in said
    assert re.search(r"going on at step \d+ \(it was begun on 2 processes of 1 threads\)", said)
    np.testing.assert_allclose(curve(corpus, "loss"), losses, rtol=2e-4)


LAUNCHERS = {
    "torchrun": ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"],
    # `--multi_gpu` stands for several processes of one machine; without a GPU they talk through gloo
    "accelerate": ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
                   "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "-m"],
}  # fmt: skip


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_of_two_processes_trains_as_one_process_does(corpus, monkeypatch, one_thread, launcher: str) -> None:
    corpus.configure(model=TINY_RESNET)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *LAUNCHERS[launcher], "stages.train", "--seed", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("samples/s") == 1  # one main process: the two know of each other
    two = curve(corpus, "loss")
    shutil.rmtree(corpus.data / "models")
    train(monkeypatch)
    np.testing.assert_allclose(two, curve(corpus, "loss"), rtol=2e-4)


def test_the_schedule_decides_which_rows_are_seen(corpus, monkeypatch, one_thread) -> None:
    corpus.configure(schedule=[{"data": "mixed", "share": 0.5}, {"data": "balanced", "share": 0.5}])
    train(monkeypatch)
    summary = json.loads((corpus.data / "models" / "0" / "clip" / "training.json").read_text())
    assert summary["phases"] == [
        {"data": "mixed", "first": 0, "last": 2},
        {"data": "balanced", "first": 3, "last": 5},
    ]
    half = corpus.weights()
    corpus.configure(schedule=[{"data": "balanced", "share": 0.5}, {"data": "mixed", "share": 0.5}])
    train(monkeypatch)
    assert corpus.weights() != half


def test_rows_that_a_filter_left_out_are_not_trained_on_and_cost_no_steps(corpus, monkeypatch, one_thread) -> None:
    corpus.configure(schedule=[{"data": "mixed", "share": 1.0}])
    train(monkeypatch)
    clip = corpus.data / "models" / "0" / "clip"
    before = json.loads((clip / "training.json").read_text())
    selection = pd.read_parquet(corpus.data / "selection.parquet")
    corpus.select(selection.assign(kept=np.arange(len(selection)) % 4 > 0))
    train(monkeypatch)
    after = json.loads((clip / "training.json").read_text())
    assert (before["rows"], after["rows"]) == (24, 18)
    assert after["steps"] == before["steps"]


def test_the_vocabulary_knows_the_corpus(corpus, monkeypatch, one_thread) -> None:
    train(monkeypatch)
    tokenizer = Tokenizer.from_file(str(corpus.data / "models" / "0" / "clip" / "tokenizer.json"))
    found = [token.strip("Ġ") for token in tokenizer.encode("a red circle").tokens]
    assert found[:4] == ["a", "red", "circle", "<eos>"]


def refused(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(monkeypatch)


def test_an_empty_selection_is_refused(corpus, monkeypatch) -> None:
    path = corpus.data / "selection.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    refused(monkeypatch, r"data.smoke.selection\.parquet: no rows")


def test_a_selection_without_copies_is_refused(corpus, monkeypatch) -> None:
    corpus.select(pd.read_parquet(corpus.data / "selection.parquet").assign(copies=0))
    refused(monkeypatch, "copies are 0 everywhere")


def test_a_missing_selection_names_the_file(corpus, monkeypatch) -> None:
    (corpus.data / "selection.parquet").unlink()
    refused(monkeypatch, r"selection\.parquet: no such file")


def test_a_batch_that_cannot_be_cut_is_refused(corpus, monkeypatch) -> None:
    corpus.configure(accumulate=3)
    refused(monkeypatch, "accumulate: found 3, expected a divisor of batch_size 8")


def test_half_precision_without_a_gpu_is_refused(corpus, monkeypatch) -> None:
    corpus.configure(precision="float16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(monkeypatch, "train.precision: found float16, but no GPU")


def test_divergence_is_reported_and_leaves_no_model(corpus, monkeypatch, one_thread) -> None:
    corpus.configure(learning_rate=1e30, warmup=0, epochs=6)
    refused(monkeypatch, "training has diverged")
    assert not (corpus.data / "models" / "0" / "clip").exists()


def test_a_batch_that_memory_does_not_hold_is_one_line(corpus, monkeypatch, one_thread) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr("stages.train.loop.Trainer.step", full)
    with pytest.raises(InputError, match=r"train\.batch_size: found 8: .* raise train\.accumulate"):
        train(monkeypatch)


def test_unreadable_images_are_skipped_and_counted(corpus, monkeypatch, one_thread) -> None:
    path = corpus.data / "real" / "00001.tar"
    os.truncate(path, path.stat().st_size * 2 // 3)
    corpus.configure(on_bad_sample="skip", schedule=[{"data": "mixed", "share": 1.0}])
    train(monkeypatch)
    skipped = json.loads((corpus.data / "models" / "0" / "clip" / "training.json").read_text())["skipped"]
    assert 0 < skipped["count"] < 12
    assert all(key > "000000011" for key in skipped["keys"])
    corpus.configure()
    refused(monkeypatch, r"real.00001\.tar")


def test_an_error_is_one_line_and_exit_code_2(corpus, monkeypatch, capsys) -> None:
    corpus.configure(model={**TINY, "text_cfg": {"context_length": "long"}})
    monkeypatch.setattr(sys, "argv", ["train", "--seed", "0"])
    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        "error: train.model: text_cfg.context_length: found 'long', expected a number of at least 2\n"
    )
