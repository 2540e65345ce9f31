import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from scipy.stats import multivariate_normal

from untrained.errors import BadInputError
from untrained.stats import Interval, kendall_interval, kendall_tau_b, spearman, spearman_interval

BOTH = pytest.mark.parametrize(
    ("interval", "estimate"), [(kendall_interval, kendall_tau_b), (spearman_interval, spearman)]
)
N_LEVELS = 8


def draw(rng, n, rho, *, tied):
    """A Gaussian copula sample; tied: each margin cut into equally likely levels."""
    x = rng.normal(size=n)
    y = rho * x + math.sqrt(1 - rho * rho) * rng.normal(size=n)
    return (np.floor(ndtr(x) * N_LEVELS), np.floor(ndtr(y) * N_LEVELS)) if tied else (x, y)


def duplicated(rng, x, y):
    labels = np.repeat(np.arange(len(x)), rng.integers(1, 6, len(x)))
    order = rng.permutation(len(labels))
    labels = labels[order]
    return x[labels], y[labels], labels


def population(rho, *, tied):
    """Kendall's tau-b and Spearman's correlation of the distribution `draw` samples from."""
    if not tied:
        return 2 / math.pi * math.asin(rho), 6 / math.pi * math.asin(rho / 2)
    edges = np.array([-9.0, *ndtri(np.arange(1, N_LEVELS) / N_LEVELS), 9.0])
    normal = multivariate_normal([0, 0], [[1, rho], [rho, 1]])
    corners = np.array([[normal.cdf([a, b]) for b in edges] for a in edges])
    cell = np.diff(np.diff(corners, axis=0), axis=1)
    sign = np.sign(np.subtract.outer(np.arange(N_LEVELS), np.arange(N_LEVELS)))
    tau = float(np.einsum("ij,kl,ik,jl->", cell, cell, sign, sign)) / (1 - 1 / N_LEVELS)
    rank = (np.arange(N_LEVELS) + 0.5) / N_LEVELS
    return tau, (float(rank @ cell @ rank) - 0.25) / (float(rank @ rank) / N_LEVELS - 0.25)


def standard_error(interval, level=0.95):
    """Undo Fisher's z: the standard error on the scale of the correlation."""
    half = (math.atanh(interval.high) - math.atanh(interval.low)) / 2
    return half / ndtri((1 + level) / 2) * (1 - interval.value**2)


def coverage(rho, *, tied, clustered, n, repetitions):
    """Share of 95 % intervals that hold the value of the population, for Kendall and Spearman."""
    rng = np.random.default_rng(20230208)
    tau, rho_s = population(rho, tied=tied)
    hits = np.zeros(2)
    for _ in range(repetitions):
        x, y = draw(rng, n, rho, tied=tied)
        labels = None
        if clustered:
            x, y, labels = duplicated(rng, x, y)
        kendall, spearmans = kendall_interval(x, y, clusters=labels), spearman_interval(x, y, clusters=labels)
        hits += (kendall.low <= tau <= kendall.high, spearmans.low <= rho_s <= spearmans.high)
    return hits / repetitions


@pytest.mark.slow
def test_coverage_is_nominal():
    repetitions = 240
    found = {
        (rho, tied, clustered): coverage(rho, tied=tied, clustered=clustered, n=160, repetitions=repetitions)
        for rho in (0.0, 0.6, 0.9)
        for tied in (False, True)
        for clustered in (False, True)
    }
    # Three binomial standard errors: 4.2 points for each design, 1.2 for all twelve together.
    single = 3 * math.sqrt(0.95 * 0.05 / repetitions)
    for design, shares in found.items():
        np.testing.assert_allclose(shares, 0.95, atol=single, err_msg=str(design))
    np.testing.assert_allclose(np.mean(list(found.values()), axis=0), 0.95, atol=single / math.sqrt(len(found)))


@BOTH
@pytest.mark.parametrize("tied", [False, True], ids=["continuous", "tied"])
def test_standard_error_equals_the_cluster_bootstrap(interval, estimate, tied):
    rng = np.random.default_rng(7)
    x, y, labels = duplicated(rng, *draw(rng, 200, 0.6, tied=tied))
    # Noise inside the clusters: copies of an architecture need not have equal truth.
    y = y + 0.1 * rng.normal(size=y.size)
    members = [np.flatnonzero(labels == k) for k in range(200)]
    values = []
    for _ in range(400):
        chosen = np.concatenate([members[k] for k in rng.integers(0, 200, 200)])
        values.append(estimate(x[chosen], y[chosen]))
    assert standard_error(interval(x, y, clusters=labels)) == pytest.approx(np.std(values), rel=0.12)


