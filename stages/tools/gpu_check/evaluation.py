"""Section 4: features, metrics and LIC at the size of FairFace's validation part."""

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from stages.corpus.evaluation_sets import EvalSet, read_set
from stages.corpus.shards import Pictures
from stages.evaluate import embed, leakage
from stages.evaluate.suite import Options, SetFeatures, Suite
from stages.tools.gpu_check import corpus
from stages.tools.gpu_check.bench import Bench
from stages.tools.gpu_check.report import Figure, Report, SkipError
from stages.train import models

SECTION = "evaluate"


def check(bench: Bench, report: Report) -> None:
    """Measure each part."""
    folder = bench.scratch / "evaluate"
    folder.mkdir()
    with chdir(folder):
        Evaluation(bench, folder).ask(report)


class Evaluation:
    """One model with random weights on one set."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench, self.folder = bench, folder
        self.settings = bench.params("cc3m").evaluate
        corpus.write_faces(folder, bench.sizes.faces)
        self.faces: EvalSet = read_set(folder / "eval", "fairface")
        self.features: np.ndarray | None = None
        self.encoder: embed.Encoder | None = None

    def ask(self, report: Report) -> None:
        """Ask all questions."""
        faces = f"{self.bench.sizes.faces:,} images"
        report.ask(SECTION, f"features of {faces}, read and encoded", self.encode, 5)
        report.ask(SECTION, f"every metric of {faces}", self.measure, 15)
        report.ask(SECTION, "LIC with a BERT", self.leak, 15)

    def encode(self) -> Figure:
        """Encode as the stage does."""
        self.encoder = embed.load_encoder(str(self._model()), None, self.bench.device)
        embed.image_features(self.encoder, [np.zeros((224, 224, 3), np.uint8)] * self.settings.batch_size, 256)
        self.bench.clear()
        keys = self.faces.table["key"].tolist()
        with self.bench.clock() as seconds:
            pictures = Pictures(self.faces.images, keys)
            self.features = embed.image_features(self.encoder, pictures, self.settings.batch_size)
        detail = {"seconds": seconds[0], "peak GB": self.bench.peak()}
        return Figure(len(keys) / seconds[0], "images/s", note="float32", detail=detail)

    def measure(self) -> Figure:
        """Measure every metric of a set of persons."""
        if self.features is None or self.encoder is None:
            raise SkipError("no features")
        encoder, ours = self.encoder, self.settings
        options = Options(
            draws=ours.draws, min_group=ours.min_group, top_k=ours.top_k,
            templates=ours.templates, person_templates=ours.person_templates,
        )  # fmt: skip
        suite = Suite(lambda texts: embed.text_features(encoder, texts), encoder.logit_scale, None, options)
        none = np.empty((0, 0), np.float32)
        with self.bench.clock() as seconds:
            scores = suite.run([SetFeatures("fairface", self.faces.table, self.features, none)])
        detail = {"metrics": float(len(scores.metrics))}
        return Figure(seconds[0], "s", note=f"{ours.draws} bootstrap draws, on the processor", detail=detail)

    def leak(self) -> Figure:
        """Measure LIC with one human caption per image: two readers, one seed."""
        sizes = self.bench.sizes
        corpus.write_bert(self.folder / "bert", dict(sizes.bert))
        keys = self.faces.table["key"].tolist()
        said = {key: corpus.caption(index) for index, key in enumerate(keys)}
        human = {key: [corpus.caption(index + 1)] for index, key in enumerate(keys)}
        labels = dict(zip(keys, self.faces.table["gender"], strict=True))
        reader = leakage.Classifier(
            "bert", learning_rate=1e-5, epochs=sizes.reader_epochs, batch_size=64, folder=str(self.folder / "bert")
        )
        self.bench.clear()
        with self.bench.clock() as seconds:
            leakage.lic(
                said, human, labels, masked=leakage.ATTRIBUTE_WORDS["gender"], classifier=reader, seeds=[0],
                draws=100, device=self.bench.device.type,
            )  # fmt: skip
        whole = seconds[0] * 5 / sizes.reader_epochs * 10
        detail = {"peak GB": self.bench.peak(), "published: 5 passes, 10 seeds, minutes": whole / 60}
        note = f"BERT-base's size, random weights; {sizes.reader_epochs} pass, 1 seed, 2 readers"
        return Figure(seconds[0], "s", note=note, detail=detail)

    def _model(self) -> Path:
        """Write a model with random weights as the train stage does."""
        folder = self.folder / "clip"
        shape = models.architecture(self.bench.sizes.clip, "clip")
        made: Any = models.create(shape, None, 0, self.folder / "design")
        folder.mkdir()
        save_file(models.portable(made.state_dict()), folder / "model.safetensors")
        config = {"model_cfg": shape.config, "preprocess_cfg": made.visual.preprocess_cfg}
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        return folder
