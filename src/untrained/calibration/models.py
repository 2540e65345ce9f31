"""The models that calibration chooses from: each small, regularised, and fitted to few labels in about a second."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV

from untrained.calibration.process import fit_process
from untrained.proxies.predictors import Average, Floats, Ints, Predictor, Process, Ridge, Trees
from untrained.stats import paired_kendall

MODELS: Final[Mapping[str, str]] = {
    Ridge.kind: "ridge regression, penalty by leave-one-out error",
    Process.kind: "Gaussian process, Matern kernel, one relevance for each kind of statistic",
    Trees.kind: "extremely randomised trees",
    Average.kind: "mean of the other three",
}
DEFAULT: Final = Process.kind  # where no other is clearly better
N_TREES: Final = 200
N_TREES_COMPARED: Final = 30  # where trees are only being compared: hardly worse, and many times as fast
MAX_FEATURES: Final = 0.2  # of the features, tried at each split
_PENALTIES: Final = np.logspace(-3, 3, 25)


def fit(kind: str, features: Floats, targets: Floats, groups: Ints, *, seed: int, n_trees: int = N_TREES) -> Predictor:
    """A model fitted to labels.

    Args:
        kind: of MODELS.
        features: shape (n, p).
        targets: normal scores of the labels, shape (n,).
        groups: the kind of statistic of each feature, shape (p,).
        seed: of the trees.
        n_trees: how many.
    """
    if kind == Ridge.kind:
        return _ridge(features, targets, groups)
    if kind == Process.kind:
        return fit_process(features, targets, groups).predictor
    if kind == Trees.kind:
        return _trees(features, targets, seed, n_trees)
    return Average(tuple([fit(one, features, targets, groups, seed=seed, n_trees=n_trees) for one in SINGLE]))


SINGLE: Final = (Ridge.kind, Process.kind, Trees.kind)


def fit_all(features: Floats, targets: Floats, groups: Ints, *, seed: int) -> dict[str, Predictor]:
    """Every model, for comparison."""
    single = {kind: fit(kind, features, targets, groups, seed=seed, n_trees=N_TREES_COMPARED) for kind in SINGLE}
    return {kind: single[kind] if kind in single else Average(tuple(single.values())) for kind in MODELS}


def choose(predictions: Mapping[str, Floats], labels: Floats) -> str:
    """The default, unless the best of the others ranks held-out labels better by more than two standard errors.

    Choosing the best of several on few labels is mostly luck: the default is only left for good reason.

    Args:
        predictions: by kind, for labels that the models did not see, shape (n,).
        labels: shape (n,).
    """
    tests = {
        kind: paired_kendall(found, predictions[DEFAULT], labels)
        for kind, found in predictions.items()
        if kind != DEFAULT
    }
    best = max(tests, key=lambda kind: (np.nan_to_num(tests[kind].difference.value, nan=-2.0), kind))
    return best if tests[best].statistic > 2 else DEFAULT


def _ridge(features: Floats, targets: Floats, groups: Ints) -> Ridge:
    scales = 1 / np.sqrt(np.bincount(groups)[groups])  # every kind of statistic weighs as one, as in the process
    found: Any = RidgeCV(_PENALTIES).fit(features * scales, targets)
    return Ridge(found.coef_ * scales, float(found.intercept_))


def _trees(features: Floats, targets: Floats, seed: int, n_trees: int) -> Trees:
    forest = ExtraTreesRegressor(n_trees, max_features=MAX_FEATURES, random_state=seed % 2**32, n_jobs=1)
    trees = [one.tree_ for one in forest.fit(features, targets).estimators_]
    sizes = [tree.node_count for tree in trees]
    roots = np.cumsum([0, *sizes[:-1]], dtype=np.int64)
    feature = np.concatenate([tree.feature for tree in trees]).astype(np.int64)
    shift = np.repeat(roots, sizes)
    leaf = feature < 0
    return Trees(
        np.where(leaf, -1, feature),
        np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        np.where(leaf, 0, np.concatenate([tree.children_left for tree in trees]) + shift),
        np.where(leaf, 0, np.concatenate([tree.children_right for tree in trees]) + shift),
        np.concatenate([tree.value.ravel() for tree in trees]).astype(np.float64),
        roots,
        features.shape[1],
    )
