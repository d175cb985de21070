"""`evaluate`: every metric of one model.

`--seed N` evaluates the model that `train` made with that seed on the profile's sets, and writes
`data/<profile>/scores/<seed>/`: `metrics.json` (flat, finite; keys in `stages/results/registry.py`) and one CSV per
family of figures by group. `--model` evaluates any CLIP, without training: a folder, or an open_clip name with
`--pretrained` (or `--random`, to see what weights that know nothing score). `--models FILE` evaluates many: one folder
of scores each, `models.csv` of all figures with their intervals, and a page, `models.html`.
`--seed N --leakage-seeds …` measures LIC alone, over more seeds than the profile's, and prints it.

Several processes (`torchrun`, `accelerate launch`) share the images; the first one computes the metrics.
"""

import argparse
import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pandas as pd
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from stages.core.atomic import check_owned, owned, replaced, written
from stages.core.errors import InputError, missing, run
from stages.core.memory import enough_for
from stages.core.progress import progress
from stages.core.scratch import work_folder
from stages.core.seeds import uniform
from stages.core.settings import check_member, load
from stages.corpus import columns, prompts
from stages.corpus.attributes import occupation_column, sensitive_column, sensitive_columns
from stages.corpus.evaluation_sets import EvalSet, read_set
from stages.corpus.selection import SAMPLES, SELECTION, image_columns, image_keys
from stages.corpus.shards import Pictures, Shard
from stages.corpus.words import OCCUPATIONS
from stages.evaluate import captioning, embed, erasing, leakage, models, training
from stages.evaluate.features import unit
from stages.evaluate.groups import CONTRASTS
from stages.evaluate.scores import Scores
from stages.evaluate.settings import SET_NAME, Evaluate, Settings
from stages.evaluate.suite import Options, SetFeatures, Suite

Features = NDArray[np.float32]
Captions = dict[str, dict[str, str]]


def main() -> None:
    """Evaluate one model."""
    arguments = _parser().parse_args()
    params = load(Settings, profile=arguments.profile)
    if arguments.prompts:
        chosen = params.evaluate.model_copy(update={"prompts": arguments.prompts})
        params = params.model_copy(update={"evaluate": chosen})
    _check_options(arguments)
    if arguments.seed is not None:
        check_member("seed", arguments.seed, params.seeds, "seeds")
        model, pretrained = str(params.folder / "models" / str(arguments.seed) / "clip"), None
        out = params.folder / "scores" / str(arguments.seed)
        if not Path(model).is_dir() and arguments.leakage_seeds is None:
            raise missing(f"{model}: no trained model", f"run `dvc repro train@{arguments.seed}`")
    elif arguments.models is not None:
        _evaluate_models(arguments, params)
        return
    else:
        model, pretrained, out = arguments.model, arguments.pretrained, arguments.out
        _check_weights(model, pretrained, arguments.random)
    if arguments.out is not None:
        check_owned(arguments.out)
    data = arguments.data or params.folder
    if arguments.seed is not None and arguments.leakage_seeds is not None:
        _leakage(params, arguments.seed, arguments.leakage_seeds, arguments.out)
        return
    names = arguments.sets or params.evaluate.sets
    with contextlib.ExitStack() as stack:
        sets = [read_set(data / "eval", name) for name in names]
        for evalset in sets:
            stack.enter_context(evalset.images)
        said, captioned = None, params.caption.evaluation_set
        if arguments.seed is not None and captioned in names and params.caption.captioners:
            said = _captions(params, arguments.seed)
        rows = _rows(params) if arguments.seed is not None else None
        occupations = _occupations(data / "occupations.csv")
        seen = _Seen(params, arguments.seed) if arguments.seed is not None and params.evaluate.erase.methods else None
        scores = _evaluate(model, pretrained, sets, occupations, said, rows, captioned, params.evaluate, seen)
    if scores is not None:
        with replaced(out) if arguments.seed is not None else owned(out) as folder:
            _write(scores, folder)


