"""Grids, lines and bars show the frame that they were given."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from drawn import NAN, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from untrained.errors import BadInputError
from untrained.report.setting_figures import _ink, bars, heat_map, lines

GRID = pl.DataFrame(
    [(1e-7, 1.0, 0.87, 0.59), (1e-7, 0.1, NAN, 0.0), (1e-7, 1e-3, 0.2, 1.0), (1e-5, 1.0, 0.4, 1.0),
     (1e-5, 0.1, None, None)],
    schema=["low", "high", "rho", "coverage"],
    orient="row",
)  # fmt: skip
SIZES = pl.DataFrame(
    [(64, "a", 0.6, 0.5, 0.7, 0.9), (8, "a", 0.4, 0.3, 0.6, 0.9), (8, "b", None, None, None, 0.1),
     (512, "b", 0.2, 0.1, 0.3, 0.2)],
    schema=["batch", "space", "rho", "low", "high", "coverage"],
    orient="row",
)  # fmt: skip


def grid_of(figure: Any) -> list[Any]:
    return np.asarray(figure.axes[0].images[0].get_array().filled(NAN)).tolist()


# Heat map ---------------------------------------------------------------------------------------------------------


def test_the_heat_map_has_the_values_of_the_frame_in_order_of_the_settings() -> None:
    axes = heat_map(GRID, "low", "high", "rho").axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1e-7", "1e-5"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["1e-3", "0.1", "1"]
    np.testing.assert_equal(grid_of(heat_map(GRID, "low", "high", "rho")), [[0.2, NAN], [NAN, NAN], [0.87, 0.4]])
    assert axes.images[0].get_clim() == (0, 0.87)


def test_cells_have_value_and_coverage_and_undefined_ones_are_hatched_but_missing_ones_blank() -> None:
    figure = heat_map(GRID, "low", "high", "rho", coverage="coverage", labels={"rho": "Spearman"}, title="n 100")
    axes, bar = figure.axes
    at = {(round(text.get_position()[0]), round(text.get_position()[1])): set() for text in axes.texts}
    for text in axes.texts:
        at[round(text.get_position()[0]), round(text.get_position()[1])].add(text.get_text())
    assert at == {(0, 2): {"0.87", "59%"}, (1, 2): {"0.40", "100%"}, (0, 1): {"0%"}, (0, 0): {"0.20", "100%"}}
    hatched = {(patch.get_x() + 0.5, patch.get_y() + 0.5) for patch in axes.patches if patch.get_hatch()}
    assert hatched == {(0, 1), (1, 1)}
    assert (bar.get_ylabel(), axes.get_title(loc="left")) == ("Spearman; second number: coverage", "n 100")


def test_values_on_both_sides_of_zero_have_colours_on_both_sides() -> None:
    signed = GRID.with_columns(pl.col("rho") - 0.5)
    assert heat_map(signed, "low", "high", "rho").axes[0].images[0].get_clim() == pytest.approx((-0.37, 0.37))
    image = heat_map(GRID, "low", "high", "rho", limits=(-1, 1)).axes[0].images[0]
    assert (image.get_clim(), image.get_cmap().name) == ((-1, 1), "PuOr")


@settings(max_examples=6)
@given(st.dictionaries(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), st.floats(-1, 1) | st.none(), min_size=1))
def test_every_row_of_a_frame_is_in_the_grid_once(cells: dict[tuple[int, int], float | None]) -> None:
    frame = pl.DataFrame(
        [(*at, value) for at, value in cells.items()], schema={"x": int, "y": int, "v": float}, orient="row"
    )
    figure = heat_map(frame, "x", "y", "v")
    grid, axes = np.array(grid_of(figure)), figure.axes[0]
    across, up = sorted({x for x, _ in cells}), sorted({y for _, y in cells})
    for (x, y), value in cells.items():
        np.testing.assert_equal(grid[up.index(y), across.index(x)], NAN if value is None else value)
    assert np.isfinite(grid).sum() == sum(value is not None for value in cells.values())
    assert len(axes.patches) == sum(value is None for value in cells.values())


def test_nothing_defined_draws_hatches_only() -> None:
    axes = heat_map(GRID.with_columns(rho=pl.lit(None, pl.Float64)), "low", "high", "rho").axes[0]
    assert len(axes.patches) == 5
    assert texts(axes) == []


def test_two_rows_of_one_cell_are_refused() -> None:
    with pytest.raises(BadInputError, match="needs one row for each low and high"):
        heat_map(pl.concat([GRID, GRID]), "low", "high", "rho")


def test_ink_is_read_on_every_shade() -> None:
    """WCAG 2 asks for a contrast of 3 of large text; the worst shade is the one where both inks are alike."""

    def luminance(colour: Any) -> float:
        shade = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return float(np.dot(shade, [0.2126, 0.7152, 0.0722]))

    from matplotlib import colormaps

    for name in ("cividis", "PuOr"):
        for shade in colormaps[name](np.linspace(0, 1, 101)):
            pair = sorted([luminance(shade[:3]), luminance(_ink(shade))])
            assert (pair[1] + 0.05) / (pair[0] + 0.05) > 3


# Lines ------------------------------------------------------------------------------------------------------------


def test_lines_and_bands_are_the_rows_of_a_group_in_order_of_the_setting() -> None:
    figure = lines(SIZES, "batch", "rho", low="low", high="high", group="space", coverage="coverage", log_x=True)
    main, below = figure.axes
    a, b = main.lines
    assert (a.get_label(), b.get_label()) == ("a", "b")
    assert np.asarray(a.get_xydata()).tolist() == [[8, 0.4], [64, 0.6]]
    np.testing.assert_equal(np.asarray(b.get_xydata()), [[8, NAN], [512, 0.2]])
    band = main.collections[0].get_paths()[0].vertices
    assert {tuple(point) for point in band} == {(8, 0.3), (8, 0.6), (64, 0.5), (64, 0.7)}
    assert [np.asarray(line.get_ydata()).tolist() for line in below.lines] == [[90, 90], pytest.approx([10, 20])]
    assert (below.get_xlabel(), below.get_ylabel(), main.get_xscale()) == ("batch", "coverage (%)", "log")
    assert [tick.get_text() for tick in below.get_xticklabels()] == ["8", "64", "512"]


def test_names_are_placed_in_the_order_of_rows() -> None:
    frame = pl.DataFrame({"input": ["normal", "grey", "ones"], "rho": [0.1, 0.5, 0.3]})
    (axes,) = lines(frame, "input", "rho", labels={"rho": "Spearman"}, title="n 10").axes
    assert np.asarray(axes.lines[0].get_xydata()).tolist() == [[0, 0.1], [1, 0.5], [2, 0.3]]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["normal", "grey", "ones"]
    assert (axes.get_ylabel(), axes.get_title(loc="left"), axes.get_legend()) == ("Spearman", "n 10", None)


def test_a_logarithmic_setting_of_zero_is_refused() -> None:
    with pytest.raises(BadInputError, match="batch has the value 0: a logarithmic axis needs values above 0"):
        lines(SIZES.with_columns(pl.col("batch") - 8), "batch", "rho", log_x=True)


# Bars -------------------------------------------------------------------------------------------------------------


def test_bars_and_their_bounds_are_the_rows() -> None:
    frame = SIZES.with_columns(pl.col("batch").cast(pl.String), n=pl.Series([5, 6, 6, 7]))
    (axes,) = bars(frame, "batch", "rho", low="low", high="high", group="space", count="n").axes
    found = {
        (container.get_label(), round(bar.get_x() + bar.get_width() / 2)): bar.get_height()
        for container in axes.containers
        if container.get_label() in ("a", "b")
        for bar in container
    }
    np.testing.assert_equal(found, {("a", 0): 0.6, ("a", 1): 0.4, ("b", 1): NAN, ("b", 2): 0.2})
    ends = [segment[:, 1].tolist() for one in axes.collections for segment in one.get_segments() if len(segment)]
    for low, high in ((0.5, 0.7), (0.3, 0.6), (0.1, 0.3)):
        assert any(end == pytest.approx([low, high]) for end in ends)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["64\nn 5", "8\nn 6", "512\nn 7"]


def test_logarithmic_bars_of_zero_are_refused() -> None:
    frame = pl.DataFrame({"size": ["small", "large"], "seconds": [0.0, 1.0]})
    with pytest.raises(BadInputError, match="seconds has the value 0: a logarithmic axis"):
        bars(frame, "size", "seconds", log_y=True)
    assert bars(frame.tail(1), "size", "seconds", log_y=True).axes[0].get_yscale() == "log"


@pytest.mark.parametrize(
    "draw", [lambda f: heat_map(f, "a", "b", "v"), lambda f: lines(f, "a", "v"), lambda f: bars(f, "a", "v")]
)
def test_missing_columns_and_rows_are_refused(draw: Any) -> None:
    with pytest.raises(BadInputError, match=r"nothing to draw as .*v: the columns are a, b"):
        draw(pl.DataFrame({"a": [1], "b": [2]}))
    with pytest.raises(BadInputError, match="the table has no rows"):
        draw(pl.DataFrame(schema={"a": int, "b": int, "v": float}))
