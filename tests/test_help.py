"""Every stage and tool says what it does and takes; so does make."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for path in (ROOT / "stages").rglob("*.py")
    if 'if __name__ == "__main__"' in path.read_text()
)


def test_all_stages_and_tools_are_programs():
    tools = {"params", "metric_help", "gate", "compare", "study", "pull_request", "check_lock", "verify", "gpu_check"}
    tools = {f"tools.{name}" for name in tools} | {"download.benchmarks"}
    stages = {"download", "generate", "annotate", "balance", "train", "caption", "evaluate", "plot"}
    assert {f"stages.{name}" for name in tools | stages} <= set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_names_the_program_and_says_what_it_does(program, monkeypatch, capsys):
    path = ROOT / program.replace(".", "/")
    module = importlib.import_module(f"{program}.__main__" if path.is_dir() else program)
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    with pytest.raises(SystemExit) as stop:
        module.main()
    said = capsys.readouterr().out
    assert stop.value.code == 0
    assert said.startswith(f"usage: python -m {program} ")
    first = (module.__doc__ or "").split(".")[0].split(":")[0].split()[:4]
    assert " ".join(first) in " ".join(said.split())
    options = re.findall(r"(?m)^  (--[\w-]+.*(?:\n {10,}.*)*)$", said)
    assert not [option for option in options if not re.search(r"\S(?:  +|\n +)\S", option)], "an option has no help"


def test_make_lists_its_targets():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    described = re.findall(r"(?m)^  make ([\w-]+) +\S", done.stdout)
    targets = re.findall(r"(?m)^([a-z][\w-]*):", (ROOT / "Makefile").read_text())
    assert described == targets
