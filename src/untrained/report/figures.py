"""Figures, with matplotlib."""

from pathlib import Path

import numpy as np

from untrained.errors import BadInputError
from untrained.report.compare import Comparison


def scatter(comparison: Comparison, proxy: str, path: Path | str, *, colour: str | None = None) -> Path:
    """Truth against score, one point for each architecture; undefined ones in a strip of their own at the left.

    Args:
        comparison: from `correlate`.
        proxy: whose score to show.
        path: where to save; the ending says the format (png, pdf, svg).
        colour: another compared proxy whose logarithm colours the points, such as "params".

    Returns:
        The path.

    Raises:
        BadInputError: a proxy that was not compared, or nothing to draw.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    for name in filter(None, (proxy, colour)):
        if name not in comparison.values:
            raise BadInputError(f"no scores of {name} to draw; there are {', '.join(comparison.values)}.")
    score = comparison.values[proxy]
    percent = comparison.truth.unit == "fraction"
    truth = comparison.truth_value * (100 if percent else 1)
    defined = np.isfinite(score)
    paint = comparison.values[colour] if colour else np.full(len(score), np.nan)
    painted = bool(np.isfinite(paint).any())
    norm = LogNorm(np.nanmin(paint), np.nanmax(paint)) if painted else None

    figure = Figure(figsize=(9, 5.6), layout="constrained")
    strip, main = figure.subplots(1, 2, sharey=True, width_ratios=[1, 7])
    rng = np.random.default_rng(0)  # spreads the strip's points sideways; it carries no information
    for axes, chosen, x in ((strip, ~defined, rng.uniform(-1, 1, len(score))), (main, defined, score)):
        shades = paint[chosen] if painted else None
        axes.scatter(x[chosen], truth[chosen], c=shades, norm=norm, s=5, alpha=0.5, linewidths=0, rasterized=True)
        axes.grid(alpha=0.25, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    strip.set_xlim(-1.6, 1.6)
    strip.set_xticks([])
    strip.set_xlabel(f"undefined\n{(~defined).sum():,}")
    strip.set_ylabel(comparison.truth.column + (" (%)" if percent else ""))
    main.set_xlabel(f"{proxy} ({defined.sum():,} defined)")
    found = comparison.agreements[proxy]
    main.set_title(
        f"coverage {found.coverage:.1%}   rho {found.spearman.value:.3f}   tau {found.kendall.value:.3f}"
        f"   (undefined: {found.undefined})",
        loc="left",
        fontsize=10,
    )
    if painted:
        figure.colorbar(main.collections[0], ax=main, label=colour)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path
