"""Figures that several studies share. Each takes the table of a study and returns a figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from untrained.studies.base import setting_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def one_panel(width: float = 6.4, height: float = 4.4) -> "tuple[Figure, Axes]":
    """A figure with one panel in the style of all."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.5)
    return figure, axes


def bars(frame: pl.DataFrame, measure: str = "spearman") -> "Figure":
    """A bar for each setting and subset, undefined scores left out, intervals as lines.

    Where not all architectures have a score, their share stands in the bar.
    """
    rows = frame.filter(pl.col("undefined") == "omit")
    labels = list(dict.fromkeys(label(row) for row in rows.iter_rows(named=True)))
    subsets = rows["subset"].unique(maintain_order=True).to_list()
    figure, axes = one_panel(height=1.2 + 0.22 * len(labels) * len(subsets))
    thick = 0.8 / len(subsets)
    for k, subset in enumerate(subsets):
        mine = {label(row): row for row in rows.filter(pl.col("subset") == subset).iter_rows(named=True)}
        places = [labels.index(name) + k * thick for name in mine]
        axes.barh(places, [row[measure] for row in mine.values()], thick, label=subset, alpha=0.7)
        for place, row in zip(places, mine.values(), strict=True):
            axes.plot([row[f"{measure}_low"], row[f"{measure}_high"]], [place, place], color="black", linewidth=1)
            if row["coverage"] < 1:
                axes.text(0.005, place, f"{row['coverage']:.0%}", fontsize=7, va="center")
    axes.set_yticks([i + 0.4 - thick / 2 for i in range(len(labels))], labels)
    axes.invert_yaxis()
    axes.set_xlabel(f"{measure} where defined")
    if len(subsets) > 1:
        axes.legend(frameon=False, fontsize=8)
    return figure


def label(row: dict[str, object]) -> str:
    """A row's setting in words; its proxy where there is no setting."""
    names = setting_columns(list(row)) or ["proxy"]
    return ", ".join(f"{row[name]:g}" if isinstance(row[name], float) else str(row[name]) for name in names)


def grid(frame: pl.DataFrame, low: str, high: str, measure: str = "spearman") -> "Figure":
    """A measure by two columns of the setting, a panel for each way to treat undefined scores, all architectures.

    In each field the measure and, where it is another number and below 1, the coverage.
    """
    from matplotlib.figure import Figure

    rows = frame.filter(pl.col("subset") == "all")
    ways = rows["undefined"].unique(maintain_order=True).to_list()
    lows, highs = (sorted(rows[name].unique().to_list()) for name in (low, high))
    figure = Figure(figsize=(0.8 + 0.62 * len(highs) * len(ways), 1.4 + 0.5 * len(lows)), layout="constrained")
    for axes, way in zip(np.atleast_1d(figure.subplots(1, len(ways))), ways, strict=True):
        field = np.full((len(lows), len(highs)), np.nan)
        for row in rows.filter(pl.col("undefined") == way).iter_rows(named=True):
            at = lows.index(row[low]), highs.index(row[high])
            field[at] = row[measure]
            note = f"{row[measure]:.2f}"
            if measure != "coverage" and row["coverage"] < 1:
                note += f"\n{row['coverage']:.0%}"
            axes.text(at[1], at[0], note, ha="center", va="center", fontsize=6)
        axes.imshow(field, cmap="RdYlGn", vmin=-1 if measure != "coverage" else 0, vmax=1, aspect="auto", alpha=0.6)
        axes.set_xticks(range(len(highs)), [f"{value:g}" for value in highs], fontsize=7)
        axes.set_yticks(range(len(lows)), [f"{value:g}" for value in lows], fontsize=7)
        axes.set_xlabel(high)
        axes.set_ylabel(low)
        axes.set_title(f"{measure}, undefined: {way}" if len(ways) > 1 else measure, loc="left", fontsize=9)
    return figure


def curves(frame: pl.DataFrame, x: str, measures: Sequence[str]) -> "Figure":
    """Measures against a number of the setting: the median over all else that varies, and its range.

    The paper's subset where there is one, undefined scores left out.
    """
    figure, axes = one_panel()
    subset = frame["subset"].unique(maintain_order=True).to_list()[-1]
    rows = frame.filter(pl.col("subset") == subset, pl.col("undefined") == "omit", pl.col(measures[0]).is_not_nan())
    for measure in measures:
        value = pl.col(measure)
        mine = rows.group_by(x).agg(value.median().alias("middle"), value.min().alias("low"), value.max().alias("high"))
        mine = mine.sort(x)
        axes.plot(mine[x], mine["middle"], marker="o", label=measure)
        axes.fill_between(mine[x], mine["low"], mine["high"], alpha=0.15, linewidth=0)
    axes.set_xscale("log", base=2)
    sizes = sorted(rows[x].unique().to_list())
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.set_xlabel(x.replace("_", " "))
    axes.set_title(f"{subset}, where defined", loc="left", fontsize=9)
    axes.legend(frameon=False, fontsize=8)
    return figure
