"""How well even a perfect score could agree with a truth that has chance in it.

A network has an expected result t; training gives y = t + e, another e each time. A perfect score orders networks as t
does, and yet its rank correlation with y is below 1. What it could reach follows from how well two trainings of the
same networks agree with one another.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from untrained.errors import BadInputError
from untrained.stats.intervals import Interval, cluster_codes, interval, kendall_influence, spearman_influence
from untrained.stats.ranks import Floats, Ints, float_array

MAX_RUNS = 10
"""Of more trainings of one network the first ones are read."""


@dataclass(frozen=True, slots=True)
class NoiseCeiling:
    """Rank correlations that a perfect score would reach, as far as repeated training tells.

    `n` networks were trained more than once. `repeatability_*` is the agreement of one training with another, and
    `spearman`, `kendall` that of a perfect score with the mean of `averaged` trainings. NaN where too little is known.
    """

    n: int
    averaged: float
    repeatability_spearman: Interval
    repeatability_kendall: Interval
    spearman: Interval
    kendall: Interval


def noise_ceiling(
    runs: ArrayLike, *, averaged: float = 1.0, clusters: ArrayLike | None = None, level: float = 0.95
) -> NoiseCeiling:
    """The rank correlation of a perfect score with a truth, from repeated trainings.

    Model: after one increasing transform of the scale, t and e are normal and independent, the variance of e is the
    same everywhere, and trainings of one network differ by e alone. Then two trainings correlate (in Pearson's sense,
    after the transform) by r = var t / (var t + var e), the mean of m trainings by r_m = m r / (1 + (m - 1) r)
    (Spearman-Brown), and t with that mean by sqrt(r_m) (attenuation). Rank correlations of normal variables are
    tau = (2 / pi) arcsin r and rho = (6 / pi) arcsin(r / 2), so that with tau, rho the agreement of two trainings

        ceiling_tau = (2 / pi) arcsin sqrt(r_m),      r = sin(pi tau / 2),
        ceiling_rho = (6 / pi) arcsin(sqrt(r_m) / 2), r = 2 sin(pi rho / 6).

    What does not rest on the model, for m = 1 and without ties: if for two networks the order of training is that of
    t with probability q >= 1/2, two trainings give each order of the pair alike with expectation (2 q - 1)^2, a
    perfect score and a training with 2 q - 1; so tau <= ceiling_tau <= sqrt(tau).

    The agreement of two trainings is the mean over all pairs of columns, weighted by their rows, and its interval that
    of the infinitesimal jackknife with networks as the unit, its bounds carried through the formulas above.

    Args:
        runs: shape (networks, k): in each row separate trainings of one network, NaN where there is none. Columns may
            be read in any order. Networks trained once are ignored.
        averaged: m, how many trainings a value of the truth is the mean of; the harmonic mean, where that differs.
        clusters: integer labels, shape (networks,), where some rows are the same network. None: each row its own.
        level: coverage of the intervals, in (0, 1).

    Returns:
        The ceilings and what they rest on. NaN if no two networks have two trainings; a ceiling of 0 if trainings
        agree no better than by chance.

    Raises:
        BadInputError: not two-dimensional, an infinite value, or averaged < 1.

    Source: Spearman 1904, Am. J. Psychol. 15, 72 (attenuation); Brown 1910, Br. J. Psychol. 3, 296; Kruskal 1958,
    J. Am. Stat. Assoc. 53, 814 (rank correlations of normal variables).

    >>> rng = np.random.default_rng(0)
    >>> t = rng.normal(size=2000)
    >>> found = noise_ceiling(t[:, None] + 0.5 * rng.normal(size=(2000, 2)))
    >>> found.n, round(found.kendall.value, 2)  # known: 2 / pi arcsin sqrt(1 / 1.25) = 0.705
    (2000, 0.7)
    """
    table = np.asarray(runs, dtype=np.float64)
    if table.ndim != 2:
        raise BadInputError(f"runs must have one row for each network, got an array of shape {table.shape}.")
    if np.isinf(table).any():
        raise BadInputError("runs must not be infinite. Mark trainings without a value as NaN.")
    if not averaged >= 1:
        raise BadInputError(f"averaged must be at least 1, got {averaged}.")
    table = table[:, :MAX_RUNS]
    several = (~np.isnan(table)).sum(axis=1) > 1
    labels = cluster_codes(clusters, len(table))[several]
    table = table[several]
    spearman = _repeatability(spearman_influence, table, labels, level)
    kendall = _repeatability(kendall_influence, table, labels, level)
    return NoiseCeiling(
        len(table),
        averaged,
        spearman,
        kendall,
        _through(
            spearman, lambda rho: 6 / math.pi * math.asin(_perfect(2 * math.sin(math.pi * rho / 6), averaged) / 2)
        ),
        _through(kendall, lambda tau: 2 / math.pi * math.asin(_perfect(math.sin(math.pi * tau / 2), averaged))),
    )


def runs_of_duplicates(values: ArrayLike, clusters: ArrayLike) -> Floats:
    """Separate trainings of the same network that go under several names: the first two known values of each cluster.

    No more than two, so that a network with hundreds of names counts no more than one with two.

    Args:
        values: shape (n,), one for each architecture, NaN where unknown.
        clusters: integer labels of the distinct networks, shape (n,).

    Returns:
        Shape (clusters with two known values, 2), for `noise_ceiling`.

    Raises:
        BadInputError: lengths differ, or labels are not integers.

    >>> runs_of_duplicates([0.9, 0.8, 0.7, 0.6, 0.5], [1, 2, 1, 1, 3]).tolist()
    [[0.9, 0.7]]
    """
    y = float_array(values, "values")
    codes = cluster_codes(clusters, len(y))
    known = np.flatnonzero(~np.isnan(y))
    order = known[np.argsort(codes[known], kind="stable")]
    grouped = codes[order]
    start = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]]) if len(order) else order
    sizes = np.diff(np.r_[start, len(order)])
    first = start[sizes > 1]
    return np.column_stack([y[order[first]], y[order[first + 1]]])


def _perfect(r: float, averaged: float) -> float:
    """sqrt(r_m) of `noise_ceiling`."""
    r = min(1.0, max(0.0, r))
    return math.sqrt(averaged * r / (1 + (averaged - 1) * r))


def _spearman(r: float) -> float:
    return 6 / math.pi * math.asin(r / 2)


def _kendall(r: float) -> float:
    return 2 / math.pi * math.asin(r)


def _through(found: Interval, transform: Callable[[float], float]) -> Interval:
    value, low, high = (x if math.isnan(x) else transform(x) for x in (found.value, found.low, found.high))
    return Interval(value, low, high)


def _repeatability(
    influence: Callable[[ArrayLike, ArrayLike], tuple[float, Floats]], runs: Floats, labels: Ints, level: float
) -> Interval:
    """Mean agreement of two columns, with distinct networks as the unit of its interval."""
    total, weight = 0.0, 0
    derivative = np.zeros(len(runs))
    for j, k in combinations(range(runs.shape[1]), 2):
        both: NDArray[np.bool_] = ~np.isnan(runs[:, j]) & ~np.isnan(runs[:, k])
        value, d = influence(runs[both, j], runs[both, k])
        if not math.isnan(value):
            n = int(both.sum())
            total, weight = total + n * value, weight + n
            derivative[both] += n * d
    if not weight:
        return Interval(math.nan, math.nan, math.nan)
    return interval(total / weight, derivative / weight, clusters=labels, level=level)
