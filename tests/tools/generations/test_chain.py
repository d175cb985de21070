"""Names of rounds: what shapes a generator renames it and all that follows; arms share what they have in common."""

from pathlib import Path

import pandas as pd
import pytest

from stages.tools.generations import table as tables
from stages.tools.generations.__main__ import current
from stages.tools.generations.chain import TRAINER, chains, complete, distinct
from stages.tools.params import Params, load
from tests.helpers.imports import CODE, needed

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def params() -> Params:
    return load(ROOT, "emoji")


def made(params: Params, making: str = "m", **changes: object):
    assert params.generations is not None
    return chains(params, params.generations.model_copy(update=changes), "code", making, "j")


def test_arms_share_their_first_round_and_the_generator_that_comes_from_it(params: Params) -> None:
    none, balanced, fresh = made(params)
    assert none[0].point.name == fresh[0].point.name and none[1].generator == fresh[1].generator
    assert none[1].point.name != fresh[1].point.name and none[2].generator != fresh[2].generator
    assert none[0].point.name != balanced[0].point.name and none[1].generator != balanced[1].generator
    assert [of.number for of in distinct([none[1], fresh[1], balanced[1]])] == [1, 1]
    assert len({of.measured for of in (none[0], balanced[0], fresh[0])}) == 1


def test_only_a_fresh_arm_takes_other_real_data(params: Params) -> None:
    none, _, fresh = made(params)
    assert all("download.seed" not in of.point.settings for of in [*none, fresh[0]])
    assert [of.point.settings["download.seed"] for of in fresh[1:]] == [1000, 2000, 3000]


def test_a_change_of_the_training_renames_every_generator_but_the_first(params: Params) -> None:
    assert params.generations is not None
    longer = params.generations.tune.model_copy(update={"steps": 999})
    for other in (made(params, making="other"), made(params, tune=longer)):
        for before, after in zip(made(params)[0], other[0], strict=True):
            assert (before.generator == after.generator) == (before.number == 0)
            assert (before.point.name == after.point.name) == (before.number == 0)


def test_a_chain_is_complete_when_all_its_points_and_measures_are_known(params: Params) -> None:
    chain = made(params)[0]
    known = {pair for of in chain for pair in of.runs}
    assert complete(chain, known)
    assert not complete(chain, known - {("none", chain[2].measured)})
    assert not complete(chain, {("renamed", run) for _, run in known})


def test_committed_rounds_of_a_chain_that_is_not_complete_are_kept(params: Params) -> None:
    first, _, _ = made(params)
    rows = [(name, arm, of.number, 0, "m", 1.0) for of in first[:2] for arm, name in sorted(of.runs)]
    table = runs([*rows, ("renamed", "none", 2, 0, "m", 1.0), (rows[0][0], "other", 0, 0, "m", 1.0)])
    assert not complete(first, set(zip(table["arm"], table["run"], strict=True)))
    assert current(table, [first])["run"].tolist() == [row[0] for row in rows]


def test_the_code_that_names_a_generator_is_all_that_trains_it() -> None:
    code = {f"stages/{name}" for name in needed([CODE / "pretrain" / "tune_command.py"]) if "pretrain/" in name}
    assert code | {"stages/pretrain/tune_command.py"} == {*TRAINER, "stages/pretrain/settings.py"}


def runs(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=pd.Index([*tables.COLUMNS]))


def test_drift_is_the_mean_distance_of_the_shares_of_women_from_round_0() -> None:
    table = runs([
        ("g0", "none", 0, 0, "generator.women.judge", 0.2), ("g0", "none", 0, 0, "generator.women.cook", 0.5),
        ("g1", "none", 1, 0, "generator.women.judge", 0.1), ("g1", "none", 1, 0, "generator.women.cook", 0.8),
        ("g1", "none", 1, 0, "generator.women.off_corpus", 0.9), ("g1", "none", 1, 0, "generator.women", 0.45),
    ])  # fmt: skip
    drift = tables.with_drift(table).set_index(["metric", "round"])["value"]
    assert drift["generator.women.off_start"].to_dict() == pytest.approx({0: 0.0, 1: 0.2})


def test_the_table_has_a_row_an_arm_and_round_and_intervals_where_there_are_replicates() -> None:
    table = runs([
        ("a", "none", 0, 0, "generator.position", 1.0), ("a", "fresh", 0, 0, "generator.position", 0.5),
        ("b", "none", 0, 1, "generator.position", 2.0),
    ])  # fmt: skip
    every = tables.tabulate(table, ["generator.position"])
    assert every[["arm", "replicates", "mean"]].to_numpy().tolist() == [["none", 2, 1.5], ["fresh", 1, 0.5]]
    assert tables.markdown(every, ["generator.position"]).splitlines()[-1] == "| fresh | 0 | 0.5 |"
    assert "1.5 [" in tables.markdown(every, ["generator.position"])
