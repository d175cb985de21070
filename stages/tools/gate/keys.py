"""Which metrics can be guarded: settings are checked for it before anything else is loaded."""

from collections.abc import Iterable

from stages.core.errors import InputError
from stages.results.registry import entry


def check_keys(keys: Iterable[str]) -> None:
    """Refuse metrics that are in no registry, or of which no direction is worse."""
    for key in keys:
        if entry(key).better == "none":
            raise InputError(
                f"params.yaml: gate.metrics: {key}: unknown, or no direction of it is worse; expected a key of "
                "`python -m stages.tools.metric_help` with a better direction"
            )
