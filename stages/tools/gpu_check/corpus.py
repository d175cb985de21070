"""The data of the check, made here: pictures, captions, shards, selection and evaluation sets in the real formats.

No download, no artwork: what is measured is the way of an image through the stages, and its speed. Each shard is
written once; its samples share a few hundred distinct files, which costs a reader as much as as many different ones.
"""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from stages.corpus.evaluation_sets import write_set
from stages.corpus.images import encode_png
from stages.corpus.shards import write_shard

PEOPLE = ("woman", "man")
JOBS = ("doctor", "nurse", "teacher", "pilot", "cook", "farmer", "judge", "singer")
PLACES = ("in a park", "at work", "on a street", "with a dog", "near a lake", "in a kitchen")
THINGS = ("apple", "car", "tree", "house")


def picture(seed: int, width: int, height: int) -> np.ndarray:
    """Draw one: soft colours with grain, which files store at about the size of photographs."""
    rng = np.random.default_rng(seed)
    coarse, fine = (
        rng.integers(0, 256, (6, 8, 3), np.uint8),
        rng.integers(0, 256, (height // 4, width // 4, 3), np.uint8),
    )
    layers = [Image.fromarray(part).resize((width, height), Image.Resampling.BICUBIC) for part in (coarse, fine)]
    return np.asarray(Image.blend(layers[0], layers[1], 0.15))


def jpeg(seed: int, width: int, height: int) -> bytes:
    """Encode a picture as a camera's files are."""
    buffer = io.BytesIO()
    Image.fromarray(picture(seed, width, height)).save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def caption(index: int) -> str:
    """Write a caption that names a person, an occupation and a place."""
    return (
        f"a photo of a {PEOPLE[index % 2]} who is a {JOBS[index // 2 % len(JOBS)]} {PLACES[index // 16 % len(PLACES)]}"
    )


def write_shards(
    folder: Path, shards: int, rows: int, size: tuple[int, int], suffix: str = "jpg", distinct: int = 256
) -> None:
    """
    Write `real/*.tar` with image, text and json, `samples.parquet` and `selection.parquet`.

    Parameters
    ----------
    shards, rows : int
        Tars, and samples in each.
    size : tuple of int
        Width and height, pixels.
    """
    count = min(distinct, shards * rows)

    def one(seed: int) -> bytes:
        return jpeg(seed, *size) if suffix == "jpg" else encode_png(picture(seed, *size))

    with ThreadPoolExecutor(8) as pool:
        files = [*pool.map(one, range(count))]
    table = pd.DataFrame({"key": [f"{index:09d}" for index in range(shards * rows)]})
    table["shard"] = [f"{index // rows:05d}" for index in range(len(table))]
    table["caption"] = [caption(index) for index in range(len(table))]

    def write(part: tuple[str, pd.DataFrame]) -> None:
        name, samples = part
        members = (
            (key, {suffix: files[int(key) % count], "txt": said, "json": {}})
            for key, said in zip(samples["key"], samples["caption"], strict=True)
        )
        write_shard(folder / "real" / f"{name}.tar", members)

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(write, [(str(name), samples) for name, samples in table.groupby("shard")]):
            pass
    table.assign(u=0.5).to_parquet(folder / "samples.parquet", index=False)
    selection = table[["key", "shard"]].assign(source="real", q=1.0, copies=np.int32(1), kept=True)
    selection.to_parquet(folder / "selection.parquet", index=False)


def write_evaluation(folder: Path, rows: int) -> None:
    """Write the sets people, portraits and objects, and occupations.csv, as `download` does for the default."""
    for name in ("people", "portraits", "objects"):
        records = []
        for index in range(rows):
            image = encode_png(picture(10_000 + index, 64, 64))
            row = {"key": f"{name}{index}", "captions": [caption(index), f"somebody {PLACES[index % len(PLACES)]}"]}
            if name == "objects":
                row |= {"label": THINGS[index % len(THINGS)], "captions": []}
            else:
                row |= {
                    "gender": PEOPLE[index % 2],
                    "skin_tone": str(1 + index % 5),
                    "occupation": JOBS[index // 2 % 8],
                }
            records.append((row, "png", image))
        write_set(folder / "eval", name, records)
    shares = np.linspace(0.02, 0.95, len(JOBS))
    table = pd.DataFrame({"occupation": JOBS, "women_corpus": shares[::-1], "women_generator": shares})
    table.to_csv(folder / "occupations.csv", index=False)


def write_faces(folder: Path, rows: int, side: int = 224, distinct: int = 512) -> None:
    """Write a set of FairFace's size and columns: JPEG faces' files with seven ethnicities, nine ages, two genders."""
    rng = np.random.default_rng(0)
    with ThreadPoolExecutor(8) as pool:
        files = [*pool.map(lambda seed: jpeg(seed, side, side), range(min(rows, distinct)))]
    ages = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")
    ethnicities = ("east_asian", "indian", "southeast_asian", "white", "middle_eastern", "latino", "black")
    drawn = {name: rng.choice(values, rows) for name, values in (("age", ages), ("ethnicity", ethnicities))}
    records = [
        (
            {
                "key": f"face{index:06d}",
                "gender": PEOPLE[int(rng.integers(2))],
                "age": str(drawn["age"][index]),
                "ethnicity": str(drawn["ethnicity"][index]),
            },
            "jpg",
            files[index % len(files)],
        )
        for index in range(rows)
    ]
    write_set(folder / "eval", "fairface", records)


def write_bert(folder: Path, changes: dict[str, int]) -> None:
    """Write a BERT-base with random weights and a vocabulary of the captions' words, as transformers loads it."""
    from transformers import BertConfig, BertModel

    words = sorted({word for index in range(96) for word in caption(index).split()} | {"somebody"})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    config = BertConfig.from_dict({"vocab_size": 30522, **changes})
    folder.mkdir(parents=True)
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}) + "\n")
