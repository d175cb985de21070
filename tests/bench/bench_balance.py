"""The exact solver against what it replaces, and the whole stage from parquet at ten million rows and more.

Data: 2 sensitive attributes that go with 20 labels, any number of them a row: many distinct rows, the hard case. Every
method runs in a process of its own; seconds are processor time, memory is the peak of the process.
`--rows 50000000` measures only the whole stage, at that size.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cvxpy as cp
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from empirical_calibration import core as calibration
from scipy import sparse

from stages.balance import mixing
from stages.balance.baselines import solve_stochastically
from stages.balance.feasibility import largest_eta
from stages.balance.moments import Cells, build_problem
from stages.balance.problem import Problem
from stages.balance.selection import allot
from stages.balance.settings import Sgd
from stages.balance.solver import solve

GROUPS = (("gender", "woman"), ("tone", "darker"))
LABELS = [f"y_{i}" for i in range(20)]
SHARES = {"gender": {"woman": 1.0}, "tone": {"darker": 1.0}}  # one column an attribute: keep its share, lose its label
CHUNK = 1_000_000


def write(folder: Path, rows: int) -> None:
    """Write samples.parquet and attributes.parquet in row groups."""
    rng = np.random.default_rng(0)
    rate, pull = rng.uniform(0.02, 0.25, 20), rng.normal(0, 1, (2, 20))
    base = np.log(1 / rate - 1)
    writers: dict[str, pq.ParquetWriter] = {}
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        keys = pa.array(np.char.zfill(np.arange(start, start + n).astype(str), 9))
        s = rng.random((n, 2), np.float32) < (0.35, 0.2)
        chance = 1 / (1 + np.exp(base - (np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) - 0.3) @ pull))
        y = rng.random((n, 20), np.float32) < chance[2 * s[:, 0] + s[:, 1]]
        columns = {f"s_{i}": s[:, i] for i in range(2)} | {label: y[:, i] for i, label in enumerate(LABELS)}
        shard, real = pa.array(["00000"] * n).dictionary_encode(), pa.array(["real"] * n).dictionary_encode()
        tables = {
            "samples": pa.table({"key": keys, "shard": shard, "u": rng.random(n)}),
            "attributes": pa.table({"key": keys, "source": real, **columns}),
        }
        for name, table in tables.items():
            if name not in writers:
                writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", table.schema)
            writers[name].write_table(table)
    for writer in writers.values():
        writer.close()


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """Open the two tables as the stage does."""
    spill = tempfile.mkdtemp(dir=folder)
    connection = duckdb.connect(f"{spill}/mix.duckdb", config={"memory_limit": "2GB"})
    connection.execute("SET enable_progress_bar = false")
    connection.execute(f"SET temp_directory = {mixing.quoted(spill)}")
    for name, options in (("samples", ", file_row_number = true"), ("attributes", "")):
        path = mixing.quoted(str(folder / f"{name}.parquet"))
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({path}{options})")
    return connection


def counted(connection: duckdb.DuckDBPyConnection) -> tuple[Cells, mixing.Codes]:
    """Mix and count."""
    mixing.mix(connection, 0.0, ["s_0", "s_1", *LABELS], None, 0)
    return mixing.count(connection, GROUPS, LABELS)


def stated(cells: Cells, eta: float, tolerance: float) -> Problem:
    """Keep the shares of the groups and lose their labels."""
    return build_problem(cells, SHARES, tolerance, tolerance, eta, 100.0, scope="all")


def on_rows(problem: Problem) -> Problem:
    """Repeat the distinct rows as often as they occur."""
    index = np.arange(len(problem.count)).repeat(problem.count)
    matrix = problem.matrix[index]
    return replace(problem, count=np.ones(len(index)), utility=problem.utility[index], matrix=matrix)


def ours(folder: Path, eta: float, tolerance: float) -> dict[str, float]:
    """Count from parquet and solve."""
    start = time.process_time()
    with connect(folder) as connection:
        cells, _ = counted(connection)
    between = time.process_time()
    problem = stated(cells, eta, tolerance)
    solution = solve(problem)
    return {
        "seconds": time.process_time() - start,
        "counting": between - start,
        "distinct": len(cells.count),
        "objective": solution.primal,
        "gap": solution.relative_gap or 0.0,
        "steps": solution.iterations,
    }


def largest(folder: Path, eta: float, tolerance: float) -> dict[str, float]:
    """Solve the linear program of the largest η."""
    with connect(folder) as connection:
        problem = stated(counted(connection)[0], eta, tolerance)
    start = time.process_time()
    found = largest_eta(problem)
    return {"seconds": time.process_time() - start, "eta": found}


def clarabel(folder: Path, eta: float, tolerance: float) -> dict[str, float]:
    """Solve on the rows with cvxpy and Clarabel."""
    with connect(folder) as connection:
        problem = on_rows(stated(counted(connection)[0], eta, tolerance))
    start = time.process_time()
    p = problem.share
    q, xi = cp.Variable(len(p)), cp.Variable(len(problem.names), nonneg=True)
    moment = sparse.csr_array(problem.matrix.T * p) @ q
    band = eta * problem.tolerance + xi
    cost = cp.sum(cp.multiply(p, cp.square(q - eta))) / 2 + problem.penalty * cp.sum(xi)
    limits = [
        cp.NonPos(moment - band),
        cp.NonPos(-moment - band),
        cp.Zero(p @ q - eta),
        cp.NonPos(-q),
        cp.NonPos(q - 1),
    ]
    cp.Problem(cp.Minimize(cost), limits).solve(solver=cp.CLARABEL)
    seconds = time.process_time() - start
    assert q.value is not None
    return {"seconds": seconds, "objective": problem.objective(np.clip(q.value, 0, 1))}


def stochastic(folder: Path, eta: float, tolerance: float, passes: int) -> dict[str, float]:
    """Run the paper's update over the rows."""
    with connect(folder) as connection:
        problem = stated(counted(connection)[0], eta, tolerance)
    start = time.process_time()
    found = solve_stochastically(problem, Sgd(passes=passes))
    return {"seconds": time.process_time() - start, "objective": found.primal, "dual": found.dual or 0.0}


