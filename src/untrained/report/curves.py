"""Figures of searches: the best so far by evaluation, median and quartiles over rounds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from untrained.report.figure_style import COLOURS, GREY, dress, legend, save, sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLES = ("-", "--", "-.", ":")


def curves_figure(
    curves: Mapping[str, pl.DataFrame],
    *,
    y_label: str,
    title: str = "",
    expected: tuple[Sequence[float], Sequence[float]] | None = None,
    log: bool = False,
) -> "Figure":
    """Medians as lines and quartiles as bands, by number of evaluations.

    Args:
        curves: by label, each with columns step, q25, median, q75, such as one curve of `search.curves.CURVES`.
        y_label: what is drawn, with its unit.
        title: above.
        expected: numbers of evaluations and the expected best of so many at random, dotted.
        log: logarithmic axis of values, for regret.
    """
    figure, (axes,) = sheet(7.5, 4.6)
    for i, (label, frame) in enumerate(curves.items()):
        step, colour = frame["step"].to_numpy(), COLOURS[i % len(COLOURS)]
        line = _STYLES[i // len(COLOURS) % len(_STYLES)]
        axes.plot(step, frame["median"].to_numpy(), line, label=label, color=colour, linewidth=1.6)
        low, high = frame["q25"].to_numpy(), frame["q75"].to_numpy()
        axes.fill_between(step, low, high, alpha=0.15, color=colour, linewidth=0)
    if expected is not None:
        axes.plot(*expected, ":", color=GREY, label="expected best at random")
    if log:
        axes.set_yscale("log")
    dress(axes, x="evaluations", y=y_label, title=title)
    legend(axes)
    return figure


def draw_curves(
    curves: Mapping[str, pl.DataFrame],
    path: Path | str,
    *,
    y_label: str,
    title: str = "",
    expected: tuple[Sequence[float], Sequence[float]] | None = None,
    log: bool = False,
) -> Path:
    """Save `curves_figure` as png, pdf or svg; return the path."""
    return save(curves_figure(curves, y_label=y_label, title=title, expected=expected, log=log), path)
