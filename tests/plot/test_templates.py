"""The templates of `dvc plots` fit the tables that they draw."""

import json
import re
from pathlib import Path

import pandas as pd
import yaml

from tests.helpers.recorded_run import FOLDER

ROOT = Path(__file__).parents[2]
PLOTS = {name: of for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"] for name, of in entry.items()}


def test_every_plot_has_its_template_and_columns(plotted):
    for name, settings in PLOTS.items():
        table = pd.read_csv(plotted / FOLDER / "results" / "tables" / Path(name).name)
        template = (ROOT / ".dvc" / "plots" / f"{settings['template']}.json").read_text()
        fields = {settings["x"], settings["y"], *re.findall(r"datum\.(\w+)", template)}
        fields |= {json.loads(template)["facet"]["field"]}
        assert fields <= set(table)


def test_groups_of_few_images_are_left_out_and_titles_are_words(plotted):
    table = pd.read_csv(plotted / FOLDER / "results" / "tables" / "groups.csv").fillna("")
    tests = [step.get("filter") for step in json.loads((ROOT / ".dvc/plots/groups.json").read_text())["transform"]]
    assert "toNumber(datum.small) == 0" in tests and set(table["small"]) == {0, 1}
    titles = set(table.loc[table["metric"] == "retrieval.t2i.5", "figure"])
    assert titles == {"Text→image R@5 · people"}


def test_figures_of_intersections_are_left_out(plotted):
    table = pd.read_csv(plotted / FOLDER / "results" / "tables" / "groups.csv").fillna("")
    (test,) = (step["filter"] for step in json.loads((ROOT / ".dvc/plots/groups.json").read_text())["transform"][:1])
    (mark,) = re.fullmatch(r"indexof\(datum\.attribute, '(.+)'\) < 0", test).groups()
    crossed = table["attribute"].str.contains(mark, regex=False)
    assert set(table["attribute"][crossed]) == {"gender x skin_tone"}
    assert set(table["attribute"][~crossed]) == {"", "gender", "skin_tone"}
