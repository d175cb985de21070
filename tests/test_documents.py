"""README and docs/ say what the project does now: what they name exists, each command has a test or says why not."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]}
PAGES |= {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
MARK = re.compile(r"<!-- (?:run by: (?P<test>\S+)|not run here: .+|a test runs these commands|example: .+) -->")


def found(pattern: str) -> list[tuple[str, str]]:
    """Return (page, match) of a pattern with one group."""
    return sorted({(page, match) for page, text in PAGES.items() for match in re.findall(pattern, text)})


@pytest.mark.parametrize(("page", "module"), found(r"python -m (stages[\w.]*\w)"))
def test_every_module_that_a_page_names_exists(page: str, module: str) -> None:
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()


@pytest.mark.parametrize(("page", "target"), found(r"(?:`|(?m:^))make ([a-z]+(?:-[a-z]+)*)(?=[`\s;,.)])"))
def test_every_make_target_that_a_page_names_exists(page: str, target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("page", "link"), found(r"\]\((?!http|#)([^)#]+)(?:#[^)]*)?\)"))
def test_every_file_that_a_page_links_exists(page: str, link: str) -> None:
    assert ((ROOT / page).parent / link).exists()


@pytest.mark.parametrize("page", sorted(PAGES))
def test_each_block_of_commands_names_its_test_or_why_there_is_none(page: str) -> None:
    blocks = [match.start() for match in re.finditer(r"^```(?:sh|bash)$", PAGES[page], re.MULTILINE)]
    for start in blocks:
        before = PAGES[page][:start].rstrip("\n").rsplit("\n", 1)[-1]
        mark = MARK.fullmatch(before.strip())
        assert mark, f"{page}: the block after {before!r} is not marked"
        assert mark["test"] is None or (ROOT / mark["test"]).is_file(), mark[0]


def test_the_first_page_fits_a_page() -> None:
    words = re.sub(r"```.*?```|<!--.*?-->|\|.*?$", " ", PAGES["README.md"], flags=re.DOTALL | re.MULTILINE).split()
    assert len(words) <= 900


def test_the_numbers_of_the_first_page_are_those_of_the_findings() -> None:
    """Every figure of README's findings stands in docs/findings.md, where a test recomputes it."""
    section = PAGES["README.md"].split("## What was found so far")[1].split("\n## ")[0]
    numbers = set(re.findall(r"[+−]?(?:\d+)?\.\d+|\d+\.\d+", re.sub(r"\]\(.*?\)", "", section)))
    assert len(numbers) > 10
    assert not {number for number in numbers if number not in PAGES["docs/findings.md"]}
