"""Confidence intervals of rank correlations whose unit of resampling is a cluster of points."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from untrained.errors import BadInputError
from untrained.stats.ranks import (
    Floats,
    Ints,
    concordance,
    dense_codes,
    finite_pair,
    kendall_tau_b,
    midranks,
    same_length,
    spearman,
)

MIN_CLUSTERS = 4
"""With fewer clusters their spread says nothing, and no interval is given."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its confidence bounds. The bounds are NaN where no interval exists."""

    value: float
    low: float
    high: float


def kendall_interval(x: ArrayLike, y: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95) -> Interval:
    """Kendall's tau-b with a confidence interval over clusters.

    tau_b = A / sqrt(B C), with A = sum_ij sign(x_i - x_j) sign(y_i - y_j) and B, C the numbers of ordered pairs not
    tied in x, in y. The derivative of tau_b by the weight of point i is

        d_i = 2 a_i / sqrt(B C) - tau_b (b_i / B + c_i / C),

    with a_i, b_i, c_i the share of point i in A, B, C. Over G clusters the variance is G / (G - 1) sum_g (sum_{i in g}
    d_i)^2 (infinitesimal jackknife), and the interval is tanh(arctanh(tau_b) -+ z sd / (1 - tau_b^2)).

    Args:
        x: shape (n,), finite.
        y: shape (n,), finite.
        clusters: integer labels, shape (n,); points with one label are drawn together. None: each point its own.
        level: coverage of the interval, in (0, 1).

    Returns:
        The value, NaN if x or y is constant or n < 2. The bounds are NaN where the value is NaN or +-1, where there
        are fewer than 4 clusters, or where the derivatives of all clusters vanish. Deterministic, O(n log n).

    Raises:
        BadInputError: lengths differ, a value is not finite, `clusters` are not integers, `level` outside (0, 1).

    Source: Hoeffding 1948, Ann. Math. Stat. 19, 293 (projection); Efron 1982, The Jackknife, ch. 6; Fisher's z.

    >>> interval = kendall_interval([1.0, 2, 3, 4, 5, 6], [2.0, 1, 3, 5, 4, 6])
    >>> round(interval.value, 3), interval.low < interval.value < interval.high
    (0.733, True)
    """
    return interval(*kendall_influence(x, y), clusters=clusters, level=level)


def kendall_influence(x: ArrayLike, y: ArrayLike) -> tuple[float, Floats]:
    """Kendall's tau-b and its derivative by the weight of each point, as `kendall_interval` has them.

    Args:
        x: shape (n,), finite.
        y: shape (n,), finite.

    Returns:
        The value, and the derivatives, shape (n,), which sum to 0; all 0 where the value is NaN.

    Raises:
        BadInputError: lengths differ, or a value is not finite.

    >>> tau, derivative = kendall_influence([1.0, 2, 3], [1.0, 3, 2])
    >>> round(tau, 3), derivative.round(3).tolist()
    (0.333, [0.444, -0.222, -0.222])
    """
    a, b = finite_pair(x, y)
    tau = kendall_tau_b(a, b)
    if math.isnan(tau):
        return tau, np.zeros(len(a))
    shares = concordance(a, b)
    untied_x, untied_y = _untied(a), _untied(b)
    all_x, all_y = int(untied_x.sum()), int(untied_y.sum())
    return tau, 2 * shares / (math.sqrt(all_x) * math.sqrt(all_y)) - tau * (untied_x / all_x + untied_y / all_y)


