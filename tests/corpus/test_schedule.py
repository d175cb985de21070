"""Phases in steps."""

from itertools import pairwise

import pytest

from stages.corpus.schedule import Span, spans


def test_phases_end_at_the_nearest_step_and_lose_none() -> None:
    assert [span.stop for span in spans([("mixed", 0.9), ("balanced", 0.1)], 25)] == [22, 25]
    assert [span.stop for span in spans([("mixed", 1 / 3)] * 3, 10)] == [3, 7, 10]


def test_balanced_only_in_the_last_tenth() -> None:
    assert spans([("mixed", 0.9), ("balanced", 0.1)], 50) == [
        Span("mixed", 0, 45, 0),
        Span("balanced", 45, 50, 0),
    ]


def test_a_phase_without_a_step_is_left_out() -> None:
    assert spans([("balanced", 0.01), ("mixed", 0.99)], 10) == [Span("mixed", 0, 10, 0)]


@pytest.mark.parametrize("phases", [[0.1] * 10, [1 / 3, 1 / 3, 1 / 3], [0.999, 0.001]])
def test_phases_fill_the_run_without_gaps(phases: list[float]) -> None:
    plan = spans([("mixed", share) for share in phases], 997)
    assert plan[0].start == 0
    assert plan[-1].stop == 997
    assert all(a.stop == b.start for a, b in pairwise(plan))
