import math

import numpy as np
import pytest
from scipy import stats

from untrained.errors import BadInputError
from untrained.stats import kendall_interval, partial_kendall, partial_spearman, spearman_interval

RNG = np.random.default_rng(1942)


def drawn(n, rng=RNG):
    """Two variables that share two covariates and something more, rounded so that there are ties."""
    z = rng.normal(size=(n, 2)) @ np.array([[1, 0.4], [0, 1]])
    x = z @ [1, 0.5] + rng.normal(size=n)
    y = z @ [0.5, 1] + rng.normal(size=n) + 0.5 * x
    return x.round(1), y.round(1), z.T.round(1)


def test_spearman_is_the_correlation_of_what_a_regression_of_ranks_leaves():
    x, y, z = drawn(200)
    ranked = np.column_stack([np.ones(200), *(stats.rankdata(c) for c in z)])
    left = [r - ranked @ np.linalg.lstsq(ranked, r, rcond=None)[0] for r in (stats.rankdata(x), stats.rankdata(y))]
    expected = stats.pearsonr(*left).statistic
    assert partial_spearman(x, y, z).value == pytest.approx(expected, abs=1e-12)


def test_kendall_is_the_correlation_of_what_a_regression_of_pair_signs_leaves():
    x, y, z = drawn(60)
    i, j = np.triu_indices(60, 1)
    signs = [np.sign(v[i] - v[j]) for v in (x, y, *z)]
    covariates = np.column_stack(signs[2:])
    left = [s - covariates @ np.linalg.lstsq(covariates, s, rcond=None)[0] for s in signs[:2]]
    expected = left[0] @ left[1] / np.sqrt((left[0] @ left[0]) * (left[1] @ left[1]))
    assert partial_kendall(x, y, z).value == pytest.approx(expected, abs=1e-12)


def test_kendall_with_one_covariate_is_kendalls_formula():
    x, y, z = drawn(80)
    xy, xz, yz = (stats.kendalltau(*pair).statistic for pair in ((x, y), (x, z[0]), (y, z[0])))
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_kendall(x, y, z[:1]).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("partial", "plain"), [(partial_kendall, kendall_interval), (partial_spearman, spearman_interval)]
)
def test_without_covariates_it_is_the_plain_correlation(partial, plain):
    x, y, _ = drawn(50)
    assert partial(x, y, []) == plain(x, y)
    assert partial(x, y, [np.ones(50)]) == plain(x, y)


@pytest.mark.parametrize("partial", [partial_kendall, partial_spearman])
def test_covariates_that_say_the_same_count_once(partial):
    x, y, z = drawn(50)
    once, twice = partial(x, y, z), partial(x, y, [z[0], np.exp(z[0]), z[1]])
    assert twice == once


@pytest.mark.parametrize("partial", [partial_kendall, partial_spearman])
def test_nothing_is_left_of_a_variable_that_a_covariate_determines(partial):
    x, y, z = drawn(50)
    assert math.isnan(partial(-z[0], y, z).value)
    assert math.isnan(partial(x, y, [y]).value)
    assert math.isnan(partial(np.ones(50), y, z).value)


@pytest.mark.parametrize("partial", [partial_kendall, partial_spearman])
def test_what_the_covariates_explain_is_taken_away(partial):
    rng = np.random.default_rng(2)
    size = rng.normal(size=1000)
    x, y = size + 0.3 * rng.normal(size=1000), size + 0.3 * rng.normal(size=1000)
    assert partial(x, y, []).value > 0.7
    assert abs(partial(x, y, [size]).value) < 0.3  # not exactly 0 even in the limit: see the docstring


@pytest.mark.parametrize("partial", [partial_kendall, partial_spearman])
def test_intervals_cover_as_promised(partial):
    rng = np.random.default_rng(3)
    target = partial(*drawn(20000, rng)).value
    covered = [found.low <= target <= found.high for found in (partial(*drawn(80, rng)) for _ in range(250))]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.045)


@pytest.mark.parametrize("partial", [partial_kendall, partial_spearman])
def test_clusters_are_the_unit(partial):
    x, y, z = drawn(60)
    alone = partial(x, y, z)
    twice = partial(np.tile(x, 2), np.tile(y, 2), np.tile(z, 2), clusters=np.tile(np.arange(60), 2))
    # Copies add pairs tied in everything, which tau-b leaves out again up to the ties within a cluster.
    assert twice.high - twice.low == pytest.approx(alone.high - alone.low, rel=0.05)


def test_bad_input_is_named():
    with pytest.raises(BadInputError, match="covariate 0"):
        partial_kendall([1.0, 2, 3], [1.0, 2, 3], [[1.0, 2]])
    with pytest.raises(BadInputError, match="covariate 1 must be finite"):
        partial_spearman([1.0, 2, 3], [1.0, 2, 3], [[1.0, 2, 5], [1.0, math.nan, 2]])
