"""Work in forks: all of it is done, and what stops one of them is said."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.core.errors import InputError
from stages.core.forks import in_forks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are used on Linux only")


def test_every_fork_does_its_share_in_a_process_of_its_own(tmp_path: Path) -> None:
    def work(fork: int) -> Iterator[None]:
        for item in range(6)[fork::3]:
            (tmp_path / str(item)).write_text(str(os.getpid()))
            yield

    assert len([*in_forks(work, 3)]) >= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == list("012345")
    processes = [(tmp_path / str(item)).read_text() for item in range(6)]
    assert processes[:3] == processes[3:] and len(set(processes)) == 3 and str(os.getpid()) not in processes


def test_bad_input_in_a_fork_ends_all_with_code_2(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # where the other fork is not done yet, on busy cores, torch says that it ends it
    monkeypatch.setattr(logging.getLogger("torch.multiprocessing.spawn"), "disabled", True)

    def work(fork: int) -> Iterator[None]:
        yield
        if fork:
            raise InputError("too large")

    with pytest.raises(SystemExit) as stopped:
        list(in_forks(work, 2))
    assert stopped.value.code == 2
    assert capfd.readouterr().err == "error: too large\n"


def test_a_killed_fork_is_said() -> None:
    def work(fork: int) -> Iterator[None]:
        if fork:
            os.kill(os.getpid(), signal.SIGKILL)
        yield

    with pytest.raises(InputError, match=r"SIGKILL; if memory ran out, allow fewer processes: OMP_NUM_THREADS"):
        list(in_forks(work, 2))
