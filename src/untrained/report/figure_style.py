"""One look for all figures, and the one way to save them.

Colours are those of Okabe and Ito (2008, "Color Universal Design"), which people with any colour vision tell apart;
colour maps are `cividis` for amounts and `PuOr` for values on both sides of zero.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from untrained.engine.folder import write_bytes
from untrained.errors import BadInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, "#20242a")
GREY = "#8b9099"
MARKERS = "osD^vPX"
AMOUNTS, SIGNED = "cividis", "PuOr"
ENDINGS = ("png", "pdf", "svg")

_INK = "#20242a"
_DPI = 150


def sheet(width: float, height: float, rows: int = 1, columns: int = 1, **subplots: Any) -> "tuple[Figure, list[Axes]]":
    """A figure with a grid of axes that share its space without overlap.

    Args:
        width: of the figure, inches.
        height: of the figure, inches.
        rows: of axes.
        columns: of axes.
        subplots: as for `matplotlib.figure.Figure.subplots`.

    Returns:
        The figure and its axes, row by row.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **subplots).flat)


def dress(
    axes: "Axes", *, x: str = "", y: str = "", title: str = "", grid: Literal["both", "x", "y", "none"] = "both"
) -> None:
    """Give axes the common look: two spines, a faint grid below the data, small dark text.

    Args:
        axes: with the data drawn.
        x: label of the horizontal axis.
        y: label of the vertical axis.
        title: at the left, above.
        grid: of which axis there are lines.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=GREY, linewidth=0.8)
    axes.tick_params(which="both", colors=_INK, labelsize=9, color=GREY, width=0.8)
    axes.set_axisbelow(True)
    if grid != "none":
        axes.grid(axis=grid, color=GREY, alpha=0.25, linewidth=0.6)
    axes.set_xlabel(x, fontsize=10, color=_INK)
    axes.set_ylabel(y, fontsize=10, color=_INK)
    if title:
        axes.set_title(title, loc="left", fontsize=10, color=_INK)


def legend(axes: "Axes", **where: Any) -> None:
    """What is what, without a frame.

    Args:
        axes: with labelled things drawn.
        where: as for `matplotlib.axes.Axes.legend`.
    """
    axes.legend(**{"frameon": False, "fontsize": 9, "labelcolor": _INK, **where})


def colour_bar(figure: "Figure", drawn: Any, axes: "Axes | Sequence[Axes]", label: str) -> None:
    """What the colours of something drawn mean."""
    bar = figure.colorbar(drawn, ax=axes, pad=0.02, aspect=30)
    if bar.solids is not None:
        bar.solids.set(alpha=1)
    bar.outline.set_visible(False)
    bar.ax.tick_params(which="both", labelsize=9, colors=_INK, color=GREY)
    bar.set_label(label, fontsize=10, color=_INK)


def check_ending(path: Path | str) -> Path:
    """The path, if a figure can be saved there; ask before the work, not after.

    Raises:
        BadInputError: the name does not end in one of `ENDINGS`, or is that of a folder.

    >>> check_ending("scatter.gif")
    Traceback (most recent call last):
        ...
    untrained.errors.BadInputError: cannot save a figure as scatter.gif: the name must end in .png, .pdf or .svg.
    """
    path = Path(path)
    if path.suffix.lower().removeprefix(".") not in ENDINGS:
        raise BadInputError(f"cannot save a figure as {path}: the name must end in .png, .pdf or .svg.")
    if path.is_dir():
        raise BadInputError(f"cannot save a figure as {path}: that is a folder. Give the name of a file.")
    return path


def save(figure: "Figure", path: Path | str) -> Path:
    """Save a figure, whole or not at all: equal figures give equal bytes.

    Args:
        figure: what to save.
        path: where; the ending says the format, and folders are made.

    Returns:
        The path.

    Raises:
        BadInputError: the name does not end in .png, .pdf or .svg.
    """
    from matplotlib import rc_context

    path = check_ending(path)
    form = path.suffix.lower().removeprefix(".")
    dates = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    content = io.BytesIO()
    with rc_context({"svg.hashsalt": "untrained"}):
        figure.savefig(content, format=form, dpi=_DPI, metadata=dates[form])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.getvalue())
    return path
