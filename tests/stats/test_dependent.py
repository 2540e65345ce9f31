import math

import numpy as np
import pytest
from scipy.stats import norm

from untrained.errors import BadInputError
from untrained.stats import steiger_z


def test_hand_evaluated_value():
    # rm = 0.35, rm^2 = 0.1225; psi = 0.1 * 0.755 - 0.06125 * 0.745 = 0.02986875; s = psi / 0.8775^2 = 0.03879027;
    # arctanh 0.5 - arctanh 0.2 = 0.54930614 - 0.20273255 = 0.34657359; Z = 10 * 0.34657359 / sqrt(2 - 0.07758054).
    test = steiger_z(0.5, 0.2, 0.1, 103)
    assert test.statistic == pytest.approx(3.4657359 / math.sqrt(1.92241946), abs=1e-6)
    assert test.p_value == pytest.approx(2 * norm.sf(test.statistic), abs=1e-12)


@pytest.mark.parametrize(
    ("r12", "r13", "r23", "n", "statistic"),
    [(0.0228, 0.3522, 0.3718, 553, -7.1345), (0.2493, 0.3395, 0.4082, 553, -2.0660)],
)
def test_values_printed_by_cocor(r12, r13, r23, n, statistic):
    """Printed by the R package cocor, test "steiger1980", for correlations it shows to four digits."""
    assert steiger_z(r12, r13, r23, n).statistic == pytest.approx(statistic, abs=0.002)


@pytest.mark.parametrize("shared", [0.0, 0.4, 0.8])
def test_standard_normal_under_the_null(shared):
    """Two scores equally correlated with the truth; `shared` is their correlation beyond what the truth explains."""
    rng = np.random.default_rng(1980)
    n, repetitions, r = 80, 3000, 0.6
    between = r * r + shared * (1 - r * r)
    covariance = np.array([[1, r, r], [r, 1, between], [r, between, 1]])
    z = []
    for sample in rng.multivariate_normal(np.zeros(3), covariance, size=(repetitions, n)):
        c = np.corrcoef(sample.T)
        z.append(steiger_z(c[0, 1], c[0, 2], c[1, 2], n).statistic)
    assert np.mean(z) == pytest.approx(0, abs=0.06)
    assert np.std(z) == pytest.approx(1, abs=0.04)
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.05, abs=0.012)


def test_symmetry():
    forward, backward = steiger_z(0.7, 0.5, 0.3, 50), steiger_z(0.5, 0.7, 0.3, 50)
    assert forward.statistic == -backward.statistic > 0
    assert forward.p_value == backward.p_value
    mirrored = steiger_z(-0.7, -0.5, 0.3, 50)
    assert mirrored.statistic == pytest.approx(-forward.statistic)


def test_a_shared_ranking_sharpens_the_comparison():
    assert steiger_z(0.7, 0.6, 0.9, 50).statistic > steiger_z(0.7, 0.6, 0.3, 50).statistic


@pytest.mark.parametrize("r23", [-1.0, 0.2, 1.0])
def test_equal_correlations_do_not_differ(r23):
    test = steiger_z(0.0, 0.0, r23, 30)
    assert (test.statistic, test.p_value) == (0.0, 1.0)


@pytest.mark.parametrize("r", [(math.nan, 0.5, 0.5), (0.5, math.nan, 0.5), (0.5, 0.5, math.nan), (1.0, 0.5, 0.5)])
def test_no_value_where_none_exists(r):
    test = steiger_z(*r, 30)
    assert math.isnan(test.statistic)
    assert math.isnan(test.p_value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, 0.4, 0.3, 3), "at least 4 points, got n = 3"),
        ((1.5, 0.4, 0.3, 30), r"r12 must be a correlation in \[-1, 1\], got 1.5"),
        ((0.9, -0.9, 0.9, 30), "no data have the correlations"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(BadInputError, match=message):
        steiger_z(*arguments)
