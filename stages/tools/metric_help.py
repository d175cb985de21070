"""Every metric with its meaning, as Markdown: `python -m stages.tools.metric_help > docs/metrics.md`."""

import argparse

from stages.core.errors import run
from stages.results.headline import MOST
from stages.results.registry import SECTIONS, Entry, Level, derived

INTRODUCTION = f"""# Metrics

This file is written by `python -m stages.tools.metric_help > docs/metrics.md` from `stages/results/registry.py`; a test
compares the two.

`data/<profile>/results/metrics.json` holds the headline, at most {MOST} means over the seeds, for `dvc metrics diff`.
`details.json` beside it holds every metric: `value`, the mean over the seeds; `lo` and `hi`, the ends of its 95 %
interval over test images; `std`, the standard deviation between seeds; `n`, how many seeds define it. What is not
defined or not known is left out. `tables/metrics.csv` is the same as a table.

In a key,

- `{{set}}` is an evaluation set (`people`), a part of one (`portraits.unseen`: by an artist of no training image;
  `portraits.seen`: by the artists of the corpus), `text` (prompts of women and of men stand for images) or `probe` (a
  few images, measured again and again during training: the curves);
- `{{attribute}}` is `gender`, `skin_tone`, `age` or `ethnicity`; `{{marked}}` is the attribute that the prompts name;
- `{{k}}` is a cut-off; `{{captioner}}` is `clipcap` or `transformer`, or `majority`: one caption for every image;
- `{{when}}` is `before` balancing, as `solved` by weights, or as `realised` by whole rows;
- what stands in brackets may be missing: `rb.gender` is of the default set of neutral images, `imagenet.rb.gender` of
  another one; `portraits.ab.max` compares women and men, `portraits.skin_tone.ab.max` skin tones.

★ marks the headline: of `{{k}}` the top 5, of `{{attribute}}` gender. An arrow says which way is better: ↑ higher, ↓
lower, → 0 or → ½ nearer to that value; none: context, not a goal. The last two columns say what a model gives that
knows nothing, where a number is known, and one that knows all.
"""


def markdown() -> str:
    """Write the registry as Markdown, a table per section."""
    blocks = [INTRODUCTION]
    for title, entries in SECTIONS.items():
        rows = [_row(one) for entry in entries for one in (entry, *derived(entry))]
        head = "| key | name | meaning | range | unit | better | knowing nothing | knowing all |"
        blocks.append("\n".join([f"## {title}", "", head, "|---|---|---|---|---|---|---|---|", *rows]) + "\n")

    return "\n".join(blocks)


def _row(e: Entry) -> str:
    name = e.name.replace("[", "").replace("]", "")
    key = f"`{e.key}`{' ★' if e.headline else ''}"
    cells = (key, name, e.meaning, e.range, e.unit, e.arrow, _chance(e), e.best or _best(e))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _chance(e: Entry) -> str:
    if isinstance(e.chance, Level):
        k = " k" if "{k}" in e.key else ""
        return f"100{k} ÷ `{e.chance.key}`" if e.chance.share else f"`{e.chance.key}`"
    return e.chance if isinstance(e.chance, str) else "" if e.chance is None else f"{e.chance:g}"


def _best(e: Entry) -> str:
    low, high = e.span
    best = {"higher": f"{high:g}", "lower": f"{max(low, 0):g}", "zero": "0", "half": "½", "none": ""}[e.better]
    return "" if best == "inf" else best


def main() -> None:
    """Print the reference."""
    argparse.ArgumentParser(prog="python -m stages.tools.metric_help", description=__doc__).parse_args()
    print(markdown(), end="")


if __name__ == "__main__":
    run(main)
