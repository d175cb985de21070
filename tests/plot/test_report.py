"""The page from given content: text that is data stays text; changes are judged by their noise."""

import re

import numpy as np
import pandas as pd
import pytest

from stages.params import load
from stages.plot.report import Content, cards, interval, metric_table, render, table
from stages.plot.sheets import Described

METRICS = {
    "seeds": 2, "people.t2i.r5": 40.0, "people.t2i.r5.lo": 38.0, "people.t2i.r5.hi": 42.0, "people.t2i.r5.std": 0.1,
    "rb.gender": 0.2, "rb.gender.lo": 0.19, "rb.gender.hi": 0.21, "n.people": 1220.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def params():
    return load().model_dump(mode="json")


def lines(previous):
    return {line["key"]: line for card in cards(METRICS, previous) for line in card["lines"]}


def test_a_card_shows_mean_interval_and_spread():
    line = lines({})["people.t2i.r5"]
    assert (line["value"], line["interval"], line["spread"]) == ("40.0 %", "[38.0, 42.0]", "0.1 %")
    assert (line["change"], line["verdict"]) == ("", "")


@pytest.mark.parametrize(("before", "verdict"), [(0.1, "worse"), (0.3, "better"), (0.195, "same")])
def test_a_change_is_judged_by_direction_and_noise(before, verdict):
    line = lines({**METRICS, "rb.gender": before})["rb.gender"]
    assert line["verdict"] == verdict


def test_no_interval_no_brackets():
    assert interval("n.people", METRICS) == ""


def test_metric_table_has_a_row_a_metric():
    assert metric_table(METRICS)["key"].tolist() == ["people.t2i.r5", "rb.gender", "n.people"]


def test_a_table_sorts_by_exact_values_and_escapes_text():
    text = str(table(pd.DataFrame({"a": ["<b>&"], "x": [-0.12345678], "n": [1220]}), "t"))
    assert 'data-value="-0.12345678">−0.123<' in text
    assert 'data-value="1220.0">1,220<' in text
    assert "<td>&lt;b&gt;&amp;</td>" in text


def test_a_long_table_says_what_is_left_out():
    assert "100 more rows" in str(table(pd.DataFrame({"x": range(500)}), "t"))


def test_captions_cannot_inject_markup(params):
    evil = '"><script>alert(1)</script>'
    described = [Described("k", np.zeros((8, 8, 3), np.uint8), [evil, evil], {"clipcap": evil})]
    page = render(Content(params=params, metrics=METRICS, described=described))
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


def test_sections_without_content_are_left_out(params):
    page = render(Content(params=params, metrics=METRICS))
    assert re.findall(r'<section id="(\w+)"', page) == ["headline", "metrics", "provenance"]
    assert {*re.findall(r'href="#(\w+)"', page)} == {"headline", "metrics", "provenance"}


def test_the_page_refers_to_nothing_outside(params):
    page = render(Content(params=params, metrics=METRICS))
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"|@import|url\((?!#)', page)