def _evaluate_models(arguments: argparse.Namespace, params: Settings) -> None:
    """Evaluate every model of a table on the same sets; those that are done stay when one fails."""
    out, data = arguments.out, arguments.data or params.folder
    listed = models.read(arguments.models)
    models.check_place(out)
    for one in listed:
        _check_weights(one.model, one.pretrained, random=False)
        check_owned(out / one.name)
    names = arguments.sets or params.evaluate.sets
    occupations = _occupations(data / "occupations.csv")
    found: dict[str, pd.DataFrame] = {}
    with contextlib.ExitStack() as stack:
        sets = [read_set(data / "eval", name) for name in names]
        for evalset in sets:
            stack.enter_context(evalset.images)
        for one in listed:
            scores = _evaluate(one.model, one.pretrained, sets, occupations, None, None, "", params.evaluate)
            if scores is not None:
                with owned(out / one.name) as folder:
                    _write(scores, folder)
                found[one.name] = scores.estimates()
    if found:
        table = models.compare(found)
        with written(out / models.FILES[0]) as path:
            table.to_csv(path, index=False, float_format="%.6g")
        with written(out / models.FILES[1]) as path:
            path.write_text(models.page(table, names, arguments.prompts or params.evaluate.prompts))
        print(f"{out / models.FILES[0]}, {out / models.FILES[1]}: {len(found)} models")


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuse options that would be ignored, and sets that are no names or come twice."""
    which = "seed" if arguments.seed is not None else "models" if arguments.models is not None else "model"
    needless = {"seed": ["pretrained", "random"], "models": ["pretrained", "random"], "model": []}[which]
    if which == "seed" and arguments.leakage_seeds is None:
        needless.append("out")
    if given := [name for name in needless if getattr(arguments, name)]:
        remedy = "leave it out" if which == "seed" else "name weights in the column pretrained of the table"
        raise InputError(f"--{given[0]}: found beside --{which}, which does not use it; {remedy}")
    if which != "seed":
        if arguments.leakage_seeds is not None:
            raise InputError("--leakage-seeds needs --seed: captions are those of a trained model")
        if arguments.out is None:
            raise InputError(f"--{which} needs --out: the folder to write the scores to")
    sets = arguments.sets or []
    if wrong := [name for name in sets if not re.fullmatch(SET_NAME, name) or sets.count(name) > 1]:
        raise InputError(f"--sets: found {wrong[0]!r}, expected names of sets (letters, digits, _ and -), each once")


def _check_weights(model: str, pretrained: str | None, random: bool) -> None:
    """Refuse an open_clip name without weights, whose scores would be those of chance, unless that is asked for."""
    try:
        embed.check_name(model)
    except ValueError as error:
        raise InputError(f"{model}: {error}") from None
    brings_its_own = Path(model).is_dir() or model.startswith(embed.REMOTE)
    if random and (brings_its_own or pretrained):
        raise InputError(f"--random: {pretrained or model} has weights of its own; leave out one of the two")
    if not (brings_its_own or pretrained or random) and model.replace("/", "-") in open_clip.list_models():
        tags = open_clip.list_pretrained_tags_by_model(model.replace("/", "-"))
        raise InputError(
            f"--model {model}: no --pretrained, so the weights would be random; name a checkpoint file"
            f"{' or one of ' * bool(tags)}{', '.join(tags)}, or ask for random weights by --random"
        )


def _evaluate(
    model: str,
    pretrained: str | None,
    sets: Sequence[EvalSet],
    occupations: pd.DataFrame | None,
    said: Captions | None,
    rows: tuple[training.Rows, training.Rows] | None,
    captioned: str,
    evaluate: Evaluate,
    seen: "_Seen | None" = None,
) -> Scores | None:
    """Encode and measure; None in every process but the first."""
    settings = _settings(evaluate)
    trained, reference = rows or (None, None)
    state = PartialState(cpu=not torch.cuda.is_available())
    if state.is_main_process:
        print(f"evaluate {model}: processes: {state.num_processes}, on {state.device}", flush=True)
    try:
        encoder = embed.load_encoder(model, pretrained, state.device or "cpu")
        features = [_features(encoder, evalset, settings, evaluate.batch_size, state) for evalset in sets]
        if not state.is_main_process:
            return None
        texts = partial(_cached_texts, encoder, as_published=settings.mode == "as_published")
        scores = Suite(texts, encoder.logit_scale, occupations, settings, trained).run(features)
        for evalset in features:
            if evalset.name == captioned and said is not None and trained is not None and reference is not None:
                scores.update(
                    captioning.measure(
                        said,
                        evalset.table,
                        evalset.images,
                        texts,
                        trained,
                        reference,
                        evaluate.leakage,
                        draws=evaluate.draws,
                        meteor=evaluate.meteor,
                        device=encoder.device,
                    )
                )
        if seen is not None:
            measured = erasing.Measured(features, texts, encoder.logit_scale, occupations, trained, settings)
            erasing.measure(scores, measured, seen.features(encoder, evaluate.batch_size), seen.first, evaluate)
        return scores
    except ValueError as error:
        raise InputError(f"{model}: {error}") from error


class _Seen:
    """Training images that show a group, drawn by hash: what erasers are fitted on."""

    def __init__(self, params: Settings, seed: int) -> None:
        erased, groups = params.evaluate.erase, sensitive_columns([params.evaluate.erase.attribute])
        selection = columns.read(params.folder / "selection.parquet", SELECTION)
        images = image_columns(selection)
        known: dict[str, columns.Kind] = {"key": "text", "source": "text", **dict.fromkeys(groups, "truth value")}
        path = params.folder / "attributes.parquet"
        attributes = columns.read(path, known, (*images,), columns=[*images, *groups])
        balanced = any(phase.data == "balanced" for phase in params.train.schedule)
        taken = selection.loc[(selection["copies"] > 0).to_numpy()] if balanced else selection
        rows = taken.merge(attributes, on=images).loc[lambda table: table[groups].sum(axis=1) == 1]
        rank = [uniform(seed, key, "erase") for key in rows["key"]]
        rows = rows.assign(rank=rank).sort_values("rank").head(erased.rows).sort_values(["source", "shard", "key"])
        self.folder, self.rows = params.folder, rows
        self.first = rows[sensitive_column(erased.attribute, CONTRASTS[erased.attribute][0])].to_numpy(bool)
        if not 0 < self.first.sum() < len(rows):
            raise InputError(
                f"evaluate.erase: no training images of both groups of {erased.attribute}, to fit erasers on; "
                "name another attribute, or leave evaluate.erase.methods empty"
            )

    def features(self, encoder: embed.Encoder, batch_size: int) -> NDArray[np.float64]:
        """Encode the images, in the order of `rows`: unit rows."""
        parts = []
        for (source, shard), part in self.rows.groupby(["source", "shard"], sort=True):
            with Shard(self.folder / str(source) / f"{shard}.tar") as tar:
                parts.append(embed.image_features(encoder, Pictures(tar, image_keys(part).tolist()), batch_size))
        return unit(np.concatenate(parts))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stages.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seed", type=int, help="evaluate the trained model of this seed")
    which.add_argument("--model", help="folder of a model, or an open_clip name (RN50, ViT-B-32, hf-hub:…)")
    which.add_argument(
        "--models", type=Path, metavar="FILE", help="table of models: name, model, and as known pretrained"
    )
    parser.add_argument("--prompts", choices=[*prompts.PRESETS], help="published prompts in place of the profile's")
    parser.add_argument("--pretrained", help="with an open_clip name: a pretrained tag or a checkpoint file")
    parser.add_argument("--random", action="store_true", help="with an open_clip name: untrained weights")
    parser.add_argument("--sets", nargs="+", metavar="SET", help="some of those in eval/ of the data")
    parser.add_argument("--data", type=Path, help="folder with eval/ and occupations.csv (default: data/<profile>)")
    parser.add_argument("--profile", help="another profile than the one params.yaml names")
    parser.add_argument("--out", type=Path, help="with --model, --leakage-seeds: folder for metrics.json and tables")
    parser.add_argument(
        "--leakage-seeds",
        nargs="*",
        type=int,
        metavar="SEED",
        help="only LIC of the captions of --seed, over these seeds (none given: the ten published ones)",
    )
    return parser


def _leakage(params: Settings, seed: int, seeds: Sequence[int], out: Path | None) -> None:
    """Measure LIC over other seeds than the profile's; print it, and write a row a seed where `out` is given."""
    if not params.caption.captioners or not params.evaluate.leakage.attributes:
        raise InputError("--leakage-seeds: caption.captioners or evaluate.leakage.attributes is empty; expected some")
    table = read_set(params.folder / "eval", params.caption.evaluation_set).table
    settings = params.evaluate.leakage.model_copy(update={"seeds": list(seeds) or list(leakage.PUBLISHED_SEEDS)})
    device = "cuda" if torch.cuda.is_available() else "cpu"
    scores = captioning.leaked(_captions(params, seed), table, settings, params.evaluate.draws, device)
    print(f"| model {seed}, {len(settings.seeds)} seeds of LIC | value | 95 % interval | ± over seeds |")
    print("|---|---|---|---|")
    for part in scores.tables["leakage"]:
        captioner, attribute = part.iloc[0][["captioner", "attribute"]]
        for name in ("lic_m", "lic_d", "lic"):
            key = f"captions.{captioner}.{name}.{attribute}"
            value, low, high = (scores.metrics[key + end] for end in ("", ".lo", ".hi"))
            print(f"| {key} | {value:.2f} | [{low:.2f}, {high:.2f}] | {part[name].std():.2f} |")
    if out is not None:
        with owned(out) as folder:
            _write(scores, folder)


