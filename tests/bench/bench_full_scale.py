"""Two real optimisation steps of full-size models on a CPU, with the settings of the cc3m profile.

Real-format shards with a few small images; batch, precision and threads are those of a CPU, all else is published.
`ViT-B-16-SigLIP` takes the sigmoid loss and, where its own vocabulary cannot be fetched, one learned from the captions.
"""

import argparse
import tempfile
from pathlib import Path

import yaml
from train_runs import ROOT, ours, project

PUBLISHED = yaml.safe_load((ROOT / "stages" / "profiles" / "cc3m.yaml").read_text())["train"]
HERE = {"batch_size": 8, "precision": "bfloat16", "threads": 2, "workers": 0, "probe": 0, "on_bad_sample": "fail"}
HERE |= {"checkpoint_every": 1.0, "log_every": 0.5}


def main() -> None:
    """Print hyper-parameters, loss and throughput of each model."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("cc3m:", ", ".join(f"{key} {value}" for key, value in PUBLISHED.items()))
    print("here:", ", ".join(f"{key} {value}" for key, value in HERE.items()))
    for model, loss in (("RN50", "clip"), ("ViT-B-16-SigLIP", "siglip")):
        with tempfile.TemporaryDirectory() as scratch:
            settings = {**PUBLISHED, **HERE, "model": model, "loss": loss, "epochs": 1}
            if loss == "siglip":
                settings |= {"tokenizer": "corpus", "vocabulary": 4096}
            folder = project(Path(scratch), settings, profile="smoke", rows=16)
            speed = ours(folder, 0, 2)
            curves = folder / "data" / "smoke" / "models" / "0" / "curves" / "plots" / "metrics" / "loss.tsv"
            losses = [row.split("\t")[1] for row in curves.read_text().splitlines()[1:]]
            print(f"{model}: loss at steps 1 and 2: {', '.join(losses)}; {speed.account}", flush=True)


if __name__ == "__main__":
    main()