@BOTH
def test_standard_error_equals_the_delete_one_jackknife(interval, estimate):
    rng = np.random.default_rng(3)
    x, y = draw(rng, 150, 0.6, tied=True)
    left_out = np.array([estimate(np.delete(x, k), np.delete(y, k)) for k in range(150)])
    jackknife = math.sqrt(149 / 150 * float(((left_out - left_out.mean()) ** 2).sum()))
    assert standard_error(interval(x, y)) == pytest.approx(jackknife, rel=0.03)


@BOTH
def test_copies_in_clusters_change_nothing(interval, estimate):
    rng = np.random.default_rng(11)
    x, y = draw(rng, 120, 0.7, tied=True)
    once = interval(x, y)
    labels = np.tile(np.arange(120), 5)
    copies = interval(np.tile(x, 5), np.tile(y, 5), clusters=labels)
    np.testing.assert_allclose([copies.value, copies.low, copies.high], [once.value, once.low, once.high], atol=1e-12)
    ignored = interval(np.tile(x, 5), np.tile(y, 5))
    assert ignored.high - ignored.low == pytest.approx((once.high - once.low) / math.sqrt(5), rel=0.02)


@BOTH
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_interval_properties(interval, estimate, seed):
    rng = np.random.default_rng(seed)
    x, y = draw(rng, int(rng.integers(6, 60)), 0.5, tied=bool(seed % 2))
    labels = rng.integers(0, 1 + len(x) // 2, len(x))
    found = interval(x, y, clusters=labels)
    np.testing.assert_equal(found.value, estimate(x, y))
    order = rng.permutation(len(x))
    permuted = interval(x[order], y[order], clusters=-3 * labels[order])
    mirrored = interval(-x, y, clusters=labels)
    transformed = interval(np.exp(x), y**3, clusters=labels)
    bounds = [found.low, found.high]
    np.testing.assert_allclose([permuted.low, permuted.high], bounds, atol=1e-9)
    np.testing.assert_allclose([transformed.low, transformed.high], bounds, atol=1e-9)
    np.testing.assert_allclose([-mirrored.high, -mirrored.low], bounds, atol=1e-9)
    if not math.isnan(found.low):
        assert -1 <= found.low < found.value < found.high <= 1
        narrow = interval(x, y, clusters=labels, level=0.5)
        assert found.low < narrow.low < narrow.high < found.high


@BOTH
@pytest.mark.parametrize(
    ("x", "y", "clusters", "value"),
    [
        ([], [], None, math.nan),
        ([1.0], [1.0], None, math.nan),
        ([1.0] * 9, list(range(9)), None, math.nan),
        (list(range(9)), list(range(9)), None, 1.0),
        (list(range(9)), list(range(9, 0, -1)), None, -1.0),
    ],
    ids=["empty", "one", "constant", "increasing", "decreasing"],
)
def test_no_bounds_where_no_interval_exists(interval, estimate, x, y, clusters, value):
    np.testing.assert_equal(interval(x, y, clusters=clusters), Interval(value, math.nan, math.nan))


@BOTH
def test_no_bounds_below_four_clusters(interval, estimate):
    x, y = [1.0, 2, 3, 4, 5, 6, 7, 8], [2.0, 1, 5, 3, 4, 8, 6, 7]
    few = interval(x, y, clusters=[0, 0, 0, 1, 1, 1, 2, 2])
    assert few.value == estimate(x, y)
    assert math.isnan(few.low)
    assert math.isnan(few.high)
    assert not math.isnan(interval(x, y, clusters=[0, 0, 1, 1, 2, 2, 3, 3]).low)


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 0.0}, "level must lie between 0 and 1"),
        ({"level": 95}, "level must lie between 0 and 1"),
        ({"clusters": [0.5, 1.0, 2.0]}, "integer labels"),
        ({"clusters": ["a", "b", "c"]}, "integer labels"),
        ({"clusters": [0, 1]}, "clusters and the points must have the same length, got 2 and 3"),
    ],
)
def test_bad_options_are_named(interval, estimate, options, message):
    with pytest.raises(BadInputError, match=message):
        interval([1.0, 2, 3], [1.0, 3, 2], **options)
