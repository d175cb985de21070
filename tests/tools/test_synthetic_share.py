"""The generated share of a corpus: known rows as they are, an estimate of the others that a worse detector widens."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.core.errors import InputError
from stages.corpus.shards import write_shard
from stages.tools import synthetic_share as tool
from tests.helpers import documented


def scores(rng: np.random.Generator, n: int, called: float) -> np.ndarray:
    """Scores of which exactly this share is above ½."""
    above = np.arange(n) < round(called * n)
    return np.where(above, rng.uniform(0.5, 1, n), rng.uniform(0, 0.5, n))


def test_the_estimate_is_corrected_for_the_error() -> None:
    """Of a corpus with 30 % generated, a detector with t = .8 and f = .1 calls .3 · .8 + .7 · .1 = .31 generated."""
    rng = np.random.default_rng(0)
    found = tool.share(scores(rng, 1000, 0.31), scores(rng, 500, 0.1), scores(rng, 500, 0.8), 0.5)
    assert found.called == pytest.approx(0.31)
    assert (found.sensitivity, found.false_alarms) == (pytest.approx(0.8), pytest.approx(0.1))
    assert found.estimate == pytest.approx(0.3)
    assert found.lo < 0.3 < found.hi and 0.05 < found.hi - found.lo < 0.12
    few = tool.share(scores(rng, 1000, 0.31), scores(rng, 50, 0.1), scores(rng, 50, 0.8), 0.5)
    assert few.hi - few.lo > 1.5 * (found.hi - found.lo)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, hits = np.random.default_rng(1), 0
    for seed in range(200):
        drawn = (rng.binomial(300, q) / 300 for q in (0.4 * 0.8 + 0.6 * 0.2, 0.2, 0.8))
        unknown, real, generated = (scores(rng, 300, q) for q in drawn)
        found = tool.share(unknown, real, generated, 0.5, seed=seed)
        hits += found.lo <= 0.4 <= found.hi
    assert 180 <= hits <= 199


@pytest.mark.parametrize("score", ["Infinity", '"1_0"', "[1]", "{}", "1" + "0" * 400])
def test_a_score_that_is_no_number_is_named_by_its_row(tmp_path: Path, score: str) -> None:
    (tmp_path / "t.jsonl").write_text(f'{{"synthetic": "true", "score": 1}}\n{{"synthetic": "", "score": {score}}}\n')
    with pytest.raises(InputError, match=r"t\.jsonl: "):
        tool.of_table(tmp_path / "t.jsonl", 0.5)


@pytest.mark.parametrize("words", [["--out", "t.csv"], ["--tars", "."]])
def test_a_table_is_not_lost_to_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("synthetic,score\ntrue,1\nfalse,0\n,1\n")
    monkeypatch.setattr(sys, "argv", ["synthetic_share", "--table", "t.csv", *words])
    with pytest.raises(InputError, match=words[0]):
        tool.main()
    assert Path("t.csv").read_text().startswith("synthetic")


def test_known_rows_count_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"synthetic": ["true"] * 100 + ["false"] * 100 + [""] * 200})
    table["score"] = np.concatenate([scores(rng, 100, 0.9), scores(rng, 100, 0.1), scores(rng, 200, 0.5)])
    table.to_csv(tmp_path / "images.csv", index=False)
    found = tool.of_table(tmp_path / "images.csv", 0.5)
    assert (found.known_generated, found.known_real, found.unknown) == (100, 100, 200)
    assert found.estimate == pytest.approx(0.5) and found.total == pytest.approx(0.5)
    assert (found.total_hi - found.total_lo) == pytest.approx((found.hi - found.lo) / 2)
    table["synthetic"] = [True, False] * 200
    table.drop(columns="score").to_parquet(tmp_path / "known.parquet")
    known = tool.of_table(tmp_path / "known.parquet", 0.5)
    assert (known.total, known.total_lo, known.total_hi, known.unknown) == (0.5, 0.5, 0.5, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("score\n1\n", "no column synthetic"),
        ("synthetic,score\nmaybe,1\n", "row 1: column synthetic: found 'maybe'"),
        ("synthetic,score\n,high\n", "row 1: column score: found 'high'"),
        ('synthetic\ntrue\n""\n', "row 2: no score"),
        ("synthetic,score\n,1\n", "0 known real and 0 known generated images"),
        ("synthetic,score\n,1\n" + "true,0\nfalse,0\n" * 30, "it hardly tells them apart"),
    ],
)
def test_what_gives_no_estimate_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "images.csv").write_text(text)
    with pytest.raises(InputError) as error:
        tool.of_table(tmp_path / "images.csv", 0.5)
    assert said in str(error.value)


def picture(rng: np.random.Generator, generated: bool) -> np.ndarray:
    """A coarse picture; generated ones are smooth, real ones have grain."""
    coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC), float)
    image += rng.normal(0, 4 if generated else 7, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def encoded(image: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_detector_trained_here_finds_the_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(3)
    for source in ("real", "synthetic"):
        pictures = ((f"{n:04d}", {"png": encoded(picture(rng, source == "synthetic"))}) for n in range(150))
        (tmp_path / "data" / "emoji" / source).mkdir(parents=True)
        write_shard(tmp_path / "data" / "emoji" / source / "00000.tar", pictures)
    (tmp_path / "scraped").mkdir()
    mixed = ((f"{n:04d}", {"png": encoded(picture(rng, n % 5 < 2))}) for n in range(200))
    write_shard(tmp_path / "scraped" / "0.tar", mixed)
    monkeypatch.chdir(tmp_path)
    words = documented.block("docs/own-data.md", "--tars scraped").split()
    monkeypatch.setattr(sys, "argv", words[words.index("stages.tools.synthetic_share") :])
    tool.main()
    said = capsys.readouterr().out
    figures = pd.read_json(tmp_path / "share.json", typ="series")
    assert figures["auc"] > 0.9
    assert figures["lo"] <= 0.4 <= figures["hi"] and figures["hi"] - figures["lo"] < 0.4
    assert f"AUC {figures['auc']:.3f}" in said and f"{figures['estimate']:.3f}" in said
