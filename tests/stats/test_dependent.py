import math

import numpy as np
import pytest
from scipy.stats import norm

from untrained.errors import BadInputError
from untrained.stats import kendall_tau_b, paired_kendall, paired_spearman, spearman, steiger_z


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


def equally_good(repetitions, n=80, r=0.6, between=0.5):
    """Samples of a truth and two scores that correlate with it equally."""
    covariance = np.array([[1, r, r], [r, 1, between], [r, between, 1]])
    return np.random.default_rng(1980).multivariate_normal(np.zeros(3), covariance, size=(repetitions, n))


def test_paired_tests_reject_as_rarely_as_promised_and_steigers_z_does_not_fit_kendalls_tau():
    kendall, steiger_on_tau = [], []
    for sample in equally_good(600):
        truth, a, b = sample.T
        kendall.append(paired_kendall(a, b, truth).p_value < 0.05)
        t = kendall_tau_b(truth, a), kendall_tau_b(truth, b), kendall_tau_b(a, b)
        steiger_on_tau.append(steiger_z(*t, len(truth)).p_value < 0.05)
    assert np.mean(kendall) == pytest.approx(0.05, abs=0.025)
    assert np.mean(steiger_on_tau) < 0.01


def test_the_paired_test_of_spearman_agrees_with_steigers_z_where_that_holds():
    for sample in equally_good(5, n=400):
        truth, a, b = sample.T
        found = paired_spearman(a, b, truth)
        z = steiger_z(spearman(truth, a), spearman(truth, b), spearman(a, b), 400)
        assert found.statistic == pytest.approx(z.statistic, abs=0.35)
        assert found.difference.value == pytest.approx(spearman(a, truth) - spearman(b, truth), abs=1e-12)


@pytest.mark.parametrize("paired", [paired_kendall, paired_spearman])
def test_paired_intervals_hold_zero_as_the_p_value_says(paired):
    for sample in equally_good(40, n=60):
        truth, a, b = sample.T
        found = paired(a, b, truth)
        assert (found.difference.low <= 0 <= found.difference.high) == (found.p_value >= 0.05)
        backward = paired(b, a, truth)
        assert (backward.statistic, backward.p_value) == (-found.statistic, found.p_value)


@pytest.mark.parametrize("paired", [paired_kendall, paired_spearman])
def test_copies_of_networks_add_no_evidence(paired):
    truth, a, b = equally_good(2, n=50)[1].T
    labels = np.arange(50)
    alone = paired(a, b, truth, clusters=labels)
    four = paired(np.tile(a, 4), np.tile(b, 4), np.tile(truth, 4), clusters=np.tile(labels, 4))
    blind = paired(np.tile(a, 4), np.tile(b, 4), np.tile(truth, 4))
    assert four.statistic == pytest.approx(alone.statistic, rel=0.05)
    assert abs(blind.statistic) > 1.7 * abs(alone.statistic)


@pytest.mark.parametrize("paired", [paired_kendall, paired_spearman])
def test_scores_of_the_same_order_do_not_differ(paired):
    truth, a, _ = equally_good(1, n=30)[0].T
    found = paired(a, np.exp(a), truth)
    assert (found.difference.value, found.statistic, found.p_value) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("paired", [paired_kendall, paired_spearman])
def test_no_paired_test_where_none_exists(paired):
    assert math.isnan(paired([1.0, 1, 1, 1], [1.0, 2, 3, 4], [1.0, 2, 3, 4]).p_value)
    assert math.isnan(paired([1.0, 3, 2], [1.0, 2, 3], [1.0, 2, 3]).p_value)
    with pytest.raises(BadInputError, match="level must lie between 0 and 1"):
        paired([1.0, 2], [1.0, 2], [1.0, 2], level=1.0)
