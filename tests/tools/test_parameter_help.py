"""The list of all keys: complete, with types as they are validated."""

import re
from pathlib import Path

from stages.tools.parameter_help import WIDTH, markdown
from stages.tools.params import Params, load

ROOT = Path(__file__).parents[2]
TEXT = markdown(Params)
LINES = TEXT.splitlines()


def keys_of(values: dict, prefix: str = "") -> set[str]:
    found = set()
    for name, value in values.items():
        found |= {f"{prefix}{name}"} | (keys_of(value, f"{prefix}{name}.") if isinstance(value, dict) else set())
    return found


def test_every_key_of_the_default_is_listed_once_with_its_meaning() -> None:
    free = (
        "train.model.", "study.fixed.", "gate.metrics.", "evaluate.leakage.masked.", "study.parts.",
        "generate.prompt_shares.", "counterweights.fixed.", "counterweights.levers.", "generations.fixed.",
        "generations.arms.",
    )  # fmt: skip
    expected = {key for key in keys_of(load(ROOT, "emoji").model_dump()) if not key.startswith(free)}
    listed = re.findall(r"(?m)^(?:- `|## )([\w.\[\]]+)", TEXT)
    assert len(set(listed)) == len(listed)
    assert expected <= set(listed)


def test_types_are_those_that_are_validated() -> None:
    for line in (
        "- `contamination.alpha`: `number in [0, 1]`; share of samples whose image is replaced by a generated one",
        "- `balance.method`: `none | random | reweighing | m4_sgd | m4`; how rows are weighted",
        "- `balance.eps_r`: `number ≥ 0 | null`; tolerance of |E[s] − target|, a share of the rows; null",
        "- `train.schedule`: `list of block`; phases; their shares sum to 1",
        "- `train.schedule[].share`: `number in (0, 1]`; share of the optimisation steps, in (0, 1]",
        "- `train.betas`: `[number in [0, 1), number in [0, 1)]`; AdamW's decay rates of the moments",
        "- `train.sync_batchnorm`: `true or false`; batch normalisation over all processes' images (default: `true`)",
        "- `caption.clipcap.language_model.heads`: `integer ≥ 1`; attention heads",
    ):
        assert any(written.startswith(line[:110]) for written in LINES), line


def test_lines_are_no_wider_than_code() -> None:
    assert max(map(len, LINES)) <= WIDTH


def test_the_document_lists_the_keys_of_today() -> None:
    said = "run `python -m stages.tools.params --keys > docs/parameters.md`"
    assert (ROOT / "docs" / "parameters.md").read_text() == TEXT, said