def _captions(params: Settings, seed: int) -> Captions:
    """Read what the captioners of a seed say of the captioned set."""
    found: Captions = {}
    for captioner in params.caption.captioners:
        path = params.folder / "captions" / str(seed) / f"{captioner}.parquet"
        if not path.is_file():
            raise missing(f"{path}: no captions", f"run `dvc repro caption@{seed}`")
        table = columns.read(path, {"key": "text", "caption": "text"})
        found[captioner] = dict(zip(table["key"], table["caption"], strict=True))
    return found


def _rows(params: Settings) -> tuple[training.Rows, training.Rows]:
    """Read what the models of this run were trained on, and the corpus before contamination and balancing."""
    known: dict[str, columns.Kind] = dict.fromkeys(map(occupation_column, OCCUPATIONS), "truth value")
    known |= dict.fromkeys(sensitive_columns(), "truth value")
    folder = params.folder
    backend: dict[str, Any] = {"dtype_backend": "pyarrow"}
    path = folder / "attributes.parquet"
    attributes = columns.read(path, {"key": "text", "source": "text", **known}, (*image_columns(path),), **backend)
    selection = columns.read(folder / "selection.parquet", SELECTION, **backend)
    samples = columns.read(folder / "samples.parquet", SAMPLES, columns=[*SAMPLES], **backend)
    phases = [(phase.data, phase.share) for phase in params.train.schedule]
    return training.trained(selection, attributes, samples, phases), training.unbalanced(attributes)


