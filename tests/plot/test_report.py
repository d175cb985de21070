"""The page from given content: text that is data stays text; changes are judged by their noise."""

import io
import re
from html import unescape
from xml.etree.ElementTree import fromstring

import numpy as np
import pandas as pd
import pytest

from stages.plot.answer import Study
from stages.plot.cards import cards, scale
from stages.plot.report import Content, render, versions
from stages.plot.sheets import Described, Pair, contact_sheet
from stages.plot.tables import group_table, metric_table, published_table, share_table, table
from stages.results.details import Estimate, fold
from stages.results.panels import Panel, mark, png
from stages.tools.params import load

METRICS = fold(
    {
        "people.t2i.r5": 40.0, "people.t2i.r5.lo": 38.0, "people.t2i.r5.hi": 42.0, "people.t2i.r5.std": 0.1,
        "rb.gender": 0.2, "rb.gender.lo": 0.19, "rb.gender.hi": 0.21, "n.people": 1220.0,
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def params():
    return load().model_dump(mode="json")


def test_a_card_shows_mean_interval_and_spread():
    (line,) = (line for card in cards(METRICS) for line in card["lines"] if line["key"] == "people.t2i.r5")
    assert (line["value"], line["interval"], line["spread"]) == ("40.0 %", "[38.0, 42.0]", "0.1 %")


def test_a_bar_holds_value_interval_chance_and_ceiling():
    """A bar of 0 to the ceiling."""
    metrics = {**METRICS, "people.t2i.r5.ceiling": Estimate(42.0)}
    (line,) = (line for card in cards(metrics) for line in card["lines"] if line["key"] == "people.t2i.r5")
    right = 42
    assert line["marks"] == pytest.approx(
        {"value": 100 * 40 / right, "chance": 100 * 500 / 1220 / right, "ceiling": 100}
    )
    assert line["range"] == pytest.approx((100 * 38 / right, 100 * 4 / right))
    assert line["bounds"] == ["chance 0.4 %", "ceiling 42.0 %"]
    assert line["said"] == "40.0 % [38.0, 42.0], chance 0.4 %, ceiling 42.0 %, bar from 0.0 % to ceiling 42.0 %"
    assert line["ends"] == ("0.0 %", "ceiling 42.0 %")


def test_a_bar_of_what_has_a_sign_has_0_in_its_middle():
    (line,) = cards({"portraits.seen.pairwise_association": Estimate(-0.4, -0.5, -0.3)})[0]["lines"]
    assert line["marks"]["zero"] == 50 and line["marks"]["value"] == pytest.approx(30)
    assert line["ends"] == ("−1.000", "1.000")


@pytest.mark.parametrize(
    "key", ["portraits.seen.transfer", "portraits.seen.position", "rb.gender.margin", "captions.clipcap.cider",
            "captions.clipcap.lic.gender"]
)  # fmt: skip
def test_what_has_no_ends_has_no_bar(params, key):
    page = render(Content(params=params, metrics={key: Estimate(0.4, 0.3, 0.5)}))
    assert cards({key: Estimate(0.4)})[0]["lines"][0]["ends"] == () and 'class="scale"' not in page
    assert 'class="scale"' in render(Content(params=params, metrics=METRICS))


def test_a_bar_ends_soon_where_all_but_the_ceiling_would_lie_in_its_first_quarter():
    near = scale("people.t2i.r5", Estimate(4.0, 3.0, 5.0), 0.4, 83.2, 8.0)
    assert near["ends"] == ("0.0 %", "10.0 %") and near["range"] == (pytest.approx(30), pytest.approx(20))
    assert near["marks"] == {name: pytest.approx(at) for name, at in (("chance", 4), ("baseline", 80), ("value", 40))}
    assert "ceiling 83.2 %, beyond the bar" in near["said"]
    assert scale("people.t2i.r5", Estimate(24.0, 20.0, 26.0), 0.4, 83.2, 8.0)["ends"] == ("0.0 %", "ceiling 83.2 %")


def test_a_transfer_is_held_against_its_ideal_learner_and_a_baseline_that_is_missing_is_said_to_be():
    runs = pd.DataFrame(
        [("people.t2i.r5", "not balanced", 0.6, 0, 8.0)], columns=["metric", "method", "alpha", "seed", "value"]
    )
    study = Study(runs, pd.DataFrame(), pd.DataFrame())
    metrics = {"portraits.seen.transfer": Estimate(0.5), "people.t2i.r5": Estimate(4.0)}
    quality, bias = cards(metrics, study, 0.6)
    assert quality["lines"][0]["bounds"] == ["not balanced 8.0 %"]
    assert bias["lines"][0]["bounds"] == [
        "chance 0.000", "ideal learner 1.000", "not balanced: not measured in the study"
    ]  # fmt: skip
    assert bias["wish"] == "nearer to 0 is better; 1: an ideal learner"


def test_small_groups_are_marked_in_every_table():
    groups = pd.DataFrame(
        [("retrieval.t2i.5", "people", "", "age", "baby", 10, 40.0, 0.1, 30.0, 52.0, 1),
         ("retrieval.t2i.5", "people", "", "age", "adult", 40, 40.0, 0.1, 30.0, 52.0, 0)],
        columns=["metric", "set", "part", "attribute", "group", "n", "value", "std", "lo", "hi", "small"],
    )  # fmt: skip
    assert group_table(groups)["group"].tolist() == ["baby *", "adult"]
    published = groups.assign(metric="t2i.r5", as_published=1.0, corrected=2.0, difference=-1.0)
    assert published_table(published, 30)["group"].tolist() == ["age: baby *", "age: adult"]
    assert share_table(shares(gender=True), True, 5)["group"].tolist() == ["a *"]


def chips(params, **balance):
    page = render(Content(params={**params, "balance": {**params["balance"], **balance}}, metrics=METRICS))
    return [re.sub("<.*?>", "", chip) for chip in re.findall(r"<li>(.*?)</li>", page.split("<nav")[0])]


@pytest.mark.parametrize(("method", "target"), [("m4", "none"), ("none", "equal"), ("m4", {"gender": "none"})])
def test_what_balances_nothing_is_one_chip(params, method, target):
    found = chips(params, method=method, target=target)
    assert found[1] == "not balanced" and not [c for c in found if c.startswith(("balancing", "target", "schedule"))]


def test_what_balances_has_method_target_and_schedule(params):
    found = chips(params, method="m4", target="equal")
    assert found[1].startswith("balancing m4: ") and found[2] == "target equal" and "schedule balanced 100 %" in found


def shares(**balanced):
    rows = [(name, "a", of, 4, 0.5, 0.2, 0.3, 0.4) for name, of in balanced.items()]
    columns = ["attribute", "group", "balanced", "n", "target", "before", "solved", "realised"]
    return pd.DataFrame(rows, columns=columns)


def test_shares_without_any_target_have_no_column_of_targets():
    assert list(share_table(shares(gender=False), True)) == ["attribute", "group", "n", "before", "solved", "after"]


def test_shares_have_the_targets_that_there_are():
    assert share_table(shares(gender=True, skin_tone=False), True)["target"].tolist() == ["50.0 %", "–"]


def test_shares_of_what_is_not_balanced_are_one_column():
    found = share_table(shares(gender=False), False)
    assert list(found) == ["attribute", "group", "n", "share"] and found["share"].tolist() == ["20.0 %"]


def test_parts_are_explained_where_they_are(params):
    page = render(Content(params=params, metrics={**METRICS, "portraits.unseen.drift": Estimate(-1.0)}))
    assert "<b>unseen</b>, by an artist of no training image" in page
    page = render(Content(params=params, metrics=METRICS))
    assert "by an artist of no training image" not in page and "drift at one α" not in page


def test_chance_of_association_bias_is_explained_where_it_is(params):
    null = {
        "portraits.seen.ab.max": Estimate(0.2),
        "portraits.seen.ab.null": Estimate(0.05),
        "n.portraits": Estimate(60),
    }
    said = "left when the groups of its 60 portraits are exchanged at random, those of one figure together"
    assert said in render(Content(params=params, metrics={**METRICS, **null}))
    assert "exchanged at random" not in render(Content(params=params, metrics=METRICS))


def test_the_first_screen_says_what_the_method_is(params):
    assert "balancing m4: weights solved to meet the target" in chips(params, method="m4")


def test_metric_table_has_a_row_a_metric_with_its_chance_level():
    found = metric_table(METRICS)
    assert found["key"].tolist() == ["people.t2i.r5", "rb.gender", "n.people"]
    assert found["knowing nothing"].tolist() == ["0.4 %", "", ""]  # 5 of 1,220 images


def test_versions_are_of_what_is_installed():
    assert versions(["numpy", "no-such-package"]) == {"numpy": np.__version__}


def test_a_table_sorts_by_exact_values_and_escapes_text():
    text = str(table(pd.DataFrame({"a": ["<b>&"], "x": [-0.12345678], "n": [1220]}), "t"))
    assert 'data-value="-0.12345678">−0.123<' in text
    assert 'data-value="1220.0">1,220<' in text
    assert "<td>&lt;b&gt;&amp;</td>" in text


def test_a_table_writes_no_minus_before_0():
    assert 'data-value="-0.0001">0.000<' in str(table(pd.DataFrame({"x": [-0.0001, 0.5]}), "t"))


def test_a_row_of_the_metrics_has_one_unit_and_sorts_by_the_exact_value(params):
    page = render(Content(params=params, metrics={**METRICS, "people.t2i.r5": Estimate(40.04, 38, 42, 0.1)}))
    cells = r"""data-value="40.04">40.0 %</td><td>[38.0, 42.0]</td><td>± 0.1 %</td>"""
    assert cells in page


def test_one_seed_has_no_spread(params):
    one, two = (render(Content(params={**params, "seeds": seeds}, metrics=METRICS)) for seeds in ([0], [0, 1]))
    assert "± the standard deviation between seeds" in two and "standard deviation" not in one


def test_a_long_table_says_what_is_left_out():
    assert "100 more rows" in str(table(pd.DataFrame({"x": range(500)}), "t"))


def test_captions_cannot_inject_markup(params):
    evil = '"><script>alert(1)</script>'
    described = [Described("k", np.zeros((8, 8, 3), np.uint8), [evil, evil], {"clipcap": evil})]
    page = render(Content(params=params, metrics=METRICS, described=described))
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


EVIL = r'"><script>alert(1)</script> <!-- $\frac{$ | [a](javascript:b)'


@pytest.mark.filterwarnings("ignore:constrained_layout not applied")  # the name is too long to fit, and shall be
def test_names_in_a_figure_are_text_and_never_a_formula(params):
    def draw(axes):
        mark(axes.barh([EVIL, "other"], [1, 2], label=EVIL)[0], EVIL)
        axes.set_title(EVIL)
        axes.legend()

    panel = Panel("evil", EVIL, draw, title=EVIL, data=pd.DataFrame({"name": [EVIL]}))
    page = render(Content(params=params, metrics=METRICS, panels={"groups": [panel]}))
    assert "<script>alert" not in page
    (drawn,) = re.findall(r"<svg.*</svg>", page, re.DOTALL)
    texts = [
        "".join(element.itertext()).strip() for element in fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert texts.count(EVIL) == 3
    (told,) = re.findall(r'data-tip="(.*?)"', page)
    assert unescape(told) == EVIL
    (said,) = re.findall(r'data-csv="(.*?)"', page, re.DOTALL)
    assert pd.read_csv(io.StringIO(unescape(said)))["name"].tolist() == [EVIL]
    assert unescape(page.split("<figcaption><b>")[1].split("</b>")[0]) == EVIL
    assert png([panel], columns=1).startswith(b"\x89PNG")


def test_a_caption_on_the_sheet_of_images_is_never_a_formula():
    image = np.zeros((8, 8, 3), np.uint8)
    seen = {"real": "", "synthetic": ""}
    one, other = (
        contact_sheet([Pair("k", caption, image, image, seen)]) for caption in (r"$\frac{$ a", r"\$\frac{\$ a")
    )
    assert one.startswith(b"\x89PNG") and one != other


def test_sections_without_content_are_left_out(params):
    page = render(Content(params=params, metrics=METRICS))
    assert re.findall(r'<section id="(\w+)"', page) == ["headline", "metrics", "provenance"]
    assert {*re.findall(r'href="#(\w+)"', page)} == {"main", "headline", "metrics", "provenance"}


def test_the_page_refers_to_nothing_outside(params):
    page = render(Content(params=params, metrics=METRICS))
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"|@import|url\((?!#)', page)
