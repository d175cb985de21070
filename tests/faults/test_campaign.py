"""Faults on purpose, in every stage of the smoke profile: the right result, or one line and nothing half-written.

`make faults` runs all cases, `make test` a sample of each kind (FAULTS=all, or another seed: FAULTS=7).
"""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.clone import ROOT
from tests.helpers.stage_runs import STAGES, Run, finish

WANTED = os.environ.get("FAULTS", "0")
NAMES = [name for name in STAGES if name != "generate the other"]
SHARDS = {  # the tars that a stage reads
    "generate": ["real/00000"],
    "annotate": ["real/00001", "synthetic/00000", "eval/people"],
    "train": ["real/00000", "synthetic/00001", "eval/portraits"],
    "caption": ["real/00000", "synthetic/00001", "eval/people"],
    "evaluate": ["eval/people", "eval/objects"],
    "plot": ["real/00000", "synthetic/00001", "eval/people"],
}
TABLES = {  # the tables that a stage reads
    "annotate": ["samples", "eval/people"],
    "balance": ["samples", "attributes"],
    "train": ["samples", "selection", "eval/people", "eval/portraits"],
    "caption": ["samples", "selection", "eval/people"],
    "evaluate": ["selection", "attributes", "captions/0/clipcap", "eval/people", "eval/objects"],
    "plot": ["attributes", "captions/0/transformer", "eval/people"],
}
GROUPS = ("gender", "skin_tone")
LABEL = "y_occupation_judge"
SAMPLED = {"kill": 3, "full": 2, "closed": 1, "shard": 3, "table": 5, "twice": 1}  # of each kind, in `make test`


@dataclass(frozen=True)
class Case:
    """One fault, in one stage."""

    kind: str
    stage: str
    detail: tuple = ()

    def __str__(self) -> str:
        return f"{self.stage}: {self.kind} {' '.join(map(str, self.detail))}"


def cases() -> Iterator[Case]:
    for stage in NAMES:
        for number in range(5):
            for name in ("SIGKILL", "SIGTERM"):
                yield Case("kill", stage, (name, number))
        for number in range(3):
            yield Case("full", stage, (number,))
        yield Case("closed", stage)
        yield Case("twice", stage)
    for stage, shards in SHARDS.items():
        for shard in shards:
            for fault in ("cut", "flip 0", "flip 1", "flip 2", "empty", "missing", "extra"):
                yield Case("shard", stage, (shard, fault))
    for stage, tables in TABLES.items():
        for table in tables:
            for fault in ("missing", "renamed", "typed", "null"):
                for column in range(len(columns(table))):
                    yield Case("table", stage, (table, fault, column))
            for fault in ("extra", "twice", "no rows", "cut"):
                yield Case("table", stage, (table, fault, 0))


def columns(table: str) -> list[str]:
    """Name the columns of a table whose loss or type is tried; of the many alike of `attributes`, two."""
    return {
        "samples": ["key", "shard", "caption", "u", "kind", "gender", "skin_tone"],
        "selection": ["key", "shard", "source", "q", "copies"],
        "attributes": ["key", "source", "s_gender_woman", LABEL],
        "captions/0/clipcap": ["key", "caption"],
        "captions/0/transformer": ["key", "caption"],
    }.get(table, ["key", "captions", "gender", "label", "occupation", "part"])


def chosen() -> list[Case]:
    every = list(cases())
    if WANTED == "all":
        return every
    draw = random.Random(WANTED)
    return [
        case for kind, count in SAMPLED.items() for case in draw.sample([c for c in every if c.kind == kind], count)
    ]


@pytest.fixture(scope="module")
def finished(module_folder: Path) -> Run:
    packages = Path(os.environ.get("COUNTERWEIGHT_WORK") or ROOT / ".work") / "packages"
    return finish(module_folder, packages)