def _settings(evaluate: Evaluate) -> Options:
    same = {field.name for field in fields(Options)} & Evaluate.model_fields.keys() - {"person_templates"}
    return Options(
        compare=evaluate.compare_published,
        person_templates=prompts.PRESETS[evaluate.prompts].templates if evaluate.prompts else evaluate.person_templates,
        preset=evaluate.prompts,
        **evaluate.model_dump(include=same),
    )


def _occupations(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    table = pd.read_csv(path)
    for name in ("occupation", "women_corpus", "women_generator"):
        if name not in table:
            raise InputError(
                f"{path}: column {name} is missing (found: {', '.join(table.columns)}); download again (`dvc repro`)"
            )
    return table if len(table) else None  # a corpus whose shares nobody knows


def _features(
    encoder: embed.Encoder, evalset: EvalSet, settings: Options, batch_size: int, state: PartialState
) -> SetFeatures:
    """Encode a set, or read its features back."""
    keys = [str(key) for key in evalset.table["key"]]
    content = hashlib.blake2b(json.dumps(keys).encode(), digest_size=16)
    with evalset.images.path.open("rb") as file:
        content.update(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest())

    def images(as_published: bool) -> Features:
        def encode() -> Features:
            with state.split_between_processes(keys) as own:
                pictures = Pictures(evalset.images, [str(key) for key in own])
                batches = -(-len(pictures) // batch_size)
                silent = not state.is_main_process
                bar = partial(progress, what=evalset.name, total=batches, unit="batch", silent=silent)
                with enough_for("evaluate.batch_size", batch_size, "lower it: features do not depend on it"):
                    part = embed.image_features(encoder, pictures, batch_size, as_published, bar)
            return np.concatenate([rows for rows in gather_object([part]) if len(rows)])

        kind = "e, f" if as_published else ""  # the defects that the features have
        shape: dict[str, object] = {"model": encoder.fingerprint, "set": content.hexdigest(), "as_published": kind}
        return _cached(work_folder("features") / f"{_name(shape)}.safetensors", encode, state)

    captions = [text for row in evalset.table["captions"] for text in row]
    needs_captions = evalset.kind == "retrieval"
    if needs_captions and not captions:
        raise InputError(f"{evalset.name}: no captions, by which it is measured; leave it out of evaluate.sets")
    texts = (
        _cached_texts(encoder, captions, settings.mode == "as_published")
        if needs_captions and state.is_main_process
        else np.empty((0, 0), np.float32)
    )
    wants_published = settings.mode == "as_published" or (settings.compare and evalset.kind != "objects")
    return SetFeatures(
        evalset.name,
        evalset.table,
        images(False),
        texts,
        images(True) if wants_published else None,
        evalset.kind,
        evalset.attributes,
    )


def _cached_texts(encoder: embed.Encoder, texts: Sequence[str], as_published: bool) -> Features:
    shape = {"model": encoder.fingerprint, "texts": list(texts), "as_published": as_published}
    return _cached(
        work_folder("features") / f"{_name(shape)}.safetensors",
        lambda: embed.text_features(encoder, texts, as_published=as_published),
    )


def _name(shape: dict[str, object]) -> str:
    return hashlib.blake2b(json.dumps(shape, sort_keys=True).encode(), digest_size=16).hexdigest()


def _cached(path: Path, compute: Callable[[], Features], state: PartialState | None = None) -> Features:
    """Read features, or compute and keep them; only whole files have the name, so a kill leaves nothing wrong."""
    known = path.is_file()
    if state is not None:
        state.wait_for_everyone()  # all processes must take the same branch
    if known:
        try:
            return load_file(path)["features"]
        except (SafetensorError, KeyError):
            path.unlink(missing_ok=True)
    features = np.ascontiguousarray(compute())
    if state is None or state.is_main_process:
        with written(path) as file:
            save_file({"features": features}, file)
    return features


def _write(scores: Scores, folder: Path) -> None:
    """Write metrics and tables."""
    text = json.dumps(scores.metrics, indent=2, sort_keys=True, allow_nan=False)
    (folder / "metrics.json").write_text(text + "\n")
    for name, arrays in scores.arrays.items():
        (folder / name).parent.mkdir(exist_ok=True)
        save_file(arrays, folder / f"{name}.safetensors")
    for name, parts in scores.tables.items():
        pd.concat(parts, ignore_index=True).to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")


if __name__ == "__main__":
    run(main)
