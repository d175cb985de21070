import io

import numpy as np
import pandas as pd
import pytest

from stages.core.errors import InputError
from stages.tools.counterweights import table
from stages.tools.counterweights.__main__ import contents
from stages.tools.params import Counterweights, load
from stages.tools.study.grid import of_levers

BIAS, QUALITY, CEILING = "portraits.seen.pairwise_association", "people.t2i.r5", "people.t2i.r5.ceiling"
VALUES = {  # lever: bias and quality of two replicates
    "none": ([0.6, 0.4], [40.0, 42.0]),
    "random": ([0.5, 0.5], [30.0, 32.0]),
    "m4": ([-0.2, 0.0], [30.0, 34.0]),
    "m4+leace": ([0.3, 0.1], [20.0, 22.0]),
}
SECTION = Counterweights(
    seeds=[0, 1],
    levers={
        "none": {"balance.method": "none"},
        "random": {"balance.method": "random"},
        "m4": {"balance.method": "m4", "evaluate.erase.methods": ["leace"]},
    },
    metrics=[BIAS, f"{QUALITY}/{CEILING}", "captions.clipcap.cider", "seconds"],
    bias=BIAS,
    quality=QUALITY,
)


def runs() -> pd.DataFrame:
    rows = []
    for lever, (bias, quality) in VALUES.items():
        for seed in (0, 1):
            found = {BIAS: bias[seed], QUALITY: quality[seed], CEILING: 80.0}
            found |= {} if "+" in lever else {"seconds": 100.0 + seed}
            rows += [(f"{lever}-{seed}", 0.6, lever, seed, metric, value) for metric, value in found.items()]
    return pd.DataFrame(rows, columns=pd.Index(["run", "alpha", "method", "seed", "metric", "value"]))


def test_ratios_are_percent_of_the_other_metric() -> None:
    found = table.with_ratios(runs(), [f"{QUALITY}/{CEILING}", BIAS])
    values = found.loc[(found["metric"] == f"{QUALITY}/{CEILING}") & (found["method"] == "m4"), "value"]
    assert values.tolist() == [37.5, 42.5]
    assert len(table.with_ratios(runs(), ["missing/other"])) == len(runs())


def test_intervals_are_students() -> None:
    found = table.tabulate(runs(), ["none"], [BIAS]).iloc[0]
    half = 12.706204736432095 * 0.1  # t at 97.5 % with one degree of freedom, times the standard error
    assert found[["mean", "lo", "hi"]].tolist() == pytest.approx([0.5, 0.5 - half, 0.5 + half])
    alone = table.tabulate(runs().query("seed == 0"), ["none"], [BIAS]).iloc[0]
    assert alone["mean"] == 0.6 and np.isnan(alone["lo"])


def test_the_files_of_a_comparison() -> None:
    files = contents(runs(), SECTION)
    assert files["pareto.png"].startswith(b"\x89PNG")
    lines = files["table.md"].decode().splitlines()
    assert lines[0] == "4 levers at α = 0.6; mean over replicates [95 % interval]."
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| none", "| random", "| m4", "| m4+leace"]
    assert "cider" not in files["table.md"].decode().lower()  # a column without a value is left out
    assert lines[6].split(" | ")[2].startswith("40.0 [") and lines[7].endswith("|  |")  # 32 of 80; erasing has no time
    comparisons = pd.read_csv(io.BytesIO(files["comparisons.csv"]))
    row = comparisons.query("metric == @BIAS and method == 'm4' and reference == 'none'").iloc[0]
    assert row["difference"] == pytest.approx((0.2 - 0.6 + 0.0 - 0.4) / 2)  # of distances from 0


def test_points_set_what_their_lever_says(project) -> None:
    params = load(project(profile="smoke"))
    grid = of_levers(params, SECTION, "code")
    assert [(point.line, point.seed) for point in grid] == [(n, s) for s in (0, 1) for n in ("none", "random", "m4")]
    assert len({point.name for point in grid}) == 6
    assert grid[-1].settings["evaluate.erase.methods"] == ["leace"] and grid[-1].settings["contamination.seed"] == 1
    twice = SECTION.model_copy(update={"levers": {"a": {}, "b": {}}})
    with pytest.raises(InputError, match=r"counterweights\.levers: b and a set the same"):
        of_levers(params, twice, "code")