def calibrated(folder: Path, eta: float, _: float) -> dict[str, float]:
    """Calibrate the rows at tolerance 0 with empirical_calibration; report its distance to ours at tolerance 0."""
    with connect(folder) as connection:
        distinct = stated(counted(connection)[0], eta, 0.0)
    problem = on_rows(distinct)
    rows = problem.matrix.toarray()
    start = time.process_time()
    weights, success = calibration.calibrate(
        rows,
        np.zeros((1, rows.shape[1])),
        objective=calibration.Objective.QUADRATIC,
        max_weight=1 / (eta * len(rows)),
    )
    seconds = time.process_time() - start
    q = weights * eta * len(rows)
    exact = solve(distinct)
    return {
        "seconds": seconds,
        "success": float(success),
        "excess": float(np.abs(q - exact.q.repeat(distinct.count)).max()),
    }


def stage(folder: Path, eta: float, tolerance: float) -> dict[str, float]:
    """Count, solve, select and write."""
    clock, wall = [time.process_time()], time.perf_counter()
    with connect(folder) as connection:
        cells, codes = counted(connection)
        clock.append(time.process_time())
        problem = stated(cells, eta, tolerance)
        solution = solve(problem)
        clock.append(time.process_time())
        mixing.write_selection(
            connection, codes, solution.q, allot(problem, solution.q), str(folder / "selection.parquet")
        )
        clock.append(time.process_time())
    counting, solving, writing = np.diff(clock)
    return {
        "counting": counting,
        "solving": solving,
        "writing": writing,
        "wall": time.perf_counter() - wall,
        "distinct": len(cells.count),
        "gap": solution.relative_gap or 0.0,
        "rows_written": pq.read_metadata(folder / "selection.parquet").num_rows,
    }


def _child(task: Callable[..., dict[str, float]], arguments: tuple, pipe) -> None:
    result = task(*arguments)
    peak = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("VmHWM"))
    result["megabytes"] = int(peak.split()[1]) / 1024
    pipe.send(json.dumps(result))


def measure(task: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    """Run a task in a fresh process; return its figures with the peak of its memory."""
    context = multiprocessing.get_context("spawn")
    ours_end, theirs = context.Pipe()
    process = context.Process(target=_child, args=(task, arguments, theirs))
    process.start()
    while process.is_alive() and not ours_end.poll(1.0):
        pass
    result = json.loads(ours_end.recv()) if ours_end.poll() else {}
    process.join()
    return result or {"failed": float(process.exitcode or -1)}


def line(rows: int, name: str, found: dict[str, float]) -> None:
    """Print one row of the table."""
    figures = "  ".join(f"{key} {value:.4g}" for key, value in found.items())
    print(f"{rows:>11,}  {name:<28}{figures}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rows", type=int, help="the whole stage at this size only")
    chosen = parser.parse_args().rows
    for rows in (10_000, 100_000, 1_000_000) if chosen is None else ():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder, rows)
            program = measure(largest, folder, 1.0, 0.001)
            eta = 0.95 * program["eta"]
            line(rows, "largest η (HiGHS)", program)
            exact = measure(ours, folder, eta, 0.001)
            line(rows, "ours, from parquet", exact)
            others: dict[str, tuple] = {"m4_sgd, one pass": (stochastic, folder, eta, 0.001, 1)}
            if rows <= 100_000:
                others["cvxpy + Clarabel on rows"] = (clarabel, folder, eta, 0.001)
                others["m4_sgd, ten passes"] = (stochastic, folder, eta, 0.001, 10)
            if rows <= 10_000:
                others["empirical_calibration, ε 0"] = (calibrated, folder, 0.5 * eta, 0.0)
            for label, call in others.items():
                found = measure(*call)
                if "objective" in found:
                    found["over_optimum"] = found.pop("objective") / exact["objective"] - 1
                line(rows, label, found)
    rows = chosen or 10_000_000
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), rows)
        line(rows, "whole stage", measure(stage, Path(name), 0.2, 0.001))


if __name__ == "__main__":
    main()
