"""Several scores made one: log-rank, Borda, mean rank and majority vote, within a set or against a reference pool.

Every function takes `scores`, one row for each member score, all with higher meaning better, and NaN where a member
is undefined. Ranks run from 1, the worst, to N, the best; ties share the mean of their ranks. N counts the networks
that *every* member defines: a network that some member leaves undefined is undefined in the aggregate, and is nobody's
rival in any member, so that all members rank the same N networks.

An aggregate is no property of a network alone: it says how the network stands among others. With `pool`, shape
(members, m), each network of `scores` is ranked alone among the m defined networks of the pool and itself, N = m + 1.
A network that is in the pool too is tied there with itself. So placed, its value depends on its own member scores and
on the pool, and on no other network that is asked about; a network better in every member never has the lower value.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from untrained.errors import BadInputError
from untrained.stats.ranks import Floats, midranks

Aggregation: TypeAlias = Callable[..., Floats]

_BLOCK: Final = 1 << 22  # pairs compared at a time


def log_rank(scores: ArrayLike, pool: ArrayLike | None = None) -> Floats:
    """Sum over the members of log(rank / N): the aggregation of AZ-NAS.

    One bad rank costs more than several good ones gain: the value is 0 for a network that is best everywhere, and
    -log N for each member in which it is the worst.

    Args:
        scores: shape (members, n), higher is better, NaN = undefined.
        pool: shape (members, m), the same members of other networks to be ranked against. None: among themselves.

    Returns:
        Shape (n,), in (-inf, 0], higher is better; NaN where a member is undefined.

    Raises:
        BadInputError: not two-dimensional, other members in the pool, or an infinite score.

    Source: Lee and Ham 2024 (AZ-NAS), arXiv 2403.19232, non-linear ranking aggregation; its program ranks in the same
    way, ties included.

    >>> log_rank([[1.0, 2.0, 3.0], [10.0, 30.0, 20.0]]).round(3).tolist()
    [-2.197, -0.405, -0.405]
    """
    ranks, n = _ranks(scores, pool)
    with np.errstate(divide="ignore"):  # nothing is defined: n is 0, and every rank NaN
        total: Floats = np.log(ranks / n).sum(axis=0)
    return total


def borda(scores: ArrayLike, pool: ArrayLike | None = None) -> Floats:
    """Borda count: over the members, how many of the others the network beats; a tie counts one half.

    That is sum(rank - 1), so Borda and `mean_rank` order networks equally.

    Args:
        scores: shape (members, n), higher is better, NaN = undefined.
        pool: shape (members, m), the same members of other networks to be ranked against. None: among themselves.

    Returns:
        Shape (n,), from 0 to members (N - 1), higher is better; NaN where a member is undefined.

    Raises:
        BadInputError: not two-dimensional, other members in the pool, or an infinite score.

    Source: de Borda 1781; with ties as in Black 1976, Public Choice 28, 1.

    >>> borda([[1.0, 2.0, 3.0], [10.0, 30.0, 20.0]]).tolist()
    [0.0, 3.0, 3.0]
    """
    total: Floats = (_ranks(scores, pool)[0] - 1).sum(axis=0)
    return total


def mean_rank(scores: ArrayLike, pool: ArrayLike | None = None) -> Floats:
    """Mean over the members of rank / N: 1 for a network that is best everywhere.

    The order is that of the sum of ranks. (TE-NAS sums dense ranks, in which ties do not use up places.)

    Args:
        scores: shape (members, n), higher is better, NaN = undefined.
        pool: shape (members, m), the same members of other networks to be ranked against. None: among themselves.

    Returns:
        Shape (n,), in (0, 1], higher is better; NaN where a member is undefined.

    Raises:
        BadInputError: not two-dimensional, other members in the pool, or an infinite score.

    Source: Chen et al. 2021 (TE-NAS), arXiv 2102.11535, which sums the ranks of its two measures.

    >>> mean_rank([[1.0, 2.0, 3.0], [10.0, 30.0, 20.0]]).round(3).tolist()
    [0.333, 0.833, 0.833]
    """
    ranks, n = _ranks(scores, pool)
    mean: Floats = ranks.mean(axis=0) / max(n, 1)
    return mean


def vote(scores: ArrayLike, pool: ArrayLike | None = None) -> Floats:
    """Share of the other networks that the network beats by majority of the members; a draw counts one half.

    Network a beats b if more members score a above b than b above a. Such majorities may go round in a circle, so they
    are no order yet; counting victories makes them one (Copeland's method).

    Args:
        scores: shape (members, n), higher is better, NaN = undefined.
        pool: shape (members, m), the same members of other networks to be compared with. None: among themselves.

    Returns:
        Shape (n,), in [0, 1], higher is better; NaN where a member is undefined, or where there is no other network.
        O(members n^2), or O(members n m) with a pool.

    Raises:
        BadInputError: not two-dimensional, other members in the pool, or an infinite score.

    Source: Abdelfattah et al. 2021, arXiv 2101.08134, which orders two networks by the majority of three proxies; the
    count of victories is Copeland's, see Saari and Merlin 1996, Economic Theory 8, 51.

    >>> vote([[1.0, 2.0, 3.0], [10.0, 30.0, 20.0], [1.0, 3.0, 2.0]]).tolist()
    [0.0, 1.0, 0.5]
    """
    asked, rivals, defined = _members(scores, pool)
    own = 0.5 if pool is None else 0.0  # the draw with itself, which is no comparison
    n_others = rivals.shape[1] - (pool is None)
    points = np.full(len(defined), np.nan)
    if n_others < 1:
        return points
    columns = np.flatnonzero(defined)
    step = max(1, _BLOCK // rivals.shape[1])
    for start in range(0, len(columns), step):
        some = columns[start : start + step]
        margin = np.zeros((len(some), rivals.shape[1]), np.int32)
        for ours, theirs in zip(asked[:, some], rivals, strict=True):
            margin += ours[:, None] > theirs
            margin -= ours[:, None] < theirs
        points[some] = ((1 + np.sign(margin)).sum(axis=1) / 2 - own) / n_others
    return points


AGGREGATIONS: Final[Mapping[str, Aggregation]] = MappingProxyType(
    {"rank": log_rank, "borda": borda, "mean_rank": mean_rank, "vote": vote}
)
"""By the names that `rank(a,b)` and the like use."""


def _members(scores: ArrayLike, pool: ArrayLike | None) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Scores, those of the defined rivals, and which of `scores` are defined."""
    asked = _table(scores, "scores")
    defined = _defined(asked)
    if pool is None:
        return asked, asked[:, defined], defined
    rivals = _table(pool, "pool")
    if len(rivals) != len(asked):
        raise BadInputError(f"scores have {len(asked)} members, the pool {len(rivals)}. Give the same members of both.")
    return asked, rivals[:, _defined(rivals)], defined


def _defined(table: Floats) -> NDArray[np.bool_]:
    """The columns in which every member has a value."""
    missing: NDArray[np.bool_] = np.isnan(table)
    return np.logical_not(missing.any(axis=0))


def _table(values: ArrayLike, name: str) -> Floats:
    try:
        table = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInputError(f"{name} must be numbers, one row for each member: {error}.") from None
    if table.ndim != 2 or not len(table):
        raise BadInputError(f"{name} must have one row for each member, got an array of shape {table.shape}.")
    if np.isinf(table).any():
        raise BadInputError(f"{name} must not be infinite. Mark such scores as undefined (NaN) first.")
    return table


def _ranks(scores: ArrayLike, pool: ArrayLike | None) -> tuple[Floats, int]:
    """The rank of each network in each member, NaN where undefined, and how many are ranked together."""
    asked, rivals, defined = _members(scores, pool)
    ranks = np.full(asked.shape, np.nan)
    for k, (ours, theirs) in enumerate(zip(asked, rivals, strict=True)):
        if pool is None:
            ranks[k, defined] = midranks(theirs)
        else:
            ordered = np.sort(theirs)
            below = np.searchsorted(ordered, ours[defined], "left")
            ranks[k, defined] = (below + np.searchsorted(ordered, ours[defined], "right")) / 2 + 1
    return ranks, rivals.shape[1] + (pool is not None)
