"""Comparison of two correlations measured on the same points."""

import math
from dataclasses import dataclass

from untrained.errors import BadInputError


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
    normal data. With Spearman's it is an approximation, with Kendall's a rough one.

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
