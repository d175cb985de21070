"""Parameters: every value is what was written, or refused in one line."""

import datetime
from contextlib import redirect_stderr
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from stages.core.errors import InputError, run
from stages.core.settings import Merged, Section, load_section, read_yaml
from stages.tools.params import Params, load
from tests.helpers.campaign import campaign

ROOT = Path(__file__).parents[2]
SMOKE = Merged(ROOT, "smoke")
EMOJI = Merged(ROOT, "emoji")


def changed(merged: Merged, *names: str, value: object) -> Params:
    """Validate parameters with one other value, at the end of a path of names, which may hold dots of their own."""
    *parents, last = names
    other = object.__new__(Merged)
    other.__dict__.update(merged.__dict__)
    other.values = yaml.safe_load(yaml.safe_dump(merged.values))
    block: Any = other.values
    for name in parents:
        block = block[name]
    block[last] = value
    return other.validate(Params)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("contamination.alpha", True, "contamination.alpha: found true, expected a number (share"),
        ("contamination.alpha", None, "contamination.alpha: found null: input should be a valid number"),
        ("seeds", [1.0], "seeds.0: found 1.0, expected a whole number"),
        ("seeds", [0, True], "seeds.1: found true, expected a whole number"),
        ("seeds", ["1"], "seeds.0: found '1', expected a whole number"),
        ("seeds", 0, "seeds: found 0: expected a list: [0]"),
        ("shards", "00000", "shards: found '00000': expected a list: [00000]"),
        ("shards", [0], "shards.0: found 0: input should be a valid string"),
        ("balance.utility_bins", 1.0, "balance.utility_bins: found 1.0, expected a whole number"),
        ("balance.proxies", "yes", "balance.proxies: found 'yes', expected true or false"),
        ("balance.proxies", 1, "balance.proxies: found 1, expected true or false"),
        ("balance.eta", False, "balance.eta: found false: input should be greater than 0"),
        ("balance.eta", 2, "balance.eta: found 2: input should be less than or equal to 1"),
        ("balance.eta", "x", "balance.eta: found 'x': input should be 'auto'"),
        (
            "balance.target",
            {"gender": {"woman": -0.5, "man": 0.5}},
            "balance.target.gender.woman: found -0.5: input sh",
        ),
        (
            "balance.target",
            {"gender": {"woman": True, "man": 0.0}},
            "balance.target.gender.woman: found true, expected",
        ),
        (
            "balance.target",
            {"hair": "equal"},
            "balance.target: found hair, expected one of balance.attributes (gender, skin_tone)",
        ),
        ("balance.target", {"gender": "even"}, "balance.target.gender: found 'even': input should be 'none', 'equal'"),
        ("train.betas", [0.9, True], "train.betas.1: found true: input should be less than 1"),
        ("gate.metrics", {"rb.gender": True}, "gate.metrics.rb.gender: found true, expected a number"),
        ("train.betas", [0.9, 1.0], "train.betas.1: found 1.0: input should be less than 1"),
        ("train.learning_rate", "1_0", "train.learning_rate: found '1_0', expected a number"),
        ("train.batch_size", 10**21, f"train.batch_size: found {10**21}, expected a whole number"),
        ("evaluate.sets", ["people", "people"], "evaluate.sets: found ['people', 'people']: expected each once"),
        (
            "balance.attributes",
            ["gender", "gender"],
            "balance.attributes: found ['gender', 'gender']: expected each",
        ),
        ("annotate.columns", ["a", "a"], "annotate.columns: found ['a', 'a']: expected each once"),
        (
            "evaluate.erase",
            {"methods": ["leace"] * 2},
            "evaluate.erase.methods: found ['leace', 'leace']: expected",
        ),
        ("evaluate.sets", [], "evaluate.sets: found []: expected 1 or more"),
        (
            "generate.prompt_shares",
            {"gender": {"woman": 0.5}},
            "generate.prompt_shares.gender: found woman 0.5, expected shares of woman, man that sum to 1",
        ),
        ("train.penalty", {"of": datetime.date(2020, 1, 1)}, "train.penalty.of: found 2020-01-01: input should be"),
        ("evaluate.templates", ["a {x}"], "evaluate.templates: found 'a {x}', expected one {} or {label} in it"),
        ("evaluate.templates", ["a {"], "evaluate.templates: found 'a {', expected one {} or {label} in it"),
        ("evaluate.person_templates", ["a photo"], "evaluate.person_templates: found 'a photo', expected one {} or"),
        ("download.evaluation", {"a/b": "x"}, "download.evaluation: found the name 'a/b', expected letters, digits"),
    ],
)
def test_a_value_of_another_type_is_refused(key: str, value: object, says: str) -> None:
    with pytest.raises(InputError) as caught:
        changed(EMOJI, *key.split("."), value=value)
    assert str(caught.value).partition(": ")[2].startswith(says)


