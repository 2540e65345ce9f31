"""Comparison of two correlations measured on the same points."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from numpy.typing import ArrayLike

from untrained.errors import BadInputError
from untrained.stats.intervals import Interval, cluster_codes, cluster_deviation, kendall_influence, spearman_influence
from untrained.stats.ranks import Floats, same_length


@dataclass(frozen=True, slots=True)
class SteigerTest:
    """Steiger's Z and its two-sided p-value under the standard normal."""

    statistic: float
    p_value: float


def steiger_z(r12: float, r13: float, r23: float, n: int) -> SteigerTest:
    """Test whether two correlations that share variable 1 are equal.

    With rm = (r12 + r13) / 2,

        Z = sqrt(n - 3) (arctanh r12 - arctanh r13) / sqrt(2 - 2 s),
        s = (r23 (1 - 2 rm^2) - rm^2 (1 - 2 rm^2 - r23^2) / 2) / (1 - rm^2)^2,

    s being the covariance of the two arctanh values at the pooled correlation. Derived for Pearson's correlations of
    normal data. With Spearman's it is an approximation. It does not fit Kendall's, whose arctanh has less than half the
    variance assumed here, so that differences are missed (tests): use `paired_kendall`.

    Args:
        r12: correlation of the truth (variable 1) with the first score, in [-1, 1].
        r13: correlation of the truth with the second score, in [-1, 1].
        r23: correlation of the two scores, in [-1, 1].
        n: number of independent points all three were measured on: distinct architectures, not their copies.

    Returns:
        Z, positive when r12 > r13, and its p-value. Equal correlations give 0 and 1. NaN when a correlation is NaN, or
        when they differ and the statistic has no finite value (r12 or r13 is +-1, or r23 leaves no variance).

    Raises:
        BadInputError: n < 4, a correlation outside [-1, 1], or three correlations that no data can have together.

    Source: Steiger 1980, Psychological Bulletin 87, 245, eqs. 10 and 14. Agrees with the R package cocor (tests).

    >>> test = steiger_z(0.5, 0.2, 0.1, 103)
    >>> round(test.statistic, 3), round(test.p_value, 4)
    (2.5, 0.0124)
    """
    if n < 4:
        raise BadInputError(f"Steiger's Z needs at least 4 points, got n = {n}.")
    for name, r in (("r12", r12), ("r13", r13), ("r23", r23)):
        if abs(r) > 1:
            raise BadInputError(f"{name} must be a correlation in [-1, 1], got {r}.")
    if math.isnan(r12) or math.isnan(r13) or math.isnan(r23):
        return SteigerTest(math.nan, math.nan)
    if 1 + 2 * r12 * r13 * r23 - r12 * r12 - r13 * r13 - r23 * r23 < -1e-9:
        raise BadInputError(
            f"no data have the correlations r12 = {r12}, r13 = {r13}, r23 = {r23} together. "
            "Measure all three on the same points."
        )
    if r12 == r13:
        return SteigerTest(0.0, 1.0)
    if abs(r12) == 1 or abs(r13) == 1:
        return SteigerTest(math.nan, math.nan)
    square = ((r12 + r13) / 2) ** 2
    covariance = r23 * (1 - 2 * square) - square / 2 * (1 - 2 * square - r23 * r23)
    variance = 2 - 2 * covariance / (1 - square) ** 2
    if variance <= 0:
        return SteigerTest(math.nan, math.nan)
    z = math.sqrt(n - 3) * (math.atanh(r12) - math.atanh(r13)) / math.sqrt(variance)
    return SteigerTest(z, math.erfc(abs(z) / math.sqrt(2)))


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Difference of two correlations with one truth: interval, z statistic and two-sided p-value."""

    difference: Interval
    statistic: float
    p_value: float


def paired_kendall(
    first: ArrayLike, second: ArrayLike, truth: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95
) -> PairedTest:
    """Test whether two scores agree equally well with the truth, by Kendall's tau-b on the same points.

    The difference tau_b(first, truth) - tau_b(second, truth) has the difference of the two derivatives by the weight
    of each point (see `kendall_interval`) as its own; its standard deviation over clusters, s, gives z = difference / s
    and the interval difference -+ z_level s. Ties, and what the two scores have in common, are in the derivatives.

    Args:
        first: shape (n,), finite.
        second: shape (n,), finite.
        truth: shape (n,), finite.
        clusters: integer labels, shape (n,); points with one label are drawn together. None: each point its own.
        level: coverage of the interval, in (0, 1).

    Returns:
        Difference, z and p. Two scores of the same order give 0, 0 and 1. Statistic and bounds are NaN where a
        correlation is, with fewer than 4 clusters, or where the difference has no spread.

    Raises:
        BadInputError: lengths differ, a value is not finite, or bad labels or level.

    Source: infinitesimal jackknife, Efron 1982, The Jackknife, ch. 6. Its size is checked by simulation (tests).

    >>> truth = [1.0, 2, 3, 4, 5, 6, 7, 8]
    >>> test = paired_kendall([1.0, 2, 3, 4, 5, 6, 8, 7], [2.0, 1, 5, 3, 8, 4, 7, 6], truth)
    >>> round(test.difference.value, 3), round(test.p_value, 3)
    (0.429, 0.005)
    """
    return _paired(kendall_influence, first, second, truth, clusters, level)


def paired_spearman(
    first: ArrayLike, second: ArrayLike, truth: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95
) -> PairedTest:
    """Test whether two scores agree equally well with the truth, by Spearman's correlation on the same points.

    As `paired_kendall`, with the derivatives of `spearman_interval`. Unlike `steiger_z` it assumes no distribution
    and knows clusters.

    Args:
        first: shape (n,), finite.
        second: shape (n,), finite.
        truth: shape (n,), finite.
        clusters: integer labels, shape (n,). None: each point its own.
        level: coverage of the interval, in (0, 1).

    Returns:
        Difference, z and p, as `paired_kendall` gives them.

    Raises:
        BadInputError: lengths differ, a value is not finite, or bad labels or level.

    >>> paired_spearman([1.0, 2, 3, 4], [10.0, 20, 30, 40], [1.0, 3, 2, 4]).p_value
    1.0
    """
    return _paired(spearman_influence, first, second, truth, clusters, level)


def _paired(
    influence: Callable[[ArrayLike, ArrayLike], tuple[float, Floats]],
    first: ArrayLike,
    second: ArrayLike,
    truth: ArrayLike,
    clusters: ArrayLike | None,
    level: float,
) -> PairedTest:
    return paired_test(*influence(first, truth), *influence(second, truth), clusters=clusters, level=level)


def paired_test(
    one: float, d_one: Floats, two: float, d_two: Floats, *, clusters: ArrayLike | None = None, level: float = 0.95
) -> PairedTest:
    """Test whether two correlations are equal whose derivatives by the weight of each point are known.

    Args:
        one: the first correlation.
        d_one: its derivatives, shape (n,), as `kendall_influence` gives them, or means of such.
        two: the second correlation.
        d_two: its derivatives on the same points, shape (n,).
        clusters: integer labels, shape (n,); points with one label are drawn together. None: each point its own.
        level: coverage of the interval, in (0, 1).

    Returns:
        Difference, z and p, as `paired_kendall` gives them.

    Raises:
        BadInputError: lengths differ, or bad labels or level.

    >>> truth, one, two = [1.0, 2, 3, 4, 5], [1.0, 2, 3, 5, 4], [5.0, 1, 3, 4, 2]
    >>> paired_test(*kendall_influence(one, truth), *kendall_influence(two, truth)) == paired_kendall(one, two, truth)
    True
    """
    if not 0 < level < 1:
        raise BadInputError(f"level must lie between 0 and 1, got {level}. 0.95 gives 95 % intervals.")
    same_length(d_one, d_two, "d_one", "d_two")
    difference = one - two
    deviation = cluster_deviation(d_one - d_two, cluster_codes(clusters, len(d_one)))
    if math.isnan(difference) or math.isnan(deviation):
        same = difference == 0 and bool((abs(d_one - d_two) < 1e-12).all())
        statistic, p_value = (0.0, 1.0) if same else (math.nan, math.nan)
        return PairedTest(Interval(difference, math.nan, math.nan), statistic, p_value)
    half = NormalDist().inv_cdf((1 + level) / 2) * deviation
    z = difference / deviation
    return PairedTest(
        Interval(difference, max(-2.0, difference - half), min(2.0, difference + half)),
        z,
        math.erfc(abs(z) / math.sqrt(2)),
    )
