"""Figures are drawn of the right numbers."""

import math

import numpy as np
import polars as pl

from untrained.evolve.choose import Candidate
from untrained.evolve.worlds import Evaluation
from untrained.programs.program import parse_program
from untrained.report.discovery_figures import course, draw_course, draw_front, draw_sizes, pareto_front
from untrained.report.figure_style import save
from untrained.types import Status

ROWS = [  # generation, size, fitness, status
    (0, 5, 0.1, "ok"), (0, 3, 0.3, "ok"), (0, 2, -1.0, "undefined"),
    (1, 9, 0.2, "ok"), (1, 7, 0.2, "ok"),
    (2, 1, -1.0, "nonfinite"),
    (3, 8, 0.5, "ok"), (3, 4, 0.5, "ok"), (3, 2, 0.4, "ok"),
]  # fmt: skip
HISTORY = pl.DataFrame(ROWS, schema=["generation", "size", "fitness", "status"], orient="row")


def candidate(generation, discovery, validation, text):
    return Candidate(parse_program(text), "first", generation, worth(discovery), worth(validation))


def worth(tau):
    return Evaluation(Status.OK, "", (tau,), (0.0,), 0.0, 10)


HALL = [
    candidate(0, 0.3, 0.25, "depth"),
    candidate(3, 0.5, 0.45, "square(depth)"),
    candidate(1, 0.2, 0.6, "abs(depth)"),
]


def test_the_course_of_a_search():
    found = course(HISTORY, HALL)
    assert found.generation.tolist() == [0, 1, 2, 3]
    assert found.best.tolist() == [0.3, 0.3, 0.3, 0.5]
    assert found.best_size.tolist() == [3, 3, 3, 4]
    np.testing.assert_equal(found.median, [0.2, 0.2, math.nan, 0.5])
    np.testing.assert_equal(found.size, [3, 7, math.nan, 4])
    assert found.validation.tolist() == [0.25, 0.25, 0.25, 0.45]


def test_the_front_has_the_smallest_program_of_every_fitness():
    size, fitness = pareto_front(HISTORY)
    assert size.tolist() == [2, 4]
    assert fitness.tolist() == [0.4, 0.5]


def test_nothing_with_a_value_draws_too(tmp_path):
    nothing = HISTORY.filter(pl.col("status") != "ok")
    found = course(nothing, [])
    assert np.isnan(found.best).all()
    assert [len(one) for one in pareto_front(nothing)] == [0, 0]
    assert save(draw_course(found), tmp_path / "nothing.png").is_file()


def test_figures_show_these_numbers():
    found = course(HISTORY, HALL)
    drawn = [draw_course(found, random=found), draw_front(HISTORY, HALL, HALL[1]), draw_sizes(found)]
    lines = {line.get_label(): line for figure in drawn for line in figure.axes[0].lines}
    for label, expected in (
        ("best, discovery", found.best), ("median of the new, discovery", found.median),
        ("best, validation", found.validation), ("best of random search, discovery", found.best),
        ("front, discovery", [0.4, 0.5]), ("the best so far", found.best_size),
    ):  # fmt: skip
        np.testing.assert_equal(np.asarray(lines[label].get_ydata(), float), np.asarray(expected, float))
    hall, champion = (np.asarray(points.get_offsets()) for points in drawn[1].axes[0].collections)
    assert hall.tolist() == [[1, 0.25], [2, 0.45], [2, 0.6]]
    assert champion.tolist() == [[2, 0.45]]
