"""How values are written."""

import pytest

from stages.results.details import Estimate
from stages.results.formatting import balancing, counted, difference, interval, number, spread, vanishes


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("people.t2i.r5", 41.666, "41.7 %"),
        ("n.people", 1220.0, "1,220"),
        ("rb.gender", 0.12345, "0.123"),
        ("portraits.unseen.drift", -0.5, "−0.500"),
        ("portraits.unseen.drift", -0.0004, "0.000"),
    ],
)
def test_number(key, value, text):
    assert number(key, value) == text


def test_a_signed_number_has_its_sign():
    assert number("rb.gender", 0.1, signed=True) == "+0.100"
    # what rounds to 0 has none: "[+0.000, +0.044]" would leave out 0
    assert number("rb.gender", -0.0001, signed=True) == "0.000" == number("rb.gender", 0.0001, signed=True)


@pytest.mark.parametrize(
    ("key", "value", "gone"),
    [
        ("rb.gender", -0.0004, True),
        ("rb.gender", 0.0006, False),
        ("people.t2i.r5", 0.04, True),
        ("people.t2i.r5", -0.06, False),
        ("rb.gender", float("nan"), False),
    ],
)
def test_what_is_written_as_0_vanishes(key, value, gone):
    assert vanishes(key, value) is gone


@pytest.mark.parametrize(("count", "text"), [(0, "0 seeds"), (1, "1 seed"), (1220, "1,220 seeds")])
def test_a_count_has_its_plural(count, text):
    assert counted(count, "seed") == text


@pytest.mark.parametrize(
    ("method", "target", "eta", "name"),
    [
        ("m4", "equal", "auto", "m4"),
        ("none", "equal", "auto", "not balanced"),
        ("m4", "none", "auto", "not balanced"),
        ("m4", {"gender": "none"}, "auto", "not balanced"),
        ("m4", {"gender": {"woman": 0.5, "man": 0.5}, "skin_tone": "none"}, "auto", "m4"),
        ("random", "none", 0.5, "random"),
        ("none", "none", 0.5, "not balanced"),
    ],
)
def test_what_keeps_every_row_is_not_balanced(method, target, eta, name):
    assert balancing(method, target, eta) == name


def test_a_difference_of_percentages_is_in_points():
    assert difference("people.t2i.r5", 1.44, signed=True) == "+1.4 points"


def test_interval_and_spread_are_written_where_they_are_known():
    known = Estimate(41.7, 38.0, 45.02, 0.51, 2)
    assert interval("people.t2i.r5", known) == "[38.0, 45.0]" and spread("people.t2i.r5", known) == "0.5 %"
    assert interval("people.t2i.r5", Estimate(41.7)) == spread("people.t2i.r5", Estimate(41.7)) == ""