@pytest.mark.parametrize(
    ("wds", "says"),
    [
        ({"attributes": ["caption"]}, "attributes: found 'caption', a name of this project's; rename the field"),
        ({"numbers": ["u"]}, "attributes: found 'u', a name of this project's"),
        ({"attributes": ["a"], "numbers": ["a"]}, "attributes, numbers: found 'a' twice, expected each field once"),
        ({"captions": "all"}, "captions: found 'all': input should be 'first' or 'draw'"),
    ],
)
def test_names_of_fields_are_free_and_come_once(wds: dict, says: str) -> None:
    mine = {"source": "wds", "resolution": 8, "seed": 0, "wds": {"folder": "x", **wds}}
    with pytest.raises(InputError) as caught:
        changed(EMOJI, "download", value=mine)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty, expected keys and values"),
        ("# nothing\n", "the file is empty, expected keys and values"),
        ("[1]", "found [1], expected keys and values"),
        ("a: 1\n? [b]\n: 2\n", "line 2: found a list or a block as a key, expected text; write it in quotes"),
        ("? {b: 1}\n: 2\n", "line 1: found a list or a block as a key"),
        ("1: 2\n", "line 1: found 1 as a key, expected text; write it in quotes"),
        ("a:\n  yes: 2\n", "line 2: found yes as a key, expected text"),
        ("seeds: [010]\n", "line 1: found 010, which readers of YAML take for different numbers; write it in plain"),
        ("seeds: [1, 0o17]\n", "line 1: found 0o17, which readers"),
        ("a: 1_000\n", "line 1: found 1_000, which readers"),
        ("a: 1:30\n", "line 1: found 1:30, which readers"),
        ("a: 2021-13-45\n", "not valid YAML: month must be in 1..12"),
        ("a: " + "9" * 5000, "not valid YAML: Exceeds the limit"),
        ("[" * 5000, "not valid YAML: maximum recursion depth exceeded"),
        ("a: !!python/object/apply:os.system [x]\n", "line 1: could not determine a constructor"),
        ("a: \x07\n", "not UTF-8 text ("),
        ("a: 0.5_0\n", "line 1: found 0.5_0, which readers"),
        ("a: !!bool 1\n", "not valid YAML: '1'; correct it"),
        ("a: !!timestamp x\n", "not valid YAML: 'NoneType'"),
        ("'': 1\n", "line 1: found nothing as a key, expected text"),
        ("a: 1\n--- \nb: 2\n", "line 2: expected a single document in the stream: but found another document; correct"),
        ("a: &a {<<: 3}\n", "line 1: while constructing a mapping: expected a mapping or list of mappings for merging"),
        ("a: *a\n", "line 1: found undefined alias 'a'; correct the YAML"),
    ],
)
def test_a_file_of_parameters_that_says_nothing_certain_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_yaml(tmp_path / "p.yaml")
    assert str(caught.value).removeprefix(f"{tmp_path / 'p.yaml'}: ").startswith(says)
    assert "\n" not in str(caught.value)


