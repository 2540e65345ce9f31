import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as oracle

from untrained.errors import BadInputError
from untrained.stats import (
    kendall_top10,
    ndcg,
    spearman_top10,
    top10_in_top10_percent,
    top64_in_top5_count,
    top64_in_top5_expected,
)

MEASURES = [
    spearman_top10,
    kendall_top10,
    top10_in_top10_percent,
    top64_in_top5_count,
    top64_in_top5_expected,
    ndcg,
]


def sample(seed, *, n_levels=None):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(65, 400))
    truth = rng.normal(size=n)
    score = truth + rng.normal(size=n)
    if n_levels:
        score, truth = (np.floor(oracle.rankdata(v) / n * n_levels) for v in (score, truth))
    return score, truth


def test_published_figures(nasbench201, published):
    """The truth at hand differs from the authors' in a few cells, hence the small slack of the measures at the top."""
    score, truth = nasbench201
    defined = ~np.isnan(score)
    score, truth = score[defined], truth[defined]
    figures = dict(zip(published["columns"], published["nasbench201_cifar10"]["epsinas"], strict=True))
    assert spearman_top10(score, truth) == pytest.approx(figures["spearman_top10"], abs=0.01)
    assert kendall_top10(score, truth) == pytest.approx(figures["kendall_top10"], abs=0.005)
    one_cell_of_923 = 100 / 923
    assert top10_in_top10_percent(score, truth) == pytest.approx(
        figures["top10_in_top10_percent"], abs=1.05 * one_cell_of_923
    )
    assert top64_in_top5_count(score, truth) == figures["top64_in_top5_count"]
    # Five cells share the 64th place and all are in the top 5 %; only one of them fits among 64.
    assert top64_in_top5_expected(score, truth) == figures["top64_in_top5_count"] - 4


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n_levels=st.sampled_from([None, 5, 40]))
def test_cuts_are_the_percentiles_of_numpy(seed, n_levels):
    score, truth = sample(seed, n_levels=n_levels)
    best = truth > np.percentile(truth, 90)
    scored = score > np.percentile(score, 90)
    if np.ptp(score[best]) > 0 and np.ptp(truth[best]) > 0:
        assert spearman_top10(score, truth) == pytest.approx(
            oracle.spearmanr(score[best], truth[best]).statistic, abs=1e-12
        )
        assert kendall_top10(score, truth) == pytest.approx(
            oracle.kendalltau(score[best], truth[best]).statistic, abs=1e-12
        )
    else:
        assert math.isnan(spearman_top10(score, truth))
        assert math.isnan(kendall_top10(score, truth))
    expected = 100 * (best & scored).sum() / scored.sum() if scored.any() else math.nan
    np.testing.assert_allclose(top10_in_top10_percent(score, truth), expected)
    top64 = (truth > np.percentile(truth, 95)) & (score >= np.sort(score)[-64])
    assert top64_in_top5_count(score, truth) == top64.sum()


@pytest.mark.parametrize("measure", MEASURES)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n_levels=st.sampled_from([None, 5, 40]))
def test_order_of_input_and_scale_of_score_do_not_matter(measure, seed, n_levels):
    score, truth = sample(seed, n_levels=n_levels)
    value = measure(score, truth)
    order = np.random.default_rng(seed).permutation(len(score))
    np.testing.assert_allclose(measure(score[order], truth[order]), value, rtol=1e-12)
    np.testing.assert_allclose(measure(oracle.rankdata(score) ** 2, truth), value, rtol=1e-12)


def test_expected_count_is_the_mean_over_random_orders():
    score, truth = sample(5, n_levels=6)
    rng = np.random.default_rng(0)
    good = truth > np.percentile(truth, 95)
    counts = [good[np.lexsort((rng.random(len(score)), -score))[:64]].sum() for _ in range(4000)]
    assert top64_in_top5_expected(score, truth) == pytest.approx(np.mean(counts), abs=4 * np.std(counts) / 4000**0.5)


def test_expected_count_without_ties_is_the_count():
    score, truth = sample(6)
    assert top64_in_top5_expected(score, truth) == top64_in_top5_count(score, truth)


def test_perfect_and_inverted_scores():
    truth = np.arange(2000.0)
    assert [m(truth, truth) for m in MEASURES] == [1, 1, 100, 64, 64, 1]
    assert [m(-truth, truth) for m in MEASURES[:-1]] == [-1, -1, 0, 0, 0]


@pytest.mark.parametrize("measure", MEASURES[:-1])
def test_too_few_points(measure):
    for n in (0, 1):
        assert math.isnan(measure(np.arange(n), np.arange(n)))
    assert math.isnan(top64_in_top5_count(np.arange(64), np.arange(64)))
    assert math.isnan(top64_in_top5_expected(np.arange(64), np.arange(64)))


def test_no_percentage_when_the_best_score_is_shared_by_too_many():
    assert math.isnan(top10_in_top10_percent([1.0] * 20 + [0.0] * 80, np.arange(100)))


def brute_force_ndcg(score, truth, k):
    """Mean over all orders that agree with the score, written from the definition."""
    gain = (truth - truth.min()) / (truth.max() - truth.min())
    weight = [1 / math.log2(place + 1) if place <= k else 0.0 for place in range(1, len(score) + 1)]
    values = [
        sum(gain[i] * w for i, w in zip(order, weight, strict=True))
        for order in itertools.permutations(range(len(score)))
        if all(score[a] >= score[b] for a, b in itertools.pairwise(order))
    ]
    return np.mean(values) / sum(g * w for g, w in zip(sorted(gain, reverse=True), weight, strict=True))


@pytest.mark.parametrize("k", [None, 1, 2, 4, 9])
@pytest.mark.parametrize("seed", range(6))
def test_ndcg_equals_its_definition(seed, k):
    rng = np.random.default_rng(seed)
    score, truth = rng.integers(0, 3, 6).astype(float), rng.integers(0, 4, 6).astype(float)
    assert ndcg(score, truth, k) == pytest.approx(brute_force_ndcg(score, truth, k or 6), abs=1e-12)


def test_ndcg_ignores_the_unit_of_truth():
    score, truth = sample(9)
    assert ndcg(score, 100 * truth - 7) == pytest.approx(ndcg(score, truth), abs=1e-12)


def test_ndcg_without_variation_or_with_extreme_values():
    assert math.isnan(ndcg([1.0, 2.0], [5.0, 5.0]))
    assert math.isnan(ndcg([], []))
    assert math.isnan(ndcg([1.0], [1.0]))
    assert ndcg([2.0, 1.0], [1e308, -1e308]) == 1.0


@pytest.mark.parametrize("measure", MEASURES)
def test_bad_input_is_named(measure):
    with pytest.raises(BadInputError, match="score and truth must have the same length, got 2 and 3"):
        measure([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(BadInputError, match="score must be finite"):
        measure([1.0, math.nan], [1.0, 2.0])
    with pytest.raises(BadInputError, match="truth must be finite"):
        measure([1.0, 2.0], [1.0, math.inf])


def test_bad_k_is_named():
    with pytest.raises(BadInputError, match="k must be at least 1, got 0"):
        ndcg([1.0, 2.0], [1.0, 2.0], 0)
