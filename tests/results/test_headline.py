"""What a run is judged by: order, what counts of a family, and how many fit."""

from stages.results.headline import MOST, headline, headlines

SETS = ["people", "phase", "coco", "coco_gender", "fairface.train", "fairface.val", "utkface", "miap"]


def test_places_are_in_order_unseen_first_text_last():
    keys = [
        "text.drift", "portraits.seen.drift", "portraits.unseen.drift", "people.t2i.r5", "people.t2i.r1", "rb.gender",
    ]  # fmt: skip
    assert headlines(keys) == [
        ("quality", ["people.t2i.r5"]),
        ("bias", ["rb.gender"]),
        ("bias", ["portraits.unseen.drift", "portraits.seen.drift", "text.drift"]),
    ]


def test_other_attributes_baselines_and_probes_are_no_headline():
    assert headlines(["rb.skin_tone", "captions.majority.cider", "probe.t2i.r5", "made.up", "n.people"]) == []


def test_quality_comes_before_bias_wherever_the_registry_has_it():
    kinds = [kind for kind, _ in headlines(["rb.gender", "captions.clipcap.cider", "people.t2i.r5"])]
    assert kinds == ["quality", "quality", "bias"]


def test_of_too_many_the_first_of_every_metric_stay():
    keys = [f"{name}.{metric}" for name in SETS for metric in ("t2i.r5", "i2t.r5", "recognition.gender", "drift")]
    found = headline([*keys, "rb.gender"])
    assert len(found) == MOST
    assert {key.partition(".")[2] for key in found if key != "rb.gender"} >= {"t2i.r5", "i2t.r5"}
    counts = [sum(key.endswith(end) for key in found) for end in ("t2i.r5", "i2t.r5", "recognition.gender", ".drift")]
    assert counts == [6, 6, 6, 6] and "rb.gender" in found


def test_few_are_all_in_the_order_of_the_families():
    assert headline(["portraits.seen.drift", "rb.gender", "portraits.unseen.drift"]) == [
        "rb.gender", "portraits.unseen.drift", "portraits.seen.drift",
    ]  # fmt: skip
