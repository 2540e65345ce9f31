"""Everything reported about how one score agrees with the trained truth."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from untrained.errors import BadInputError
from untrained.stats.intervals import Interval, cluster_codes, kendall_interval, spearman_interval
from untrained.stats.ranks import Floats, dense_codes, finite_array, float_array, same_length
from untrained.stats.top import (
    kendall_top10,
    ndcg,
    spearman_top10,
    top10_in_top10_percent,
    top64_in_top5_count,
    top64_in_top5_expected,
)

Undefined = Literal["omit", "worst"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of a score with the truth, with what it was measured on. NaN where a measure does not exist.

    `n` points entered the measures, of `n_total` given; they form `n_distinct` clusters. `n_undefined` of the points
    given have no score, and `coverage` is the fraction that have one, whatever the policy `undefined` did with them.
    `ties` counts the points used that share their score with another one. The measures are those of `stats.intervals`
    and `stats.top`, under the same names.
    """

    n: int
    n_total: int
    n_distinct: int
    n_undefined: int
    coverage: float
    undefined: Undefined
    level: float
    spearman: Interval
    kendall: Interval
    spearman_top10: float
    kendall_top10: float
    top10_in_top10_percent: float
    top64_in_top5_count: float
    top64_in_top5_expected: float
    ndcg: float
    ties: int

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON: intervals as {"value", "low", "high"}, NaN as None.

        >>> agreement([1.0, 2, 3], [1.0, 2, 3]).as_dict()["kendall"]
        {'value': 1.0, 'low': None, 'high': None}
        """
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


def agreement(
    score: ArrayLike,
    truth: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    undefined: Undefined = "omit",
    level: float = 0.95,
) -> Agreement:
    """Measure how a score agrees with the truth.

    Args:
        score: shape (n_total,), higher is better, NaN = undefined.
        truth: shape (n_total,), finite, higher is better.
        clusters: integer labels of the distinct architectures, shape (n_total,); they are the unit of the intervals.
            None: each point its own.
        undefined: "omit" leaves undefined scores out; "worst" puts them all, tied, below every defined score.
        level: coverage of the intervals, in (0, 1).

    Returns:
        The measures; all NaN where fewer than two points, or only constant ones, remain.

    Raises:
        BadInputError: lengths differ, a truth is not finite, a score is infinite (what an infinity means is for the
            caller to say: mark it undefined or give it a value), an unknown policy, bad labels or level.

    >>> found = agreement([1.0, 2, 3, 4, 5, float("nan")], [60.0, 70, 90, 80, 95, 99])
    >>> found.n, round(found.coverage, 3), round(found.kendall.value, 3)
    (5, 0.833, 0.8)
    """
    if undefined not in ("omit", "worst"):
        raise BadInputError(f"undefined must be 'omit' or 'worst', got {undefined!r}.")
    s, t = float_array(score, "score"), finite_array(truth, "truth")
    same_length(s, t, "score", "truth")
    n_infinite = int(np.isinf(s).sum())
    if n_infinite:
        raise BadInputError(
            f"score has {n_infinite} infinite values among {len(s)}. Mark them undefined (NaN) or give them a value."
        )
    labels = cluster_codes(clusters, len(s))
    defined = ~np.isnan(s)
    n_defined = int(defined.sum())
    order = undefined_last(s)
    if undefined == "omit":
        order, t, labels = order[defined], t[defined], labels[defined]
    codes, counts = dense_codes(order)
    return Agreement(
        n=len(order),
        n_total=len(s),
        n_distinct=len(np.unique(labels)),
        n_undefined=len(s) - n_defined,
        coverage=n_defined / len(s) if len(s) else math.nan,
        undefined=undefined,
        level=level,
        spearman=spearman_interval(order, t, clusters=labels, level=level),
        kendall=kendall_interval(order, t, clusters=labels, level=level),
        spearman_top10=spearman_top10(order, t),
        kendall_top10=kendall_top10(order, t),
        top10_in_top10_percent=top10_in_top10_percent(order, t),
        top64_in_top5_count=top64_in_top5_count(order, t),
        top64_in_top5_expected=top64_in_top5_expected(order, t),
        ndcg=ndcg(order, t),
        ties=int((counts[codes] > 1).sum()),
    )


def undefined_last(score: ArrayLike) -> Floats:
    """The order of a score as numbers, with all undefined values, tied, below every defined one.

    No measure of agreement reads more of a score than its order, and codes leave room below.

    >>> undefined_last([0.5, float("nan"), 0.1])
    array([ 1., -1.,  0.])
    """
    s = float_array(score, "score")
    order = np.full(len(s), -1.0)
    order[~np.isnan(s)] = dense_codes(s[~np.isnan(s)])[0]
    return order


def _plain(value: object) -> object:
    if isinstance(value, Interval):
        return {"value": _plain(value.value), "low": _plain(value.low), "high": _plain(value.high)}
    return None if isinstance(value, float) and math.isnan(value) else value
