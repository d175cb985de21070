"""docs/findings.md: every number is one of the rows that it names; the committed tables are those of runs.csv."""

import io
import re
from functools import cache, partial
from pathlib import Path

import pandas as pd
import pytest
import yaml

from stages.results.committed import read_runs
from stages.results.noise import read
from stages.tools.compare.__main__ import study_files
from stages.tools.params import load
from stages.tools.study.claims import claim_files

ROOT = Path(__file__).parents[1]
STUDY = ROOT / "data" / "emoji" / "results" / "study"
NOTE = re.compile(r"^\[\^(\d+)\]: (.+)$", re.MULTILINE)
WRITTEN = (ROOT / "docs" / "findings.md").read_text()
NOTES = dict(NOTE.findall(WRITTEN))
WHOLE = re.sub(r"\[\^(\d+)\]", lambda of: f" {NOTES[of[1]]}", NOTE.sub("", WRITTEN))  # each note where it is cited
TABLE = re.search(r"^\| metric \| contamination.*?(?=\n\n)", WHOLE, re.DOTALL | re.MULTILINE)
CLAIMS = re.search(r"^\| claim \| published.*?(?=\n\n)", WHOLE, re.DOTALL | re.MULTILINE)
assert TABLE and CLAIMS
TEXT = WHOLE.replace(TABLE[0], "").replace(CLAIMS[0], "")  # both are the study's, whose every digit is compared
TEXT = re.sub(r"(?<!\n)\n(?![\n|#-])", " ", TEXT)  # a line per paragraph, wherever it is broken
KEYS = {
    "runs": ["metric", "method", "alpha", "seed"],
    "lines": ["metric", "method", "alpha"],
    "trends": ["metric", "method", "alpha_to"],
    "comparisons": ["metric", "method", "reference", "alpha"],
    "noise": ["metric"],
    "levers": ["lever", "metric"],
    "rounds": ["arm", "round", "metric"],
    "against": ["metric", "method", "reference"],
}
FILES = {  # others: of the study
    "levers": "counterweights/table", "against": "counterweights/comparisons", "rounds": "generations/table"
}  # fmt: skip
SOURCE = re.compile(r"`(\w+) · ([^`]+)`")
NUMBER = re.compile(r"(?<![\w.@])[−+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?![\w@]|\.\d)")
LEVELS = r"\b95 %|\b5 %"  # of intervals and tests


@cache
def rows(name: str) -> pd.DataFrame:
    table = pd.read_csv(STUDY.parent / f"{FILES.get(name, f'study/{name}')}.csv")
    return table.assign(**{key: [_key(value) for value in table[key]] for key in KEYS[name]})


