"""The chart of a loop over rounds."""

import math

import pandas as pd
from matplotlib.figure import Figure

from stages.results import rounds

TABLE = pd.DataFrame(
    [
        ("none", 0, "generator.position", 1, 1.0, math.nan, math.nan),
        ("none", 1, "generator.position", 2, 1.5, 1.2, 1.8),
        ("fresh", 0, "generator.position", 1, 1.0, math.nan, math.nan),
        ("none", 0, "people.t2i.r5", 1, 7.0, math.nan, math.nan),
    ],
    columns=pd.Index([*rounds.COLUMNS]),
)


def test_a_line_an_arm_with_intervals_where_they_are_known() -> None:
    panel = rounds.lines(TABLE, "generator.position")
    axes = Figure().add_subplot()
    panel.draw(axes)
    legend = axes.get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == ["none", "fresh"]
    drawn = [path.vertices[:, 1].tolist() for of in axes.collections for path in of.get_paths()]
    assert [1.2, 1.8] in drawn
    said = [str(line.get_gid()) for line in axes.lines if line.get_gid()]
    assert said == ["mark|none|none, round 0: 1", "mark|none|none, round 1: 1.5", "mark|fresh|fresh, round 0: 1"]
    assert "none, round 1: 1.5; fresh, round 0: 1" in panel.alt and panel.data is not None and len(panel.data) == 3


def test_metrics_of_the_model_have_the_name_of_the_report() -> None:
    assert rounds.name("people.t2i.r5").startswith("CLIP: text→image R@5")
    assert rounds.name("generator.women.judge") == "generator.women.judge"
