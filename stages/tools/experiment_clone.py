"""Where experiments run without touching the working tree: a clone of the repository in the work folder.

`dvc exp run` sets parameters in the clone, which is reset before each run, whatever killed the last one. Clone and
repository share DVC's cache, so nothing that any of them has made is made twice; finished experiments can be fetched
into the repository, where `dvc exp show --all-commits` and `stages.tools.compare` find them.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from stages.core.errors import InputError
from stages.results.repository import git

REFS = "refs/exps/"


def experiments(root: Path) -> dict[str, str]:
    """List finished DVC experiments, of every commit."""
    listed = git(root, "for-each-ref", "--format=%(refname)", REFS) or ""
    found = [re.fullmatch(r"refs/exps/\w{2}/\w{38}/(.+)", ref) for ref in listed.splitlines()]  # others are DVC's own
    return {match[1]: match[0] for match in found if match}


class Workplace:
    """
    A clone in which experiments run, one after another.

    Parameters
    ----------
    folder : Path
        Of the clone; made if missing.
    shared : mapping of Path to Path, optional
        Folders that experiments read and git does not have: path in the clone (which git ignores), and where it lies.
    """

    def __init__(
        self, root: Path, folder: Path, environment: Mapping[str, str], shared: Mapping[Path, Path] | None = None
    ) -> None:
        self.root, self.folder, self.shared = root.resolve(), folder, shared or {}
        self.cache = self.root / ".dvc" / "cache"
        self.environment = {**environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"}

    def prepare(self, commit: str) -> None:
        """
        Make the clone, or clear it of what a kill left; then put it at a commit.

        Raises
        ------
        InputError
            If git or DVC fail.
        """
        if not self._is_sound(commit):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.do("git", "clone", "--quiet", "--no-checkout", str(self.root), str(self.folder), folder=self.root)
        self._put(commit)
        for path, lies in self.shared.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).unlink(missing_ok=True)
            (self.folder / path).symlink_to(lies)
        for key, value in (("user.name", "clip-counterweight"), ("user.email", "clip-counterweight@localhost")):
            if git(self.folder, "config", key) is None:  # DVC commits experiments
                self.do("git", "config", key, (git(self.root, "config", key) or value).strip())
        local = self.root / ".dvc" / "config.local"
        if local.is_file():
            shutil.copyfile(local, self.folder / ".dvc" / "config.local")
        dvc = (sys.executable, "-m", "dvc")
        self.cache = self.root / self.do(*dvc, "cache", "dir", folder=self.root).strip()
        self.do(*dvc, "cache", "dir", "--quiet", "--local", str(self.cache))

    def _is_sound(self, commit: str) -> bool:
        """Take away what a kill may have left; tell whether the clone can go on."""
        inner = self.folder / ".git"
        if not inner.is_dir():
            return False
        for stale in [*inner.glob("*.lock"), *inner.glob("refs/**/*.lock")]:
            stale.unlink()
        shutil.rmtree(self.folder / ".dvc" / "tmp", ignore_errors=True)
        if git(self.folder, "fetch", "--quiet", "--force", "origin", commit) is None:
            return False
        left = git(self.folder, "for-each-ref", "--format=%(refname)", f"{REFS}exec", f"{REFS}stash", "refs/stash")
        return left is not None and all(git(self.folder, "update-ref", "-d", ref) is not None for ref in left.split())

    def _put(self, commit: str) -> None:
        """Put tracked files at a commit, and remove others but those that git ignores: the data."""
        self.do("git", "checkout", "--quiet", "--force", "--detach", commit)
        self.do("git", "clean", "--quiet", "--force", "-d")

    def collect(self, names: Sequence[str]) -> None:
        """
        Fetch finished experiments into the repository.

        Parameters
        ----------
        names : sequence of str
            Which; those that are not there are left out.

        Raises
        ------
        InputError
            If git fails.
        """
        if not (self.folder / ".git").is_dir():
            return
        found = experiments(self.folder)
        if refs := [f"+{found[name]}:{found[name]}" for name in names if name in found]:
            self.do("git", "fetch", "--quiet", "--no-write-fetch-head", str(self.folder), *refs, folder=self.root)

    def run(self, name: str, commit: str, overrides: Sequence[str], log: Path, keep: Sequence[int] = ()) -> bool:
        """
        Run one experiment, from a clean start.

        Parameters
        ----------
        log : Path
            Takes what DVC and the stages print.
        keep : sequence of int
            File descriptors that the run holds open: locks that outlive this process.
        """
        self._put(commit)
        self._forget()
        sets = [word for value in overrides for word in ("--set-param", value)]
        with log.open("ab") as file:
            subprocess.run(
                [sys.executable, "-m", "dvc", "exp", "run", "--name", name, *sets],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                pass_fds=keep,
                check=False,
            )
        return name in experiments(self.folder)

    def _forget(self) -> None:
        """Take from dvc.lock what the cache does not hold."""
        # Another machine has made it, of the same inputs: DVC would make it again each time, and not ask its run cache.
        path = self.folder / "dvc.lock"
        if not path.is_file():
            return
        locked = yaml.safe_load(path.read_text())
        stages = locked["stages"]
        hashes = {name: [out["md5"] for out in stage.get("outs", []) if "md5" in out] for name, stage in stages.items()}
        held = {
            name: stages[name]
            for name, found in hashes.items()
            if all((self.cache / "files" / "md5" / md5[:2] / md5[2:]).is_file() for md5 in found)
        }
        if len(held) < len(stages):
            path.write_text(yaml.safe_dump({**locked, "stages": held}, sort_keys=False))

    def do(self, *command: str, folder: Path | None = None) -> str:
        """
        Run a command.

        Parameters
        ----------
        folder : Path, optional
            Where, if not in the clone.

        Raises
        ------
        InputError
            If it fails.
        """
        done = subprocess.run(
            command, cwd=folder or self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
            shown = "dvc" if "dvc" in command else command[0]
            raise InputError(f"{shown} failed in {folder or self.folder}: {reason[0]}")
        return done.stdout
