"""Figures of tidy tables: how a measure depends on settings. A frame and the names of its columns go in."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from untrained.errors import BadInputError
from untrained.report.figure_style import AMOUNTS, COLOURS, GREY, MARKERS, SIGNED, colour_bar, dress, legend, sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def heat_map(
    frame: pl.DataFrame,
    x: str,
    y: str,
    value: str,
    *,
    coverage: str | None = None,
    labels: Mapping[str, str] | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "",
) -> "Figure":
    """A grid of two settings: the value as colour and number, coverage as a second number.

    Settings without a row are left blank; a value of NaN or null is hatched, since it was asked for and does not
    exist.

    Args:
        frame: one row for each pair of settings.
        x: column of the horizontal setting; its values are shown in increasing order.
        y: column of the vertical setting, increasing upwards.
        value: column of the value.
        coverage: column of fractions, shown in percent below the value.
        labels: what to call columns; a column's own name otherwise.
        limits: of the colours; from 0 to the largest value if not given, or as far on both sides where some value is
            below 0.
        title: above.

    Returns:
        The figure; the image of its first axes has shape (values of y, values of x).

    Raises:
        BadInputError: a column is missing, there is no row, or two rows have the same settings.
    """
    from matplotlib.patches import Rectangle

    _need(frame, x, y, value, coverage)
    if frame.select(x, y).is_duplicated().any():
        raise BadInputError(f"a heat map needs one row for each {x} and {y}, and some have several.")
    across, up = frame[x].unique().sort().to_list(), frame[y].unique().sort().to_list()
    grid, told = np.full((len(up), len(across)), np.nan), np.zeros((len(up), len(across)), bool)
    shares = np.full(grid.shape, np.nan)
    for row in frame.iter_rows(named=True):
        at = up.index(row[y]), across.index(row[x])
        told[at] = True
        grid[at] = math.nan if row[value] is None else row[value]
        shares[at] = math.nan if coverage is None or row[coverage] is None else row[coverage]
    known = np.isfinite(grid)
    low, high = limits or _limits(grid[known])
    name = (labels or {}).get
    figure, (axes,) = sheet(2.2 + 0.78 * len(across), 1.5 + 0.58 * len(up))
    colours = SIGNED if low < 0 else AMOUNTS
    image = axes.imshow(np.ma.masked_invalid(grid), colours, vmin=low, vmax=high, origin="lower", aspect="auto")
    for i, j in np.argwhere(told):
        if not known[i, j]:
            axes.add_patch(
                Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="white", edgecolor=GREY, hatch="////", linewidth=0)
            )
        lines = [f"{grid[i, j]:.2f}"] if known[i, j] else []
        lines += [f"{shares[i, j]:.0%}"] if math.isfinite(shares[i, j]) else []
        for k, text in enumerate(lines):
            ink = _ink(image.cmap(image.norm(grid[i, j]))) if known[i, j] else "#20242a"
            box = None if known[i, j] else {"facecolor": "white", "edgecolor": "none", "pad": 1}
            at_y = i + (0.16 if len(lines) > 1 and k == 0 else -0.22 if len(lines) > 1 else 0)
            axes.text(j, at_y, text, ha="center", va="center", fontsize=7 if k or not known[i, j] else 9, color=ink,
                      bbox=box)  # fmt: skip
    axes.set_xticks(range(len(across)), [_short(one) for one in across])
    axes.set_yticks(range(len(up)), [_short(one) for one in up])
    dress(axes, x=name(x, x), y=name(y, y), title=title, grid="none")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    second = f"; second number: {name(coverage, coverage)}" if coverage is not None else ""
    colour_bar(figure, image, axes, name(value, value) + second)
    return figure


def lines(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    low: str | None = None,
    high: str | None = None,
    group: str | None = None,
    coverage: str | None = None,
    log_x: bool = False,
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> "Figure":
    """A measure over a setting, a line for each group, with bands where there are bounds.

    Args:
        frame: one row for each group and value of x; lines are broken where y is NaN or null.
        x: column of the setting. Numbers are placed by size, anything else in the order of rows.
        y: column of the measure.
        low: column of lower bounds.
        high: column of upper bounds.
        group: column that says which line a row is of.
        coverage: column of fractions, shown in a panel of its own below.
        log_x: place numbers by their logarithm to base 2; all must be above 0.
        labels: what to call columns; a column's own name otherwise.
        title: above.

    Raises:
        BadInputError: a column is missing, there is no row, or log_x with a setting of 0 or less.
    """
    _need(frame, x, y, low, high, group, coverage)
    numeric = frame[x].dtype.is_numeric()
    places = frame[x].unique(maintain_order=True).to_list()
    if numeric:
        places.sort()
        if log_x and places[0] <= 0:
            raise BadInputError(f"{x} has the value {places[0]}: a logarithmic axis needs values above 0.")
    at = {place: float(place) if numeric else float(k) for k, place in enumerate(places)}
    name = (labels or {}).get
    panels = 1 if coverage is None else 2
    figure, found = sheet(7.5, 4.4 + 1.2 * (panels - 1), panels, 1, sharex=True, height_ratios=[3.2, 1][:panels])
    groups = [None] if group is None else frame[group].unique(maintain_order=True).to_list()
    for k, one in enumerate(groups):
        rows = frame if group is None else frame.filter(pl.col(group).eq_missing(one))
        rows = rows.sort(x) if numeric else rows
        where = [at[place] for place in rows[x]]
        look: dict[str, Any] = {
            "color": COLOURS[k % len(COLOURS)],
            "marker": MARKERS[k % len(MARKERS)],
            "markersize": 4.5,
        }
        label = None if group is None else _short(one)
        found[0].plot(where, _floats(rows[y]), label=label, linewidth=1.6, **look)
        if low is not None and high is not None:
            bounds = _floats(rows[low]), _floats(rows[high])
            found[0].fill_between(where, *bounds, color=look["color"], alpha=0.15, linewidth=0)
        if coverage is not None:
            found[1].plot(where, 100 * _floats(rows[coverage]), linewidth=1.2, **look)
    for axes in found:
        if log_x and numeric:
            axes.set_xscale("log", base=2)
            axes.minorticks_off()
        if not numeric or (log_x and len(places) <= 16):
            axes.set_xticks(list(at.values()), [_short(place) for place in places])
    dress(found[0], x=name(x, x) if panels == 1 else "", y=name(y, y), title=title)
    if coverage is not None:
        found[1].set_ylim(0, 105)
        dress(found[1], x=name(x, x), y=f"{name(coverage, coverage)} (%)")
    if group is not None:
        legend(found[0], title=name(group, group), title_fontsize=9, alignment="left")
    return figure


def bars(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    low: str | None = None,
    high: str | None = None,
    group: str | None = None,
    count: str | None = None,
    log_y: bool = False,
    labels: Mapping[str, str] | None = None,
    title: str = "",
) -> "Figure":
    """A bar for each row, side by side in groups: cost by size bin, and the like.

    Args:
        frame: one row for each x and group.
        x: column that names a place on the axis, in the order of rows.
        y: column of heights; there is no bar where it is NaN or null.
        low: column of lower bounds.
        high: column of upper bounds.
        group: column that tells bars of one place apart.
        count: column of whole numbers, written under each place (those of the first group).
        log_y: a logarithmic axis; all heights must be above 0.
        labels: what to call columns; a column's own name otherwise.
        title: above.

    Raises:
        BadInputError: a column is missing, there is no row, or log_y with a height of 0 or less.
    """
    _need(frame, x, y, low, high, group, count)
    heights = _floats(frame[y])
    if log_y and (heights <= 0).any():
        raise BadInputError(f"{y} has the value {np.nanmin(heights):g}: a logarithmic axis needs values above 0.")
    places = frame[x].unique(maintain_order=True).to_list()
    groups = [None] if group is None else frame[group].unique(maintain_order=True).to_list()
    width = 0.8 / len(groups)
    name = (labels or {}).get
    figure, (axes,) = sheet(max(5.0, 1.5 + 0.35 * len(places) * (1 + len(groups))), 4.2)
    for k, one in enumerate(groups):
        rows = frame if group is None else frame.filter(pl.col(group).eq_missing(one))
        where = [places.index(place) + width * (k - (len(groups) - 1) / 2) for place in rows[x]]
        value = _floats(rows[y])
        axes.bar(where, value, 0.92 * width, color=COLOURS[k % len(COLOURS)], label=_short(one))
        if low is not None and high is not None:
            ends = np.stack([value - _floats(rows[low]), _floats(rows[high]) - value])
            axes.errorbar(where, value, ends, fmt="none", ecolor="#20242a", elinewidth=1, capsize=2.5)
    if log_y:
        axes.set_yscale("log")
    ticks = [_short(place) for place in places]
    if count is not None:
        counts = dict(frame.unique(x, keep="first", maintain_order=True).select(x, count).iter_rows())
        ticks = [f"{tick}\nn {counts[place]:,}" for tick, place in zip(ticks, places, strict=True)]
    axes.set_xticks(range(len(places)), ticks)
    dress(axes, x=name(x, x), y=name(y, y), title=title, grid="y")
    if group is not None:
        legend(axes, title=name(group, group), title_fontsize=9, alignment="left")
    return figure


def _need(frame: pl.DataFrame, *columns: str | None) -> None:
    missing = [name for name in columns if name is not None and name not in frame.columns]
    if missing:
        raise BadInputError(f"nothing to draw as {', '.join(missing)}: the columns are {', '.join(frame.columns)}.")
    if frame.is_empty():
        raise BadInputError("there is nothing to draw: the table has no rows.")


def _floats(column: pl.Series) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return column.cast(pl.Float64).fill_null(math.nan).to_numpy()


def _limits(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> tuple[float, float]:
    most = float(np.abs(values).max()) if len(values) else 0.0
    return (-most if len(values) and values.min() < 0 else 0.0), most or 1.0


def _ink(shade: Any) -> str:
    """Black or white, whichever is read better on a shade (relative luminance of WCAG 2)."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shade[:3])
    return "#20242a" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.3 else "white"


def _short(value: object) -> str:
    if isinstance(value, float) and 0 < abs(value) < 0.01:
        return np.format_float_scientific(value, precision=3, trim="-", exp_digits=1)
    return f"{value:g}" if isinstance(value, float) else str(value)
