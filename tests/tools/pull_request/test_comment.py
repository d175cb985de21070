"""The comment of a pull request: its parts, and its length with the largest profile."""

import re
from html import unescape

import pandas as pd
import pytest
import yaml
from markdown_it import MarkdownIt
from PIL import Image

from stages.results.details import Estimate, fold
from stages.results.noise import Noise, read
from stages.results.registry import CATALOGUE
from stages.tools.gate import documents
from stages.tools.gate.checks import Side, judge
from stages.tools.pull_request.comment import FURTHER, LIMIT, assemble, blocks, loss, parameters, ten
from tests.helpers import screenshot
from tests.helpers.small_project import ROOT

STUDY = ROOT / "data" / "emoji" / "results" / "study"
GITHUB = 65_536  # characters that a comment may have
GUARDED = {"people.t2i.r5": 1.5, "rb.gender": 0.1}
OLD = fold({"n.people": 1000, "people.t2i.r5": 8.0, "people.i2t.r5": 8.0, "rb.gender": 0.1, "people.acc5": 5.0})
NOISE = {key: Noise(0.3, 30, 0.3, 30) for key in ("people.t2i.r5", "people.i2t.r5", "people.acc5")}
NOISE["rb.gender"] = Noise(0.01, 30, 0.01, 30)
HEADING = {"commits": "`b` (new) against `a` (old)", "profile": "emoji", "scale": "smoke"}
GOOD = (True, "the loss falls (2.00 to 1.00)")


def made(new=OLD, stale=None, changed=(), trial=GOOD, old=OLD):
    sides = Side(old, (0, 1)), Side(new, (0, 1))
    checks = judge(GUARDED, *sides, NOISE, 0.25)
    return assemble(blocks(HEADING, stale or {}, changed, sides, checks, NOISE, trial), "")


def test_the_verdict_is_the_heading_and_all_that_led_to_it_follows():
    text = made(
        OLD | {"people.t2i.r5": Estimate(3.0), "people.acc5": Estimate(9.0)}, changed=["| `train.epochs` | 6 | 1 |"]
    )
    lines = text.splitlines()
    assert lines[0] == "## ✗ Gate: failed: text→image R@5 · people"
    assert "`b` (new) against `a` (old)" in lines
    assert "✓ Profile smoke ran on both sides; after the change the loss falls (2.00 to 1.00)." in lines
    assert "| `train.epochs` | 6 | 1 |" in lines and "### Committed results, profile emoji" in lines
    assert "- text→image R@5 · people `people.t2i.r5`: failed: it fell by 62%, more than 25%." in lines
    assert "1 further change beyond noise:" in lines
    assert "- zero-shot top-5 · people: 5.0 % → 9.0 %, better (noise ± 0.6 points)" in lines
    assert lines[-1] == "Everything: the file full.md of this run."


def test_stale_results_are_the_first_line_in_red():
    lines = made(stale={"train@0": ["stages/train"]}).splitlines()
    assert lines[0] == "> [!CAUTION]" and lines[1].startswith("> **The results are stale**: train&#64;0")
    assert lines[3] == "## ✗ Gate: failed: the results are stale"


def test_a_change_without_effect_says_so():
    text = made()
    assert text.startswith("## ✓ Gate: passed") and "No parameter changes." in text and "further change" not in text


def test_training_that_does_not_learn_fails():
    text = made(trial=(False, "the loss does not fall by 20% (2.77 to 2.78)"))
    assert text.startswith("## ✗ Gate: failed: training does not learn")
    assert "✗ Profile smoke ran on both sides; after the change the loss does not fall" in text


def test_without_results_on_a_side_nothing_is_told():
    text = assemble(blocks(HEADING, {}, (), None, [], {}, GOOD), "https://example.org/1")
    assert text.startswith("## ? Gate: cannot tell: results are not committed on both sides")
    assert text.endswith("Everything: [the whole report](https://example.org/1).\n")


