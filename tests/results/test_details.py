"""details.json: what is written is read back; flat files fold; anything else is refused in one line."""

import json
import math

import pytest

from stages.core.errors import InputError
from stages.results.details import Estimate, fold, read, text


def test_what_is_written_is_read_back(tmp_path):
    details = {"rb.gender": Estimate(0.1, 0.05, 0.15, 0.02, 3), "n.people": Estimate(40.0, n=3)}
    (tmp_path / "details.json").write_text(text(details))
    found = read(tmp_path / "details.json")
    assert found["rb.gender"] == details["rb.gender"]
    assert math.isnan(found["n.people"].lo) and math.isnan(found["n.people"].std)
    assert list(found) == ["n.people", "rb.gender"]


def test_a_metric_is_a_line_and_holds_what_is_known():
    lines = text({"b": Estimate(2.0, n=2), "a": Estimate(1.0, 0.5, 1.5)}).splitlines()
    assert lines == ["{", '  "a": {"value": 1.0, "lo": 0.5, "hi": 1.5, "n": 1},', '  "b": {"value": 2.0, "n": 2}', "}"]


def test_ends_of_flat_metrics_stand_beside_their_values():
    found = fold({"a": 1.0, "a.lo": 0.5, "a.hi": 1.5, "a.std": 0.1, "odd.lo": 7.0}, n=2)
    assert found["a"] == Estimate(1.0, 0.5, 1.5, 0.1, 2)
    assert found.keys() == {"a", "odd.lo"}  # no metric `odd`: a metric of that name


def test_flat_text_is_read():
    found = read('{"a": 1, "a.lo": 0, "a.hi": 3}')["a"]
    assert (found.value, found.lo, found.hi) == (1, 0, 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "found list, expected keys and values"),
        ('{"a": ', "not readable JSON"),
        ('{"a": "x"}', 'a: found "x", expected a finite number'),
        ('{"a": {"lo": 1}}', "expected a finite number, or value"),
        (json.dumps({"a": {"value": 1, "low": 0}}), "expected a finite number, or value"),
        ('{"a": true}', "a: found true"),
        ('{"a": NaN}', "a: found NaN, expected a finite number"),
        ('{"a": 1, "a.std": Infinity}', "a.std: found Infinity"),
        ('{"a": {"value": 1, "hi": -1e999}}', "a: found"),
        ('{"a": null}', "a: found null"),
        ('{"a": [1]}', "a: found [1]"),
        ('{"a": 1, "a.lo": 0}', "a.lo: found without a.hi"),
        ('{"a": {"value": 1, "hi": 2}}', "a.hi: found without a.lo"),
        ('{"a": {"value": 1, "n": 0}}', "a: n: found 0"),
        ('{"a": 1, "a": 2}', "a comes twice"),
        ('{"a": ' + "9" * 350 + "}", "a: found 999"),
        ('{"a": ' + "9" * 5000 + "}", "not readable JSON (Exceeds the limit"),
        ("[" * 150_000, "not readable JSON"),
    ],
)
def test_what_holds_no_metrics_is_refused(content, said):
    with pytest.raises(InputError, match=r"old\.json: ") as refused:
        read(content, "old.json")
    assert said in str(refused.value)


def test_another_encoding_is_refused(tmp_path):
    (tmp_path / "old.json").write_bytes('{"é": 1}'.encode("latin-1"))
    with pytest.raises(InputError, match=r"old\.json: not readable JSON \(.*utf-8") as refused:
        read(tmp_path / "old.json")
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.json: No such file"):
        read(tmp_path / "none.json")
