"""How much of a corpus is generated, where nobody says: an estimate from a detector, corrected by its error.

    python -m stages.tools.synthetic_share --table images.csv                   a column of scores by your own detector
    python -m stages.tools.synthetic_share --profile emoji --tars FOLDER        a detector trained here

A table has `synthetic` (true, false, or empty where unknown) and `score` (higher: more likely generated). Rows that say
what they are count as they are, and tell the detector's error; the share of the others is estimated. Trained here, a
detector learns from real and generated images of the same captions (a profile's `real/` and `synthetic/`), so that it
cannot go by what is shown; its error is that on captions held out.

With sensitivity t = P(called generated | generated) and false alarms f = P(called generated | real), a share p of the
unknown images is called generated, so their share of generated ones is (p − f) / (t − f) (Rogan, Gladen, American
Journal of Epidemiology 107, 1978 [S]). The interval redraws p, f and
t, each from its own number of images. It holds for images of the generator and the kind that the error was measured on:
another generator may be detected more often or hardly ever, and no number here tells.
"""

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stages.core.atomic import check_file, written
from stages.core.errors import InputError, missing, run
from stages.core.progress import progress
from stages.core.seeds import uniform
from stages.corpus import tables
from stages.corpus.attributes import is_unknown
from stages.corpus.images import IMAGE_SUFFIXES
from stages.corpus.shards import Shard, decode_image, list_members
from stages.results.repository import tracked

HELD_OUT = 0.3  # of the captions: they measure the error
SIDE, BANDS = 64, 24  # of the images that the detector sees, pixels; of their spectrum
DRAWS = 2000
FEWEST = 20  # images of each kind that an error is measured on
WEAK = 0.1  # t − f below which no share is estimated


@dataclass(frozen=True)
class Share:
    """
    Generated share of a corpus.

    Attributes
    ----------
    known_generated, known_real, unknown : int
        Rows by what they say.
    called : float
        Share of the unknown rows that the detector calls generated.
    sensitivity, false_alarms, auc : float
        The detector's error, on rows that say what they are (or on captions held out); NaN where all are known.
    estimate, lo, hi : float
        Share of generated images among the unknown, with its 95 % interval.
    total, total_lo, total_hi : float
        Share of generated images among all rows.
    """

    known_generated: int
    known_real: int
    unknown: int
    called: float
    sensitivity: float
    false_alarms: float
    auc: float
    estimate: float
    lo: float
    hi: float
    total: float
    total_lo: float
    total_hi: float


def share(
    unknown: NDArray[np.float64],
    real: NDArray[np.float64],
    generated: NDArray[np.float64],
    threshold: float,
    counted: tuple[int, int] = (0, 0),
    seed: int = 0,
) -> Share:
    """
    Estimate the generated share of unknown images.

    Parameters
    ----------
    unknown, real, generated : ndarray
        Scores of images of unknown origin, and of those that measure the detector's error.
    threshold : float
        Score from which an image is called generated.
    counted : tuple of int
        Rows known to be generated, and known to be real, that belong to the corpus themselves.

    Raises
    ------
    InputError
        If the error is measured on too few images, or the detector hardly tells them apart.
    """
    known_generated, known_real = counted
    if not len(unknown):
        total = known_generated / max(1, known_generated + known_real)
        nan = float("nan")
        return Share(known_generated, known_real, 0, nan, nan, nan, nan, nan, nan, nan, total, total, total)
    if min(len(real), len(generated)) < FEWEST:
        raise InputError(
            f"{len(real)} known real and {len(generated)} known generated images, expected {FEWEST} of each: they "
            "measure the detector's error"
        )
    p, f, t = ((scores >= threshold).mean() for scores in (unknown, real, generated))
    if t - f < WEAK:
        raise InputError(
            f"the detector calls {t:.0%} of generated and {f:.0%} of real images generated: it hardly tells them "
            "apart, so no share can be estimated; name another one"
        )
    rng = np.random.default_rng(seed)
    drawn = [rng.binomial(len(s), q, DRAWS) / len(s) for s, q in ((unknown, p), (real, f), (generated, t))]
    with np.errstate(divide="ignore", invalid="ignore"):
        samples = np.clip((drawn[0] - drawn[1]) / (drawn[2] - drawn[1]), 0, 1)
    estimate = float(np.clip((p - f) / (t - f), 0, 1))
    low, high = (float(end) for end in np.nanquantile(samples, [0.025, 0.975]))
    rows = known_generated + known_real + len(unknown)
    total, total_lo, total_hi = ((known_generated + s * len(unknown)) / rows for s in (estimate, low, high))
    truth = np.repeat([0, 1], [len(real), len(generated)])
    auc = float(roc_auc_score(truth, np.concatenate([real, generated])))
    return Share(
        known_generated, known_real, len(unknown), float(p), float(t), float(f), auc, estimate, low, high,
        total, total_lo, total_hi,
    )  # fmt: skip


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or "_" in str(value):  # Python takes 1_0 for 10
        raise ValueError
    return number


