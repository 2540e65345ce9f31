import csv
import gzip
import math

import numpy as np
import pytest

from untrained.errors import BadInputError
from untrained.stats import kendall_tau_b, noise_ceiling, runs_of_duplicates, spearman


def trained(noise, n=1500, k=3, seed=0):
    """Expected results, and k trainings of each network."""
    rng = np.random.default_rng(seed)
    t = rng.normal(size=n)
    return t, t[:, None] + noise * rng.normal(size=(n, k))


@pytest.mark.parametrize("averaged", [1, 3])
@pytest.mark.parametrize("noise", [0.2, 0.5, 1.0])
def test_known_noise_gives_the_known_ceiling(noise, averaged):
    t, runs = trained(noise)
    truth = runs[:, :averaged].mean(axis=1)
    r = 1 / math.sqrt(1 + noise**2 / averaged)
    found = noise_ceiling(runs, averaged=averaged)
    assert found.n == 1500
    assert found.kendall.value == pytest.approx(2 / math.pi * math.asin(r), abs=0.015)
    assert found.spearman.value == pytest.approx(6 / math.pi * math.asin(r / 2), abs=0.015)
    assert found.kendall.value == pytest.approx(kendall_tau_b(t, truth), abs=0.025)  # what a perfect score does get
    assert found.spearman.value == pytest.approx(spearman(t, truth), abs=0.025)


def test_a_single_training_may_be_on_any_scale():
    _, runs = trained(0.4)
    assert noise_ceiling(np.exp(3 * runs)) == noise_ceiling(runs)


def test_intervals_cover_as_promised():
    target = 2 / math.pi * math.asin(1 / math.sqrt(1.25))
    found = [noise_ceiling(trained(0.5, n=120, k=2, seed=seed)[1]).kendall for seed in range(300)]
    assert np.mean([i.low <= target <= i.high for i in found]) == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize("seed", range(3))
def test_bounds_that_do_not_rest_on_the_model_hold_far_from_it(seed):
    """Skewed results, and noise that is heavy-tailed and grows where results are bad."""
    rng = np.random.default_rng(seed)
    t = -rng.exponential(size=3000)
    runs = t[:, None] + (0.05 - 0.3 * t[:, None]) * rng.standard_t(3, size=(3000, 2))
    found = noise_ceiling(runs)
    repeated, perfect = found.repeatability_kendall.value, kendall_tau_b(t, runs[:, 0])
    assert repeated <= perfect <= math.sqrt(repeated)
    assert repeated <= found.kendall.value <= math.sqrt(repeated)
    assert found.kendall.value == pytest.approx(perfect, abs=0.03)


def test_all_pairs_of_trainings_are_used_and_missing_ones_are_left_out():
    _, runs = trained(0.5, n=400)
    few = runs.copy()
    few[:200, 2] = np.nan
    few[:100, 1] = np.nan
    found = noise_ceiling(few)
    assert found.n == 300
    pairs = [(slice(100, None), 0, 1, 300), (slice(200, None), 0, 2, 200), (slice(200, None), 1, 2, 200)]
    expected = sum(w * kendall_tau_b(runs[rows, a], runs[rows, b]) for rows, a, b, w in pairs) / 700
    assert found.repeatability_kendall.value == pytest.approx(expected, abs=1e-12)


def test_no_noise_and_nothing_but_noise():
    t, _ = trained(0.0, n=50)
    perfect = noise_ceiling(np.column_stack([t, t]))
    assert (perfect.kendall.value, perfect.spearman.value) == (1.0, pytest.approx(1.0))
    assert noise_ceiling(np.column_stack([t, -t])).kendall.value == 0.0


@pytest.mark.parametrize("runs", [np.empty((0, 2)), np.empty((5, 0)), [[0.5], [0.7]], [[0.5, math.nan]], [[0.5, 0.6]]])
def test_too_little_is_known(runs):
    assert math.isnan(noise_ceiling(runs).kendall.value)


def test_duplicates_are_read_in_pairs():
    y = [0.9, math.nan, 0.8, 0.7, 0.6, 0.5, 0.4]
    assert runs_of_duplicates(y, [4, 4, 2, 4, 4, 2, 9]).tolist() == [[0.8, 0.5], [0.9, 0.7]]
    assert runs_of_duplicates([], []).shape == (0, 2)
    assert runs_of_duplicates([1.0, 2.0], [0, 1]).shape == (0, 2)


@pytest.mark.parametrize(
    ("runs", "averaged", "message"),
    [([1.0, 2.0], 1, "one row for each network"), ([[1.0, math.inf]], 1, "infinite"), ([[1.0, 2.0]], 0.5, "averaged")],
)
def test_bad_input_is_named(runs, averaged, message):
    with pytest.raises(BadInputError, match=message):
        noise_ceiling(runs, averaged=averaged)


def test_the_model_foretells_how_two_trainings_agree_with_a_third(shared):
    """NAS-Bench-201 has three trainings of 7,961 cells. The mean of two has reliability r_2, a third one r, so that
    they should agree as normal variables of correlation sqrt(r_2 r) do. Nothing is fitted to the mean of two."""
    with gzip.open(shared("truth/nasbench201.csv.gz"), "rt", newline="") as file:
        rows = [[float(row[f"c10_test_200ep_run{k}"] or "nan") for k in range(3)] for row in csv.DictReader(file)]
    runs = np.array(rows)
    runs = runs[~np.isnan(runs).any(axis=1)]
    assert len(runs) == 7961
    found = noise_ceiling(runs)
    r = math.sin(math.pi * found.repeatability_kendall.value / 2)
    foretold = 2 / math.pi * math.asin(math.sqrt(2 * r / (1 + r) * r))
    seen = np.mean([kendall_tau_b(np.delete(runs, k, axis=1).mean(axis=1), runs[:, k]) for k in range(3)])
    assert seen == pytest.approx(foretold, abs=0.004)
    assert found.kendall.value == pytest.approx(0.936, abs=0.001)
    assert noise_ceiling(runs, averaged=3).kendall.value == pytest.approx(0.963, abs=0.001)
