import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats as oracle

from untrained.errors import BadInputError
from untrained.stats import concordance, kendall_tau_b, midranks, spearman
from untrained.stats.ranks import below_left


@st.composite
def pairs(draw, min_size=2, max_size=40):
    """Two arrays of one length; few distinct values, so that ties are common."""
    n = draw(st.integers(min_size, max_size))
    values = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6))
    return tuple(draw(hnp.arrays(np.float64, n, elements=values)) for _ in range(2))


def signs(x):
    return np.sign(x[:, None] - x[None, :])


@settings(max_examples=50, deadline=None)
@given(pairs(min_size=0))
def test_midranks_equal_scipy(pair):
    x, _ = pair
    np.testing.assert_array_equal(midranks(x), oracle.rankdata(x, method="average"))


@settings(max_examples=50, deadline=None)
@given(pairs())
def test_correlations_equal_scipy(pair):
    x, y = pair
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert math.isnan(spearman(x, y))
        assert math.isnan(kendall_tau_b(x, y))
    else:
        assert spearman(x, y) == pytest.approx(oracle.spearmanr(x, y).statistic, abs=1e-12)
        assert kendall_tau_b(x, y) == pytest.approx(oracle.kendalltau(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("decimals", [0, 1, 2, 9])
def test_correlations_equal_scipy_on_many_points(decimals):
    rng = np.random.default_rng(decimals)
    x = rng.normal(size=20_001).round(decimals)
    y = (x + rng.normal(size=x.size)).round(decimals)
    assert spearman(x, y) == pytest.approx(oracle.spearmanr(x, y).statistic, abs=1e-12)
    assert kendall_tau_b(x, y) == pytest.approx(oracle.kendalltau(x, y).statistic, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(pairs(min_size=0))
def test_concordance_equals_its_definition(pair):
    x, y = pair
    np.testing.assert_array_equal(concordance(x, y), (signs(x) * signs(y)).sum(axis=1))


@settings(max_examples=50, deadline=None)
@given(pairs(min_size=0))
def test_below_left_equals_its_definition(pair):
    x, y = pair
    np.testing.assert_array_equal(below_left(x, y), ((signs(x) > 0) & (signs(y) > 0)).sum(axis=1))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 127, 128, 129])
def test_below_left_around_powers_of_two(n):
    rng = np.random.default_rng(n)
    x, y = rng.permutation(n), rng.permutation(n)
    np.testing.assert_array_equal(below_left(x, y), ((signs(x) > 0) & (signs(y) > 0)).sum(axis=1))


@pytest.mark.parametrize("correlation", [spearman, kendall_tau_b])
@settings(max_examples=50, deadline=None)
@given(pair=pairs(), seed=st.integers(0, 1000))
def test_correlation_properties(correlation, pair, seed):
    x, y = pair
    value = correlation(x, y)
    order = np.random.default_rng(seed).permutation(len(x))
    np.testing.assert_array_equal(correlation(x[order], y[order]), value)
    np.testing.assert_array_equal(correlation(y, x), value)
    np.testing.assert_array_equal(correlation(-x, y), -value)
    np.testing.assert_array_equal(correlation(np.unique(x, return_inverse=True)[1] ** 3, y), value)
    assert math.isnan(value) or -1 <= value <= 1


@pytest.mark.parametrize("correlation", [spearman, kendall_tau_b])
@settings(max_examples=50, deadline=None)
@given(pair=pairs())
def test_equal_order_gives_exactly_one(correlation, pair):
    x, _ = pair
    np.testing.assert_equal(correlation(x, 10 + 3 * midranks(x)), math.nan if np.ptp(x) == 0 else 1.0)


@pytest.mark.parametrize("correlation", [spearman, kendall_tau_b])
@pytest.mark.parametrize(("x", "y"), [([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [3.0, 3.0])])
def test_no_correlation_without_variation(correlation, x, y):
    assert math.isnan(correlation(x, y))


@pytest.mark.parametrize("function", [spearman, kendall_tau_b, concordance, below_left])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1.0, 2.0], [1.0], "x and y must have the same length, got 2 and 1"),
        ([1.0, math.nan], [1.0, 2.0], "x must be finite, but 1 of 2"),
        ([1.0, 2.0], [math.inf, -math.inf], "y must be finite, but 2 of 2"),
        ([[1.0, 2.0]], [1.0, 2.0], r"x must have one dimension, got shape \(1, 2\)"),
        (["a", "b"], [1.0, 2.0], "x must be an array of numbers"),
    ],
)
def test_bad_input_is_named(function, x, y, message):
    with pytest.raises(BadInputError, match=message):
        function(x, y)
