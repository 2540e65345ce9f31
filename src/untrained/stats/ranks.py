"""Ranks and rank correlations with exact treatment of ties, in O(n log n)."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from untrained.errors import BadInputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def finite_array(values: ArrayLike, name: str) -> Floats:
    """Return `values` as a one-dimensional float64 array.

    Raises:
        BadInputError: not numbers, not one-dimensional, or a value is NaN or infinite.

    >>> finite_array([1, 2], "x")
    array([1., 2.])
    """
    array = float_array(values, name)
    n_bad = int(array.size - np.isfinite(array).sum())
    if n_bad:
        raise BadInputError(
            f"{name} must be finite, but {n_bad} of {array.size} values are NaN or infinite. "
            "Leave these points out, or give them a finite value first."
        )
    return array


def float_array(values: ArrayLike, name: str) -> Floats:
    """Return `values` as a one-dimensional float64 array; NaN and infinities pass.

    Raises:
        BadInputError: not numbers, or not one-dimensional.

    >>> float_array([1, float("nan")], "x")
    array([ 1., nan])
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{name} must be an array of numbers: {error}.") from error
    if array.ndim != 1:
        raise BadInputError(f"{name} must have one dimension, got shape {array.shape}.")
    return array


def same_length(x: NDArray[np.generic], y: NDArray[np.generic], x_name: str, y_name: str) -> None:
    """Check that two arrays pair up.

    Raises:
        BadInputError: lengths differ.

    >>> same_length(np.zeros(2), np.zeros(2), "x", "y")
    """
    if len(x) != len(y):
        raise BadInputError(f"{x_name} and {y_name} must have the same length, got {len(x)} and {len(y)}.")


def finite_pair(x: ArrayLike, y: ArrayLike, x_name: str = "x", y_name: str = "y") -> tuple[Floats, Floats]:
    """Return two finite float64 arrays of the same length.

    Raises:
        BadInputError: not numbers, not one-dimensional, not finite, or lengths differ.

    >>> finite_pair([1, 2], [3, 4])
    (array([1., 2.]), array([3., 4.]))
    """
    a, b = finite_array(x, x_name), finite_array(y, y_name)
    same_length(a, b, x_name, y_name)
    return a, b


def dense_codes(x: NDArray[np.float64] | NDArray[np.int64]) -> tuple[Ints, Ints]:
    """Number the distinct values 0, 1, ... in increasing order.

    Returns:
        The code of each point, shape (n,), and the count of each code, shape (n distinct,).

    >>> dense_codes(np.array([5.0, 2.0, 5.0]))
    (array([1, 0, 1]), array([1, 2]))
    """
    _, codes, counts = np.unique(x, return_inverse=True, return_counts=True)
    return codes.reshape(-1).astype(np.int64, copy=False), counts.astype(np.int64, copy=False)


def exclusive_sum(counts: Ints) -> Ints:
    """Sum of the entries before each entry.

    >>> exclusive_sum(np.array([2, 1, 3]))
    array([0, 2, 3])
    """
    return np.cumsum(counts) - counts


def midranks(x: ArrayLike) -> Floats:
    """Ranks 1..n in increasing order; tied points share the mean of their ranks.

    Args:
        x: shape (n,), finite.

    Returns:
        Shape (n,), multiples of one half, summing to n (n + 1) / 2.

    Raises:
        BadInputError: `x` is not one-dimensional or not finite.

    Source: Kendall 1945, Biometrika 33, 239. Equals scipy.stats.rankdata(method="average") (tests).

    >>> midranks([10.0, 30.0, 10.0])
    array([1.5, 3. , 1.5])
    """
    return _doubled_midranks(finite_array(x, "x")) / 2


