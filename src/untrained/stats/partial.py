"""Rank correlation of two variables beyond what covariates explain of both."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from untrained.stats.intervals import Interval, cluster_codes, interval, kendall_influence, spearman_influence
from untrained.stats.ranks import Floats, finite_array, finite_pair, same_length

_SINGULAR = 1e-9  # shares of variance below this are rounding


def partial_kendall(
    x: ArrayLike,
    y: ArrayLike,
    covariates: Sequence[ArrayLike],
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """Kendall's partial tau-b of x and y given several covariates, with an interval over clusters.

    With t the taus, t_xc and t_yc vectors over the covariates and C the matrix of taus among them,

        (t_xy - t_xc C^-1 t_yc) / sqrt((1 - t_xc C^-1 t_xc) (1 - t_yc C^-1 t_yc)),

    the correlation of the signs of all pairs of points left over by a linear regression on the pair signs of the
    covariates. With one covariate this is Kendall's own coefficient. It is a description: even where x and y depend on
    the covariates alone, each with noise of its own, it need not be exactly zero (Korn 1984).

    The derivative of the coefficient by the weight of a point follows from those of the taus by the chain rule, and
    the interval from it as in `kendall_interval`.

    Args:
        x: shape (n,), finite.
        y: shape (n,), finite.
        covariates: each of shape (n,), finite. Constant ones, and those that the earlier ones determine, change nothing
            and are left out. With none left this is `kendall_interval`.
        clusters: integer labels, shape (n,). None: each point its own.
        level: coverage of the interval, in (0, 1).

    Returns:
        The value, in [-1, 1]; NaN if x or y is constant or determined by the covariates (x is one of them, say). The
        bounds are NaN in the cases of `kendall_interval`.

    Raises:
        BadInputError: lengths differ, a value is not finite, or bad labels or level.

    Source: Kendall 1942, Biometrika 32, 277; several covariates as in Kim 2015, Commun. Stat. Appl. Methods 22, 665.

    >>> size, truth = [1.0, 2, 3, 4, 5, 6], [2.0, 1, 4, 3, 6, 5]
    >>> round(partial_kendall([1.0, 3, 2, 5, 4, 6], truth, [size]).value, 3)
    -0.196
    """
    return _partial(kendall_influence, x, y, covariates, clusters, level)


def partial_spearman(
    x: ArrayLike,
    y: ArrayLike,
    covariates: Sequence[ArrayLike],
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """Spearman's partial correlation of x and y given several covariates, with an interval over clusters.

    The formula of `partial_kendall` with Spearman's correlations: Pearson's correlation of what linear regressions of
    the midranks of x and of y on those of the covariates leave over.

    Args:
        x: shape (n,), finite.
        y: shape (n,), finite.
        covariates: each of shape (n,), finite; see `partial_kendall`.
        clusters: integer labels, shape (n,). None: each point its own.
        level: coverage of the interval, in (0, 1).

    Returns:
        The value, in [-1, 1], and bounds; NaN as in `partial_kendall`.

    Raises:
        BadInputError: lengths differ, a value is not finite, or bad labels or level.

    Source: Kim 2015, Commun. Stat. Appl. Methods 22, 665. Agrees with regression of the ranks (tests).

    >>> size, truth = [1.0, 2, 3, 4, 5, 6], [2.0, 1, 4, 3, 6, 5]
    >>> round(partial_spearman([1.0, 3, 2, 5, 4, 6], truth, [size]).value, 3)
    -0.955
    """
    return _partial(spearman_influence, x, y, covariates, clusters, level)


def _partial(
    influence: Callable[[ArrayLike, ArrayLike], tuple[float, Floats]],
    x: ArrayLike,
    y: ArrayLike,
    covariates: Sequence[ArrayLike],
    clusters: ArrayLike | None,
    level: float,
) -> Interval:
    a, b = finite_pair(x, y)
    known = [finite_array(covariate, f"covariate {k}") for k, covariate in enumerate(covariates)]
    for k, covariate in enumerate(known):
        same_length(covariate, a, f"covariate {k}", "x")
    codes = cluster_codes(clusters, len(a))
    among, d_among, kept = _independent(influence, known)
    r, d_r = influence(a, b)
    if math.isnan(r) or not kept:
        return interval(r, d_r, clusters=codes, level=level)
    on_x, on_y = ([influence(z, covariate) for covariate in kept] for z in (a, b))
    r_x, r_y = (np.array([value for value, _ in on], np.float64) for on in (on_x, on_y))
    d_x, d_y = (np.array([d for _, d in on], np.float64) for on in (on_x, on_y))
    u, v = np.linalg.solve(among, r_x), np.linalg.solve(among, r_y)
    left_x, left_y = float(1 - r_x @ u), float(1 - r_y @ v)
    if min(left_x, left_y) < _SINGULAR:
        return Interval(math.nan, math.nan, math.nan)
    root = math.sqrt(left_x * left_y)
    value = float(r - r_x @ v) / root
    d_top = d_r - v @ d_x - u @ d_y + np.einsum("j,jkn,k->n", u, d_among, v)
    d_left_x = np.einsum("j,jkn,k->n", u, d_among, u) - 2 * u @ d_x
    d_left_y = np.einsum("j,jkn,k->n", v, d_among, v) - 2 * v @ d_y
    derivative = d_top / root - value / 2 * (d_left_x / left_x + d_left_y / left_y)
    return interval(min(1.0, max(-1.0, value)), derivative, clusters=codes, level=level)


def _independent(
    influence: Callable[[ArrayLike, ArrayLike], tuple[float, Floats]], covariates: Sequence[Floats]
) -> tuple[Floats, Floats, list[Floats]]:
    """Covariates that vary and are not determined by earlier ones: their correlations, derivatives, and themselves."""
    kept: list[Floats] = []
    n = len(covariates[0]) if covariates else 0
    among, d_among = np.ones((0, 0)), np.zeros((0, 0, n))
    for covariate in covariates:
        found = [influence(covariate, other) for other in kept]
        to_kept = np.array([value for value, _ in found], np.float64)
        constant = len(covariate) == 0 or covariate.min() == covariate.max()
        if constant or 1 - to_kept @ np.linalg.solve(among, to_kept) < _SINGULAR:
            continue
        k = len(kept)
        larger, d_larger = np.ones((k + 1, k + 1)), np.zeros((k + 1, k + 1, n))
        larger[:k, :k], d_larger[:k, :k] = among, d_among
        for j, (value, derivative) in enumerate(found):
            larger[j, k] = larger[k, j] = value
            d_larger[j, k] = d_larger[k, j] = derivative
        among, d_among = larger, d_larger
        kept.append(covariate)
    return among, d_among, kept
