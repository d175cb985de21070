"""The outcome of the gate in its three forms."""

import json
import xml.etree.ElementTree as ET

import pytest

from stages.results.details import fold
from stages.results.noise import Noise
from stages.tools.gate.checks import Side, judge
from stages.tools.gate.documents import as_json, bars, headline, junit, markdown

KEYS = ("rb.gender", "portraits.unseen.ab.max", "people.t2i.r5")
OLD = Side(fold({"n.people": 500, **dict(zip(KEYS, (0.1, 0.1, 8.0), strict=True))}), (0, 1))
NEW = Side(fold({"n.people": 500, **dict(zip(KEYS, (0.4, 0.11, 9.0), strict=True))}), (0, 1))
NOISE = {key: Noise(0.05, 30, 0.05, 30) for key in KEYS}
STALE = {"train@0": ["stages/train", "params.yaml: train"], "plot": ["command"]}


@pytest.fixture
def checks():
    return judge(dict.fromkeys(KEYS, 0.0), OLD, NEW, NOISE, 0.25)


def test_the_heading_is_the_verdict_and_its_reason(checks):
    assert headline(checks, {}) == "✗ Gate: failed: representation bias · gender"
    assert headline(checks[1:], {}).startswith("? Gate: cannot tell: association bias · portraits · unseen")
    assert headline(checks[2:], {}) == "✓ Gate: passed: none of 1 guarded metrics is worse than is let through"


def test_markdown_has_a_row_a_metric_and_a_reason_for_what_did_not_pass(checks):
    lines = markdown(checks, {}).splitlines()
    assert lines[0] == "## ✗ Gate: failed: representation bias · gender"
    assert "| representation bias · gender ↓ | – | 0.100 | 0.400 | ▃█ | +0.300 | ± 0.102 | 0.000 | ✗ failed |" in lines
    assert "| text→image R@5 · people ↑ | 1.0 % | 8.0 % | 9.0 % | ██ | +1.0 points | ± 0.1 points" in "\n".join(lines)
    assert sum(line.startswith("- ") for line in lines) == 2


def test_stale_results_stand_first_in_red(checks):
    lines = markdown(checks, STALE).splitlines()
    assert lines[0] == "> [!CAUTION]" and "train&#64;0 (stages/train, params.yaml: train); plot (command)" in lines[1]
    assert lines[3] == "## ✗ Gate: failed: the results are stale"


def test_names_of_a_users_stages_stay_text(checks):
    text = markdown(checks, {"<img src=x>": ["`a` **b** [c](d) | @e"]})
    assert "&#60;img src=x&#62; (&#96;a&#96; &#42;&#42;b&#42;&#42; &#91;c&#93;(d) &#124; &#64;e)" in text


def test_json_holds_everything_and_no_nan(checks):
    found = json.loads(as_json(checks, STALE), parse_constant=lambda name: pytest.fail(name))
    assert found["verdict"] == "failed" and found["stale"] == STALE
    assert [one["verdict"] for one in found["metrics"]] == ["failed", "cannot tell", "passed"]
    assert found["metrics"][0]["chance"] is None and found["metrics"][2]["chance"] == 1.0
    assert found["metrics"][0]["worsening"] == pytest.approx(0.3)


@pytest.mark.parametrize(("lenient", "failures", "skipped"), [(False, 2, 0), (True, 1, 1)])
def test_junit_counts_what_it_holds(checks, lenient, failures, skipped):
    suite = ET.fromstring(junit(checks, {}, lenient))
    assert suite.tag == "testsuite" and suite.get("tests") == str(len(suite.findall("testcase"))) == "4"
    assert suite.get("failures") == str(len(suite.findall("testcase/failure"))) == str(failures)
    assert suite.get("skipped") == str(len(suite.findall("testcase/skipped"))) == str(skipped)
    assert {case.get("name") for case in suite} == {"results are current", *KEYS}


def test_a_trial_run_is_a_case_of_its_own(checks):
    suite = ET.fromstring(junit(checks[2:], {}, lenient=True, learns=False))
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    assert json.loads(as_json(checks[2:], {}, learns=False))["verdict"] == "failed"


def test_junit_fails_stale_results(checks):
    suite = ET.fromstring(junit(checks[2:], STALE, lenient=True))
    assert suite.get("failures") == "1"
    assert "train@0: stages/train" in suite.find("testcase/failure").get("message")


@pytest.mark.parametrize(
    ("old", "new", "drawn"), [(1, 1, "██"), (0, 1, "▁█"), (-2, 1, "█▅"), (0, 0, "▁▁"), (3, 0.1, "█▁")]
)
def test_bars_are_sizes_against_the_larger_one(old, new, drawn):
    assert bars(old, new) == drawn