def test_parameters_in_another_encoding_or_a_folder_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes("a: é\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"p\.yaml: not UTF-8 text \(.*\); save the file as UTF-8"):
        read_yaml(tmp_path / "p.yaml")
    for encoding in ("utf-16", "utf-32"):
        (tmp_path / "p.yaml").write_text("a: é\n", encoding=encoding)
        with pytest.raises(
            InputError, match=r"found UTF-16 or UTF-32, which DVC does not read; save the file as UTF-8"
        ):
            read_yaml(tmp_path / "p.yaml")
    with pytest.raises(InputError, match=r"is a directory; expected a file that can be read"):
        read_yaml(tmp_path)
    (tmp_path / "p.yaml").write_bytes("a: é\n".encode("utf-8-sig"))
    assert read_yaml(tmp_path / "p.yaml") == {"a": "é"}


def test_aliases_that_stand_for_more_than_fits_in_memory_are_one_short_line(tmp_path: Path) -> None:
    names = [f"a{level}" for level in range(12)]
    lines = [f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise(names)]
    (tmp_path / "p.yaml").write_text("\n".join(["a0: &a0 x", *lines, "profile: *a11"]))
    with pytest.raises(InputError, match=r"p\.yaml: profile\.?: found \[\[\[") as caught:
        load_section(tmp_path / "p.yaml", "profile", Named)
    assert len(str(caught.value)) < 400


class Named(Section):
    profile: str


@pytest.mark.parametrize("value", [None, 3, "x", [1]])
def test_a_section_that_is_none_shows_no_block(project: Any, value: object) -> None:
    with pytest.raises(InputError) as caught:
        load(project(train=value))
    expected = "train.loss: missing" if value is None else f"train: found {value!r}, expected keys and values"
    assert f"params.yaml: {expected}" in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_quoted_number_with_zeros_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("shards: [\"00000\", '1:30']\nn: 0\nx: 0.5\nh: 0x10\n")
    assert read_yaml(tmp_path / "p.yaml") == {"shards": ["00000", "1:30"], "n": 0, "x": 0.5, "h": 16}


def paths(values: Any, parents: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(values, dict):
        return []
    return [path for key, value in values.items() for path in ((*parents, key), *paths(value, (*parents, key)))]


anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
        st.sampled_from(["1e-4", "equal", "none", "0.5", "auto", 0, 1, 0.5, -1, 2**40, float("nan")]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3),
        st.dictionaries(st.sampled_from(["gender", "woman", "man", "data", "share"]), inner, max_size=3),
    ),
    max_leaves=6,
)  # fmt: skip


def kept(given: Any, made: Any) -> bool:
    """Whether a value is what was written, but for numbers."""
    if isinstance(given, dict) and isinstance(made, dict):
        return all(kept(value, made[key]) for key, value in given.items())
    if isinstance(given, (list, tuple)) and isinstance(made, (list, tuple)):
        return len(given) == len(made) and all(map(kept, given, made))
    if isinstance(made, float):
        return not isinstance(given, bool) and float(given) == made
    return type(given) is type(made) and given == made


def printed(error: InputError) -> str:
    """What a program that is stopped by an error prints: a key may hold line breaks, the line may not."""

    def stopped() -> None:
        raise error

    with redirect_stderr(StringIO()) as said, pytest.raises(SystemExit):
        run(stopped)
    return said.getvalue()


@campaign
@given(st.sampled_from(paths(SMOKE.values)), anything)
@example(("generate", "prompt_shares"), {"\n": None})
def test_any_value_of_a_parameter_is_kept_or_refused_in_one_line_property(path: tuple[str, ...], value: object) -> None:
    try:
        made: Any = changed(SMOKE, *path, value=value).model_dump()
    except InputError as error:
        said = printed(error)
        assert len(said.splitlines()) == 1 and said.startswith("error: ") and len(said) < 700
        return
    for name in path:
        made = made[name]
    assert kept(value, made)


@campaign
@given(
    st.one_of(st.text(max_size=60), st.text("ab:- []{}?!&*#'\"\n01_|>%@,~.x", max_size=40)).map(str.encode)
    | st.binary(max_size=40)
)
def test_any_text_is_parameters_or_refused_in_one_line_property(text: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.yaml"
        path.write_bytes(text)
        try:
            assert all(isinstance(key, str) for key in read_yaml(path))
        except InputError as error:
            assert str(error).startswith(f"{path}: ")


def test_a_section_outside_the_main_graph_keeps_its_types_too(tmp_path: Path) -> None:
    from stages.balance.settings import Contamination

    (tmp_path / "own.yaml").write_text("knob: {alpha: true}\n")
    with pytest.raises(InputError, match=r"own\.yaml: knob\.alpha: found true, expected a number"):
        load_section(tmp_path / "own.yaml", "knob", Contamination)
