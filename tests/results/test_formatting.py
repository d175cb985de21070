"""Names and numbers of metrics."""

import pytest

from stages.results.formatting import balancing, counted, entry, headlines, label, name_and_place, number, vanishes
from stages.results.registry import CATALOGUE, describe


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("people.t2i.r5", "text→image R@5 · people"),
        ("portraits.unseen.ab.max", "association bias · portraits · unseen"),
        ("people.t2i.r5.gap.skin_tone", "gap in text→image R@5 · people · skin tone"),
        (
            "portraits.seen.preference.gender.gap.skin_tone",
            "gap in person preference, gender marked · portraits · seen · skin tone",
        ),
        ("rb.gender", "representation bias · gender"),
        ("data.distinct_rows", "kinds of rows"),
        ("data.rb.before", "representation bias of the data, before balancing"),
        ("text.drift", "text-only drift"),
        ("made.up", "made.up"),
    ],
)
def test_label(key, said):
    assert label(key) == said


def test_every_entry_has_a_name_without_braces():
    for known in CATALOGUE:
        key = known.key
        for field, value in {
            "captioner": "clipcap",
            "gender": "woman",
            "set": "people",
            "attribute": "gender",
            "marked": "gender",
            "kind": "crime",
            "k": "5",
        }.items():
            key = key.replace(f"{{{field}}}", value)
        if describe(key) is known:
            name, _ = name_and_place(key)
            assert "{" not in name and name


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


def test_an_unknown_metric_has_no_direction():
    assert entry("made.up").better == "none"


def test_headlines_group_places_unseen_first_text_last():
    keys = [
        "text.drift",
        "portraits.seen.drift",
        "portraits.unseen.drift",
        "people.t2i.r5",
        "people.t2i.r1",
        "rb.gender",
    ]
    assert headlines(keys) == [
        ("quality", ["people.t2i.r5"]),
        ("bias", ["rb.gender"]),
        ("bias", ["portraits.unseen.drift", "portraits.seen.drift", "text.drift"]),
    ]


def test_ends_of_intervals_are_no_headline():
    assert headlines(["people.t2i.r5.lo", "rb.gender.std"]) == []
