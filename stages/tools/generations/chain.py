"""The chains of the loop: the rounds of each arm and replicate, each a point and a generator, named before they run.

A generator's name is a hash of all that shapes it: what made the mix that it was trained on (so also the generator
before it), how it was trained, and the code of both. Arms that agree up to a round share what came before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.scratch import fingerprint
from stages.core.seeds import derive
from stages.tools.compare.runs import ALPHA, DRAW
from stages.tools.params import Generations, Params
from stages.tools.study.grid import Point, identify

SHAPE_A_MIX = ("shards", "contamination", "download", "generate", "annotate", "balance")  # sections of the parameters
MIX_STAGES = ("download", "generate", "annotate", "balance")
TRAINER = tuple(
    f"stages/pretrain/{name}.py"
    for name in ("tune_command", "mix", "pipeline", "progress", "denoiser", "autoencoder", "optimise", "recipe")
)
JUDGE = ("stages/pretrain/quality", "stages/pretrain/recogniser.py", "data/pretrained/recogniser")
FRESH = 1000  # seeds of new corpora lie so far apart: not those of the generator's own corpora


@dataclass(frozen=True)
class Round:
    """
    One round of a chain.

    Attributes
    ----------
    generator : str
        ``generate.model`` of the round.
    before : Round or None
        Whose mix the generator was trained on; None: it is that of the parameters.
    measured : str
        Name of the generator's measures.
    """

    arm: str
    number: int
    seed: int
    point: Point
    generator: str
    before: "Round | None"
    measured: str

    @property
    def runs(self) -> set[tuple[str, str]]:
        """Name its rows in the table of runs: arm and run."""
        return {(self.arm, self.point.name), (self.arm, self.measured)}

    @property
    def tuning_seed(self) -> int:
        """Give the seed of the training that made the generator."""
        return derive(self.seed, f"generation {self.number}")


def folder(profile: str) -> Path:
    """Name the folder of generators in a clone; git ignores it."""
    return Path("data") / profile / "generators"


def chains(params: Params, section: Generations, code: str, making: str, judging: str) -> list[list[Round]]:
    """
    List the rounds of every arm and replicate, the first replicate of every arm before the second.

    Parameters
    ----------
    code, making, judging : str
        Hashes of the code that makes scores, that makes generators, and that measures them.

    Raises
    ------
    InputError
        If the parameters of a round are not valid.
    """
    found = []
    for seed in section.seeds:
        for arm, of in section.arms.items():
            rounds: list[Round] = []
            generator, before = params.generate.model, None
            for number in range(section.rounds):
                wanted: dict[str, Any] = {
                    DRAW: seed, **section.fixed, ALPHA: section.alpha, **of.set, "seeds": [seed]
                }  # fmt: skip
                if number:
                    wanted |= {"generate.model": generator, "generate.revision": None}
                if number and of.fresh:
                    wanted["download.seed"] = params.download.seed + FRESH * number
                name, values = identify(params, wanted, code, f"generations.arms: {arm}")
                point = Point(name, wanted, section.alpha, f"{arm} {number}", seed)
                judged = {
                    "generator": generator, "measures": section.measures.model_dump(mode="json"), "judge": judging,
                    "drawn": {**params.generate.model_dump(mode="json"), "model": ""},
                    "corpus": params.download.model_dump(mode="json"),
                }  # fmt: skip
                before = Round(arm, number, seed, point, generator, before, f"generator-{fingerprint(judged)}")
                rounds.append(before)
                shape = {
                    "mix": {key: values[key] for key in SHAPE_A_MIX}, "seed": seed, "round": number + 1,
                    "tune": section.tune.model_dump(mode="json"), "code": making,
                }  # fmt: skip
                generator = (folder(params.profile) / fingerprint(shape)).as_posix()
            found.append(rounds)
    return found


def complete(chain: Sequence[Round], known: set[tuple[str, str]]) -> bool:
    """Tell whether the committed runs hold all of a chain: then nothing of it is made again."""
    return all(of.runs <= known for of in chain)


def distinct(rounds: Sequence[Round]) -> list[Round]:
    """Keep the first of rounds that have the same generator."""
    found: dict[str, Round] = {}
    for of in rounds:
        found.setdefault(of.generator, of)
    return [*found.values()]