def _key(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def values(name: str, row: str) -> list[float]:
    """Return every number of the rows that a source names; of an unknown row none."""
    parts = [part.strip() for part in row.split("·")]
    if name == "profile":
        of = yaml.safe_load((ROOT / "stages" / "profiles" / "emoji.yaml").read_text())
        for part in parts[0].split("."):
            of = of[part]
        return [float(of)]
    if name == "smallest":  # change that two runs of so many shared seeds tell apart
        metric, n = parts[0], int(parts[1])
        return [read(STUDY / "noise.csv")[metric].half_width(n, n, paired=True), float(n)]
    table = rows(name)
    for key, part in zip(KEYS[name], parts, strict=False):
        table = table.loc[table[key] == part, :]
    return [float(number) for row in table.to_numpy() for number in row if _is_number(number)]


def _is_number(value: object) -> bool:
    return re.fullmatch(r"-?[\d.]+(e-?\d+)?", str(value)) is not None


def units(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Split a document into what is said and the sources that follow it."""
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for block in re.split(r"\n\s*\n|\n(?=- |\|)", text):
        if block.startswith("#"):
            continue
        block = " ".join(block.split())
        where, rest = 0, list(SOURCE.finditer(block))
        while rest:
            first = last = rest.pop(0)
            cited = [first]
            while rest and not block[last.end() : rest[0].start()].strip(" |"):
                last = rest.pop(0)
                cited.append(last)
            found.append((block[where : first.start()], [(one[1], one[2]) for one in cited]))
            where = last.end()
        found.append((block[where:], []))
    return found


def unfounded(text: str) -> list[str]:
    """List the numbers that no cited row holds, with what is said."""
    bad = []
    for said, sources in units(text):
        plain = re.sub(rf"`[^`]*`|\]\([^)]*\)|R@\d+|top-\d+|{LEVELS}", "", said)
        known = [value for source in sources for value in values(*source)]
        bad += [f"{number}: {said.strip()}" for number in NUMBER.findall(plain) if not _holds(number, known)]
    return bad


def _holds(written: str, known: list[float]) -> bool:
    """Tell whether a value is written so; a sign may be left out, as in "falls by"."""
    digits = len(written.partition(".")[2])
    number = float(written.replace("−", "-").replace(",", ""))
    signed = written[0] in "−+"
    return any(abs((value if signed else abs(value)) - number) <= 0.5001 * 10**-digits for value in known)


def test_every_number_is_that_of_the_rows_it_names() -> None:
    assert unfounded(TEXT) == []


def test_every_note_is_cited_and_holds_sources_alone() -> None:
    assert len(NOTES) == len(NOTE.findall(WRITTEN)) > 40
    assert set(re.findall(r"\[\^(\d+)\](?!:)", WRITTEN)) == NOTES.keys()
    assert [note for note in NOTES.values() if SOURCE.sub("", note).strip()] == []


def test_every_source_is_a_row() -> None:
    sources = SOURCE.findall(TEXT)
    assert len(sources) > 40 and [source for source in sources if not values(*source)] == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("by +1.08 [", "by +1.09 ["), ("−.43 [−.51", "+.43 [−.51"), ("1.3 [.7, 1.9] points", "1.3 [.7, 1.8] points"),
     ("8,400", "8,401"), ("p = .039", "p = .038"), ("2 of 8 replicates have", "3 of 8 replicates have")],
)  # fmt: skip
def test_a_wrong_number_would_be_noticed(right: str, wrong: str) -> None:
    assert TEXT.count(right) >= 1 and len(unfounded(TEXT.replace(right, wrong, 1))) == 1


def test_a_number_without_a_source_would_be_noticed() -> None:
    assert unfounded("R@5 falls by 7.3 points.") == ["7.3: R@5 falls by 7.3 points."]


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    study = load(ROOT, profile="emoji").study
    assert study
    with pytest.MonkeyPatch.context() as patch:  # drawing takes long, and no number hangs on it
        patch.setattr("stages.tools.compare.__main__.png", lambda *_, **__: b"")
        runs, claimed = read_runs(STUDY / "runs.csv"), [claim.metric for claim in study.claims]
        further = partial(claim_files, study.claims)
        return study_files(runs, "emoji", None, None, study.main, study.parts, further, claimed)


@pytest.mark.parametrize("name", ["lines.csv", "trends.csv", "comparisons.csv", "noise.csv"])
def test_the_committed_tables_are_those_of_the_committed_runs(again: dict[str, bytes], name: str) -> None:
    expected = pd.read_csv(io.BytesIO(again[name]))
    pd.testing.assert_frame_equal(pd.read_csv(STUDY / name), expected, rtol=1e-4, atol=1e-6)


def test_the_committed_findings_are_those_of_the_committed_runs(again: dict[str, bytes]) -> None:
    assert (STUDY / "findings.md").read_text() == again["findings.md"].decode()


def test_the_one_table_is_that_of_the_committed_runs(again: dict[str, bytes]) -> None:
    """Heading and every row, with effect, interval and verdict, to the letter; all kinds of metrics are there."""
    head, rule, *rows = TABLE[0].splitlines()
    lines = again["findings.md"].decode().split("### In one table")[1].split("\n### ")[0].splitlines()
    assert [head, rule] == [line for line in lines if line][:2]
    assert [row for row in rows if row not in lines] == []
    names = " ".join(row.split("|")[1] for row in rows)
    kinds = ("text→image R@5", "zero-shot", "recognition", "representation bias", "association bias", "text alone")
    assert [kind for kind in kinds if kind not in names] == [] and len(set(rows)) == len(rows) >= 12


def test_the_table_of_claims_is_that_of_the_committed_runs(again: dict[str, bytes]) -> None:
    assert again["claims.md"].decode().strip() == CLAIMS[0] == (STUDY / "claims.md").read_text().strip()
    assert len(CLAIMS[0].splitlines()) >= 12


def test_a_part_is_said_not_to_be_run_where_it_has_no_runs() -> None:
    study, lines = load(ROOT, profile="emoji").study, set(rows("runs")["method"])
    said = re.findall(r"^\| `(\w+)` \|", WHOLE, re.MULTILINE)
    assert study and said == [name for name, part in study.parts.items() if not lines & set(part.lines)]


def test_the_opening_is_five_sentences() -> None:
    (opening,) = re.findall(r"## In five sentences\n(.*?)\n## ", WHOLE, re.DOTALL)
    plain = re.sub(r"`[^`]*·[^`]*`", "", opening)
    assert len(re.findall(r"\.(?=\s+[A-Z]|\s*$)", " ".join(plain.split()))) == 5