def test_ten_metrics_are_shown_the_guarded_first():
    sides = Side(OLD, (0, 1)), Side(OLD, (0, 1))
    shown = ten(judge(GUARDED, *sides, NOISE, 0.25), *sides, NOISE)
    assert [check.key for check in shown] == ["people.t2i.r5", "rb.gender", "people.i2t.r5"]
    assert [check.verdict is None for check in shown] == [False, False, True]


def test_parameters_are_few_short_and_plain_text():
    diff = {"params.yaml": {f"key.{i}": {"old": None, "new": "<b>|x|</b>" + "y" * 100} for i in range(20)}}
    rows = parameters(diff)
    assert len(rows) == 2 + 12 + 1 and rows[-1] == "| and 8 more parameters | | |"
    assert rows[2].startswith("| `key.0` | – | &#60;b&#62;&#124;x&#124;&#60;/b&#62;y") and "…" in rows[2]
    assert parameters({}) == []


HOSTILE = [
    "<img src=x onerror=alert(1)>", "</td></table><script>alert(1)</script>", "a | b", "`code`", "*a* **b** _c_ ~~d~~",
    "[text](https://example.org)", "![](x.png)", "<https://example.org>", "$\\alpha$", "&lt;b&gt;", "\\\\*", "# title",
    "a\n\n# title\n<b>",
]  # fmt: skip


TAGS = {"h2", "h3", "p", "blockquote", "strong", "code", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}


@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_captions_and_names_of_groups_are_shown_as_text(words: str) -> None:
    """In a parameter's name and value, a subject, a stage and the key of a metric; another library renders them."""
    diff = {"params.yaml": {f"study.fixed.{words}": {"old": words, "new": None}}}
    heading = HEADING | {"commits": f"`b` ({documents.escaped(words)}) against `a`"}
    sides = Side(OLD, (0, 1)), Side(OLD, (0, 1))
    parts = blocks(heading, {words: [words]}, parameters(diff), sides, judge(GUARDED, *sides, NOISE, 0.25), NOISE, GOOD)
    metric = f"- {documents.called(f'rb.{words}')} {documents.code(f'rb.{words}')}"
    text = assemble([*parts, [" ".join(metric.split())]], "")
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    assert set(re.findall(r"<(\w+)", html)) <= TAGS
    assert [html.count(f"<{tag}>") for tag in ("strong", "h2", "h3", "table")] == [1, 1, 1, 2]
    assert {row.count("<td") for row in html.split("<tr>")[1:]} == {0, 3, 9}
    shown = " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())
    assert shown.count(" ".join(words.split())) >= 5
    assert "://" not in text and "$" not in text


def curve(*values, seed=0):
    return pd.DataFrame(
        [(seed, i, "loss", v) for i, v in enumerate(values)], columns=["seed", "step", "metric", "value"]
    )


@pytest.mark.parametrize(
    ("curves", "falls"),
    [
        (curve(2.0, 1.9, 1.0), True),
        (curve(2.0, 2.0), False),
        (curve(2.77, 2.76, 2.78), False),
        (curve(2.0, float("nan")), False),
        (curve(2.0), False),
        (pd.concat([curve(2.0, 1.0), curve(2.0, 2.0, seed=1)]), False),
        (curve().assign(metric="r5"), False),
    ],
)
def test_the_loss_of_every_seed_has_to_fall(curves, falls):
    assert loss(curves)[0] is falls


