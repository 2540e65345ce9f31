"""Prediction intervals that cover as often as they say, whatever the model and the labels' distribution."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from untrained.calibration.targets import Scale
from untrained.errors import BadInputError
from untrained.proxies.predictors import Floats


def half_width(residuals: Floats, confidence: float) -> float:
    """How far, in normal scores, intervals reach to both sides of a prediction.

    The ceil((n + 1) confidence)-th smallest of n residuals of held-out labels. A new label whose
    residual is exchangeable with those is covered with at least that probability. Held-out models saw somewhat fewer
    labels than the one whose predictions the intervals are of, which errs on the safe side.

    Args:
        residuals: absolute ones, shape (n,).
        confidence: in (0, 1).

    Returns:
        Infinity where n is too small for any finite interval: (n + 1) confidence > n.

    Raises:
        BadInputError: a confidence outside (0, 1).

    Source: Papadopoulos et al. 2002, ECML, LNCS 2430, 345 (inductive conformal regression); Barber et al. 2021, Ann.
    Stat. 49, 486 (cross-validated residuals).

    >>> half_width(np.arange(1.0, 10), 0.8), half_width(np.arange(1.0, 10), 0.95)
    (8.0, inf)
    """
    if not 0 < confidence < 1:
        raise BadInputError(f"confidence must lie between 0 and 1, got {confidence}. 0.9 gives 90 % intervals.")
    n = len(residuals)
    needed = math.ceil((n + 1) * confidence - 1e-9)
    if needed > n:
        return math.inf
    return float(np.sort(residuals)[needed - 1])


@dataclass(frozen=True, eq=False)
class Intervals:
    """Prediction intervals in units of the labels, shape (architectures,).

    A NaN bound is open: nothing was labelled beyond it, so that nothing is known but the direction.
    """

    value: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, scores: Floats, scale: Scale, half: float) -> "Intervals":
        """Intervals around predicted normal scores: monotone maps keep what is covered."""
        return cls(scale.to_values(scores), scale.lower_ends(scores - half), scale.upper_ends(scores + half))

    def covers(self, labels: Floats) -> NDArray[np.bool_]:
        """Whether each label lies within its interval, ends included."""
        return (np.isnan(self.low) | (labels >= self.low)) & (np.isnan(self.high) | (labels <= self.high))
