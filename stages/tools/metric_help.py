"""Every metric with its meaning, as a Markdown table: `python -m stages.tools.metric_help`."""

import argparse

from stages.core.errors import run
from stages.results.registry import markdown


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(prog="python -m stages.tools.metric_help", description=__doc__).parse_args()
    print(markdown())


if __name__ == "__main__":
    run(main)
