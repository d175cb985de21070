"""What is drawn is what the tables say."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from stages.plot import figures
from stages.results import panels
from stages.results.details import Estimate
from stages.results.panels import Panel

CURVES = pd.DataFrame(
    [
        (seed, step, name, step * (seed + 1) / 10)
        for seed in (0, 1)
        for step in (10, 20)
        for name in ("loss", "odd_one")
    ],
    columns=["seed", "step", "metric", "value"],
)
GROUPS = pd.DataFrame(
    [
        ("retrieval.t2i.5", "people", "", "", "all", 30, 50.0, 45.0, 55.0, 0),
        ("retrieval.t2i.5", "people", "", "gender", "man", 10, 40.0, 30.0, 52.0, 0),
        ("retrieval.t2i.5", "people", "", "gender", "woman", 20, 55.0, 50.0, 61.0, 1),
        ("retrieval.t2i.5", "people", "", "gender x skin_tone", "man x 1", 5, 40.0, 30.0, 52.0, 0),
        ("retrieval.t2i.5", "people", "", "gender x skin_tone", "woman x 1", 5, 41.0, 30.0, 52.0, 0),
    ],
    columns=["metric", "set", "part", "attribute", "group", "n", "value", "lo", "hi", "small"],
)
PAIRS = pd.DataFrame(
    [
        ("gender", "woman", "y_occupation_judge", -0.04, -0.01),
        ("gender", "woman", "y_occupation_health_worker", 0.07, 0.002),
        ("gender", "man", "y_occupation_judge", 0.04, 0.01),
        ("gender", "man", "y_occupation_health_worker", -0.07, -0.002),
        ("gender", "woman", "y_proxy_veil", 0.02, np.nan),
    ],
    columns=["attribute", "group", "label", "before", "realised"],
)
JOBS = pd.DataFrame(
    {
        "part": "unseen",
        "label": ["judge", "teacher", "student", "pilot"],
        "gap": [0.1, 0.9, 0.0, -0.4],
        "gap_lo": [0.0, 0.7, -0.1, -0.6],
        "gap_hi": [0.2, 1.2, 0.1, -0.2],
        "women_corpus": [0.3, 0.76, np.nan, 0.04],
        "women_generator": [0.001, 0.9, np.nan, 0.0],
    }
)


def drawn(panel: Panel) -> Axes:
    axes = Figure(layout="constrained").add_subplot()
    panel.draw(axes)
    return axes


def test_a_curve_shows_each_seed_and_their_mean():
    panel = next(panel for panel in figures.curves(CURVES, []) if panel.name == "curve-loss")
    lines = [line.get_ydata() for line in drawn(panel).lines]
    assert [list(map(float, line)) for line in lines] == [[1, 2], [2, 4], [1.5, 3], [1.5], [3]]


def test_curves_known_by_name_come_first():
    assert [panel.name for panel in figures.curves(CURVES, [])] == ["curve-loss", "curve-odd_one"]


def test_the_axis_of_a_bounded_metric_starts_at_zero():
    loss = CURVES[CURVES["metric"] == "loss"].assign(value=lambda of: of["value"] + 50)
    panels = [figures.curves(of, [], 100)[0] for of in (loss.assign(metric="probe.t2i.r5"), loss)]
    bounded, unbounded = map(drawn, panels)
    assert bounded.get_ylim()[0] == 0 and unbounded.get_ylim()[0] > 50
    assert bounded.get_ylabel() == "% of captions"


def test_retrieval_among_the_probe_is_not_called_as_that_of_the_headline():
    (panel,) = figures.curves(CURVES[CURVES["metric"] == "loss"].assign(metric="probe.t2i.r5"), [], 100)
    assert panel.title == "Text→image: right one in the first 5 of 100"


def test_a_change_of_data_is_marked_where_it_happens():
    axes = drawn(figures.curves(CURVES, [("mixed", 0, 9), ("balanced", 10, 19)])[0])
    assert [text.get_text() for text in axes.texts] == ["mixed", "balanced"]
    assert [list(line.get_xdata()) for line in axes.lines if list(line.get_ydata()) == [0, 1]] == [[10, 10]]


def test_one_phase_needs_no_mark():
    assert not drawn(figures.curves(CURVES, [("balanced", 0, 19)])[0]).texts


def test_bars_show_value_interval_and_n_women_first():
    (panel,) = figures.groups(GROUPS)
    axes = drawn(panel)
    assert [float(bar.get_width()) for bar in axes.patches] == [40, 55]  # from below
    assert [label.get_text() for label in axes.get_yticklabels()] == ["man\nn 10", "woman *\nn 20"]
    whiskers = axes.collections[0].get_segments()
    assert [[float(x) for x, _ in segment] for segment in whiskers] == [[30, 52], [50, 61]]


def test_bars_of_no_set_are_described_without_one():
    (panel,) = figures.groups(GROUPS.assign(set=""))
    assert panel.alt == "Text→image R@5: woman 55, man 40"


def test_small_groups_are_pale():
    assert [bar.get_alpha() for bar in drawn(figures.groups(GROUPS)[0]).patches] == [1, 0.35]


def test_intersections_are_apart():
    assert [panel.name for panel in figures.groups(GROUPS, crossed=True)] == [
        "group-retrieval.t2i.5-people-gender x skin_tone"
    ]


def test_small_intersections_are_left_out():
    crossed = GROUPS.assign(small=[0, 0, 0, 0, 1])
    assert figures.groups(crossed, crossed=True) == []  # one group is no comparison


def test_what_is_one_metric_has_one_axis():
    other = GROUPS.assign(set="portraits", value=lambda of: of["value"] / 2, hi=lambda of: of["hi"] / 2)
    limits = {drawn(panel).get_xlim() for panel in figures.groups(pd.concat([GROUPS, other]))}
    assert len(limits) == 1 and limits.pop()[1] >= 61


def bars(axes: Axes) -> list[list[float]]:
    return [[float(bar.get_width()) for bar in of.patches] for of in axes.containers]


def test_bars_hold_the_associations_of_women_in_points_before_and_after():
    occupations, proxies = figures.data_bias(PAIRS, True)
    axes = drawn(occupations)
    assert np.allclose(bars(axes), [[-4, 7], [-1, 0.2]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["judge", "health worker"]
    assert proxies.name == "data-gender-woman-proxy"
    assert occupations.title == "Gender and occupation: largest association 7.0 points before, 1.0 points after"


def test_more_of_women_and_more_of_men_have_the_colours_of_women_and_men():
    after = drawn(figures.data_bias(PAIRS, True)[0]).containers[1].patches
    assert [to_hex(bar.get_facecolor()) for bar in after] == [panels.MAN, panels.WOMAN]


def test_a_run_without_balancing_has_one_bar_a_label():
    panel = figures.data_bias(PAIRS, False)[0]
    assert np.allclose(bars(drawn(panel)), [[-4, 7]])
    assert panel.title.endswith("largest association 7.0 points") and panel.alt.endswith(
        "; strongest: health worker +7.0"
    )


def test_balancing_that_moves_nothing_has_both():
    panel = figures.data_bias(PAIRS.assign(realised=PAIRS["before"], attribute="skin_tone"), True)[0]
    assert np.allclose(bars(drawn(panel)), [[-4, 7], [-4, 7]])
    assert panel.alt.startswith("Association of skin tone and occupation in the data")
    assert panel.alt.endswith("; strongest: before health worker +7.0, after health worker +7.0")


def test_empty_pairs_are_left_blank():
    axes = drawn(figures.data_bias(PAIRS, True)[1])
    assert np.allclose(bars(axes)[0], [2.0]) and bars(axes)[1] == []
    assert [text.get_text() for text in axes.texts] == ["–"]


def test_the_charts_of_the_data_share_one_axis():
    assert len({drawn(panel).get_xlim() for panel in figures.data_bias(PAIRS, True)}) == 1


def test_labels_of_few_rows_are_marked():
    panel = figures.data_bias(PAIRS.assign(n_label=[10, 90, 10, 90, 90]), True, 30)[0]
    assert [label.get_text() for label in drawn(panel).get_yticklabels()] == ["judge *", "health worker"]


def test_no_association_at_all_can_be_drawn():
    assert panels.svg(figures.data_bias(PAIRS.assign(before=0.0, realised=0.0), True)[0])


def test_occupations_without_a_census_row_are_left_out():
    shares, gaps, against = figures.occupations(JOBS)
    for panel in (shares, gaps):
        assert [label.get_text() for label in drawn(panel).get_yticklabels()] == ["pilot", "judge", "teacher"]
    assert against.title == "Gap against shares in the corpus, unseen portraits"


def test_the_correlation_is_that_of_the_metrics():
    stated = {"portraits.unseen.census_correlation": Estimate(-0.914)}
    against = figures.occupations(JOBS.assign(set="portraits"), stated)[-1]
    assert against.title.endswith(": r\u00a0=\u00a0−0.91, mean over the seeds")


def test_occupations_with_few_images_are_marked():
    gaps = figures.occupations(JOBS.assign(n_1=[9, 90, 90, 90], n_0=90), {}, 30)[1]
    assert [label.get_text() for label in drawn(gaps).get_yticklabels()] == ["pilot", "judge *", "teacher"]


def test_gaps_are_relative_to_their_mean():
    axes = drawn(figures.occupations(JOBS)[1])
    points = axes.collections[-1].get_offsets()
    assert np.allclose(points[:, 0], np.array([-0.4, 0.1, 0.9]) - 0.2)


def test_no_line_or_whisker_strikes_through_a_name():
    rng = np.random.default_rng(1)
    share = rng.random(12)
    crowd = pd.DataFrame({"part": "seen", "label": [f"occupation {i}" for i in range(12)], "gap": share * 3})
    crowd = crowd.assign(gap_lo=crowd["gap"] - 0.5, gap_hi=crowd["gap"] + 0.5, women_corpus=share)
    axes = drawn(figures.occupations(crowd.assign(women_generator=0.5))[2])
    axes.figure.draw_without_rendering()
    names = [text.get_window_extent().shrunk(0.9, 0.7) for text in axes.texts]
    drawn_lines = [line for line in axes.lines if line.get_linestyle() != "None"]  # caps of whiskers have none
    courses = [line.get_xydata() for line in drawn_lines if len(line.get_xydata()) > 2]
    whiskers = [path.vertices for of in axes.collections for path in of.get_paths() if len(path.vertices) == 2]
    assert len(names) > 2 and len(courses) == 1 and len(whiskers) == 12
    for course in (*courses, *whiskers):
        steps = np.linspace(course[0], course[-1], 400)
        assert not [name for name in names if any(name.contains(*at) for at in axes.transData.transform(steps))]


def test_names_of_points_do_not_overlap():
    rng = np.random.default_rng(0)
    crowd = pd.DataFrame({"part": "seen", "label": [f"occupation {i}" for i in range(30)], "gap": rng.normal(size=30)})
    crowd = crowd.assign(gap_lo=crowd["gap"] - 0.1, gap_hi=crowd["gap"] + 0.1, women_corpus=rng.random(30))
    figure = Figure(figsize=(4.3, 3.4), layout="constrained")
    axes = figure.add_subplot()
    figures.occupations(crowd.assign(women_generator=0.5))[2].draw(axes)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) > 3
    assert not [1 for i, a in enumerate(boxes) for b in boxes[:i] if a.shrunk(0.9, 0.7).overlaps(b.shrunk(0.9, 0.7))]


def test_published_definitions_are_multiples_of_the_corrected_ones_in_one_chart():
    table = pd.DataFrame(
        {
            "set": "people", "part": "", "metric": ["t2i.r5", "t2i.r5", "t2i.r5", "self_similarity"],
            "attribute": ["", "gender", "age", ""], "group": ["all", "man", "baby", "all"], "n": [9, 4, 4, 9],
            "as_published": [10.0, 11.0, 1.0, 0.9], "corrected": [20.0, 22.0, 1.0, 0.0],
        }
    )  # fmt: skip
    (panel,) = figures.published(table, 5)
    axes = drawn(panel)
    squares = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "s"]
    assert squares == [0.5, 0.5]
    assert [label.get_text().split("\n")[1] for label in axes.get_yticklabels()] == ["people, man *", "people, all"]
    assert panel.title == "As published, the same model gives 0.5 times the corrected text→image R@5, people, man *"
    assert figures.published(table.assign(corrected=0.0)) == []


def dot(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=panels.REAL)
    axes.set(xlabel="unit")


@pytest.fixture
def panel() -> Panel:
    return Panel("dots", 'says "<so>" & more', dot, title="A & <b>", note="of <i>")


def test_svg_is_the_same_twice(panel):
    assert panels.svg(panel) == panels.svg(panel)


def test_svg_follows_the_page_and_refers_to_nothing_else(panel):
    text = panels.svg(panel)
    assert "var(--ink)" in text and "var(--sans)" in text and "var(--real)" in text
    assert not re.findall(r"#[0-9a-f]{6}\b", text)
    assert "DejaVu" not in text and "<metadata" not in text and "2026" not in text
    assert 'aria-label="says &quot;&lt;so>&quot; &amp; more"' in text


def test_svg_keeps_the_identifiers_that_are_referred_to(panel):
    text = panels.svg(panel)
    for target in re.findall(r'(?:url\(#|xlink:href="#)([^")]+)', text):
        assert f'id="{target}"' in text
    assert 'id="axes_1"' not in text


def test_png_puts_panels_side_by_side_and_is_the_same_twice(panel):
    one, two = panels.png([panel], 3), panels.png([panel, panel], 3)
    assert two == panels.png([panel, panel], 3)
    sizes = [Image.open(io.BytesIO(data)).size for data in (one, two)]
    assert sizes[1][0] == pytest.approx(2 * sizes[0][0], abs=2) and sizes[1][1] == sizes[0][1]
