"""What `balance` reads, drawn at random, and what it wrote."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from stages.core.seeds import uniform
from stages.corpus.attributes import occupation_column, sensitive_columns
from stages.corpus.words import OCCUPATIONS

ROWS = 3000
WOMEN = np.linspace(0.04, 0.8, len(OCCUPATIONS))  # shares of women as skewed as a census


def write_tables(folder: Path, rows: int = ROWS) -> None:
    """Half of the rows show somebody and name an occupation; generated images show fewer women."""
    rng = np.random.default_rng(0)
    keys = [f"{i:06d}" for i in range(rows)]
    samples = pd.DataFrame({"key": keys, "shard": "00000", "caption": "", "u": [uniform(0, key) for key in keys]})
    person, occupation = rng.random(rows) < 0.6, rng.integers(len(OCCUPATIONS), size=rows)
    darker = rng.random(rows) < 0.25
    parts = []
    for source, factor in (("real", 1.0), ("synthetic", 0.7)):
        woman = rng.random(rows) < factor * WOMEN[occupation]
        part = pd.DataFrame({"key": keys, "source": source})
        groups = (person & woman, person & ~woman, person & ~darker, person & darker)
        for column, values in zip(sensitive_columns(), groups, strict=True):
            part[column] = values
        for index, name in enumerate(OCCUPATIONS):
            part[occupation_column(name)] = person & (occupation == index)
        part["says_gender"] = part["says_skin_tone"] = False
        if source == "synthetic":  # asked for a woman, the generator draws one: captions that say it hide its belief
            part["says_gender"] = person & (rng.random(rows) < 0.5)
            woman = np.where(part["says_gender"], rng.random(rows) < 0.9, woman)
            part["s_gender_woman"], part["s_gender_man"] = person & woman, person & ~woman
        part["y_proxy_dress"] = person & woman & (rng.random(rows) < 0.2)
        parts.append(part)
    folder.mkdir(parents=True, exist_ok=True)
    samples.to_parquet(folder / "samples.parquet", index=False)
    pd.concat(parts).to_parquet(folder / "attributes.parquet", index=False)


def content(folder: Path) -> dict:
    return json.loads((folder / "balance" / "balance.json").read_text())
