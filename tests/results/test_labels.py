"""Names of points: beside them, apart from each other, within the axes."""

import itertools

from matplotlib.figure import Figure

from stages.results.labels import Label, label_points


def boxes(points, names=None, must=True):
    axes = Figure(figsize=(3.6, 2.7), layout="constrained").add_subplot()
    axes.plot([0, 1], [0, 1], ".", alpha=0)
    names = names or [f"name {i}" for i in range(len(points))]
    label_points(axes, [Label(x, y, name, "#16191d") for (x, y), name in zip(points, names, strict=True)], must=must)
    axes.figure.draw_without_rendering()
    return axes, {text.get_text(): text.get_window_extent() for text in axes.texts}


def test_names_of_points_that_nearly_meet_are_apart():
    _, found = boxes([(0.5, 0.5), (0.5, 0.51), (0.5, 0.52), (0.51, 0.5)])
    assert len(found) == 4
    assert not [pair for pair in itertools.combinations(found.values(), 2) if pair[0].overlaps(pair[1])]


def test_a_name_stays_within_the_axes():
    axes, found = boxes([(1.0, 1.0), (0.0, 0.0), (1.0, 0.0)], ["a rather long name"] * 3)
    edge = axes.bbox
    assert all(edge.x0 <= box.x0 and box.x1 <= edge.x1 for box in found.values())


def test_a_name_alone_is_right_of_its_point_and_has_no_line():
    axes, found = boxes([(0.3, 0.5)])
    (box,) = found.values()
    x, y = axes.transData.transform((0.3, 0.5))
    assert x < box.x0 < x + 25 and box.y0 < y < box.y1 and len(axes.lines) == 1


def test_what_need_not_be_named_is_left_out_where_there_is_no_room():
    points = [(0.5 + 0.001 * i, 0.5) for i in range(30)]
    assert len(boxes(points, must=False)[0].texts) < 30 == len(boxes(points)[0].texts)
