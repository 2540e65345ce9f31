"""Figures of one proxy: what is in the axes is what was compared."""

from typing import Any

import numpy as np
import pytest
from drawn import NAN, SPACE, TEXTS, compared, points
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from untrained.errors import BadInputError
from untrained.report.figures import cells, ranks, scatter
from untrained.stats import top10_in_top10_percent, undefined_last

SCORE = np.array([3.0, NAN, 1.0, 200.0, 2.0, NAN, 5.0])
TRUTH = np.array([0.5, 0.9, 0.2, 0.8, 0.4, 0.1, 0.7])
SIZE = np.array([10.0, 20, 30, 40, 0, 60, 70])
FOUND = compared({"mine": SCORE, "size": SIZE, "signed": SIZE - 30, "nothing": np.full(7, NAN)}, TRUTH)
DEFINED = np.isfinite(SCORE)


# Scatter ----------------------------------------------------------------------------------------------------------


def test_points_are_scores_and_truths_in_percent() -> None:
    strip, main = scatter(FOUND, "mine").axes
    np.testing.assert_allclose(points(main), np.column_stack([SCORE, 100 * TRUTH])[DEFINED])
    np.testing.assert_allclose(points(strip)[:, 1], 100 * TRUTH[~DEFINED])
    assert strip.get_ylabel() == "d:acc (%)"


def test_labels_say_how_many_and_the_coverage() -> None:
    strip, main = scatter(FOUND, "mine").axes
    assert strip.get_xlabel() == "undefined\n2"
    assert main.get_xlabel() == "mine (5 defined)"
    title = main.get_title(loc="left")
    rho = FOUND.agreements["mine"].spearman.value
    assert "5 of 7 defined (71.4%)" in title
    assert f"rho {rho:.3f}" in title
    assert "undefined left out" in title
    assert "undefined last" in scatter(FOUND.under("worst"), "mine").axes[1].get_title(loc="left")


@settings(max_examples=8)
@example([(NAN, False), (2.3e-308, True), (NAN, False)], False)
@example([(NAN, False), (2.3e-308, True), (-2.3e-308, True)], True)
@example([(NAN, True), (3e-200, True), (-5.0, True), (4.9e-324, True)], True)
@given(st.lists(st.tuples(st.floats(-5, 5) | st.just(NAN), st.booleans()), min_size=3, max_size=40), st.booleans())
def test_points_and_undefined_marks_are_all_that_were_scored(rows: list[tuple[float, bool]], log: bool) -> None:
    score, scored = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    score[0], scored[0] = 1.0, True
    score[~scored] = NAN
    colour = np.where(np.arange(len(rows)) % 2, score, NAN)
    found = compared({"mine": score, "shade": colour}, np.linspace(0, 1, len(rows)), scored={"mine": scored})
    strip, main = scatter(found, "mine", colour="shade", log_x=log).axes[:2]
    assert len(points(strip)) == np.isnan(score[scored]).sum()
    assert len(points(strip)) + len(points(main)) == scored.sum()
    assert len(points(ranks(found, "mine", colour="shade").axes[0])) == np.isfinite(score).sum()
    missing = (~scored).sum()
    assert (f"{missing} not scored" in main.get_xlabel()) == bool(missing)


def test_colours_are_logarithmic_of_the_other_proxy_and_grey_where_there_is_none() -> None:
    strip, main, bar = scatter(FOUND, "mine", colour="size").axes
    drawn = main.collections[0]
    np.testing.assert_equal(np.asarray(drawn.get_array().filled(NAN)), [10, 30, 40, NAN, 70])
    assert (drawn.norm.vmin, drawn.norm.vmax, bar.get_ylabel()) == (10, 70, "size")
    assert type(drawn.norm).__name__ == "LogNorm"
    assert drawn.norm is strip.collections[0].norm
    assert type(scatter(FOUND, "mine", colour="signed").axes[1].collections[0].norm).__name__ == "Normalize"
    assert len(scatter(FOUND, "mine", colour="nothing").axes) == 2


def test_a_logarithmic_axis() -> None:
    main = scatter(FOUND, "mine", log_x=True).axes[1]
    assert main.get_xscale() == "log"
    assert "linear" not in main.get_xlabel()


def test_a_logarithmic_axis_says_what_it_does_with_scores_of_zero_or_less() -> None:
    main = scatter(FOUND, "signed", log_x=True).axes[1]
    assert main.get_xscale() == "symlog"
    assert "linear between -10 and 10: 4 scores are 0 or less" in main.get_xlabel()
    assert len(points(main)) == 7
    zeros = compared({"zero": np.zeros(7)}, TRUTH)
    with pytest.raises(BadInputError, match="no score of zero differs from 0"):
        scatter(zeros, "zero", log_x=True)


def test_chosen_architectures_are_ringed_where_they_are() -> None:
    marked = {"found": [TEXTS[3], TEXTS[1]], "other": [TEXTS[6]]}
    strip, main = scatter(FOUND, "mine", marked=marked).axes
    assert np.asarray(main.collections[1].get_offsets()).tolist() == [[200, 80]]
    assert np.asarray(main.collections[2].get_offsets()).tolist() == [[5, 70]]
    ring = np.asarray(strip.collections[1].get_offsets())
    assert ring.tolist() == points(strip)[:1].tolist()
    assert [text.get_text() for text in main.get_legend().get_texts()] == ["found (2)", "other (1)"]
    with pytest.raises(BadInputError, match="cannot mark nowhere: it is not among the 7 architectures"):
        scatter(FOUND, "mine", marked={"x": ["nowhere"]})


