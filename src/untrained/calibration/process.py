"""A Gaussian process over statistics, with one relevance for each kind of statistic.

Scores are mean + f + noise, f a Gaussian process whose covariance is a Matern kernel of the distance

    r(a, b)^2 = sum_g w_g / p_g sum_{j in g} (a_j - b_j)^2,

with the p_g features of kind g weighing as one: hundreds of near-equal statistics then do not outvote a dozen counts.
The w_g and the noise maximise likelihood times a prior that holds the kinds together; the mean and the size of f, for
which there are closed forms, are profiled out. Source: Rasmussen and Williams 2006, Gaussian Processes for Machine
Learning, ch. 2 and 5.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from untrained.proxies.predictors import Floats, Ints, Process, matern

RELEVANCE: Final = 0.25  # centre of the prior of sum_g w_g: neighbours are correlated by about 0.6
SPREAD: Final = 0.5  # standard deviation of log w_g
NOISE, NOISE_SPREAD = 0.1, 1.5  # centre and standard deviation (of the logarithm) of the noise, of which f has 1
_LEAST_NOISE: Final = 1e-4
_STEPS: Final = 60


@dataclass(frozen=True, eq=False)
class FittedProcess:
    """A fitted process with what predictions of its uncertainty need."""

    predictor: Process
    size: float  # variance of f
    noise: float  # variance of the noise, in units of `size`
    factor: Floats  # lower Cholesky factor of the correlation of labels, noise included
    relevances: Floats  # w_g

    def correlation(self, a: Floats, b: Floats) -> Floats:
        """Correlation of f before any label is seen, shape (len(a), len(b))."""
        return matern(a * self.predictor.scales, b * self.predictor.scales)

    def reduced(self, features: Floats) -> Floats:
        """L^-1 k(labels, features): its squares, summed over labels, are the share of variance that labels explain."""
        known = matern(self.predictor.points, features * self.predictor.scales)
        found: Floats = solve_triangular(self.factor, known, lower=True)
        return found

    def deviation(self, features: Floats) -> Floats:
        """Standard deviation of a label, noise included, shape (len(features),)."""
        left = 1 - (self.reduced(features) ** 2).sum(axis=0)
        found: Floats = np.sqrt(self.size * (np.maximum(left, 0.0) + self.noise))
        return found


def fit_process(features: Floats, targets: Floats, groups: Ints) -> FittedProcess:
    """The process that explains targets best.

    Args:
        features: shape (n, p).
        targets: shape (n,), not all equal.
        groups: the kind of each feature, 0, 1, ..., shape (p,).
    """
    objective = Objective(features, targets, groups)
    start = objective.centre
    bounds = [(middle - 6, middle + 6) for middle in start[:-1]] + [(math.log(_LEAST_NOISE), math.log(10))]
    found: Any = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS})
    return objective.fitted(found.x)


class Objective:
    """Negative logarithm of the posterior of (log w_1, ..., log noise), with its gradient."""

    def __init__(self, features: Floats, targets: Floats, groups: Ints) -> None:
        self.features, self.targets, self.groups = features, targets, groups
        self.sizes = np.bincount(groups)
        self.distances = np.stack([_squares(features[:, groups == g]) / size for g, size in enumerate(self.sizes)])
        n_groups = len(self.sizes)
        self.centre = np.append(np.full(n_groups, math.log(RELEVANCE / n_groups)), math.log(NOISE))
        self.spread = np.append(np.full(n_groups, SPREAD), NOISE_SPREAD)

    def __call__(self, at: Floats) -> tuple[float, Floats]:
        """Value and gradient."""
        n = len(self.targets)
        relevances, noise = np.exp(at[:-1]), math.exp(at[-1])
        r = np.sqrt(3 * np.tensordot(relevances, self.distances, 1))
        decay = np.exp(-r)
        factor = cholesky((1 + r) * decay + noise * np.eye(n), lower=True)
        inverse = cho_solve((factor, True), np.eye(n))
        _, weights, size = self._solved(factor)
        away = (at - self.centre) / self.spread
        value = n / 2 * math.log(size) + float(np.log(np.diag(factor)).sum()) + float(away @ away) / 2
        by_correlation = (inverse - np.outer(weights, weights) / size) / 2  # derivative by each correlation
        by_square = -1.5 * by_correlation * decay  # d matern / d r^2 = -3/2 exp(-sqrt(3) r)
        gradient = np.append(
            np.tensordot(self.distances, by_square, 2) * relevances, noise * float(np.trace(by_correlation))
        )
        return value, gradient + away / self.spread

    def fitted(self, at: Floats) -> FittedProcess:
        """The process with these parameters."""
        relevances, noise = np.exp(at[:-1]), math.exp(at[-1])
        scales = np.sqrt(relevances / self.sizes)[self.groups]
        points = self.features * scales
        factor = cholesky(matern(points, points) + noise * np.eye(len(points)), lower=True)
        mean, weights, size = self._solved(factor)
        return FittedProcess(Process(points, scales, weights, mean), size, noise, factor, relevances)

    def _solved(self, factor: Floats) -> tuple[float, Floats, float]:
        """Mean by generalised least squares, K^-1 (targets - mean), and the variance of f."""
        ones = cho_solve((factor, True), np.ones(len(self.targets)))
        mean = float(ones @ self.targets / ones.sum())
        rest = self.targets - mean
        weights: Floats = cho_solve((factor, True), rest)
        return mean, weights, float(rest @ weights) / len(rest)


def _squares(points: Floats) -> Floats:
    norms = (points * points).sum(axis=1)
    squares: Floats = np.maximum(norms[:, None] + norms - 2 * points @ points.T, 0.0)
    np.fill_diagonal(squares, 0.0)
    return squares