def of_table(path: Path, threshold: float, seed: int = 0) -> Share:
    """
    Read a table with `synthetic` and `score`, and estimate the share of its unknown rows.

    Raises
    ------
    InputError
        If `synthetic` is missing or holds anything else, or a score is needed and no number; names the row.
    """
    names = tables.columns(path)
    if "synthetic" not in names:
        raise InputError(
            f"{path}: no column synthetic (found: {tables.shown(names)}); add it, empty where it is unknown"
        )
    scores: dict[str, list[float]] = {"": [], "false": [], "true": []}
    count = dict.fromkeys(scores, 0)
    for number, row in enumerate(tables.rows(path), 1):
        known = "" if is_unknown(row["synthetic"]) else str(row["synthetic"]).strip().casefold()
        where = f"{path}: row {number}"
        if known not in scores:
            raise InputError(f"{where}: column synthetic: found {known!r}, expected true, false or nothing")
        count[known] += 1
        if "score" in row and not is_unknown(row["score"]):
            try:
                scores[known].append(_finite(row["score"]))
            except (TypeError, ValueError, OverflowError):
                raise InputError(f"{where}: column score: found {row['score']!r}, expected a finite number") from None
        elif not known:
            raise InputError(f"{where}: no score, and synthetic is empty; score such images by a detector")
    try:
        unknown, real, generated = (np.array(scores[name]) for name in ("", "false", "true"))
        return share(unknown, real, generated, threshold, (count["true"], count["false"]), seed)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def features(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """
    Describe an image by what generators get wrong and captions do not say: its spectrum and its smallest differences.

    Parameters
    ----------
    image : ndarray, uint8, (height, width, 3)
        Of any size.

    Returns
    -------
    ndarray, (BANDS + 9,)
        Log power by spatial frequency; mean absolute differences of neighbours by colour, across, down and crosswise.
    """
    pixels = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX), float) / 255
    power = np.abs(np.fft.fftshift(np.fft.fft2(pixels.mean(axis=2)))) ** 2
    y, x = np.indices((SIDE, SIDE)) - SIDE // 2
    band = np.minimum((np.hypot(y, x) / (SIDE / 2) * BANDS).astype(int), BANDS - 1).ravel()
    spectrum = np.bincount(band, power.ravel(), BANDS) / np.bincount(band, minlength=BANDS)
    across, down = np.diff(pixels, axis=1), np.diff(pixels, axis=0)
    edges = [np.abs(part).mean(axis=(0, 1)) for part in (across, down, np.diff(across, axis=0))]
    return np.concatenate([np.log(spectrum + 1e-9), np.log(np.concatenate(edges) + 1e-6)])


