"""What choosing the best-scored of N random architectures gives, in closed form."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from untrained.errors import BadInputError
from untrained.stats.ranks import Floats, below_left, dense_codes, exclusive_sum, finite_array, float_array, same_length


@dataclass(frozen=True, slots=True)
class BestOfN:
    """Expectations over all draws of `n_drawn` points.

    `truth` is that of the chosen point, in its own unit; `rank` is the place of that truth among those drawn, 1 = best,
    with ties in truth at their mean place.
    """

    n_drawn: int
    truth: float
    rank: float


def best_of_n(score: ArrayLike, truth: ArrayLike, n_drawn: int) -> BestOfN:
    """Expected truth and rank of the best-scored among `n_drawn` points drawn without replacement.

    With the M points in decreasing order of score, the one at place p is chosen with probability
    C(M - p, N - 1) / C(M, N), and chosen while a given point of lower score is drawn with it with probability
    C(M - p - 1, N - 2) / C(M, N). Tied scores are averaged over all orders of the tied points, that is, the choice
    among equals is random. Undefined scores are drawn too; they rank below every defined score, as one tied group.

    Args:
        score: shape (M,), higher is better, NaN = undefined.
        truth: shape (M,), finite, higher is better.
        n_drawn: N, in 1..M.

    Returns:
        Expected truth and rank. A score without information has the mean truth and rank (N + 1) / 2. O(M log M).

    Raises:
        BadInputError: lengths differ, a truth is not finite, a score is infinite, or N is outside 1..M.

    Source: hypergeometric order statistics. Table 3 of arXiv 2302.04406 samples the same two expectations, with ranks
    from 0.

    >>> best = best_of_n([1.0, 2.0, 3.0], [70.0, 90.0, 80.0], 2)
    >>> round(best.truth, 3), round(best.rank, 3)
    (83.333, 1.333)
    """
    s, t = float_array(score, "score"), finite_array(truth, "truth")
    same_length(s, t, "score", "truth")
    if np.isinf(s).any():
        raise BadInputError("score must not be infinite. Mark such points as undefined (NaN) first.")
    total = len(s)
    if not 1 <= n_drawn <= total:
        raise BadInputError(f"n_drawn must be in 1..{total} (the number of points), got {n_drawn}.")
    defined = ~np.isnan(s)
    order, _ = dense_codes(s[defined])
    level = np.zeros(total, dtype=np.int64)  # 0 is the undefined group
    level[defined] = order + 1
    group, sizes = dense_codes(-level)
    first = exclusive_sum(sizes)

    place = np.arange(1, total + 1)
    chosen = n_drawn / total * _chain((total - place[:-1] - n_drawn + 1) / (total - place[:-1]))
    probability = (np.add.reduceat(chosen, first) / sizes)[group]
    expected_truth = float(probability @ t)
    if n_drawn == 1:
        return BestOfN(n_drawn, expected_truth, 1.0)

    # Entry p: the point at place p is chosen and one given point at a later place is drawn.
    with_lower = np.zeros(total)
    pair = n_drawn * (n_drawn - 1) / (total * (total - 1))
    later = place[: total - 2]
    with_lower[: total - 1] = pair * _chain((total - later - n_drawn + 1) / (total - later - 1))
    n_lower = total - first[group] - sizes[group]
    worse = below_left(level, t)
    better = below_left(level, -t)
    beaten_by = (n_lower - worse + better) / 2  # lower-scored points of higher truth, equal truth counting half
    outside = float((np.add.reduceat(with_lower, first) / sizes)[group] @ beaten_by)
    # Of two tied points the one placed first is chosen; over all orders the other has the higher truth half the time.
    later_in_group = np.repeat(first + sizes, sizes) - place
    inside = float(later_in_group @ with_lower) / 2
    return BestOfN(n_drawn, expected_truth, 1 + outside + inside)


def _chain(ratios: Floats) -> Floats:
    """1, r_1, r_1 r_2, ...: each term from the one before, so nothing overflows. Past the support the terms are 0."""
    return np.concatenate(([1.0], np.cumprod(np.maximum(ratios, 0.0))))
