"""Figures of searches: the best so far by evaluation, median and quartiles over rounds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

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
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    for i, (label, frame) in enumerate(curves.items()):
        step = frame["step"].to_numpy()
        (line,) = axes.plot(step, frame["median"].to_numpy(), _STYLES[i // 10 % len(_STYLES)], label=label)
        low, high = frame["q25"].to_numpy(), frame["q75"].to_numpy()
        axes.fill_between(step, low, high, alpha=0.15, color=line.get_color(), linewidth=0)
    if expected is not None:
        axes.plot(*expected, ":", color="0.35", label="expected best at random")
    if log:
        axes.set_yscale("log")
    axes.set_xlabel("evaluations")
    axes.set_ylabel(y_label)
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
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
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = curves_figure(curves, y_label=y_label, title=title, expected=expected, log=log)
    figure.savefig(path, dpi=150)
    return path
