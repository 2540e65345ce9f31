"""Many tests at once."""

import numpy as np
from numpy.typing import ArrayLike

from untrained.errors import BadInputError
from untrained.stats.ranks import Floats, float_array


def holm(p_values: ArrayLike) -> Floats:
    """Holm's step-down correction: p-values that may be compared with one level, however many tests there are.

    The k-th smallest of m p-values becomes the largest of (m - j + 1) p_(j) over j <= k, at most 1. Rejecting where the
    result is below alpha makes a single false rejection with probability at most alpha, whatever the tests have in
    common.

    Args:
        p_values: shape (n,), in [0, 1]; NaN = no test was made, and it counts for nothing.

    Returns:
        Shape (n,), in the order given; NaN where there was no test.

    Raises:
        BadInputError: not one-dimensional, or a value outside [0, 1].

    Source: Holm 1979, Scand. J. Stat. 6, 65. Equals the closed Bonferroni test (tests).

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = float_array(p_values, "p_values")
    tested = np.flatnonzero(~np.isnan(p))
    if ((p[tested] < 0) | (p[tested] > 1)).any():
        raise BadInputError("p-values must lie in [0, 1].")
    order = tested[np.argsort(p[tested], kind="stable")]
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return corrected
