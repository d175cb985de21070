from itertools import pairwise

import numpy as np
import pytest
import torch
from open_clip_train.scheduler import cosine_lr

from stages.train import schedule
from stages.train.schedule import Span


def test_steps_cover_the_mix_once_an_epoch_and_round_up() -> None:
    assert schedule.total_steps(rows=100, epochs=1, batch_size=32) == 4
    assert schedule.total_steps(rows=100, epochs=2.5, batch_size=50) == 5
    assert schedule.total_steps(rows=3, epochs=0.1, batch_size=64) == 1


def test_balanced_only_in_the_last_tenth() -> None:
    assert schedule.spans([("mixed", 0.9), ("balanced", 0.1)], 50) == [
        Span("mixed", 0, 45, 0),
        Span("balanced", 45, 50, 0),
    ]


def test_a_phase_goes_on_where_the_last_one_on_the_same_data_stopped() -> None:
    plan = schedule.spans([("mixed", 0.5), ("balanced", 0.2), ("mixed", 0.3)], 10)
    assert [schedule.place(plan, step) for step in range(10)] == [
        *[("mixed", i) for i in range(5)],
        *[("balanced", i) for i in range(2)],
        *[("mixed", i) for i in range(5, 8)],
    ]


def test_a_phase_without_a_step_is_left_out() -> None:
    assert schedule.spans([("balanced", 0.01), ("mixed", 0.99)], 10) == [Span("mixed", 0, 10, 0)]


def test_no_step_outside_the_plan() -> None:
    with pytest.raises(IndexError, match="step 10"):
        schedule.place(schedule.spans([("mixed", 1.0)], 10), 10)


@pytest.mark.parametrize("phases", [[0.1] * 10, [1 / 3, 1 / 3, 1 / 3], [0.999, 0.001]])
def test_phases_fill_the_run_without_gaps(phases: list[float]) -> None:
    plan = schedule.spans([("mixed", share) for share in phases], 997)
    assert plan[0].start == 0
    assert plan[-1].stop == 997
    assert all(a.stop == b.start for a, b in pairwise(plan))


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
