"""Charts draw the numbers that they are given."""

import math
import re

import numpy as np

from untrained.page.drawings import Series, chart, legend, whisker
from untrained.stats import Interval


def points(text: str, tag: str = "polyline") -> list[list[tuple[float, float]]]:
    return [
        [tuple(map(float, pair.split(","))) for pair in found.split()]  # type: ignore[misc]
        for found in re.findall(rf'<{tag} class="[^"]*" points="([^"]*)"', text)
    ]


def test_a_line_goes_through_its_points_in_proportion() -> None:
    (line,) = points(chart([Series("a", [0, 1, 4], [10.0, 30.0, 20.0])], "x", "y"))
    x, y = np.array(line).T
    np.testing.assert_allclose((x - x[0]) / (x[2] - x[0]), [0, 0.25, 1], atol=0.002)
    np.testing.assert_allclose((y - y[0]) / (y[1] - y[0]), [0, 1, 0.5], atol=0.002)
    assert y[1] < y[0]  # up is up


def test_steps_gaps_and_bands() -> None:
    (steps,) = points(chart([Series("a", [0, 1], [0.0, 1.0], "steps")], "x", "y"))
    assert len(steps) == 3
    assert steps[1] == (steps[2][0], steps[0][1])
    assert len(points(chart([Series("a", [0, 1, 2, 3], [0.0, math.nan, 1.0, 2.0])], "x", "y"))) == 2
    text = chart([Series("a", [0, 1], [1.0, 2.0], "line", [0.0, 1.0], [2.0, 3.0])], "x", "y")
    (band,) = points(text, "polygon")
    assert len(band) == 4


def test_ticks_are_round_and_labels_are_escaped() -> None:
    text = chart([Series("<b>", [0, 100], [-0.1, 0.35])], "<x>", "y & z")
    assert "<b>" not in text
    assert "&lt;x&gt;" in text
    labels = re.findall(r'text-anchor="end">([^<]*)<', text)
    assert labels == ["−0.1", "0.0", "0.1", "0.2", "0.3"]


def test_nothing_to_draw_is_no_error() -> None:
    assert "polyline" not in chart([Series("a", [], [])], "x", "y")
    assert legend([Series("a", [], [], faint=True)]) == (("a", "s0 faint line"),)


def test_a_whisker_spans_its_interval() -> None:
    text = whisker(Interval(0.4, 0.1, 0.7), -0.2, 1.0)
    a, b = (float(re.search(rf'class="range"[^>]*{end}="([\d.]+)"', text)[1]) for end in ("x1", "x2"))  # type: ignore[index]
    middle = float(re.search(r'cx="([\d.]+)"', text)[1])  # type: ignore[index]
    assert (a + b) / 2 == middle
    assert b - a == 48.0
    assert whisker(Interval(math.nan, math.nan, math.nan), 0, 1) == ""