class Detector:
    """A classifier of real against generated images of the same captions, and its scores of held-out ones."""

    def __init__(self, folder: Path, shards: Sequence[str], seed: int = 0) -> None:
        rows, truth, held_out = [], [], []
        for name in progress(shards, "learn", len(shards), unit="shard"):
            paths = [folder / source / f"{name}.tar" for source in ("real", "synthetic")]
            if absent := [path for path in paths if not path.is_file()]:
                raise missing(f"{absent[0]}: no such shard", "run `dvc repro generate`")
            with Shard(paths[0]) as real, Shard(paths[1]) as made:
                for key in (key for key in real.keys if key in made):
                    for generated, shard in enumerate((real, made)):
                        rows.append(features(shard.read_image(key)))
                        truth.append(generated)
                        held_out.append(uniform(seed, key, "detector") < HELD_OUT)
        x, y, held = np.array(rows).reshape(-1, BANDS + 9), np.array(truth, int), np.array(held_out, bool)
        if min(held.sum(), (~held).sum()) < 2 * FEWEST:
            raise InputError(
                f"{folder}: {len(y) // 2} pairs of real and generated images, expected more; generate more"
            )
        self._model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, random_state=seed))
        self._model.fit(x[~held], y[~held])
        self.real, self.generated = (self._scores(x[held & (y == kind)]) for kind in (0, 1))

    def _scores(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._model.predict_proba(rows)[:, 1]

    def scores(self, images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Score images: the probability of being generated, where both kinds are equally frequent."""
        rows = [features(image) for image in images]
        if not rows:
            raise InputError("--tars: no images; expected WebDataset tars with some")
        return self._scores(np.array(rows))


def images_of(folder: Path) -> Iterable[NDArray[np.uint8]]:
    """
    Read the images of a folder of tars, whatever else lies in them.

    Raises
    ------
    InputError
        If there is no tar.
    """
    found = sorted(folder.glob("*.tar"))
    if not found:
        raise InputError(f"--tars {folder}: no .tar file; name a folder of WebDataset tars")
    for tar in found:
        with tar.open("rb") as file:
            for member in list_members(tar):
                if member.name.rpartition(".")[2].lower() in IMAGE_SUFFIXES:
                    file.seek(member.offset)
                    yield decode_image(file.read(member.size), f"{tar}: {member.name}")


def main() -> None:
    """Estimate the share, and print it with the detector's error."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.synthetic_share",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--table", type=Path, help="csv, tsv, jsonl or parquet with synthetic and score")
    parser.add_argument("--threshold", type=float, default=0.5, help="score from which an image is called generated")
    parser.add_argument("--profile", help="whose real and generated images the detector learns from")
    parser.add_argument("--tars", type=Path, help="with --profile: folder of tars of unknown origin")
    parser.add_argument("--out", type=Path, help="json file to write the figures to")
    arguments = parser.parse_args()
    if (arguments.table is None) == (arguments.profile is None):
        raise InputError("--table, --profile: found both or neither, expected one of them")
    if arguments.table and arguments.tars:
        raise InputError("--tars: found with --table, whose rows have scores; leave out one of them")
    if arguments.out:
        check_file(arguments.out)
        if (arguments.table and arguments.out.resolve() == arguments.table.resolve()) or tracked(arguments.out):
            raise InputError(f"--out {arguments.out}: is read, or a file of the repository; name another file")
    if arguments.table:
        found = of_table(arguments.table, arguments.threshold)
    else:
        if arguments.tars is None:
            raise InputError("--profile needs --tars: the folder of tars whose share is wanted")
        folder = Path("data") / arguments.profile
        shards = sorted(path.stem for path in (folder / "real").glob("*.tar"))
        if not shards:
            raise missing(f"{folder / 'real'}: no shards", "run `dvc repro generate`")
        detector = Detector(folder, shards)
        scores = detector.scores(progress(images_of(arguments.tars), "score", None, unit="image"))
        found = share(scores, detector.real, detector.generated, arguments.threshold)
    print(report(found))
    if arguments.out:
        finite = {name: value for name, value in asdict(found).items() if np.isfinite(value)}
        with written(arguments.out) as path:
            path.write_text(json.dumps(finite, indent=2) + "\n")


def report(found: Share) -> str:
    """Say the share in words, and the error it was corrected by."""
    lines = [
        f"known: {found.known_generated} generated, {found.known_real} real; unknown: {found.unknown}",
        f"generated share of all: {found.total:.3f} [{found.total_lo:.3f}, {found.total_hi:.3f}]",
    ]
    if found.unknown:
        lines[1:1] = [
            f"the detector calls {found.called:.3f} of the unknown generated; of known images, {found.sensitivity:.3f} "
            f"of the generated and {found.false_alarms:.3f} of the real (AUC {found.auc:.3f})",
            f"generated share of the unknown, corrected: {found.estimate:.3f} [{found.lo:.3f}, {found.hi:.3f}]",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
