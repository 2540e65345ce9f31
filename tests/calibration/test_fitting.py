"""Scales, the process and the models: against scikit-learn, and against what defines them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel
from sklearn.linear_model import RidgeCV

from untrained.calibration import models
from untrained.calibration.process import Objective, fit_process
from untrained.calibration.targets import Scale
from untrained.proxies.predictors import predictor_of

from .made_up import made_up

LABELS = st.lists(st.integers(-50, 50), min_size=2, max_size=40).filter(lambda found: len(set(found)) > 1)


@given(LABELS)
def test_scales_go_there_and_back(labels: list[int]) -> None:
    values = np.array(labels, np.float64)
    scale = Scale.of(values)
    scores = scale.to_scores(values)
    np.testing.assert_allclose(scale.to_values(scores), values, atol=1e-9)
    order = np.argsort(values)
    assert (np.diff(scores[order]) >= 0).all()
    assert (np.diff(scale.scores) > 0).all()


@given(LABELS, st.floats(-5, 5), st.floats(-5, 5))
def test_ends_are_open_only_beyond_the_labels(labels: list[int], low: float, high: float) -> None:
    scale = Scale.of(np.array(labels, np.float64))
    ends = scale.lower_ends(np.array([low])), scale.upper_ends(np.array([high]))
    assert np.isnan(ends[0][0]) == (low <= scale.scores[0])
    assert np.isnan(ends[1][0]) == (high >= scale.scores[-1])
    for end in ends:
        assert np.isnan(end[0]) or min(labels) <= end[0] <= max(labels)


def test_only_the_order_of_labels_matters_to_scores() -> None:
    labels = np.random.default_rng(0).normal(size=30)
    np.testing.assert_array_equal(
        Scale.of(labels).to_scores(labels), Scale.of(np.exp(labels)).to_scores(np.exp(labels))
    )


def test_the_gradient_of_the_process_is_the_derivative_of_its_value() -> None:
    data = made_up(25, 9, 0)
    objective = Objective(data.features, data.labels, data.groups)
    rng = np.random.default_rng(0)
    for _ in range(5):
        at = objective.centre + rng.normal(size=len(objective.centre))
        error = check_grad(lambda x: objective(x)[0], lambda x: objective(x)[1], at)
        assert error < 1e-4 * max(1.0, np.abs(objective(at)[1]).max())


def test_the_process_maximises_its_posterior() -> None:
    data = made_up(40, 9, 1)
    objective = Objective(data.features, data.labels, data.groups)
    process = fit_process(data.features, data.labels, data.groups)
    at = np.log([*process.relevances, process.noise])
    assert np.abs(objective(at)[1]).max() < 1e-2
    assert objective(at)[0] < objective(objective.centre)[0]


def test_the_process_agrees_with_scikit_learn() -> None:
    data, new = made_up(40, 9, 1), made_up(200, 9, 2).features
    process = fit_process(data.features, data.labels, data.groups)
    scales = process.predictor.scales
    kernel = Matern(1.0, nu=1.5) + WhiteKernel(process.noise)
    reference = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None)
    reference.fit(data.features * scales, data.labels - process.predictor.mean)
    mean, deviation = reference.predict(new * scales, return_std=True)
    np.testing.assert_allclose(process.predictor.predict(new), mean + process.predictor.mean, atol=1e-9)
    np.testing.assert_allclose(process.deviation(new), np.sqrt(process.size) * deviation, rtol=1e-6)


def test_a_kind_of_a_hundred_equal_features_weighs_as_one() -> None:
    data = made_up(40, 3, 3)
    many = np.hstack([np.repeat(data.features[:, :1], 100, axis=1), data.features[:, 1:]])
    groups = np.array([0] * 100 + [1, 2], np.int64)
    one, other = fit_process(data.features, data.labels, data.groups), fit_process(many, data.labels, groups)
    np.testing.assert_allclose(one.predictor.predict(data.features), other.predictor.predict(many), atol=1e-6)


def test_ridge_agrees_with_scikit_learn() -> None:
    data, new = made_up(40, 9, 4), made_up(200, 9, 5).features
    found = models.fit("ridge", data.features, data.labels, data.groups, seed=0)
    scales = 1 / np.sqrt(3)
    reference = RidgeCV(np.logspace(-3, 3, 25)).fit(data.features * scales, data.labels)
    np.testing.assert_allclose(found.predict(new), reference.predict(new * scales), atol=1e-9)


def test_trees_agree_with_scikit_learn() -> None:
    data, new = made_up(60, 9, 6), made_up(1500, 9, 7).features
    found = models.fit("trees", data.features, data.labels, data.groups, seed=3, n_trees=20)
    reference = ExtraTreesRegressor(20, max_features=0.2, random_state=3).fit(data.features, data.labels)
    np.testing.assert_allclose(found.predict(new), reference.predict(new), atol=1e-9)
    np.testing.assert_allclose(found.predict(data.features), data.labels, atol=1e-9)  # grown to the end


@pytest.mark.parametrize("kind", models.MODELS)
def test_arrays_are_all_of_a_model(kind: str) -> None:
    data, new = made_up(30, 9, 8), made_up(50, 9, 9).features
    found = models.fit(kind, data.features, data.labels, data.groups, seed=0, n_trees=5)
    again = predictor_of(kind, found.arrays())
    np.testing.assert_array_equal(found.predict(new), again.predict(new))
    assert again.n_features == 9


def test_the_average_is_the_mean_of_the_others() -> None:
    data = made_up(30, 9, 10)
    found = models.fit_all(data.features, data.labels, data.groups, seed=0)
    mean = np.mean([found[kind].predict(data.features) for kind in models.SINGLE], axis=0)
    np.testing.assert_allclose(found["average"].predict(data.features), mean, atol=1e-12)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000))
def test_a_model_needs_good_reason_to_be_chosen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.normal(size=60)
    near = {kind: labels + 0.5 * rng.normal(size=60) for kind in models.MODELS}
    same = {**near, models.DEFAULT: near["ridge"]}
    assert models.choose(dict.fromkeys(models.MODELS, labels + rng.normal(size=60)), labels) == models.DEFAULT
    assert models.choose({**same, models.DEFAULT: labels}, labels) == models.DEFAULT
    worse = {**near, models.DEFAULT: rng.normal(size=60), "ridge": labels}
    assert models.choose(worse, labels) == "ridge"
