"""The counted cost: architectures of the published size, and formulas that agree with what the stages do."""

import json
from pathlib import Path

import pytest
import torch

from stages.core.errors import InputError
from stages.generate.sampler import SCHEDULERS
from stages.tools import cost
from stages.tools.params import load

ROOT = Path(__file__).parents[2]
PARAMS = load(ROOT, "cc3m")


def test_the_architectures_have_the_published_sizes() -> None:
    """Stable Diffusion v1.5: 860 million in the denoiser, 123 million in the text encoder; CLIP's RN50: 102 million."""
    sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in cost.stable_diffusion().items()}
    assert sizes == {"denoiser": 859_520_964, "decoder": 83_653_863, "text": 123_060_480}
    assert cost.training_flops(PARAMS.train)[1] == 102_007_137


def test_a_matrix_product_costs_two_a_multiply_add() -> None:
    layer = torch.nn.Linear(30, 20, bias=False, device="meta")
    assert cost.flops(lambda: layer(torch.empty(7, 30, device="meta"))) == 2 * 7 * 30 * 20


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_forwards_of_an_image_are_the_schedulers_steps(name: str) -> None:
    scheduler = SCHEDULERS[name](skip_prk_steps=True) if name == "pndm" else SCHEDULERS[name]()
    scheduler.set_timesteps(20)
    settings = PARAMS.generate.model_copy(update={"scheduler": name, "steps": 20})
    assert cost.evaluations(settings) == 2 * len(scheduler.timesteps)
    assert cost.evaluations(settings.model_copy(update={"guidance": 1.0})) == len(scheduler.timesteps)
    half = settings.model_copy(update={"guidance_stop": 0.5})
    assert cost.evaluations(half) == len(scheduler.timesteps) + round(0.5 * len(scheduler.timesteps))


def test_hours_are_items_times_flops_over_the_rate() -> None:
    assert cost.Work("x", 1000, "images", 9.0e12, 1e12, 0.5).hours == pytest.approx(2.5)


@pytest.mark.parametrize("rows", ["-3", "0"])
def test_a_corpus_without_samples_is_refused(rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["cost", "--rows", rows])
    with pytest.raises(InputError, match=f"--rows: found {rows}, expected a number of samples, 1 or more"):
        cost.main()


def test_the_measured_shares_are_those_of_the_committed_check() -> None:
    found = json.loads((ROOT / "docs" / "gpu" / "h200.json").read_text())
    shares = {
        f"{line['section']}: {line['what']}": line["figure"]["detail"].get("% of the stated peak")
        for line in found["lines"]
    }
    assert found["machine"]["card"] == cost.MEASURED["card"]
    assert 100 * float(cost.MEASURED["generate"]) == pytest.approx(
        shares["generate: stage, batches of 32, PNDM"], abs=0.1
    )
    assert 100 * float(cost.MEASURED["train"]) == pytest.approx(
        shares["train: RN50: stage, batches in memory"], abs=0.1
    )


def test_the_tables_of_readme_are_these() -> None:
    assert cost.tables(PARAMS, cost.ROWS) in (ROOT / "docs" / "scale.md").read_text(), (
        "put `python -m stages.tools.cost` there"
    )
