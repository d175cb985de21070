"""The registry of metrics: every key has one complete entry; names, chance and derived ones follow from it."""

import math
import re
from pathlib import Path

import pytest

from stages.results.details import Estimate, read
from stages.results.headline import MOST, headline
from stages.results.registry import CATALOGUE, chance, curve, describe, entry, figure, label, name_and_place

ROOT = Path(__file__).parents[2]
FILLED = {"set": "people", "attribute": "gender", "marked": "age", "kind": "crime", "k": "5", "when": "solved"}
FILLED |= {"captioner": "clipcap", "gender": "woman"}


def keys_of(template: str) -> list[str]:
    """Fill a key pattern, with what may be missing and without."""
    forms = [re.sub(r"\[(.*?)\]", r"\1", template), re.sub(r"\[.*?\]", "", template)]
    return [form.format(**FILLED) for form in forms]


@pytest.mark.parametrize("known", CATALOGUE, ids=lambda known: known.key)
def test_an_entry_describes_its_own_keys(known):
    for key in keys_of(known.key):
        assert describe(key) is known
        name, _ = name_and_place(key)
        assert name and not re.search(r"[{}\[\]]", name)


@pytest.mark.parametrize("known", CATALOGUE, ids=lambda known: known.key)
def test_an_entry_is_complete_and_its_meaning_stands_alone(known):
    low, high = known.span
    assert known.name and known.meaning and known.unit and low < high
    assert not re.search(r"`|\bthe same\b|\bitself\b|^(as|of|also) |^lowest|^highest", known.meaning)
    if isinstance(known.chance, float):
        assert low <= known.chance <= high
    assert not known.headline or known.better != "none"


def test_no_key_has_two_entries():
    assert len({known.key for known in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize(
    ("key", "template"),
    [
        ("portraits.unseen.drift", "{set}.drift"),
        ("text.drift.partial", "{set}.drift.partial"),
        ("portraits.unseen.skin_tone.ab.argmax.max", "{set}.[{attribute}.]ab.argmax.max"),
        ("fairface.train.preference.ethnicity.gap.gender", "{set}.preference.{marked}.gap.{attribute}"),
        ("imagenet.rb.gender.share", "[{set}.]rb.{attribute}.share"),
        ("probe.t2i.r5", "{set}.t2i.r{k}"),
        ("data.ab_mean.realised", "data.ab_mean.{when}"),
    ],
)
def test_parts_and_other_attributes(key, template):
    assert describe(key).key == template


@pytest.mark.parametrize(
    "key",
    ["people", "people.t2i.r", "captions.unknown", "people.t2i.r5.gap.Shoe size", "data.rb.later", "rb.gender.lo"],
)
def test_unknown_keys_are_refused(key):
    with pytest.raises(KeyError, match="not in the registry"):
        describe(key)


def test_every_metric_of_the_committed_results_is_known():
    results = ROOT / "data" / "emoji" / "results"
    details, head = read(results / "details.json"), read(results / "metrics.json")
    assert [key for key in details if entry(key).unit == ""] == []
    assert {key: of.value for key, of in head.items()} == {key: details[key].value for key in headline(details)}
    assert 10 < len(head) <= MOST


def test_gap_and_worst_group_follow_their_metric():
    gap, worst = describe("people.t2i.r5.gap.gender"), describe("people.t2i.r5.worst.gender")
    assert (gap.name, gap.span, gap.better) == ("gap in text→image R@{k}", (0, 100), "lower")
    assert (worst.name, worst.span, worst.better) == ("lowest text→image R@{k}", (0, 100), "higher")
    assert describe("portraits.self_similarity.gap.age").span == (0, 2)
    assert describe("portraits.self_similarity.worst.age").better == "lower"  # the highest is the worst


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
        ("data.rb.before", "representation bias of the data · before balancing"),
        ("text.drift", "drift towards the generator · text alone"),
        ("made.up", "made.up"),
    ],
)
def test_label(key, said):
    assert label(key) == said


def test_an_unknown_metric_has_no_direction():
    assert entry("made.up").better == "none"


@pytest.mark.parametrize(
    ("metric", "title", "unit"),
    [
        ("retrieval.t2i.5", "Text→image R@5", "% of captions"),
        ("published.t2i.r10", "Text→image R@10", "% of captions"),
        ("preference.age", "Person preference, age marked", "% of images"),
        ("captions.clipcap.gender_error", "Gender error · clipcap", "share of captions"),
        ("made_up.figure", "Made up · figure", ""),
    ],
)
def test_figures_by_group_are_titled_by_their_metric(metric, title, unit):
    assert figure(metric) == (title, unit)


def test_curves_are_titled_by_their_metric():
    title, known = curve("probe.t2i.r5")
    assert (title, known.unit) == ("Text→image R@5", "% of captions")
    assert curve("a/new_one")[0] == "New one"


DETAILS = {
    "n.people": Estimate(200.0), "n.objects.classes": Estimate(8.0), "portraits.skin_tone.ab.null": Estimate(0.01),
    "captions.majority.cider": Estimate(0.06),
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "level"),
    [
        ("people.t2i.r5", 2.5),  # 5 of 200 images
        ("people.i2t.r1", 0.5),
        ("objects.acc1", 12.5),  # 1 of 8 classes
        ("people.recognition.gender", 0.5),
        ("portraits.skin_tone.ab.max", 0.01),
        ("captions.clipcap.cider", 0.06),
    ],
)
def test_chance_is_a_number_or_stated_by_the_run(key, level):
    assert chance(key, DETAILS) == level


@pytest.mark.parametrize("key", ["portraits.ab.max", "phase.t2i.r5", "rb.gender", "people.t2i_shared.r5", "made.up"])
def test_chance_is_unknown_where_nothing_states_it(key):
    assert math.isnan(chance(key, DETAILS))


def test_chance_of_a_set_smaller_than_the_cut_off_is_all():
    assert chance("people.t2i.r10", {"n.people": Estimate(4.0)}) == 100