def test_nothing_defined_draws_undefined_ones_only() -> None:
    strip, main = scatter(FOUND, "nothing").axes
    assert (len(points(strip)), len(points(main))) == (7, 0)


@pytest.mark.parametrize("draw", [scatter, ranks, cells])
def test_an_unknown_proxy_is_refused_by_names_of_the_known_ones(draw: Any) -> None:
    with pytest.raises(BadInputError, match="no scores of depth to draw; there are mine, size, signed, nothing"):
        draw(FOUND, "depth")


def test_an_unknown_colour_is_refused() -> None:
    with pytest.raises(BadInputError, match="no scores of depth to colour by"):
        scatter(FOUND, "mine", colour="depth")


# Ranks ------------------------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(st.lists(st.tuples(st.integers(0, 8) | st.none(), st.integers(0, 8)), min_size=3, max_size=80), st.booleans())
def test_ranks_are_those_of_scipy_and_the_box_holds_the_share_said(rows: list[Any], lower: bool) -> None:
    score = np.array([NAN if row[0] is None else row[0] for row in rows])
    truth = np.array([row[1] for row in rows]) / 10
    found = compared({"mine": score}, truth, lower=("mine",) if lower else ())
    axes = ranks(found, "mine").axes[0]
    oriented, defined = (-score if lower else score), np.isfinite(score)
    drawn, crosses = (np.asarray(axes.collections[k].get_offsets(), float) for k in (0, 1))
    np.testing.assert_allclose(drawn[:, 0], stats.rankdata(-oriented[defined]))
    np.testing.assert_allclose(drawn[:, 1], stats.rankdata(-truth)[defined])
    np.testing.assert_allclose(crosses[:, 1], stats.rankdata(-truth)[~defined])
    assert sorted(crosses[:, 0]) == list(range(defined.sum() + 1, len(rows) + 1))
    right, top = axes.lines[0].get_xdata()[0], axes.lines[1].get_ydata()[0]
    by_score = drawn[:, 0] < right
    share = top10_in_top10_percent(undefined_last(oriented), truth)
    if by_score.any():
        assert 100 * (by_score & (drawn[:, 1] < top)).sum() / by_score.sum() == pytest.approx(share)
        assert f"{share:.1f} % of the top 10 % by score" in axes.get_title(loc="left")
    else:
        assert np.isnan(share)


def test_the_best_is_at_the_top_right_and_labels_say_how_many() -> None:
    axes = ranks(FOUND.under("worst"), "mine", marked={"best": [TEXTS[3]]}).axes[0]
    assert axes.get_xlim()[0] > axes.get_xlim()[1]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert axes.get_xlabel() == "rank by mine (5 defined, 2 undefined after them)"
    assert np.asarray(axes.collections[2].get_offsets()).tolist() == [[1, 2]]
    assert "undefined last" in axes.get_title(loc="left")


# Cells ------------------------------------------------------------------------------------------------------------


def test_the_best_cells_are_drawn_in_order_with_score_and_truth() -> None:
    figure = cells(FOUND, "mine", best=3)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "1.  mine 200\nd:acc (%) 80",
        "2.  mine 5\nd:acc (%) 70",
        "3.  mine 3\nd:acc (%) 50",
    ]
    assert all(len(axes.patches) > 10 for axes in figure.axes)
    assert "best 3 of 5 of 7 defined" in figure.get_suptitle()
    spans = {
        (round(np.diff(axes.get_xlim()).item(), 6), round(np.diff(axes.get_ylim()).item(), 6)) for axes in figure.axes
    }
    assert len(spans) == 1


def test_cells_go_by_the_direction_of_the_proxy_and_stop_where_there_are_no_more() -> None:
    found = compared({"mine": SCORE}, TRUTH, lower=("mine",))
    titles = [axes.get_title(loc="left").split("\n")[0] for axes in cells(found, "mine", best=9).axes]
    assert titles == ["1.  mine 1", "2.  mine 2", "3.  mine 3", "4.  mine 5", "5.  mine 200"]


def test_one_network_is_drawn_once(cells: dict[str, str]) -> None:
    from untrained.report.figures import cells as draw

    same = SPACE.format(SPACE.parse("|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"))
    texts = (cells["skip"], same, cells["full"])
    titles = [
        axes.get_title(loc="left") for axes in draw(compared({"a": [2, 2, 1]}, [0.1, 0.2, 0.3], texts=texts), "a").axes
    ]
    assert titles == ["1.  a 2, 2 alike\nd:acc (%) 10", "2.  a 1\nd:acc (%) 30"]


def test_cells_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(BadInputError, match="no score of nothing is defined"):
        cells(FOUND, "nothing")
    with pytest.raises(BadInputError, match="cannot draw 0 cells"):
        cells(FOUND, "mine", best=0)
    with pytest.raises(BadInputError, match="space is not known"):
        cells(compared({"mine": SCORE}, TRUTH, space=None), "mine")
