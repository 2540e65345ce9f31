"""Labels as normal scores of their ranks, and back."""

from dataclasses import dataclass

import numpy as np

from untrained.proxies.predictors import Floats
from untrained.stats import normal_scores


@dataclass(frozen=True, eq=False)
class Scale:
    """The monotone map between labels and normal scores: what labels are measured in no longer matters.

    Distinct labels, increasing, with the normal quantile of midrank / (n + 1); between them it is linear. Beyond them
    nothing is known: there is no extrapolation, neither way.
    """

    values: Floats
    scores: Floats

    @classmethod
    def of(cls, labels: Floats) -> "Scale":
        """The map of some labels, shape (n,), at least two of them different.

        >>> Scale.of(np.array([3.0, 1.0, 2.0])).scores.round(3).tolist()
        [-0.674, 0.0, 0.674]
        """
        values, first = np.unique(labels, return_index=True)
        return cls(values, normal_scores(labels)[first])

    def to_scores(self, labels: Floats) -> Floats:
        """Normal scores; those of labels beyond the ends are the ends'."""
        return np.interp(labels, self.values, self.scores)

    def to_values(self, scores: Floats) -> Floats:
        """Labels; those of scores beyond the ends are the ends'."""
        return np.interp(scores, self.scores, self.values)

    def lower_ends(self, scores: Floats) -> Floats:
        """Labels above which an interval lies that starts at these scores; NaN, open, where below all labels."""
        return np.where(scores <= self.scores[0], np.nan, self.to_values(scores))

    def upper_ends(self, scores: Floats) -> Floats:
        """Labels below which an interval lies that ends at these scores; NaN, open, where above all labels."""
        return np.where(scores >= self.scores[-1], np.nan, self.to_values(scores))
