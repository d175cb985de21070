"""Captioners on one set: every figure finds its place, and its captions are joined by key."""

import numpy as np
import pandas as pd
import pytest

from stages.core.errors import InputError
from stages.corpus.words import GROUPS, OCCUPATIONS
from stages.evaluate import captioning
from stages.evaluate.settings import Leakage
from stages.evaluate.training import Rows
from stages.results.details import fold
from stages.results.registry import describe

N = 48
SETTINGS = Leakage(attributes=["gender"], seeds=[0, 1], classifier="lstm", embedding=8, hidden=8, layers=1, epochs=2)
TRAINED = Rows(  # women cook
    {name: np.array([[True, False], [False, True]]) for name in GROUPS},
    np.array([[name == "cook" for name in OCCUPATIONS], [False] * len(OCCUPATIONS)]),
    np.ones(2),
    pd.Series(["a cook", "a man"]),
)


def people() -> pd.DataFrame:
    gender = np.where(np.arange(N) % 2, "woman", "man")
    captions = [[f"a {g} with a hat", f"a {g} number {i % 5}"] for i, g in enumerate(gender)]
    return pd.DataFrame(
        {"key": [f"k{i:02d}" for i in range(N)], "captions": captions, "gender": gender, "skin_tone": "1",
         "cluster": [f"c{i // 2}" for i in range(N)], "occupation": np.where(np.arange(N) % 3, "", "cook")}
    )  # fmt: skip


def texts(captions) -> np.ndarray:
    return np.stack([np.random.default_rng(sum(map(ord, text))).normal(size=4) for text in captions])


def measure(said: dict[str, str]):
    table = people()
    images = texts([said[key] for key in table["key"]])
    return captioning.measure({"clipcap": said}, table, images, texts, TRAINED, TRAINED, SETTINGS, 50)


def test_every_key_is_in_the_catalogue() -> None:
    table = people()
    scores = measure({key: group[0] for key, group in zip(table["key"], table["captions"], strict=True)})
    for key in fold(scores.metrics):
        assert describe(key)
    assert {"captions.clipcap.cider", "captions.clipcap.lic.gender", "captions.majority.cider"} <= scores.metrics.keys()
    assert scores.metrics["captions.clipcap.gender_error"] == 0
    assert scores.metrics["captions.clipcap.clip_score"] == pytest.approx(2.5)
    assert set(scores.tables) == {"captions", "leakage", "amplification"}
    assert scores.metrics["captions.clipcap.amplification.t_to_a.gender"] == 0  # each caption names the right gender
    pairs = scores.tables["amplification"][0].set_index(["group", "occupation"])
    assert pairs.loc[("woman", "cook"), "n_group"] == N // 2
    assert pairs.loc[("woman", "cook"), "a_to_t"] == pytest.approx(-1 / 3)  # a third of them cook, no caption says so
    assert len(scores.tables["leakage"][0]) == 2


def test_readers_train_on_the_device_of_the_run_and_clusters_go_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict] = []
    lic = captioning.leakage.lic

    def watched(*arguments, **options):
        seen.append(options)
        return lic(*arguments, **{**options, "device": "cpu"})

    monkeypatch.setattr(captioning.leakage, "lic", watched)
    table = people()
    said = {key: group[0] for key, group in zip(table["key"], table["captions"], strict=True)}
    captioning.leaked({"clipcap": said}, table, SETTINGS, 20, device="cuda:1")
    assert [options["device"] for options in seen] == ["cuda:1"]
    assert seen[0]["cluster"]["k03"] == "c1"


def test_captions_are_joined_by_key_not_by_position() -> None:
    table = people()
    said = {key: group[0] for key, group in zip(table["key"], table["captions"], strict=True)}
    shuffled = dict(sorted(said.items(), reverse=True))
    assert measure(shuffled).metrics == measure(said).metrics


def test_the_opposite_gender_everywhere_is_an_error_of_one() -> None:
    table = people()
    said = {
        key: f"a {'man' if g == 'woman' else 'woman'}" for key, g in zip(table["key"], table["gender"], strict=True)
    }
    assert measure(said).metrics["captions.clipcap.gender_error"] == 1


def test_a_left_out_image_is_named() -> None:
    table = people()
    said = dict.fromkeys(table["key"][1:], "a man")
    with pytest.raises((InputError, KeyError), match="k00"):
        measure({**said, "k99": "a man"})
