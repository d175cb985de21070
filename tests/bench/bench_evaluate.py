"""Closed forms against the published sampling loops at FairFace size, memory by rows, the default's evaluation.

Prints one table, in seconds of processor time. The loops of 10,000 draws would run for hours: 20 draws are timed, and
the time is multiplied by 500.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
from safetensors.torch import save_file
from scipy.spatial.distance import pdist

from stages.evaluate import groups, preference, published, similarity
from stages.evaluate.features import unit

ROOT = Path(__file__).parents[2]
N, WIDTH, DRAWS, TIMED = 86_744, 1024, 10_000, 20
VALUES = {"ethnicity": 7, "gender": 2, "age": 9}
CONFIG = {
    "embed_dim": 256,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None, "head_width": 64},
    "text_cfg": {"context_length": 20, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 3},
}


def faces(n: int) -> tuple[pd.DataFrame, np.ndarray]:
    """FairFace's counts of rows, columns and values; features with a common direction, as CLIP's have."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: rng.integers(0, values, n).astype(str) for name, values in VALUES.items()})
    return table, unit(rng.normal(size=(n, WIDTH)).astype(np.float32) + 0.8)


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Take the processor time of the fastest of some runs: other work on the machine does not enter."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def similarity_loop(features: np.ndarray, cells: list[groups.Group]) -> float:
    """Time 22 draws with replacement and SciPy's cosine distance, as published; extrapolated to all draws."""
    rng = np.random.RandomState(0)
    own = [features[cell.members].astype(float) for cell in cells]

    def draw() -> None:
        for rows in own:
            for _ in range(TIMED):
                np.mean(1 - pdist(rows[rng.randint(len(rows), size=22)], metric="cosine"))

    return seconds(draw, 1) * DRAWS / TIMED


def preference_loop(table: pd.DataFrame, attribute: str, unmarked: np.ndarray) -> float:
    """Time down-sampling a data frame to the smallest group, anew for each group, as published; extrapolated."""
    frame = table.assign(unmarked=unmarked)
    counts = frame[attribute].value_counts()

    def draw() -> None:
        for _ in range(TIMED):
            for target in counts.index:
                kept = frame
                for value in counts.index:
                    surplus = counts[value] - counts.min()
                    if surplus:
                        dropped = kept.query(f"{attribute} == '{value}'").sample(int(surplus)).index
                        kept = kept.drop(index=dropped)  # pyright: ignore[reportCallIssue, reportArgumentType]
                kept.loc[kept[attribute] == target, "unmarked"].mean()

    return seconds(draw, 1) * DRAWS / TIMED


def line(what: str, loop: float | None, closed: float, note: str = "") -> None:
    """Print one row."""
    ratio = f"{loop / closed:>10,.0f}" if loop else f"{'':>10}"
    print(f"{what:<58}{f'{loop:,.0f}' if loop else '':>12}{closed:>12.4f}{ratio}  {note}")


def closed_forms() -> None:
    """Compare loops and closed forms."""
    table, features = faces(N)
    every = groups.partition(table, list(VALUES))
    crossed = [group for group in every if group.attribute.count(groups.CROSS) == 2]
    print(f"{'FairFace size: ' + f'{N:,} × {WIDTH}':<58}{'loops, s':>12}{'exact, s':>12}{'ratio':>10}")
    loop = similarity_loop(features, crossed)
    line(
        "self-similarity, ethnicity × gender × age (126)",
        loop,
        seconds(lambda: similarity.by_group(features, crossed, 0)),
    )
    line("  with 1,000 bootstrap draws", loop, seconds(lambda: similarity.by_group(features, crossed, 1000), 1))
    prompts = unit(np.random.default_rng(1).normal(size=(11, WIDTH)).astype(np.float32))
    chosen = preference.unmarked(features, prompts[0], prompts[1:])
    for attribute in VALUES:
        own = [group for group in every if group.attribute == attribute]
        loop = preference_loop(table, attribute, chosen)
        exact = seconds(lambda own=own: [chosen[group.members].mean() for group in own])
        line(f"person preference, {attribute} ({len(own)})", loop, exact)
        line("  with 1,000 bootstrap draws", loop, seconds(lambda own=own: groups.means(chosen, own), 1))
    single = [group for group in every if group.attribute == "gender"]
    line(
        "as_published: self-similarity loop itself, gender (2)",
        None,
        seconds(lambda: published.self_similarity_loop(features, single), 1),
        "10,000 draws, summed instead of compared pairwise",
    )


def memory() -> None:
    """Print the peak of each metric's own memory by number of rows."""
    print(f"\n{'peak memory beside the features, MB':<40}" + "".join(f"{n:>12,}" for n in (N // 4, N // 2, N)))
    peaks: dict[str, list[float]] = {"self-similarity": [], "person preference": [], "group means, 100 draws": []}
    for n in (N // 4, N // 2, N):
        table, features = faces(n)
        every = groups.partition(table, list(VALUES))
        prompts = unit(np.random.default_rng(1).normal(size=(11, WIDTH)).astype(np.float32))
        works: dict[str, Callable[[], object]] = {
            "self-similarity": lambda f=features, g=every: similarity.by_group(f, g, 20),
            "person preference": lambda f=features, p=prompts: preference.unmarked(f, p[0], p[1:]),
            "group means, 100 draws": lambda v=np.ones(n), g=every: groups.means(v, g, draws=100),  # noqa: B008
        }
        for name, work in works.items():
            tracemalloc.start()
            work()
            peaks[name].append(tracemalloc.get_traced_memory()[1] / 2**20)
            tracemalloc.stop()
    for name, values in peaks.items():
        print(f"{name:<40}" + "".join(f"{value:>12.1f}" for value in values))


def whole() -> None:
    """Time the command on the default's sets with a model of the default's size and random weights."""
    if not (ROOT / "data" / "emoji" / "eval").is_dir():
        print("\nwhole evaluation: data/emoji/eval is missing; run `python -m stages.download`")
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "clip"
        model.mkdir()
        (model / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
        state = open_clip.create_model(f"local-dir:{model}", load_weights=False).state_dict()
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, model / "model.safetensors")
        command = [sys.executable, "-m", "stages.evaluate", "--profile", "emoji", "--model", str(model), "--out"]
        print()
        for what in ("features and metrics", "metrics, features kept"):
            environment = {**os.environ, "COUNTERWEIGHT_WORK": folder}
            start, before = time.perf_counter(), os.times()
            subprocess.run([*command, f"{folder}/scores"], cwd=ROOT, env=environment, check=True, capture_output=True)
            wall, after = time.perf_counter() - start, os.times()
            processor = after.children_user - before.children_user + after.children_system - before.children_system
            print(f"whole evaluation of the default, {what:<26}{wall:>8.1f} s, {processor:.1f} s of processor time")


def main() -> None:
    """Run all."""
    logging.disable()
    with contextlib.suppress(AttributeError):
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    closed_forms()
    memory()
    whole()


if __name__ == "__main__":
    main()
