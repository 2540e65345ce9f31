"""Figures of one proxy against truth: score by accuracy, rank by rank, and the best architectures drawn.

`setting_figures` has those of tables of settings, `proxy_figures` those with a line for each proxy, `discovery_figures`
those of evolution. All return a figure, which `figure_style.save` writes.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError, OutOfSpaceError
from untrained.graphs.draw import draw_cell
from untrained.report.compare import Comparison
from untrained.report.figure_style import AMOUNTS, BLUE, COLOURS, GREY, MARKERS, RED, colour_bar, dress, legend, sheet
from untrained.spaces import find_space
from untrained.stats import midranks, top10_in_top10_percent, undefined_last
from untrained.stats.top import in_top

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

_SMALLEST: Final = 1e-200
"""What is closer to 0 counts as 0 in logarithms and colours: scales of matplotlib leave float64 where it ends."""

Floats = NDArray[np.float64]
Marked = Mapping[str, Sequence[str]]


class Points(NamedTuple):
    """What one proxy and the truth say of the architectures that were scored, in the order of the comparison."""

    score: Floats
    truth: Floats
    defined: NDArray[np.bool_]
    arch: list[str]
    label: str
    n_not_scored: int


def scatter(
    comparison: Comparison, proxy: str, *, colour: str | None = None, log_x: bool = False, marked: Marked | None = None
) -> "Figure":
    """Truth against score, one point for each architecture; undefined ones as crosses in a strip at the left.

    Args:
        comparison: from `correlate`.
        proxy: whose score to show.
        colour: another proxy of the comparison whose logarithm colours the points, such as "params"; linear where it
            has values below 0, and grey where it has none.
        log_x: a logarithmic axis of scores. With scores of 0 or less it is linear around 0, and its label says how
            far and how many there are.
        marked: by label, architectures to ring.

    Returns:
        The figure; its axes are the strip and the plot.

    Raises:
        BadInputError: a proxy that was not compared, no score that differs from 0 on a logarithmic axis, or an
            architecture to ring that is not there.
    """
    points = _points(comparison, proxy)
    rings = _rings(comparison, points, marked)
    shade, norm = _shade(comparison, proxy, colour)
    figure, (strip, main) = sheet(9, 5.6, 1, 2, sharey=True, width_ratios=[1, 8])
    sideways = np.random.default_rng(0).uniform(-1, 1, len(points.score))  # carries no information
    _cloud(strip, sideways, points.truth, ~points.defined, shade, norm, crosses=True)
    drawn = _cloud(main, points.score, points.truth, points.defined, shade, norm)
    _ring(strip, sideways, points.truth, ~points.defined, rings)
    _ring(main, points.score, points.truth, points.defined, rings)
    scale = _logarithmic(main, points.score[points.defined], proxy) if log_x else ""
    dress(strip, x=f"undefined\n{(~points.defined).sum():,}", y=points.label, grid="y")
    strip.set_xlim(-1.6, 1.6)
    strip.set_xticks([])
    dress(
        main,
        x=f"{proxy} ({points.defined.sum():,} defined{_not_scored(points)}){scale}",
        title=_said(comparison, proxy),
    )
    if rings:
        legend(main, loc="best", frameon=True)
    if colour is not None and norm is not None:
        colour_bar(figure, drawn, main, colour)
    return figure


def ranks(comparison: Comparison, proxy: str, *, colour: str | None = None, marked: Marked | None = None) -> "Figure":
    """Rank of truth against rank of score, 1 the best and tied ones sharing their mean; the best is at the top right.

    Undefined scores come after the last defined one, as crosses spread over the places left, in no order. Lines bound
    the top 10 % of both (as `stats.top` defines it), and the label says how many of one are in the other.

    Args:
        comparison: from `correlate`.
        proxy: whose score to show; by its paper's direction.
        colour: as in `scatter`.
        marked: as in `scatter`.

    Raises:
        BadInputError: a proxy that was not compared, or an architecture to ring that is not there.
    """
    from matplotlib.patches import Rectangle

    points = _points(comparison, proxy)
    rings = _rings(comparison, points, marked)
    shade, norm = _shade(comparison, proxy, colour)
    scored = comparison.scored[proxy]
    score, target = comparison.oriented(proxy)[scored], comparison.target[scored]
    n, n_defined = len(score), int(points.defined.sum())
    by_truth = midranks(-target)
    by_score = np.empty(n)
    by_score[points.defined] = midranks(-score[points.defined])
    by_score[~points.defined] = n_defined + 1 + np.random.default_rng(0).permutation(n - n_defined)
    figure, (axes,) = sheet(7.4, 6.2)
    drawn = _cloud(axes, by_score, by_truth, points.defined, shade, norm)
    _cloud(axes, by_score, by_truth, ~points.defined, shade, norm, crosses=True)
    _ring(axes, by_score, by_truth, np.ones(n, bool), rings)
    last = undefined_last(score)
    right, top = (int(in_top(values, 10).sum()) + 0.5 for values in (last, target))
    margin = 0.015 * n + 0.5
    corner = 1 - margin
    axes.add_patch(Rectangle((corner, corner), right - corner, top - corner, facecolor=RED, alpha=0.12, linewidth=0))
    axes.axvline(right, color=RED, linewidth=0.9, linestyle="--")
    axes.axhline(top, color=RED, linewidth=0.9, linestyle="--")
    if n_defined < n:
        axes.axvspan(n_defined + 0.5, n + 0.5, color=GREY, alpha=0.12, linewidth=0, zorder=0)
    axes.set_xlim(n + margin, 1 - margin)
    axes.set_ylim(n + margin, 1 - margin)
    share = top10_in_top10_percent(last, target) if n else np.nan
    said = f"{share:.1f} % of the top 10 % by score are in the top 10 % trained" if share == share else "no top 10 %"
    said += " (undefined last)" if n_defined < n else ""
    undefined = f", {n - n_defined:,} undefined after them" if n_defined < n else ""
    dress(
        axes,
        x=f"rank by {proxy} ({n_defined:,} defined{undefined}{_not_scored(points)})",
        y=f"rank by {points.label}",
        title=f"{_said(comparison, proxy)}\n{said}",
    )
    if rings:
        legend(axes, loc="best", frameon=True)
    if colour is not None and norm is not None:
        colour_bar(figure, drawn, axes, colour)
    return figure


def cells(comparison: Comparison, proxy: str, *, best: int = 6) -> "Figure":
    """The networks that a proxy ranks highest, drawn, each with its score and what training gave.

    Of architectures that are the same network the one that comes first is drawn, and the label says how many there
    are.

    Args:
        comparison: from `correlate`, of a known space.
        proxy: whose best to draw; by its paper's direction.
        best: how many at most.

    Returns:
        The figure, an axes for each network.

    Raises:
        BadInputError: a proxy that was not compared, no score, or a space that is not known.
    """
    points = _points(comparison, proxy)
    if comparison.space is None:
        raise BadInputError("cannot draw cells of architectures whose space is not known. Score them in a space.")
    if best < 1 or not points.defined.any():
        raise BadInputError(
            f"cannot draw {best} cells: give 1 or more."
            if best < 1
            else f"no score of {proxy} is defined: no cell to draw."
        )
    space = find_space(comparison.space)
    scored = np.flatnonzero(comparison.scored[proxy])
    labels = comparison.clusters[scored]
    order = np.argsort(-comparison.oriented(proxy)[scored][points.defined], kind="stable")
    chosen: dict[int, int] = {}
    for i in np.flatnonzero(points.defined)[order].tolist():
        chosen.setdefault(int(labels[i]), i)
        if len(chosen) == best:
            break
    columns = min(3 if len(chosen) > 4 else 2, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, panels = sheet(4, 3, rows, columns)
    for axes in panels[len(chosen) :]:
        axes.remove()
    panels = panels[: len(chosen)]
    for place, (axes, (label, i)) in enumerate(zip(panels, chosen.items(), strict=True), start=1):
        draw_cell(space.cell(space.parse(points.arch[i])), axes)
        copies = int((labels == label).sum())
        alike = f", {copies} alike" if copies > 1 else ""
        axes.set_title(
            f"{place}.  {proxy} {points.score[i]:.5g}{alike}\n{points.label} {points.truth[i]:.5g}", loc="left",
            fontsize=9, color="#20242a",
        )  # fmt: skip
    _same_scale(panels, rows, columns)
    figure.suptitle(
        f"best {len(chosen)} of {_said(comparison, proxy)}", x=0.01, ha="left", fontsize=10, color="#20242a"
    )
    return figure


def _points(comparison: Comparison, proxy: str) -> Points:
    if proxy not in comparison.values:
        raise BadInputError(f"no scores of {proxy} to draw; there are {', '.join(comparison.values)}.")
    scored = comparison.scored[proxy]
    score = comparison.values[proxy][scored]
    fraction = comparison.truth.unit == "fraction"
    percent = " (%)" if fraction or comparison.truth.unit == "percent" else ""
    return Points(
        score,
        comparison.truth_value[scored] * (100 if fraction else 1),
        np.isfinite(score),
        [arch for arch, has in zip(comparison.arch, scored.tolist(), strict=True) if has],
        comparison.truth.column + percent,
        int((~scored).sum()),
    )


def _said(comparison: Comparison, proxy: str) -> str:
    """What was measured, in one line."""
    found = comparison.agreements[proxy]
    policy = {"omit": "undefined left out", "worst": "undefined last"}[found.undefined]
    return (
        f"{found.n_total - found.n_undefined:,} of {found.n_total:,} defined ({found.coverage:.1%})   "
        f"rho {found.spearman.value:.3f}   tau {found.kendall.value:.3f}"
        + (f"   ({policy})" if found.n_undefined else "")
    )


def _not_scored(points: Points) -> str:
    return f", {points.n_not_scored:,} not scored" if points.n_not_scored else ""


def _shade(comparison: Comparison, proxy: str, colour: str | None) -> "tuple[Floats | None, Normalize | None]":
    """What colours the points, and how; nothing where there is no value to colour by."""
    from matplotlib.colors import LogNorm, Normalize

    if colour is None:
        return None, None
    if colour not in comparison.values:
        raise BadInputError(f"no scores of {colour} to colour by; there are {', '.join(comparison.values)}.")
    values = _without_dust(comparison.values[colour][comparison.scored[proxy]])
    known = values[np.isfinite(values)]
    if not len(known) or not known.any():
        return None, None
    if known.min() < 0:
        return values, Normalize(*_apart(known.min(), known.max()))
    return np.where(values > 0, values, np.nan), LogNorm(*_apart(known[known > 0].min(), known.max()))


def _without_dust(values: Floats) -> Floats:
    return np.where(np.abs(values) < _SMALLEST, 0.0, values)


def _apart(low: float, high: float) -> tuple[float, float]:
    """Bounds that differ, as a colour bar needs them."""
    return (low, high) if low < high else (low - abs(low) / 10, high + abs(high) / 10)


def _cloud(
    axes: "Axes", x: Floats, y: Floats, chosen: NDArray[np.bool_], shade: Floats | None, norm: "Normalize | None", *,
    crosses: bool = False,
) -> "PathCollection":  # fmt: skip
    """Points, or crosses where there is no score; grey where the colour has no value."""
    from matplotlib import colormaps

    size = float(np.clip(12000 / max(len(x), 1), 5, 18))
    look: dict[str, Any] = (
        {"marker": "x", "s": 1.4 * size, "linewidths": 0.7} if crosses else {"marker": "o", "s": size, "linewidths": 0}
    )
    if shade is None or norm is None:
        look["color"] = [GREY if crosses else BLUE]
    else:
        look |= {"c": shade[chosen], "norm": norm, "cmap": colormaps[AMOUNTS].with_extremes(bad="#c9cdd2")}
    return axes.scatter(x[chosen], y[chosen], alpha=0.6, rasterized=len(x) > 2000, plotnonfinite=True, **look)


def _rings(comparison: Comparison, points: Points, marked: Marked | None) -> dict[str, list[int]]:
    """Places of the architectures to ring, by label."""
    space = find_space(comparison.space) if comparison.space else None
    place = {arch: i for i, arch in enumerate(points.arch)}
    found: dict[str, list[int]] = {}
    for label, texts in (marked or {}).items():
        found[label] = []
        for text in texts:
            try:
                normal = space.format(space.parse(text)) if space else text
            except OutOfSpaceError:
                normal = text
            if normal not in place:
                raise BadInputError(f"cannot mark {text}: it is not among the {len(place):,} architectures compared.")
            found[label].append(place[normal])
    return found


def _ring(axes: "Axes", x: Floats, y: Floats, chosen: NDArray[np.bool_], rings: Mapping[str, list[int]]) -> None:
    for k, (label, places) in enumerate(rings.items()):
        here = [i for i in places if chosen[i]]
        colour, marker = COLOURS[(k + 3) % len(COLOURS)], MARKERS[k % len(MARKERS)]
        text = f"{label} ({len(places):,})"
        axes.scatter(
            x[here], y[here], s=70, marker=marker, facecolors="none", edgecolors=colour, linewidths=1.6, zorder=4,
            label=text,
        )  # fmt: skip


def _logarithmic(axes: "Axes", score: Floats, proxy: str) -> str:
    """Make the axis of scores logarithmic; returns what the label has to say of it."""
    score = _without_dust(score)
    size = np.abs(score[score != 0])
    if not len(size):
        raise BadInputError(f"no score of {proxy} differs from 0: a logarithmic axis has nothing to show.")
    n_below = int((score <= 0).sum())
    if not n_below:
        axes.set_xscale("log")
        return ""
    near = float(10 ** np.floor(np.log10(np.quantile(size, 0.05))))
    axes.set_xscale("symlog", linthresh=near)
    return f"\nlogarithmic, but linear between -{near:g} and {near:g}: {n_below:,} scores are 0 or less"


def _same_scale(panels: "Sequence[Axes]", rows: int, columns: int) -> None:
    """Draw all cells in one scale, each in the middle of its place, at most 5 inches wide."""
    spans = [(axes.get_xlim(), axes.get_ylim()) for axes in panels]
    width = max(right - left for (left, right), _ in spans)
    height = max(top - bottom for _, (bottom, top) in spans)
    for axes, ((left, _), (bottom, top)) in zip(panels, spans, strict=True):
        middle = (bottom + top) / 2
        axes.set(xlim=(left, left + width), ylim=(middle - height / 2, middle + height / 2))
    inch = max(72.0, width / (14 / columns))
    panels[0].figure.set_size_inches(  # type: ignore[union-attr]
        columns * (max(width / inch, 3) + 0.25), rows * (height / inch + 0.55) + 0.35
    )
