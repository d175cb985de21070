"""Measure quality and known bias of the text-to-image model; write data/pretrained/quality."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pandas as pd
import torch
from safetensors.torch import load_file
from tqdm import tqdm

from stages.core.atomic import replaced
from stages.core.errors import InputError, run
from stages.core.settings import load_section
from stages.pretrain import autoencoder
from stages.pretrain.corpus import held_out, load_images, load_samples
from stages.pretrain.paths import CORPUS, FIGURES, HOME, JUDGE, MODEL, UNSEEN, WEIGHTS
from stages.pretrain.quality.artist import Artist
from stages.pretrain.quality.card import card_table
from stages.pretrain.quality.figures import bias_panel, grid, sheet
from stages.pretrain.quality.measures import (
    bias_table,
    faithful_rank_correlation,
    frechet,
    rank_correlation,
    recognised,
    unseen_captions,
)
from stages.pretrain.recogniser import Classes, Recogniser, recognise
from stages.pretrain.settings import Pretrain
from stages.results.panels import png

CLIP = Path("data/emoji/models/0/clip")


def load_recogniser() -> tuple[Recogniser, Classes]:
    """
    Load the recogniser.

    Returns
    -------
    tuple of (Recogniser, Classes)
        In evaluation mode, with the names of its classes.

    Raises
    ------
    InputError
        If it is not there.
    """
    if not (JUDGE / "config.json").exists():
        raise InputError(f"{JUDGE}: no recogniser here; run `python -m stages.pretrain recogniser`")
    config = json.loads((JUDGE / "config.json").read_text())
    names = Classes({head: tuple(values) for head, values in config["classes"].items()})
    model = Recogniser(names, config["width"], config["features"], config["resolution"])
    model.load_state_dict(load_file(JUDGE / WEIGHTS))
    return model.eval(), names


def measure(settings: Pretrain, clip: Path) -> None:
    """
    Measure quality and bias of the model in git; write figures, tables and sheets.

    Parameters
    ----------
    settings : Pretrain
        What is measured, on how much.
    clip : Path
        Folder of a CLIP model trained by this project, for the Fréchet distances.
    """
    ours = settings.quality
    embed = _clip_features(clip)
    judge, names = load_recogniser()
    artist = Artist(MODEL, ours, settings.seed)

    def draw(rows: pd.DataFrame, what: str) -> torch.Tensor:
        with tqdm(total=len(rows), desc=what, unit="image", disable=None) as bar:
            return artist.draw(rows["caption"].tolist(), rows["key"].tolist(), bar.update)

    trained, unseen = load_samples(CORPUS), load_samples(UNSEEN)
    frequent = trained.loc[trained["kind"] == "object", "label"].value_counts().index[: ours.frequent]
    fresh = held_out(unseen, settings.held_out, settings.seed)
    chosen = unseen_captions(unseen, set(trained["caption"]), fresh, list(frequent), ours.occupations, ours.objects)
    targets = names.targets(chosen)
    real = load_images(UNSEEN, chosen)
    drawn = draw(chosen, "unseen captions")
    report: dict[str, Any] = {"steps": ours.steps, "guidance": ours.guidance, "captions": len(chosen)}
    kinds = {"generated": drawn, "reconstructed": artist.reconstruct(real), "real": real}
    report["recognised"] = {
        kind: recognised(chosen, targets, recognise(judge, signed(images))) for kind, images in kinds.items()
    }

    some = unseen.iloc[: ours.distances]
    originals = load_images(UNSEEN, some)
    others = load_images(UNSEEN, unseen.iloc[ours.distances : 2 * ours.distances])
    features = embed(originals)
    report["frechet"] = {
        "images": len(some),
        "generated": frechet(features, embed(draw(some, "distances"))),
        "reconstructed": frechet(features, embed(artist.reconstruct(originals))),
        "other real": frechet(features, embed(others)),
    }

    asked = bias_prompts(names.names["occupation"], ours.images)
    pictures = draw(asked, "known bias")
    woman = recognise(judge, signed(pictures))["gender"] == names.names["gender"].index("woman")
    shares = pd.read_csv(CORPUS / "occupations.csv").dropna().set_index("occupation")["women_generator"]
    table = bias_table(asked["occupation"].to_numpy(str), woman, shares.to_dict(), asked["kind"].to_numpy(str))
    report["bias"] = {
        "images": ours.images,
        "rank correlation": rank_correlation(table),
        "rank correlation, ties within one image": rank_correlation(table, 1 / ours.images),
        "rank correlation of shares as stated": faithful_rank_correlation(table, settings.seed),
        "correlation": float(np.corrcoef(table["stated"], table["neutral"])[0, 1]),
        "women where the prompt says woman": float(table["woman"].mean()),
        "women where the prompt says man": float(table["man"].mean()),
    }

    with replaced(FIGURES) as folder:
        (folder / "quality.json").write_text(json.dumps(report, indent=1) + "\n")
        table.round(4).to_csv(folder / "bias.csv", index=False)
        (folder / "bias.png").write_bytes(png([bias_panel(table, report["bias"]["rank correlation"])], 1))
        shown = chosen.assign(row=range(len(chosen))).sample(frac=1, random_state=settings.seed)
        for name, kind in (("unseen-occupations", "person"), ("unseen-objects", "object")):
            rows = shown.loc[shown["kind"] == kind, "row"].to_numpy()[:48]
            captions = chosen["caption"].iloc[rows].tolist()
            sheet(captions, drawn[rows].numpy(), 8, f"{name.replace('-', ' ')}, drawn by lot").savefig(
                folder / f"{name}.png"
            )
        first = {kind: asked.index[asked["kind"] == kind] for kind in ("neutral", "woman", "man")}
        rows = []
        for occupation in names.names["occupation"]:
            places = [first[kind][asked.loc[first[kind], "occupation"] == occupation][:4] for kind in first]
            rows.append((occupation, pictures[np.concatenate(places)].numpy()))
        heads = ["neutral"] * 4 + ["a woman …"] * 4 + ["a man …"] * 4
        grid(rows, heads, "Prompts that name no gender, and prompts that do").savefig(folder / "occupations.png")
        pairs = [(kind, images[shown["row"].to_numpy()[:14]].numpy()) for kind, images in reversed(kinds.items())]
        grid(pairs, [""] * 14, "Real, through the autoencoder, generated from its caption").savefig(
            folder / "autoencoder.png"
        )

    tqdm.write(f"{json.dumps(report, indent=1)}\n\nFor the card, data/pretrained/README.md:\n\n{card_table(report)}")


def bias_prompts(occupations: Sequence[str], images: int) -> pd.DataFrame:
    """Prompts of the known bias: `occupation, kind, caption, key`; two neutral wordings, and both genders named."""
    rows = []
    for occupation in occupations:
        article = "an" if occupation[0] in "aeiou" else "a"
        wordings = {
            "neutral": ((f"{article} {occupation}", f"a picture of {article} {occupation}"), images),
            "woman": ((f"a woman {occupation}",), images // 4),
            "man": ((f"a man {occupation}",), images // 4),
        }
        rows += [
            {"occupation": occupation, "kind": kind, "caption": wording[i % len(wording)], "key": f"{occupation} {i}"}
            for kind, (wording, count) in wordings.items()
            for i in range(count)
        ]
    return pd.DataFrame(rows)


def signed(images: torch.Tensor) -> list[torch.Tensor]:
    """Bring uint8 images, (N, H, W, 3), to the recogniser's range, in batches."""
    return [autoencoder.to_signed(part) for part in images.split(256)]


def _clip_features(folder: Path) -> Callable[[torch.Tensor], np.ndarray]:
    if not (folder / "open_clip_config.json").exists():
        raise InputError(f"{folder}: no CLIP model here; run `dvc repro` first, or name another by --clip")
    made: Any = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model, normal = made[0], made[2].transforms[-1]
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (normal.mean, normal.std))

    @torch.inference_mode()
    def embed(images: torch.Tensor) -> np.ndarray:
        parts = [(part.permute(0, 3, 1, 2).float() / 255 - mean) / std for part in images.split(256)]
        return torch.cat([model.encode_image(part, normalize=True) for part in parts]).double().numpy()

    model.eval()
    return embed


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m stages.pretrain.quality", description=__doc__)
    parser.add_argument("--clip", type=Path, default=CLIP, help="a CLIP model of this project (%(default)s)")
    arguments = parser.parse_args()
    measure(load_section(HOME / "params.yaml", "pretrain", Pretrain), arguments.clip)


if __name__ == "__main__":
    run(main)
