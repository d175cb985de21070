"""Does balancing among captions that leave gender open stop the move towards the generator?

`m4` balances gender and skin tone against each occupation; `m4, open captions` also against "names this occupation and
no gender", as further labels. Both are trained and evaluated as the points of the study are, which has the controls.
Needs `dvc repro annotate` of the default profile. Finished models are kept in the work folder.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from bench_named import table
from train_runs import ROOT, kept, project, run, spread

from stages.core.scratch import digest

DATA = ROOT / "data" / "emoji"
VARIANTS = {"m4": False, "m4, open captions": True}
METRICS = (
    "portraits.seen.position", "portraits.unseen.position", "text.position", "text.transfer",
    "portraits.seen.pairwise_association", "portraits.unseen.pairwise_association", "text.pairwise_association",
    "portraits.seen.census_correlation", "people.t2i.r5", "objects.acc1",
)  # fmt: skip


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2, help="models at a time, a thread each")
    arguments = parser.parse_args()
    lines = [f"| | rows | {' | '.join(METRICS)} |", "|---" * (2 + len(METRICS)) + "|"]
    results: dict[str, list[dict[str, float]]] = {}
    for name, opened in VARIANTS.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = prepared(Path(scratch), arguments.alpha, opened)
            run(["-m", "stages.balance"], folder, 1)
            selection = folder / "data" / "emoji" / "selection.parquet"
            print(f"{name}:\n{table(folder / 'data' / 'emoji')}", flush=True)
            shape = {
                "selection": digest([selection]),
                "evaluate": digest(sorted((ROOT / "stages" / "evaluate").glob("*.py"))),
                "settings": (folder / "params.yaml").read_text()
                + (folder / "stages" / "profiles" / "emoji.yaml").read_text(),
            }
            with ThreadPoolExecutor(arguments.jobs) as pool:
                found = list(
                    pool.map(
                        lambda seed, folder=folder, shape=shape: kept(
                            "open captions", {**shape, "seed": seed}, lambda: scores(folder, seed)
                        ),
                        range(arguments.seeds),
                    )
                )
            copies = int(pd.read_parquet(selection, columns=["copies"])["copies"].sum())
        results[name] = found
        cells = [spread([one[metric] for one in found]) for metric in METRICS]
        lines.append(f"| {name} | {copies} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    plain, further = results.values()
    moved = {metric: [b[metric] - a[metric] for a, b in zip(plain, further, strict=True)] for metric in METRICS}
    lines.append(f"| difference, paired by seed | | {' | '.join(spread(values) for values in moved.values())} |")
    print("\n".join(["", f"α = {arguments.alpha:g}, {arguments.seeds} seeds, mean ± standard deviation:", "", *lines]))


def prepared(folder: Path, alpha: float, opened: bool) -> Path:
    """Make a project folder with the settings of the study, and perhaps labels of captions that leave gender open."""
    project(folder, {"threads": 1, "probe": 0})
    change(folder / "params.yaml", {"contamination": {"alpha": alpha}, "balance": {"target": "equal"}})
    scale = folder / "stages" / "profiles" / "emoji.yaml"
    change(scale, {"caption": {"captioners": []}, "evaluate": {"compare_published": False}})
    attributes = pd.read_parquet(DATA / "attributes.parquet")
    if opened:
        change(folder / "params.yaml", {"balance": {"proxies": True}})
        samples = pd.read_parquet(DATA / "samples.parquet", columns=["key", "mentions_gender"]).set_index("key")
        silent = ~attributes["key"].map(samples["mentions_gender"]).astype(bool)
        labels = [name for name in attributes if name.startswith("y_occupation_")]
        further = {name.replace("y_occupation_", "y_proxy_open_"): attributes[name] & silent for name in labels}
        attributes = attributes.assign(**further)
    attributes.to_parquet(folder / "data" / "emoji" / "attributes.parquet", index=False)
    return folder


def change(path: Path, sections: Mapping[str, Mapping[str, Any]]) -> None:
    """Set keys of sections of a YAML file."""
    content = yaml.safe_load(path.read_text())
    for section, values in sections.items():
        content.setdefault(section, {}).update(values)
    path.write_text(yaml.safe_dump(content))


def scores(folder: Path, seed: int) -> dict[str, float]:
    """Train and evaluate a model."""
    for stage in ("stages.train", "stages.evaluate"):
        run(["-m", stage, "--seed", str(seed)], folder, 1)
    return json.loads((folder / "data" / "emoji" / "scores" / str(seed) / "metrics.json").read_text())


if __name__ == "__main__":
    main()
