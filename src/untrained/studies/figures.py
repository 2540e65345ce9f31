"""Figures that several studies share: from the table of a study to the figures of `report.setting_figures`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from untrained.report import setting_figures
from untrained.studies.base import setting_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def bars(frame: pl.DataFrame, measure: str = "spearman") -> "Figure":
    """A bar for each setting and subset, undefined scores left out, with intervals, and how many have a score."""
    names = setting_columns(frame.columns) or ["proxy"]
    rows = frame.filter(pl.col("undefined") == "omit").with_columns(setting=pl.concat_str(names, separator=", "))
    figure = setting_figures.bars(
        rows, "setting", measure, low=f"{measure}_low", high=f"{measure}_high", group="subset", count="n_defined",
        labels={"setting": ", ".join(names)}, title="where defined; n of the first subset",
    )  # fmt: skip
    figure.axes[0].tick_params(axis="x", labelrotation=30)
    return figure


def grid(frame: pl.DataFrame, low: str, high: str, measure: str = "spearman") -> "Figure":
    """A measure by two columns of the setting, and the coverage: all architectures, undefined scores left out."""
    rows = frame.filter(pl.col("subset") == "all")
    if "undefined" in frame.columns:
        rows = rows.filter(pl.col("undefined") == "omit")
    coverage = None if measure == "coverage" else "coverage"
    return setting_figures.heat_map(rows, high, low, measure, coverage=coverage, title="all architectures")


def curves(frame: pl.DataFrame, x: str, measures: Sequence[str]) -> "Figure":
    """Measures against a number of the setting: the median over all else that varies, and its range.

    The last subset, which is the paper's where there is one; undefined scores left out.
    """
    subset = frame["subset"].unique(maintain_order=True).to_list()[-1]
    rows = frame.filter(pl.col("subset") == subset, pl.col("undefined") == "omit")
    value = pl.col("value").fill_nan(None)
    summary = (
        rows.unpivot(measures, index=x, variable_name="measure")
        .group_by(x, "measure", maintain_order=True)
        .agg(value.median().alias("median"), value.min().alias("low"), value.max().alias("high"))
    )
    title = f"{subset}, where defined: median and range"
    return setting_figures.lines(summary, x, "median", low="low", high="high", group="measure", log_x=True, title=title)
