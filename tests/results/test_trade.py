"""Points that no other beats, and the room of a mark."""

import math

from stages.results.trade import cross, front


def test_no_point_beats_one_of_the_front() -> None:
    bias, quality = [3, 1, 2, 2, 0, 5], [9, 5, 7, 6, 1, 9]
    assert front(bias, quality) == [4, 1, 2, 0]


def test_of_equal_points_one_is_of_the_front() -> None:
    assert front([1, 1], [2, 2]) == [0]
    assert front([], []) == []


def test_a_mark_takes_the_room_of_its_whiskers() -> None:
    found = cross(1.0, 2.0, (0.0, 3.0), (1.5, 2.5))
    assert {(0.0, 2.0), (3.0, 2.0), (1.0, 1.5), (1.0, 2.5)} <= set(found)
    assert all(x == 1.0 or y == 2.0 for x, y in found)


def test_a_whisker_that_is_unknown_takes_no_room() -> None:
    assert {y for _, y in cross(1.0, 2.0, (0.0, 3.0), (math.nan, math.nan))} == {2.0}
