"""`generations`: models learn from a web that models filled, round after round.

    make generations                                run what is missing, then write the table and the figures
    python -m stages.tools.generations --status     list the rounds: finished or missing
    python -m stages.tools.generations --compare    tabulate what is finished, run nothing
    python -m stages.tools.generations --jobs 2     two arms at a time

In each round the generator draws the images, the mix at `generations.alpha` trains CLIP, with every metric, and the
generator is trained on, on the same mix, into that of the next round. An arm says what differs: how the mix is
balanced, and whether each round brings new real data (`fresh`) or meets the same again. Section `generations` of the
profile. With a fresh corpus come fresh evaluation images of the same held-out style.

CLIP's rounds run as the points of a study do, in clones of the last commit. Generators lie in the work folder, each
under a hash of all that shapes it. What is finished is never made again, and what was killed goes on with the same
result. LAUNCH="accelerate launch -m" starts the generator's training on several GPUs. Writes runs.csv, table.csv,
table.md, rounds.png and sheet.png into `data/<profile>/results/generations/`.
"""

import argparse
import io
import queue
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from stages.core.atomic import check_owned, owned, written
from stages.core.errors import InputError, run
from stages.core.scratch import alone, fingerprint, work_folder
from stages.corpus.images import pixels
from stages.pretrain.quality.figures import grid
from stages.results import rounds
from stages.results.committed import read
from stages.results.panels import png
from stages.results.repository import git
from stages.results.writing import csv
from stages.tools.counterweights.__main__ import complete as completed
from stages.tools.experiment_clone import Workplace, experiments
from stages.tools.generations import table as tables
from stages.tools.generations.chain import JUDGE, MIX_STAGES, TRAINER, Round, chains, complete, distinct, folder
from stages.tools.params import Generations, Params, load
from stages.tools.study.__main__ import (
    SHAPING,
    check,
    collected,
    committed,
    committed_code,
    finish,
    options,
    surroundings,
)  # fmt: skip


def main() -> None:
    """Run the loop of the profile in params.yaml."""
    arguments = options("generations", __doc__)
    params = load()
    section = params.generations
    if section is None:
        raise InputError(f"stages/profiles/{params.profile}.yaml: generations: missing; write the loop there")
    kept = params.folder / "results" / "generations"
    check_owned(kept)
    commit, code = committed_code(params)
    stages = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    paths = sorted({dep for name in MIX_STAGES for dep in stages[name]["deps"] if dep.startswith(SHAPING)})
    made = chains(params, section, code, code_of([*paths, *TRAINER]), code_of(JUDGE))
    earlier = read_runs(kept / "runs.csv")
    known = set(zip(earlier["arm"], earlier["run"], strict=True))
    loop = Loop(params, section, commit, arguments)
    if arguments.status:
        loop.show(made, known)
        return
    todo = [chain for chain in made if not complete(chain, known)]
    with alone("generations", {"profile": params.profile}):
        if not arguments.compare:
            loop.advance(todo)
        parts = [part for part in (loop.runs(todo), current(earlier, made)) if len(part)]
        if not parts:
            raise InputError("generations: no round is finished; run `make generations`")
        runs = pd.concat(parts, ignore_index=True).drop_duplicates(["run", "arm", "seed", "metric"])
        runs = tables.with_drift(runs.loc[runs["metric"] != "generator.women.off_start"])
        files, sheet = contents(runs, section, loop.sheets(made)), kept / "sheet.png"
        if "sheet.png" not in files and sheet.is_file():  # its pictures lie on another machine
            files["sheet.png"] = sheet.read_bytes()
        with owned(kept) as into:
            for name, content in files.items():
                (into / name).write_bytes(content)
    print((kept / "table.md").read_text(), end="")


def code_of(paths: Sequence[str]) -> str:
    """Hash code as the last commit has it."""
    return fingerprint({"hashes": [*committed(paths, "generations").values()]})


def read_runs(path: Path) -> pd.DataFrame:
    """Read the committed runs, none where there are none."""
    if not path.is_file():
        return pd.DataFrame(columns=pd.Index([*tables.COLUMNS]))
    key = ("run", "arm", "round", "seed", "metric")
    return read(path, tables.COLUMNS, key, "correct it, or restore it from git").loc[:, [*tables.COLUMNS]]


