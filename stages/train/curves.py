"""The points of the curves, live in DVCLive's format, and the same after a resume as without one."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from dvclive.live import Live
from scmrepo.exceptions import SCMError

from stages.core.errors import InputError


class Curves:
    """
    Writes `plots/metrics/<name>.tsv` and `metrics.json` as training goes.

    Parameters
    ----------
    points : list of dict
        Points of an interrupted run, each with its `step`; written again first.

    Raises
    ------
    InputError
        If DVCLive cannot work in this repository.
    """

    def __init__(self, folder: Path, points: list[dict[str, float]]) -> None:
        self.points: list[dict[str, float]] = []
        try:
            self._live = Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None, monitor_system=False)
        except SCMError as error:
            raise InputError(f"dvclive needs a git repository with a commit ({error}); run git commit first") from None
        for point in points:
            self.add(int(point["step"]), {name: value for name, value in point.items() if name != "step"})

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        self.points.append({"step": step, **values})
        self._live.step = step
        for name, value in values.items():
            self._live.log_metric(name, value)
        self._live.make_summary()

    def __enter__(self) -> "Curves":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.end()