def everything(value):
    """Return every metric of the registry on every set and attribute of the largest profile."""
    sets = yaml.safe_load((ROOT / "stages" / "profiles" / "cc3m.yaml").read_text())["evaluate"]["sets"]
    names = [*sets, *(f"{name}.{part}" for name in sets for part in ("seen", "unseen"))]
    fields = {
        "attribute": ("gender", "skin_tone", "age", "ethnicity"), "marked": ("gender", "age", "ethnicity"),
        "captioner": ("clipcap", "transformer"), "k": ("1", "5", "10"), "when": ("before", "solved", "realised"),
        "kind": ("non_human", "crime"), "gender": ("woman", "man"), "set": names,
    }  # fmt: skip
    keys = [re.sub(r"[\[\]]", "", entry.key) for entry in CATALOGUE]
    for field, choices in fields.items():
        keys = [
            key.replace(f"{{{field}}}", one) for key in keys for one in (choices if f"{{{field}}}" in key else [""])
        ]
    return dict.fromkeys(keys, Estimate(value, n=3))


def test_the_largest_profile_fits_whatever_changes():
    old, new = everything(0.2), everything(0.9)
    assert len(old) > 1000
    noise = dict.fromkeys(old, Noise(0.001, 30, 0.001, 30))
    sides = Side(old, (0, 1, 2)), Side(new, (0, 1, 2))
    guarded = {key: 0.0 for key in list(old) if key.endswith((".r5", ".ab.max", "drift"))}
    diff = {
        f"file{j}.yaml": {f"a.long.key.of.a.parameter.{i}": {"old": "x" * 500, "new": None} for i in range(200)}
        for j in range(3)
    }
    stale = {f"train@{i}": ["stages/train"] * 50 for i in range(100)}
    for tolerances in (guarded, dict(list(guarded.items())[:5])):
        checks = judge(tolerances, *sides, noise, 0.25)
        heading = HEADING | {"commits": "`b` (" + "s" * 100 + ") against `a` (" + "s" * 100 + ")"}
        parts = blocks(heading, stale, parameters(diff), sides, checks, noise, GOOD)
        text = assemble(parts, "https://example.org/" + "r" * 100)
        assert len(text) <= LIMIT < GITHUB
        assert text.startswith("> [!CAUTION]\n> **The results are stale**") and text.endswith(").\n")
        assert "\n## ✗ Gate: failed: the results are stale" in text
        assert text.count("\n- ") <= len(checks) + FURTHER + 1
        assert ("… cut here for length." in text) == (tolerances is guarded)  # of five guarded metrics all is said


def of_study(method):
    """Return the committed study's runs of a method at α = 0, as one run of three seeds."""
    runs = pd.read_csv(STUDY / "runs.csv")
    runs = runs.loc[(runs["method"] == method) & (runs["alpha"] == 0) & (runs["seed"] < 3), :]
    cells = runs.groupby("metric")["value"]
    return Side({str(key): Estimate(of.mean(), std=of.std(), n=3) for key, of in cells}, (0, 1, 2))


def test_the_worked_example_is_what_the_code_writes():
    """An example of balancing the default: the committed study's runs, not balanced before and balanced after."""
    gate = yaml.safe_load((ROOT / "params.yaml").read_text())["gate"]
    sides, noise = (of_study("not balanced"), of_study("m4")), read(STUDY / "noise.csv")
    checks = judge(gate["metrics"], *sides, noise, gate["quality_drop"])
    changed = parameters({"params.yaml": {"balance.target": {"old": "none", "new": "equal"}}})
    heading = {
        "commits": "`1f3c9a2b` (Balance the default) against `7d20e4aa` (Tidy)",
        "profile": "emoji",
        "scale": "smoke",
    }
    trial = (True, "the loss falls (1.96 to 0.57, 2.22 to 0.58)")
    text = assemble(
        blocks(heading, {}, changed, sides, checks, noise, trial), "https://github.com/you/yours/actions/runs/1"
    )
    assert screenshot.example() == text.strip() and len(text) <= LIMIT


def test_the_screenshot_shows_the_worked_example_and_is_small():
    with Image.open(screenshot.PICTURE) as picture:
        assert picture.text[screenshot.KEY] == screenshot.digest(screenshot.example())
    assert screenshot.PICTURE.stat().st_size < 200_000
