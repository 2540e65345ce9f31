"""Figures that several studies share."""

from typing import TYPE_CHECKING

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
    """A bar for each setting, one group for each subset, undefined scores left out; intervals as lines.

    Above each bar stands the share of architectures that have a score, where it is not all.
    """
    figure, axes = one_panel(height=max(3.0, 0.3 * frame.height))
    rows = frame.filter(pl.col("undefined") == "omit")
    names = [name for name in setting_columns(frame)] or ["proxy"]
    labels = list(dict.fromkeys(_label(row, names) for row in rows.iter_rows(named=True)))
    subsets = rows["subset"].unique(maintain_order=True).to_list()
    height = 0.8 / len(subsets)
    for k, subset in enumerate(subsets):
        mine = {_label(row, names): row for row in rows.filter(pl.col("subset") == subset).iter_rows(named=True)}
        places = [labels.index(label) + k * height for label in mine]
        values = [row[measure] for row in mine.values()]
        axes.barh(places, values, height, label=subset)
        for place, row in zip(places, mine.values(), strict=True):
            axes.plot([row[f"{measure}_low"], row[f"{measure}_high"]], [place, place], color="black", linewidth=1)
            if row["coverage"] < 1:
                axes.text(0.005, place, f"{row['coverage']:.0%}", fontsize=7, va="center", color="white")
    axes.set_yticks([i + 0.4 - height / 2 for i in range(len(labels))], labels)
    axes.invert_yaxis()
    axes.set_xlabel(f"{measure} where defined (share in white)")
    if len(subsets) > 1:
        axes.legend(frameon=False, fontsize=8)
    return figure


def _label(row: dict[str, object], names: list[str]) -> str:
    return ", ".join(f"{row[name]:g}" if isinstance(row[name], float) else str(row[name]) for name in names)