@pytest.fixture
def copy(finished: Run, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    case: Case = request.node.callspec.params["case"]
    run = finished.copy(tmp_path / "run")
    run.clear(case.stage)
    yield run
    shutil.rmtree(tmp_path, ignore_errors=True)


def one_line(said: str) -> str:
    """Return the error line; there is one, and no traceback."""
    assert "Traceback" not in said, said[-3000:]
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, said[-3000:]
    return lines[0]


def whole_or_absent(run: Run, finished: Run, stage: str) -> None:
    expected = finished.digests(stage)
    for name, found in run.digests(stage).items():
        assert name.startswith("models/0/curves") or found == expected[name], f"{name} is half-written"


def ends_well(run: Run, finished: Run, stage: str) -> None:
    code, said = run.start(stage, "again").end()
    assert code == 0, said[-3000:]
    assert run.digests(stage) == finished.digests(stage)
    assert run.partial() == []
    for purpose in ("train", "generate", "caption", "balance", "features"):
        left = [path.name for path in (run.work / purpose).rglob("*.[!s]*") if path.is_file()]
        assert not left, f"{purpose}: {left}"


def at_random(case: Case) -> random.Random:
    return random.Random(f"{WANTED} {case}")


@pytest.mark.parametrize("case", chosen(), ids=str)
def test_fault(case: Case, copy: Run, finished: Run, tmp_path: Path) -> None:
    {"kill": kill, "full": full, "closed": closed, "shard": shard, "table": table, "twice": twice}[case.kind](
        case, copy, finished, tmp_path
    )


def kill(case: Case, run: Run, finished: Run, tmp_path: Path) -> None:
    started = run.start(case.stage)
    started.process.join(at_random(case).uniform(0, finished.seconds[case.stage]))
    started.kill(signal.Signals[case.detail[0]])
    assert started.orphans() == []
    whole_or_absent(run, finished, case.stage)
    ends_well(run, finished, case.stage)


class Disk:
    """A small disk in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", folder], capture_output=True, text=True
        )
        if done.returncode:
            folder.rmdir()
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")

    def set(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.folder], check=True)

    def used(self) -> int:
        stat = os.statvfs(self.folder)
        return (stat.f_blocks - stat.f_bfree) * stat.f_frsize

    def remove(self) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)


def full(case: Case, run: Run, finished: Run, tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    try:
        small = run.copy(disk.folder / "run", logs=tmp_path)
        small.clear(case.stage)
        needed = sum(path.stat().st_size for path in _files(finished, case.stage))
        room = int(at_random(case).uniform(0, 1.5) * needed) // 4096 * 4096
        disk.set(f"size={disk.used() + room}")
        code, said = small.start(case.stage).end()
        assert code in (0, 2), said[-3000:]
        if code:
            assert "no space left" in one_line(said) or "cannot be written" in one_line(said)
            whole_or_absent(small, finished, case.stage)
            assert small.partial() == []
        disk.set("size=200m")
        ends_well(small, finished, case.stage)
    finally:
        disk.remove()


def _files(run: Run, stage: str) -> list[Path]:
    return [run.data / name for name in run.digests(stage)]


def closed(case: Case, run: Run, finished: Run, tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    try:
        held = run.copy(disk.folder / "run", logs=tmp_path)
        held.clear(case.stage)
        disk.set("ro")
        code, said = held.start(case.stage).end()
        assert (code, "read-only file system" in one_line(said)) == (2, True)
        disk.set("rw")
        ends_well(held, finished, case.stage)
    finally:
        disk.remove()


def shard(case: Case, run: Run, finished: Run, tmp_path: Path) -> None:
    name, fault = case.detail
    path = run.data / f"{name}.tar"
    content = bytearray(path.read_bytes())
    if fault == "cut":
        del content[at_random(case).randrange(len(content) // 4, len(content) - 2048) :]
    elif fault == "empty":
        content.clear()
    elif fault.startswith("flip"):
        content[at_random(case).randrange(len(content) - 2048)] ^= 1 << at_random(case).randrange(8)
    if fault == "missing":
        path.unlink()
    elif fault == "extra":
        shutil.copy(path, path.with_name("00002.tar"))
    else:
        path.write_bytes(content)
    refused_or_unharmed(case, run, finished, may_differ=fault.startswith("flip"))


def table(case: Case, run: Run, finished: Run, tmp_path: Path) -> None:
    name, fault, index = case.detail
    path, column = run.data / f"{name}.parquet", columns(name)[index]
    if fault == "cut":
        content = path.read_bytes()
        path.write_bytes(content[: at_random(case).randrange(len(content))])
    else:
        pq.write_table(damaged(pq.read_table(path), fault, column), path)
    refused_or_unharmed(case, run, finished, may_differ=is_an_answer(case.stage, fault, column))


def is_an_answer(stage: str, fault: str, column: str) -> bool:
    """Say whether a table says something else by such a change, and nothing wrong."""
    if column == LABEL:  # the labels to balance are those that the table of attributes names
        return stage == "balance" and fault in ("missing", "renamed")
    if column == "kind":  # a corpus of the user's own may not have it
        return fault in ("missing", "renamed")
    return column in GROUPS and fault in ("missing", "renamed", "null")  # an unknown group


def damaged(table: pa.Table, fault: str, column: str) -> pa.Table:
    place = table.column_names.index(column)
    if fault == "missing":
        return table.remove_column(place)
    if fault == "renamed":
        return table.rename_columns([name if name != column else f"{name}_" for name in table.column_names])
    if fault == "extra":
        return table.append_column("note", pa.array(["<b>"] * len(table)))
    if fault == "twice":
        return pa.concat_tables([table, table.slice(0, 1)])
    if fault == "no rows":
        return table.slice(0, 0)
    values = table[column].to_pylist()
    if fault == "null":
        return table.set_column(place, column, pa.array([None, *values[1:]], table.schema.field(column).type))
    other = (
        [index for index, _ in enumerate(values)] if isinstance(values[0], str | list) else [f"v{v}" for v in values]
    )
    return table.set_column(place, column, pa.array(other))


def refused_or_unharmed(case: Case, run: Run, finished: Run, may_differ: bool = False) -> None:
    code, said = run.start(case.stage).end()
    assert code in (0, 2), said[-3000:]
    if code:
        one_line(said)
        left = [name for name in run.digests(case.stage) if not name.startswith("models/0/curves")]
        assert left == [] and run.partial() == []
    elif not may_differ:
        assert run.digests(case.stage) == finished.digests(case.stage), "changed without a word"


def twice(case: Case, run: Run, finished: Run, tmp_path: Path) -> None:
    first = run.start(case.stage, "first")
    time.sleep(at_random(case).uniform(0, finished.seconds[case.stage] / 2))
    second = run.start(case.stage, "second")
    ends = [first.end(), second.end()]
    assert [code for code, _ in ends] == [0, 0], ends
    assert run.digests(case.stage) == finished.digests(case.stage)
    assert run.partial() == []


def test_the_small_table_of_columns_is_that_of_the_run(finished: Run) -> None:
    for table in {name for names in TABLES.values() for name in names}:
        assert set(columns(table)) <= set(pq.read_schema(finished.data / f"{table}.parquet").names), table