def current(earlier: pd.DataFrame, made: Sequence[Sequence[Round]]) -> pd.DataFrame:
    """Keep the committed runs that code and parameters would give again, of chains that are not complete, too."""
    ours = set().union(*(of.runs for chain in made for of in chain))
    return earlier.loc[[pair in ours for pair in zip(earlier["arm"], earlier["run"], strict=True)]]


@dataclass(frozen=True)
class Loop:
    """The chains at work: what is made in which clone, and where it is kept."""

    params: Params
    section: Generations
    commit: str
    arguments: argparse.Namespace

    @property
    def home(self) -> Path:
        """Folder of the work."""
        return work_folder("generations")

    def model(self, of: Round) -> Path:
        """Say where the generator of a round lies that was trained here."""
        return work_folder("generations/models") / Path(of.generator).name

    def measures(self, of: Round) -> Path:
        """Say where the measures of a generator lie."""
        return self.home / "measures" / of.measured

    def advance(self, todo: Sequence[Sequence[Round]]) -> None:
        """Go through the rounds; within one, arms and replicates are independent."""
        kept = self.home  # without a runs.csv: the data of each point are needed
        first = todo[0][0].point.name if todo else ""  # every round is measured on the corpus of this one
        for number in range(self.section.rounds if todo else 0):
            rounds = [chain[number] for chain in todo]
            tuned = [of for of in distinct(rounds) if of.before is not None and not self.model(of).is_dir()]
            self.each(tuned, self.tune, lambda of: of.before.point.name if of.before else "", "train the generator of")
            points = list({of.point.name: of.point for of in rounds}.values())
            shared = {folder(self.params.profile): work_folder("generations/models")}
            outcome = finish(self.params, self.commit, points, kept, self.arguments, shared)
            assert outcome is not None
            check(outcome, points, "generations")
            unknown = [of for of in distinct(rounds) if not self.measures(of).is_dir()]
            self.each(unknown, self.measure, lambda _: first, "measure the generator of")

    def each(
        self,
        rounds: Sequence[Round],
        work: Callable[[Round, Path, dict[str, str]], None],
        data: Callable[[Round], str],
        what: str,
    ) -> None:
        """Do a piece of work for several rounds, each in a clone with the data of a point."""
        free: queue.SimpleQueue[Workplace] = queue.SimpleQueue()
        environment = surroundings(self.arguments.jobs)
        for i in range(self.arguments.jobs):
            free.put(Workplace(Path(), self.home / f"{self.params.profile}-{i}", environment))

        def one(of: Round) -> None:
            place = free.get()
            try:
                print(f"generations: {what} {of.arm}, round {of.number}, seed {of.seed}\n", end="", flush=True)
                work(of, self._data(place, data(of)), environment)
            finally:
                free.put(place)

        with ThreadPoolExecutor(self.arguments.jobs) as pool:
            for _ in pool.map(one, rounds):
                pass

    def _data(self, place: Workplace, point: str) -> Path:
        """Put the mix of a finished point into a clone."""
        reference = experiments(Path())[point]
        place.prepare((git(Path(), "rev-parse", reference) or "").strip())
        wanted = ["real", "samples.parquet", "occupations.csv", "selection.parquet"]
        wanted += [f"synthetic/{shard}.tar" for shard in self.params.shards]
        targets = [(self.params.folder / name).as_posix() for name in wanted]
        place.do(sys.executable, "-m", "dvc", "checkout", "--quiet", "--force", *targets)
        return place.folder / self.params.folder

    def tune(self, of: Round, data: Path, environment: dict[str, str]) -> None:
        """Train the generator of a round."""
        assert of.before is not None
        launch = shlex.split(environment.get("LAUNCH", "")) or [sys.executable, "-m"]
        words = [*launch, "stages.pretrain.tune_command", *self._order(of), *self._model(of.before)]
        words += ["--data", str(data), "--out", str(self.model(of)), "--seed", str(of.tuning_seed)]
        self._do(words, environment, self.model(of).name)

    def measure(self, of: Round, data: Path, environment: dict[str, str]) -> None:
        """Measure the generator of a round."""
        words = [sys.executable, "-m", "stages.pretrain.quality.generator_command", *self._order(of), *self._model(of)]
        words += ["--data", str(data), "--out", str(self.measures(of))]
        self._do(words, {**environment, "OMP_NUM_THREADS": "1"}, of.measured)  # whatever the number of jobs

    def _order(self, of: Round) -> list[str]:
        """Write the parameters of a program."""
        values = {name: getattr(self.section, name).model_dump(mode="json") for name in ("tune", "measures")}
        values["generate"] = self.params.generate.model_dump(mode="json")
        path = self.home / f"{of.measured}.yaml"
        with written(path) as file:
            file.write_text(yaml.safe_dump(values))
        return ["--params", str(path)]

    def _model(self, of: Round) -> list[str]:
        """Say which generator a round has."""
        if of.before is not None:
            return ["--model", str(self.model(of))]
        given = self.params.generate
        return ["--model", given.model, *(["--revision", given.revision] if given.revision else [])]

    def _do(self, words: Sequence[str], environment: dict[str, str], name: str) -> None:
        path = self.home / f"{name}.log"
        with path.open("ab") as log:
            done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
        if done.returncode:
            said = path.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise InputError(f"generations: {said[0].removeprefix('error: ')}; see {path}, then run the same again")

    def runs(self, todo: Sequence[Sequence[Round]]) -> pd.DataFrame:
        """Collect what is finished of some chains."""
        parts = [pd.DataFrame(columns=pd.Index([*tables.COLUMNS]))]
        flat = [of for chain in todo for of in chain]
        here = experiments(Path())
        for of in flat:
            if of.point.name in here:
                scores = completed(collected([of.point], self.params), [of.point], self.params)
                scores = scores.loc[(scores["metric"] != "seconds") & (scores["method"] == of.point.line)]
                parts.append(scores.assign(arm=of.arm, round=of.number).loc[:, [*tables.COLUMNS]])
            if (file := self.measures(of) / "measures.csv").is_file():
                found = pd.read_csv(file).assign(run=of.measured, arm=of.arm, round=of.number, seed=of.seed)
                parts.append(found.loc[:, [*tables.COLUMNS]])
        return pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)

    def sheets(self, made: Sequence[Sequence[Round]]) -> list[tuple[str, np.ndarray]]:
        """Read the prompts' images of every round that lie here, of the first replicate: name and (N, H, W, 3)."""
        rows = []
        for of in (of for chain in made if chain[0].seed == self.section.seeds[0] for of in chain):
            if (path := self.measures(of) / "prompts.png").is_file():
                strip = pixels(path.read_bytes())
                rows.append(
                    (f"{of.arm}, round {of.number}", np.stack(np.split(strip, strip.shape[1] // len(strip), 1)))
                )
        return rows

    def show(self, made: Sequence[Sequence[Round]], known: set[tuple[str, str]]) -> None:
        """List the rounds: finished or missing."""
        here = experiments(Path())
        for of in (of for chain in made for of in chain):
            clip = of.point.name in here or of.runs <= known
            judged = self.measures(of).is_dir() or of.runs <= known
            print(f"{'finished' if clip and judged else 'missing':8}  {of.arm}, round {of.number}, seed {of.seed}")


def contents(runs: pd.DataFrame, section: Generations, sheets: Sequence[tuple[str, Any]]) -> dict[str, bytes]:
    """Make everything that the loop shows: content by name of the file."""
    metrics = list(dict.fromkeys([*tables.SHOWN, section.position, *section.metrics]))
    tones = sorted({metric for metric in runs["metric"] if metric.startswith("generator.tone.")})
    order = runs.assign(arm=pd.Categorical(runs["arm"], [*section.arms])).sort_values(
        ["arm", "round", "seed", "metric"]
    )
    runs = order.astype({"arm": str}).loc[:, [*tables.COLUMNS]]
    every = tables.tabulate(runs, [*metrics, *tones])
    head = f"α = {section.alpha:g}; replicates: {len(section.seeds)}; mean [95 % interval, where there are several]."
    found = {
        "runs.csv": csv(runs),
        "table.csv": csv(every),
        "table.md": f"{head}\n\n{tables.markdown(every, metrics)}".encode(),
        "rounds.png": png([rounds.lines(every, metric) for metric in ("generator.position", section.position)], 2),
    }
    if sheets:
        drawing = png_of(grid(sheets, section.measures.prompts, "The same prompts, the same noise, round after round"))
        found["sheet.png"] = drawing
    return found


def png_of(figure: Any) -> bytes:
    """Write a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


if __name__ == "__main__":
    run(main)