def spearman_interval(
    x: ArrayLike, y: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """Spearman's rank correlation with a confidence interval over clusters.

    With u, v the midranks of x, y as shares, (rank - 1/2) / n, rho = (K - 1/4) / sqrt(P Q), where K = mean(u v),
    P = mean(u^2) - 1/4, Q = mean(v^2) - 1/4. A point also moves the ranks of all others, so the influence of point i is

        k_i = u_i v_i + mean_j h(x_j, x_i) v_j + mean_j h(y_j, y_i) u_j - 3 K   on K,
        p_i = u_i^2 + 2 mean_j h(x_j, x_i) u_j - 3 mean(u^2)                    on P (on Q likewise),

    with h(s, t) = 1 if s > t, 1/2 if s = t, 0 if s < t, and d_i = (k_i / sqrt(P Q) - rho / 2 (p_i / P + q_i / Q)) / n
    is the derivative of rho by the weight of point i. Variance and interval follow as in `kendall_interval`.

    Args:
        x: shape (n,), finite.
        y: shape (n,), finite.
        clusters: integer labels, shape (n,); points with one label are drawn together. None: each point its own.
        level: coverage of the interval, in (0, 1).

    Returns:
        The value, NaN if x or y is constant or n < 2; the bounds are NaN in the cases of `kendall_interval`.
        Deterministic, O(n log n).

    Raises:
        BadInputError: lengths differ, a value is not finite, `clusters` are not integers, `level` outside (0, 1).

    Source: Croux and Dehon 2010, Stat. Methods Appl. 19, 497 (influence function of Spearman's correlation), here with
    ties and clusters.

    >>> interval = spearman_interval([1.0, 2, 3, 4, 5, 6], [2.0, 1, 3, 5, 4, 6])
    >>> round(interval.value, 3), interval.low < interval.value < interval.high
    (0.886, True)
    """
    return interval(*spearman_influence(x, y), clusters=clusters, level=level)


def spearman_influence(x: ArrayLike, y: ArrayLike) -> tuple[float, Floats]:
    """Spearman's rank correlation and its derivative by the weight of each point, as `spearman_interval` has them.

    Args:
        x: shape (n,), finite.
        y: shape (n,), finite.

    Returns:
        The value, and the derivatives, shape (n,), which sum to 0; all 0 where the value is NaN.

    Raises:
        BadInputError: lengths differ, or a value is not finite.

    >>> rho, derivative = spearman_influence([1.0, 2, 3], [1.0, 3, 2])
    >>> round(rho, 3), abs(float(derivative.sum())) < 1e-12
    (0.5, True)
    """
    a, b = finite_pair(x, y)
    n = len(a)
    rho = spearman(a, b)
    if math.isnan(rho):
        return rho, np.zeros(n)
    u, v = (midranks(a) - 0.5) / n, (midranks(b) - 0.5) / n
    mean_uv, mean_uu, mean_vv = float(np.mean(u * v)), float(np.mean(u * u)), float(np.mean(v * v))
    spread_u, spread_v = mean_uu - 0.25, mean_vv - 0.25
    on_uv = u * v + _mean_above(a, v) + _mean_above(b, u) - 3 * mean_uv
    on_uu = u * u + 2 * _mean_above(a, u) - 3 * mean_uu
    on_vv = v * v + 2 * _mean_above(b, v) - 3 * mean_vv
    influence = on_uv / math.sqrt(spread_u * spread_v) - rho / 2 * (on_uu / spread_u + on_vv / spread_v)
    return rho, influence / n


def interval(value: float, derivative: Floats, *, clusters: ArrayLike | None = None, level: float = 0.95) -> Interval:
    """The interval of any correlation whose derivative by the weight of each point is known.

    tanh(arctanh(value) -+ z sd / (1 - value^2)), sd^2 = G / (G - 1) sum_g (sum_{i in g} d_i)^2 over G clusters.

    Args:
        value: the correlation, in [-1, 1].
        derivative: shape (n,).
        clusters: integer labels, shape (n,). None: each point its own.
        level: coverage of the interval, in (0, 1).

    Returns:
        The bounds are NaN where the value is NaN or +-1, where there are fewer than 4 clusters, or where the
        derivatives of all clusters vanish.

    Raises:
        BadInputError: `clusters` are not integers, or `level` is outside (0, 1).

    >>> interval(0.0, np.array([0.1, -0.1, 0.1, -0.1])).low < 0
    True
    """
    if not 0 < level < 1:
        raise BadInputError(f"level must lie between 0 and 1, got {level}. 0.95 gives 95 % intervals.")
    deviation = cluster_deviation(derivative, clusters)
    if math.isnan(value) or abs(value) >= 1 or math.isnan(deviation):
        return Interval(value, math.nan, math.nan)
    half = NormalDist().inv_cdf((1 + level) / 2) * deviation / ((1 - value) * (1 + value))
    centre = math.atanh(value)
    return Interval(value, math.tanh(centre - half), math.tanh(centre + half))


def cluster_deviation(derivative: Floats, clusters: ArrayLike | None = None) -> float:
    """Standard deviation of an estimate, from its derivatives by the weight of each point (infinitesimal jackknife).

    Args:
        derivative: shape (n,).
        clusters: integer labels, shape (n,). None: each point its own.

    Returns:
        sqrt(G / (G - 1) sum_g (sum_{i in g} d_i)^2); NaN with fewer than 4 clusters, or where it vanishes.

    Raises:
        BadInputError: `clusters` are not integers, one for each point.

    Source: Efron 1982, The Jackknife, ch. 6.

    >>> round(cluster_deviation(np.array([0.1, -0.1, 0.1, -0.1])), 4)
    0.2309
    """
    sums = np.bincount(cluster_codes(clusters, len(derivative)), weights=derivative)
    n_clusters = len(sums)
    if n_clusters < MIN_CLUSTERS:
        return math.nan
    deviation = math.sqrt(n_clusters / (n_clusters - 1) * float(sums @ sums))
    return deviation if deviation >= 1e-12 else math.nan  # rounding; a real spread is never this small


def cluster_codes(clusters: ArrayLike | None, n: int) -> Ints:
    """Number the clusters 0, 1, ...; None makes each point its own.

    Raises:
        BadInputError: not integers, not one-dimensional, or not one label for each point.

    >>> cluster_codes([7, 3, 7], 3)
    array([1, 0, 1])
    """
    if clusters is None:
        return np.arange(n, dtype=np.int64)
    labels = np.asarray(clusters)
    if labels.size == 0:
        labels = labels.astype(np.int64)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise BadInputError(
            f"clusters must be a one-dimensional array of integer labels, got {labels.dtype} of shape {labels.shape}. "
            "Number the distinct architectures."
        )
    same_length(labels, np.empty(n), "clusters", "the points")
    return dense_codes(labels)[0]


def _untied(x: Floats) -> Ints:
    codes, counts = dense_codes(x)
    return len(x) - counts[codes]


def _mean_above(x: Floats, values: Floats) -> Floats:
    """mean_j h(x_j, x_i) values_j for each i: values of higher points count in full, of tied ones by half."""
    codes, counts = dense_codes(x)
    totals = np.bincount(codes, weights=values, minlength=len(counts))
    above: Floats = totals.sum() - np.cumsum(totals) + totals / 2
    return above[codes] / len(x)
