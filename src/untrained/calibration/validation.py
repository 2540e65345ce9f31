"""What to expect on architectures that nobody has trained: nested cross-validation and a learning curve.

The outer folds stand for the untrained architectures. What happens inside, the choice between models included, never
sees them; so the agreement measured on them is that of the whole procedure, not of the luckiest model.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from scipy.special import stdtrit

from untrained.calibration.models import MODELS, N_TREES_COMPARED, choose, fit, fit_all
from untrained.calibration.targets import Scale
from untrained.proxies.predictors import Floats, Ints
from untrained.seeds import seed_for
from untrained.stats import Interval, PairedTest, kendall_tau_b
from untrained.stats.dependent import paired_test
from untrained.stats.intervals import interval, kendall_influence

LEVEL: Final = 0.95  # of the intervals of expected agreement
WIDENED: Final = 1.25  # see `expected`
INNER_FOLDS: Final = 4
CURVE: Final = (0.25, 0.5, 0.75)  # shares of the labels that the learning curve fits


class Data(NamedTuple):
    """Labelled architectures: features (n, p), the kind of each feature (p,), labels (n,), higher is better."""

    features: Floats
    groups: Ints
    labels: Floats


@dataclass(frozen=True, eq=False)
class Validation:
    """Predictions for labels that were held out, shape (repeats, n), and what is to be learnt from them.

    `predictions` has them for every model, `chosen` of the model that was best without the fold.
    """

    labels: Floats
    predictions: Mapping[str, Floats]
    chosen: Floats
    choices: Mapping[str, int]  # how often each model was chosen

    @property
    def expected(self) -> Interval:
        """Kendall's tau to expect on architectures without a label, the choice of the model included."""
        return expected(self.chosen, self.labels)

    @property
    def of_models(self) -> dict[str, Interval]:
        """The same for each model alone."""
        return {kind: expected(found, self.labels) for kind, found in self.predictions.items()}

    @property
    def best(self) -> str:
        """The model to fit to all labels."""
        return choose({kind: found.mean(axis=0) for kind, found in self.predictions.items()}, self.labels)

    def against(self, score: Floats) -> PairedTest:
        """Test the calibrated ranking against a score that needs no labels, shape (n,), higher is better.

        Both are measured on the same labels, the calibrated one on labels that it did not see. Widened as `expected`.
        """
        tau, derivative = _mean_influence(self.chosen, self.labels)
        other, d_other = kendall_influence(score, self.labels)
        return paired_test(tau, WIDENED * derivative, other, WIDENED * d_other, level=_level(len(score)))


def expected(predictions: Floats, labels: Floats) -> Interval:
    """Mean over repeats, shape (repeats, n), of Kendall's tau with labels, with its interval over labels.

    The interval is that of Kendall's tau over labels, with Student's t, and wider by WIDENED: the labels also decide
    what is fitted, which their spread does not show (Bengio and Grandvalet 2004, JMLR 5, 1089: no estimate of that from
    the folds is unbiased). The factor was found by simulation on NAS-Bench-201, where without it intervals that say
    95 % held 90 to 93 % of the time, and with it 95 to 98 %, for 20 to 300 labels.
    """
    value, derivative = _mean_influence(predictions, labels)
    return interval(value, WIDENED * derivative, level=_level(len(labels)))


def _level(n: int) -> float:
    """The level of a normal interval as wide as Student's of LEVEL."""
    return 2 * NormalDist().cdf(float(stdtrit(max(1, n - 1), (1 + LEVEL) / 2))) - 1


def _mean_influence(predictions: Floats, labels: Floats) -> tuple[float, Floats]:
    taus, derivatives = zip(*[kendall_influence(found, labels) for found in predictions], strict=True)
    return float(np.mean(taus)), np.mean(derivatives, axis=0)


def validate(data: Data, *, seed: int) -> Validation:
    """Nested cross-validation of all models.

    Ten outer folds, twice of up to 100 labels, where one division into folds is as much luck as another.
    """
    n = len(data.labels)
    n_folds, repeats = min(10, n), 2 if n <= 100 else 1
    jobs = [
        (repeat, held, seed_for("calibration", seed, n, repeat, k))
        for repeat in range(repeats)
        for k, held in enumerate(_folds(n, n_folds, seed_for("folds", seed, n, repeat)))
    ]
    predictions = {kind: np.empty((repeats, n)) for kind in MODELS}
    chosen = np.empty((repeats, n))
    choices: Counter[str] = Counter()
    for repeat, held, inner_seed in jobs:
        found = _outer(data, held, inner_seed)
        for kind in MODELS:
            predictions[kind][repeat, held] = found.predictions[kind]
        chosen[repeat, held] = found.predictions[found.choice]
        choices[found.choice] += 1
    return Validation(data.labels, predictions, chosen, choices)


