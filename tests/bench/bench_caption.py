"""Captioners of the default: decoding with cached keys and values against decoding without, and where the time goes.

Both captioners learn for a few steps on features of the corpus' images (of the trained CLIP where there is one, else of
one with random weights: as fast), so that captions end where learned ones do. The same captioner then says the same
images greedily and by beam search, with and without the cache, in turn; medians over rounds of images a second of
processor time. Captions must be equal.
"""

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import torch
from safetensors.torch import save_file

from stages.caption import captioner as shared
from stages.caption import clipcap, transformer
from stages.caption.captioner import Captioner, Standardise
from stages.caption.data import batches
from stages.caption.decoding import caption
from stages.caption.features import extract, load_tower
from stages.caption.training import Optimisation, Trainer
from stages.caption.vocabulary import Vocabulary, words_of
from stages.corpus.evaluation_sets import read_set
from stages.tools import params
from stages.tools.params import Params

CPU = torch.device("cpu")
NAMES = ("clipcap", "transformer")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=512, help="captioned")
    parser.add_argument("--steps", type=int, default=150, help="of learning, before")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beams", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # open_clip says that random weights are random
    everything = params.load(profile="emoji")
    with read_set(everything.folder / "eval", "people").images as tar:
        keys = tar.keys[: arguments.images]
        pictures = [tar.read_image(key) for key in keys]
    with tempfile.TemporaryDirectory() as scratch:
        model = load_tower(_clip(everything, Path(scratch)), CPU)
        start = time.process_time()
        pooled, spatial = map(np.concatenate, zip(*extract(model, pictures, 256), strict=True))
        print(f"features: {len(keys) / (time.process_time() - start):.0f} images/s of processor time")
    texts = pd.read_parquet(everything.folder / "samples.parquet", columns=["caption"])["caption"].tolist()
    vocabulary = words_of(texts, everything.caption.min_count)
    for name in NAMES:
        features = pooled if name == "clipcap" else spatial
        made = _build(name, everything, features, vocabulary)
        speed = _learn(made, name, everything, features, vocabulary, texts[: len(features)], arguments.steps)
        print(f"\n{name}, learning: {speed:.0f} captions/s of processor time")
        print("| decoding | with cache | without | ratio | equal captions |\n|---|---|---|---|---|")
        for beams in (1, arguments.beams):
            print(_compare(made, features, vocabulary, everything, beams, arguments.rounds), flush=True)


def _clip(everything: Params, scratch: Path) -> Path:
    trained = everything.folder / "models" / str(everything.seeds[0]) / "clip"
    if trained.is_dir():
        return trained
    text = json.dumps({"model_cfg": everything.train.model, "preprocess_cfg": {}})
    (scratch / "open_clip_config.json").write_text(text)
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{scratch}", load_weights=False)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, scratch / "model.safetensors")
    return scratch


def _build(name: str, everything: Params, features: np.ndarray, vocabulary: Vocabulary) -> Captioner:
    settings = everything.caption
    flat = features.reshape(-1, features.shape[-1]).astype(np.float32)
    scale = Standardise(torch.from_numpy(flat.mean(axis=0)), torch.from_numpy(flat.std(axis=0)))
    torch.manual_seed(0)
    if name == "clipcap":
        chosen = settings.clipcap
        assert isinstance(chosen.language_model, params.LanguageModel)
        size = chosen.language_model.model_dump()
        gpt2 = clipcap.small_gpt2(len(vocabulary), chosen.prefix + settings.max_tokens, **size)
        return clipcap.ClipCap(gpt2, scale, vocabulary.ends, mapper=chosen.mapper, prefix=chosen.prefix)
    return transformer.TransformerCaptioner(
        scale,
        vocabulary.ends,
        vocabulary=len(vocabulary),
        places=features.shape[1],
        max_tokens=settings.max_tokens,
        **settings.transformer.model_dump(exclude={"fitting"}),
    )


def _learn(
    made: Captioner,
    name: str,
    everything: Params,
    features: np.ndarray,
    vocabulary: Vocabulary,
    texts: list[str],
    steps: int,
) -> float:
    """Take some steps; return captions a second of processor time."""
    fitting = getattr(everything.caption, name).fitting
    tokens = vocabulary.encode(texts, everything.caption.max_tokens).astype(np.int64)
    trainer = Trainer(made, Optimisation(steps, fitting.warmup, fitting.learning_rate, fitting.weight_decay, 0, False))
    start = time.process_time()
    for batch in batches({"all": np.ones(len(features), int)}, [("all", steps)], fitting.batch_size, 0):
        trainer.step(torch.from_numpy(features[batch]), torch.from_numpy(tokens[batch]))
    return steps * fitting.batch_size / (time.process_time() - start)


def _compare(
    made: Captioner, features: np.ndarray, vocabulary: Vocabulary, everything: Params, beams: int, rounds: int
) -> str:
    settings = everything.caption

    def said() -> tuple[list[str], float]:
        start = time.process_time()
        texts = caption(
            made, vocabulary, features, beams=beams, max_tokens=settings.max_tokens,
            batch_size=settings.decode_batch, device=CPU,
        )  # fmt: skip
        texts = list(texts)
        return texts, len(texts) / (time.process_time() - start)

    cached, plain, ratios = [], [], []
    with_cache: list[str] = []
    without: list[str] = []
    for _ in range(rounds):
        with_cache, fast = said()
        with _without_cache():
            without, slow = said()
        cached.append(fast)
        plain.append(slow)
        ratios.append(fast / slow)
    same = sum(a == b for a, b in zip(with_cache, without, strict=True))
    kind = "greedy" if beams == 1 else f"{beams} beams"
    figures = " | ".join(f"{statistics.median(values):.0f}/s" for values in (cached, plain))
    return f"| {kind} | {figures} | {statistics.median(ratios):.2f} | {same} of {len(features)} |"


@contextmanager
def _without_cache() -> Iterator[None]:
    arguments: Callable[..., dict] = shared.decoding_arguments

    def uncached(*given: object) -> dict:
        return arguments(*given) | {"use_cache": False}

    try:
        clipcap.decoding_arguments = transformer.decoding_arguments = uncached
        yield
    finally:
        clipcap.decoding_arguments = transformer.decoding_arguments = arguments


if __name__ == "__main__":
    main()
