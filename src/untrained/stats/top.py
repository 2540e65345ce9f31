"""How well a score picks among the best: measures at the top of the trained and of the scored points.

Cuts follow the epsinas notebooks (arXiv 2302.04406). "In the top p %" means strictly above the (100 - p)-th percentile
with linear interpolation, which depends on the order alone: above the value at place floor((n - 1) (100 - p) / 100),
counted from 0 in increasing order. Points tied at the cut stand or fall together, so no result depends on the order of
the input. Everything here is unchanged by an increasing transform of the score; all but `ndcg` also by one of the
truth.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from untrained.errors import BadInputError
from untrained.stats.ranks import Floats, dense_codes, exclusive_sum, finite_pair, kendall_tau_b, spearman

BEST = 64


def in_top(values: Floats, percent: int) -> NDArray[np.bool_]:
    """Which values are in the top `percent` %, as this module means it.

    >>> in_top(np.array([1.0, 2, 3, 4, 4]), 20)  # both fours are at the cut, not above it
    array([False, False, False, False, False])
    """
    if len(values) == 0:
        return np.zeros(0, dtype=np.bool_)
    place = (len(values) - 1) * (100 - percent) // 100
    above: NDArray[np.bool_] = values > np.partition(values, place)[place]
    return above


def spearman_top10(score: ArrayLike, truth: ArrayLike) -> float:
    """Spearman's correlation within the top 10 % by truth.

    Args:
        score: shape (n,), finite, higher is better.
        truth: shape (n,), finite, higher is better.

    Returns:
        A value in [-1, 1]; NaN where the correlation of the kept points is.

    Raises:
        BadInputError: lengths differ, or a value is not finite.

    Source: epsinas notebooks, "Spearman (top-10%)".

    >>> spearman_top10(range(100), range(100))
    1.0
    """
    s, t = finite_pair(score, truth, "score", "truth")
    kept = in_top(t, 10)
    return spearman(s[kept], t[kept])


def kendall_top10(score: ArrayLike, truth: ArrayLike) -> float:
    """Kendall's tau-b within the top 10 % by truth.

    Args:
        score: shape (n,), finite, higher is better.
        truth: shape (n,), finite, higher is better.

    Returns:
        A value in [-1, 1]; NaN where the correlation of the kept points is.

    Raises:
        BadInputError: lengths differ, or a value is not finite.

    Source: epsinas notebooks, "Kendall (top-10%)".

    >>> kendall_top10(range(100), range(100))
    1.0
    """
    s, t = finite_pair(score, truth, "score", "truth")
    kept = in_top(t, 10)
    return kendall_tau_b(s[kept], t[kept])


def top10_in_top10_percent(score: ArrayLike, truth: ArrayLike) -> float:
    """Percentage of the top 10 % by score that are in the top 10 % by truth.

    Args:
        score: shape (n,), finite, higher is better.
        truth: shape (n,), finite, higher is better.

    Returns:
        Percent, 0..100. NaN if nothing is above the cut of the score (fewer than 2 points, or the best value is shared
        by so many that the cut falls on it).

    Raises:
        BadInputError: lengths differ, or a value is not finite.

    Source: epsinas notebooks, "Top-10%/top-10%".

    >>> top10_in_top10_percent(range(100), range(100))
    100.0
    """
    s, t = finite_pair(score, truth, "score", "truth")
    scored = in_top(s, 10)
    n_scored = int(scored.sum())
    return 100 * int((scored & in_top(t, 10)).sum()) / n_scored if n_scored else math.nan


def top64_in_top5_count(score: ArrayLike, truth: ArrayLike) -> float:
    """How many points scored at least as high as the 64th best are in the top 5 % by truth.

    Points tied with the 64th all count, as in the source, so ties can make this a count out of more than 64 points.
    `top64_in_top5_expected` is always out of 64.

    Args:
        score: shape (n,), finite, higher is better.
        truth: shape (n,), finite, higher is better.

    Returns:
        A whole number; NaN if there are no more than 64 points.

    Raises:
        BadInputError: lengths differ, or a value is not finite.

    Source: epsinas notebooks, "Top-64/top-5%".

    >>> top64_in_top5_count(range(2000), range(2000))
    64.0
    """
    s, t = finite_pair(score, truth, "score", "truth")
    if len(s) <= BEST:
        return math.nan
    return float((in_top(t, 5) & (s >= _kth_best(s))).sum())


def top64_in_top5_expected(score: ArrayLike, truth: ArrayLike) -> float:
    """Expected number of the 64 best scored in the top 5 % by truth, when ties in the score are broken at random.

    Equal to `top64_in_top5_count` unless a group of tied points crosses the 64th place; then the places left for the
    group count by the share of the group that is in the top 5 %, and the value may be fractional.

    Args:
        score: shape (n,), finite, higher is better.
        truth: shape (n,), finite, higher is better.

    Returns:
        A value in 0..64; NaN if there are no more than 64 points.

    Raises:
        BadInputError: lengths differ, or a value is not finite.

    >>> top64_in_top5_expected([0.0] * 2000, range(2000))
    3.2
    """
    s, t = finite_pair(score, truth, "score", "truth")
    if len(s) <= BEST:
        return math.nan
    good = in_top(t, 5)
    cut = _kth_best(s)
    above, tied = s > cut, s == cut
    return int((good & above).sum()) + (BEST - int(above.sum())) * int((good & tied).sum()) / int(tied.sum())


def ndcg(score: ArrayLike, truth: ArrayLike, k: int | None = None) -> float:
    """Normalised discounted cumulative gain of the order by score.

    ndcg = sum_i g_i / log2(1 + place_i) over the first k places by score, divided by the same sum in order of truth,
    with the linear gain g = (truth - min) / (max - min). Points tied in score share the mean gain of their group,
    which is the expectation over random orders of the group. Only ratios of gaps in truth matter, not its unit.
    A random order of many points gets about mean(g) / mean(g of the k best), far above 0 when k is large.

    Args:
        score: shape (n,), finite, higher is better.
        truth: shape (n,), finite, higher is better.
        k: number of places that count, at least 1. None: all.

    Returns:
        A value in [0, 1]; NaN if truth is constant or n < 2.

    Raises:
        BadInputError: lengths differ, a value is not finite, or k < 1.

    Source: Jaervelin and Kekaelaeinen 2002, ACM TOIS 20, 422; ties as in McSherry and Najork 2008, ECIR, 414.

    >>> round(ndcg([3.0, 2.0, 1.0], [0.8, 0.9, 0.7]), 3)
    0.86
    """
    s, t = finite_pair(score, truth, "score", "truth")
    if k is not None and k < 1:
        raise BadInputError(f"k must be at least 1, got {k}. Leave it out to count every place.")
    if len(t) < 2 or t.min() == t.max():
        return math.nan
    low, high = float(t.min()), float(t.max())
    # Halves keep the range of extreme values finite.
    gain = (t / 2 - low / 2) / (high / 2 - low / 2)
    weight = 1 / np.log2(np.arange(2, len(s) + 2))
    if k is not None:
        weight[k:] = 0
    groups, sizes = dense_codes(-s)
    group_gain = np.bincount(groups, weights=gain) / sizes
    group_weight = np.add.reduceat(weight, exclusive_sum(sizes))
    return min(1.0, float(group_gain @ group_weight) / float(np.sort(gain)[::-1] @ weight))


def _kth_best(score: Floats) -> float:
    place = len(score) - BEST
    return float(np.partition(score, place)[place])
