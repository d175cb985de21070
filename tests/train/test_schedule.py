import numpy as np
import pytest
import torch
from open_clip_train.scheduler import cosine_lr

from stages.corpus.schedule import spans
from stages.train import schedule


def test_steps_cover_the_mix_once_an_epoch_and_round_up() -> None:
    assert schedule.total_steps(rows=100, epochs=1, batch_size=32) == 4
    assert schedule.total_steps(rows=100, epochs=2.5, batch_size=50) == 5
    assert schedule.total_steps(rows=3, epochs=0.1, batch_size=64) == 1


def test_a_phase_goes_on_where_the_last_one_on_the_same_data_stopped() -> None:
    plan = spans([("mixed", 0.5), ("balanced", 0.2), ("mixed", 0.3)], 10)
    assert [schedule.place(plan, step) for step in range(10)] == [
        *[("mixed", i) for i in range(5)],
        *[("balanced", i) for i in range(2)],
        *[("mixed", i) for i in range(5, 8)],
    ]


def test_no_step_outside_the_plan() -> None:
    with pytest.raises(IndexError, match="step 10"):
        schedule.place(spans([("mixed", 1.0)], 10), 10)


def test_learning_rate_is_open_clips() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    adjust = cosine_lr(optimizer, 0.002, 7, 40)
    ours = [schedule.learning_rate(step, 40, 0.002, 7) for step in range(40)]
    np.testing.assert_allclose(ours, [adjust(step) for step in range(40)], rtol=1e-12)


def test_a_warm_up_longer_than_the_run_never_divides_by_zero() -> None:
    assert schedule.learning_rate(2, 3, 1.0, 10_000) == 1.0


def test_milestones_end_with_the_last_step() -> None:
    assert schedule.milestones(100, 0.25) == {25, 50, 75, 100}
    assert schedule.milestones(3, 0.1) == {1, 2, 3}
    assert schedule.milestones(7, 1.0) == {7}