def spearman(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rank correlation: Pearson's correlation of the midranks.

    Args:
        x: shape (n,), finite.
        y: shape (n,), finite.

    Returns:
        A value in [-1, 1], exactly +-1 for (anti)monotone pairs; NaN if x or y is constant or n < 2.

    Raises:
        BadInputError: lengths differ, or a value is not finite.

    Source: Spearman 1904, Am. J. Psychol. 15, 72. Agrees with scipy.stats.spearmanr to 1e-12 (tests).

    >>> round(spearman([1.0, 2, 3, 4], [1.0, 3, 2, 4]), 3)
    0.8
    """
    a, b = finite_pair(x, y)
    # Doubled, centred ranks are integers, so the sums are exact.
    p = _doubled_midranks(a) - (len(a) + 1)
    q = _doubled_midranks(b) - (len(b) + 1)
    return exact_ratio(_exact_dot(p, q), _exact_dot(p, p), _exact_dot(q, q))


def kendall_tau_b(x: ArrayLike, y: ArrayLike) -> float:
    """Kendall's tau-b, corrected for ties in both.

    tau_b = (C - D) / sqrt((C + D + Tx) (C + D + Ty)), with C/D concordant/discordant pairs and Tx, Ty pairs tied in
    x or y only.

    Args:
        x: shape (n,), finite.
        y: shape (n,), finite.

    Returns:
        A value in [-1, 1]; NaN if x or y is constant or n < 2. O(n log n).

    Raises:
        BadInputError: lengths differ, or a value is not finite.

    Source: Kendall 1945, Biometrika 33, 239. Agrees with scipy.stats.kendalltau to 1e-12 (tests).

    >>> round(kendall_tau_b([1.0, 2, 3], [1.0, 3, 2]), 3)
    0.333
    """
    a, b = finite_pair(x, y)
    cx, nx = dense_codes(a)
    cy, ny = dense_codes(b)
    _, nxy = dense_codes(cx * len(ny) + cy)
    n_pairs, x_ties, y_ties, both_ties = (_pairs(c) for c in (np.array([len(a)]), nx, ny, nxy))
    concordant = int(_count_below_left(cx, cy, len(ny)).sum())
    discordant = n_pairs - x_ties - y_ties + both_ties - concordant
    return exact_ratio(concordant - discordant, n_pairs - x_ties, n_pairs - y_ties)


def concordance(x: ArrayLike, y: ArrayLike) -> Ints:
    """Concordant minus discordant partners of each point: c_i = sum_j sign(x_i - x_j) sign(y_i - y_j).

    Exact with ties (a tied pair counts 0). The sum over i is 2 (C - D) of `kendall_tau_b`; the single terms are what
    its sampling variance is made of.

    Args:
        x: shape (n,), finite.
        y: shape (n,), finite.

    Returns:
        Integers, shape (n,). O(n log n).

    Raises:
        BadInputError: lengths differ, or a value is not finite.

    >>> concordance([1.0, 2, 3], [1.0, 3, 2])
    array([2, 0, 0])
    """
    a, b = finite_pair(x, y)
    cx, nx = dense_codes(a)
    cy, ny = dense_codes(b)
    x_lower, y_lower = exclusive_sum(nx)[cx], exclusive_sum(ny)[cy]
    x_higher = len(a) - x_lower - nx[cx]
    by_y, n_by_y = dense_codes(cy * len(nx) + cx)
    by_x, n_by_x = dense_codes(cx * len(ny) + cy)
    x_lower_y_same = exclusive_sum(n_by_y)[by_y] - y_lower
    x_higher_y_same = ny[cy] - n_by_y[by_y] - x_lower_y_same
    x_same_y_lower = exclusive_sum(n_by_x)[by_x] - x_lower
    # The four quadrants around each point follow from one of them and the margins.
    low_low = _count_below_left(cx, cy, len(ny))
    low_high = x_lower - x_lower_y_same - low_low
    high_low = y_lower - x_same_y_lower - low_low
    high_high = x_higher - x_higher_y_same - high_low
    return low_low + high_high - low_high - high_low


def below_left(x: ArrayLike, y: ArrayLike) -> Ints:
    """Number of points lower in both: #{j: x_j < x_i and y_j < y_i}, for each i.

    Args:
        x: shape (n,), finite.
        y: shape (n,), finite.

    Returns:
        Integers, shape (n,). O(n log n).

    Raises:
        BadInputError: lengths differ, or a value is not finite.

    >>> below_left([1.0, 2, 3], [1.0, 3, 2])
    array([0, 1, 1])
    """
    a, b = finite_pair(x, y)
    cx, _ = dense_codes(a)
    cy, ny = dense_codes(b)
    return _count_below_left(cx, cy, len(ny))


def exact_ratio(numerator: int, square_x: int, square_y: int) -> float:
    """Compute numerator / sqrt(square_x square_y): NaN when the root is zero, exactly +-1 when the fraction is.

    >>> exact_ratio(-3, 3, 3)
    -1.0
    """
    if square_x * square_y == 0:
        return math.nan
    if numerator * numerator == square_x * square_y:
        return math.copysign(1.0, numerator)
    return numerator / (math.sqrt(square_x) * math.sqrt(square_y))


def _pairs(counts: Ints) -> int:
    return int((counts * (counts - 1) // 2).sum())


def _doubled_midranks(x: Floats) -> Ints:
    codes, counts = dense_codes(x)
    return (2 * exclusive_sum(counts) + counts + 1)[codes]


def _exact_dot(p: Ints, q: Ints) -> int:
    # Pieces keep each partial sum inside int64; Python integers add them up.
    piece = 1 << 16
    return sum(int(p[k : k + piece] @ q[k : k + piece]) for k in range(0, len(p), piece))


def _count_below_left(cx: Ints, cy: Ints, n_y: int) -> Ints:
    """`below_left` on dense codes: count smaller values to the left, one bit of the value at a time.

    The points stand in order of x; `values` is a permutation of 0..n-1 in order of y. At each bit the sequence is
    split, stably, into blocks of equal higher bits. Inside a block, a point whose bit is 1 exceeds every earlier point
    whose bit is 0, and two values meet this way at exactly one bit: their highest different one.
    """
    n = len(cx)
    # Ties in x stand in decreasing y, and ties in y get decreasing values: neither is then counted as smaller.
    order = np.argsort(cx * n_y + (n_y - 1 - cy), kind="stable")
    values = np.empty(n, dtype=np.int64)
    values[n - 1 - np.argsort(cy[order][::-1], kind="stable")] = np.arange(n)
    smaller = np.zeros(n, dtype=np.int64)
    sequence, place = values, np.arange(n)
    for bit in range(n.bit_length() - 1, -1, -1):
        ones = (sequence >> bit) & 1
        # Because the values are a permutation, a block of common high bits starts where its lowest value would stand.
        start = (sequence >> (bit + 1)) << (bit + 1)
        zeros_before = place - (np.cumsum(ones) - ones)
        zeros_before -= zeros_before[start]
        smaller[sequence] += zeros_before * ones
        target = np.where(ones == 1, start + (1 << bit) + (place - start - zeros_before), start + zeros_before)
        split = np.empty_like(sequence)
        split[target] = sequence
        sequence = split
    result = np.empty(n, dtype=np.int64)
    result[order] = smaller[values]
    return result
