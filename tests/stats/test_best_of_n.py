import itertools
import math

import numpy as np
import pytest

from untrained.errors import BadInputError
from untrained.stats import best_of_n


def exhaustive(score, truth, n_drawn):
    """Mean truth and rank of the best-scored over every draw, ties in score and in truth averaged."""
    truths, ranks = [], []
    for drawn in itertools.combinations(range(len(score)), n_drawn):
        s, t = score[list(drawn)], truth[list(drawn)]
        winners = t[s == s.max()]
        truths.append(winners.mean())
        ranks.append(np.mean([1 + (t > w).sum() + ((t == w).sum() - 1) / 2 for w in winners]))
    return np.mean(truths), np.mean(ranks)


@pytest.mark.parametrize("levels", [2, 3, 1000])
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_every_draw_counted(size, levels):
    rng = np.random.default_rng(size * levels)
    score = rng.integers(0, levels, size).astype(float)
    truth = rng.integers(0, levels, size).astype(float)
    for n_drawn in range(1, size + 1):
        found = best_of_n(score, truth, n_drawn)
        assert found.n_drawn == n_drawn
        assert (found.truth, found.rank) == pytest.approx(exhaustive(score, truth, n_drawn), abs=1e-12)


def test_undefined_scores_rank_below_all_others():
    score = np.array([3.0, math.nan, -1e300, math.nan, 2.0, math.nan])
    truth = np.array([1.0, 6.0, 2.0, 5.0, 3.0, 4.0])
    for n_drawn in range(1, 7):
        found = best_of_n(score, truth, n_drawn)
        expected = exhaustive(np.nan_to_num(score, nan=-1e301), truth, n_drawn)
        assert (found.truth, found.rank) == pytest.approx(expected, abs=1e-12)
    nothing = best_of_n(np.full(6, math.nan), truth, 3)
    assert (nothing.truth, nothing.rank) == pytest.approx((3.5, 2.0), abs=1e-12)


def test_many_points_against_simulation():
    rng = np.random.default_rng(42)
    truth = rng.normal(size=5000).round(2)
    score = (truth + rng.normal(size=5000)).round(1)
    truths, ranks = [], []
    for _ in range(3000):
        drawn = rng.choice(5000, 100, replace=False)
        best = drawn[np.lexsort((rng.random(100), score[drawn]))[-1]]
        truths.append(truth[best])
        ranks.append(1 + (truth[drawn] > truth[best]).sum() + ((truth[drawn] == truth[best]).sum() - 1) / 2)
    found = best_of_n(score, truth, 100)
    assert found.truth == pytest.approx(np.mean(truths), abs=4 * np.std(truths) / 3000**0.5)
    assert found.rank == pytest.approx(np.mean(ranks), abs=4 * np.std(ranks) / 3000**0.5)


def test_extremes():
    truth = np.arange(20_000.0)
    assert best_of_n(truth, truth, 1).truth == pytest.approx(truth.mean())
    assert best_of_n(truth, truth, 20_000).truth == pytest.approx(19_999)
    # The expected maximum of N of 1..M is N (M + 1) / (N + 1).
    assert best_of_n(truth, truth + 1, 700).truth == pytest.approx(700 * 20_001 / 701, rel=1e-10)
    assert best_of_n(truth, truth, 700).rank == pytest.approx(1, abs=1e-9)
    assert best_of_n(-truth, truth, 700).rank == pytest.approx(700, rel=1e-9)
    assert best_of_n(np.zeros(20_000), truth, 700).rank == pytest.approx(350.5, rel=1e-9)


def test_published_figures(nasbench201, published):
    """The published means are over 500 draws; their standard errors are about 0.02 % and 1.9 ranks (from 0)."""
    score, truth = nasbench201
    found = best_of_n(score, truth, 1000)
    assert found.truth == pytest.approx(published["best_of_1000_cifar10_test_acc"], abs=0.05)
    assert found.rank - 1 == pytest.approx(published["best_of_1000_mean_rank"], abs=4)


@pytest.mark.parametrize(
    ("score", "truth", "n_drawn", "message"),
    [
        ([1.0, 2.0], [1.0], 1, "score and truth must have the same length, got 2 and 1"),
        ([1.0, math.inf], [1.0, 2.0], 1, "score must not be infinite"),
        ([1.0, 2.0], [1.0, math.nan], 1, "truth must be finite"),
        ([1.0, 2.0], [1.0, 2.0], 0, r"n_drawn must be in 1..2 \(the number of points\), got 0"),
        ([1.0, 2.0], [1.0, 2.0], 3, r"n_drawn must be in 1..2 \(the number of points\), got 3"),
    ],
)
def test_bad_input_is_named(score, truth, n_drawn, message):
    with pytest.raises(BadInputError, match=message):
        best_of_n(score, truth, n_drawn)