class _Held(NamedTuple):
    predictions: dict[str, Floats]
    choice: str


def _outer(data: Data, held: Ints, seed: int) -> _Held:
    kept = np.setdiff1d(np.arange(len(data.labels)), held)
    inside = Data(data.features[kept], data.groups, data.labels[kept])
    predictions = _held_out(inside, data.features[held], seed)
    inner = {kind: np.empty(len(kept)) for kind in MODELS}
    for k, fold in enumerate(_folds(len(kept), min(INNER_FOLDS, len(kept)), seed)):
        rest = np.setdiff1d(np.arange(len(kept)), fold)
        part = Data(inside.features[rest], data.groups, inside.labels[rest])
        for kind, found in _held_out(part, inside.features[fold], seed_for("inner", seed, k)).items():
            inner[kind][fold] = found
    return _Held(predictions, choose(inner, inside.labels))


def _held_out(data: Data, features: Floats, seed: int) -> dict[str, Floats]:
    """Predictions of every model for architectures that it is not fitted to."""
    scale = Scale.of(data.labels)
    if len(scale.values) < 2:  # nothing to learn from labels that are all the same
        return {kind: np.zeros(len(features)) for kind in MODELS}
    models = fit_all(data.features, scale.to_scores(data.labels), data.groups, seed=seed)
    return {kind: model.predict(features) for kind, model in models.items()}


def residuals(data: Data, kind: str, *, seed: int) -> Floats:
    """How far predictions of one model lie from labels that it did not see, shape (n,).

    In normal scores, on the scale of the labels that it saw: twenty folds of up to 100 labels, ten of more, so that it
    saw nearly all. A held-out label beyond those counts as the end of their scale, since that is where an interval
    that reaches it is open.
    """
    n = len(data.labels)
    found = np.empty(n)
    for k, held in enumerate(_folds(n, min(n, 20 if n <= 100 else 10), seed_for("residuals", seed, n))):
        kept = np.setdiff1d(np.arange(n), held)
        scale = Scale.of(data.labels[kept])
        targets = scale.to_scores(data.labels)
        if len(scale.values) < 2:
            predicted = np.zeros(len(held))
        else:
            model = fit(kind, data.features[kept], targets[kept], data.groups, seed=seed_for("residual", seed, k))
            predicted = model.predict(data.features[held])
        found[held] = np.abs(targets[held] - predicted)
    return found


def _folds(n: int, n_folds: int, seed: int) -> list[Ints]:
    order = np.random.default_rng(seed).permutation(n)
    return [np.sort(order[k::n_folds]) for k in range(n_folds)]


class Point(NamedTuple):
    """Agreement on the other labels after fitting some of them: mean and standard error over random draws."""

    n: int
    tau: float
    error: float


def learning_curve(data: Data, kind: str, *, seed: int) -> list[Point]:
    """How agreement grows with the number of labels, for one model.

    For each share of CURVE (from 5 labels up, leaving 5 to measure on), several random draws. The standard error treats
    draws as independent, which they are only nearly.
    """
    n = len(data.labels)
    draws = 16 if n <= 100 else 8
    sizes = [size for share in CURVE if 5 <= (size := round(share * n)) <= n - 5]
    jobs = [(size, seed_for("curve", seed, n, size, draw)) for size in sizes for draw in range(draws)]
    taus = [_drawn(data, kind, *job) for job in jobs]
    points = []
    for i, size in enumerate(sizes):
        found = np.array(taus[i * draws : (i + 1) * draws])
        found = found[~np.isnan(found)]
        if len(found) > 1:
            points.append(Point(size, float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found)))))
    return points


def _drawn(data: Data, kind: str, size: int, seed: int) -> float:
    order = np.random.default_rng(seed).permutation(len(data.labels))
    some, rest = np.sort(order[:size]), np.sort(order[size:])
    scale = Scale.of(data.labels[some])
    if len(scale.values) < 2:
        return float("nan")
    targets = scale.to_scores(data.labels[some])
    model = fit(kind, data.features[some], targets, data.groups, seed=seed, n_trees=N_TREES_COMPARED)
    return kendall_tau_b(model.predict(data.features[rest]), data.labels[rest])
