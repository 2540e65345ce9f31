"""Ranks as scores of a normal distribution."""

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from untrained.stats.ranks import Floats, midranks


def normal_scores(values: ArrayLike) -> Floats:
    """Van der Waerden scores: the normal quantile of midrank / (n + 1).

    Args:
        values: shape (n,), finite.

    Returns:
        Shape (n,); ties have equal scores, and no increasing transform of the values changes any.

    Raises:
        BadInputError: not one-dimensional, or a value is not finite.

    Source: van der Waerden, Proc. Kon. Nederl. Akad. Wetensch. A 55 (1952) 453-458.

    >>> normal_scores([30.0, 1000.0, 10.0]).round(3).tolist()
    [0.0, 0.674, -0.674]
    """
    ranks = midranks(values)
    quantile = NormalDist().inv_cdf
    return np.array([quantile(share) for share in (ranks / (len(ranks) + 1)).tolist()], np.float64)
