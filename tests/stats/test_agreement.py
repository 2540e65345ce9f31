import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import BadInputError
from untrained.stats import (
    Interval,
    agreement,
    kendall_interval,
    kendall_top10,
    ndcg,
    spearman_interval,
    spearman_top10,
    top10_in_top10_percent,
    top64_in_top5_count,
    top64_in_top5_expected,
)

INTERVALS = {"spearman": spearman_interval, "kendall": kendall_interval}
MEASURES = {
    "spearman_top10": spearman_top10,
    "kendall_top10": kendall_top10,
    "top10_in_top10_percent": top10_in_top10_percent,
    "top64_in_top5_count": top64_in_top5_count,
    "top64_in_top5_expected": top64_in_top5_expected,
    "ndcg": ndcg,
}
NOTHING = Interval(math.nan, math.nan, math.nan)


def sample(seed=0, n=300):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    score = (truth + rng.normal(size=n)).round(1)
    score[rng.random(n) < 0.3] = math.nan
    return score, truth, rng.integers(0, n // 2, n)


def check(found, score, truth, clusters):
    """Every measure is that of the function of the same name."""
    for name, measure in MEASURES.items():
        np.testing.assert_equal(getattr(found, name), measure(score, truth))
    for name, interval in INTERVALS.items():
        assert getattr(found, name) == interval(score, truth, clusters=clusters, level=found.level)


def test_omit_leaves_undefined_scores_out():
    score, truth, clusters = sample()
    defined = ~np.isnan(score)
    found = agreement(score, truth, clusters=clusters, level=0.9)
    check(found, score[defined], truth[defined], clusters[defined])
    assert (found.n, found.n_total, found.n_undefined) == (defined.sum(), 300, 300 - defined.sum())
    assert found.n_distinct == len(np.unique(clusters[defined]))
    assert found.coverage == defined.mean()
    assert (found.undefined, found.level) == ("omit", 0.9)
    assert found.ties == sum((score == s).sum() > 1 for s in score[defined])


def test_worst_ranks_undefined_scores_last():
    score, truth, clusters = sample()
    found = agreement(score, truth, clusters=clusters, undefined="worst")
    check(found, np.nan_to_num(score, nan=-1e9), truth, clusters)
    assert (found.n, found.n_total, found.n_undefined) == (300, 300, np.isnan(score).sum())
    assert found.n_distinct == len(np.unique(clusters))
    assert found.coverage == agreement(score, truth).coverage
    assert found.ties == agreement(score, truth).ties + found.n_undefined


def test_policies_agree_when_all_is_defined():
    score, truth, _ = sample()
    score = np.nan_to_num(score)
    omit, worst = agreement(score, truth), agreement(score, truth, undefined="worst")
    assert dataclasses.replace(worst, undefined="omit") == omit
    assert omit.n_distinct == 300


def test_worst_stays_below_scores_of_any_size():
    truth = np.arange(10.0)
    score = np.array([math.nan, -1.7e308, -1e300, *range(7)])
    assert agreement(score, truth, undefined="worst").kendall.value == 1.0


@pytest.mark.parametrize("undefined", ["omit", "worst"])
@pytest.mark.parametrize("score", [[], [math.nan], [1.0], [math.nan] * 100, [2.0] * 100], ids=len)
def test_no_value_without_variation(score, undefined):
    found = agreement(score, np.arange(float(len(score))), undefined=undefined)
    assert found.n == (int(np.isfinite(score).sum()) if undefined == "omit" else len(score))
    assert found.n + (found.n_undefined if undefined == "omit" else 0) == found.n_total == len(score)
    for name in INTERVALS:
        np.testing.assert_equal(getattr(found, name), NOTHING)
    json.dumps(found.as_dict(), allow_nan=False)


def test_one_defined_score_among_many():
    score, truth = [math.nan] * 99 + [1.0], np.arange(100.0)
    assert math.isnan(agreement(score, truth).kendall.value)
    assert agreement(score, truth, undefined="worst").kendall.value == pytest.approx(99 / math.sqrt(99 * 4950))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), undefined=st.sampled_from(["omit", "worst"]))
def test_order_of_input_and_scale_of_score_do_not_matter(seed, undefined):
    score, truth, clusters = sample(seed, n=120)
    first = agreement(score, truth, clusters=clusters, undefined=undefined)
    order = np.random.default_rng(seed).permutation(120)
    second = agreement(np.exp(score[order]) - 3, truth[order], clusters=clusters[order], undefined=undefined)
    for name in MEASURES:
        np.testing.assert_allclose(getattr(second, name), getattr(first, name), rtol=1e-12)
    for name in INTERVALS:
        a, b = dataclasses.astuple(getattr(first, name)), dataclasses.astuple(getattr(second, name))
        np.testing.assert_allclose(b, a, rtol=1e-9)


def test_as_dict_is_json():
    score, truth, clusters = sample(n=50)
    found = agreement(score, truth, clusters=clusters)
    plain = found.as_dict()
    assert list(plain) == [field.name for field in dataclasses.fields(found)]
    assert plain["spearman"] == dataclasses.asdict(found.spearman)
    assert plain["top64_in_top5_count"] is None
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_published_figures(nasbench201, published):
    score, truth = nasbench201
    figures = dict(zip(published["columns"], published["nasbench201_cifar10"]["epsinas"], strict=True))
    found = agreement(score, truth)
    assert round(found.spearman.value, 2) == figures["spearman"]
    assert round(found.kendall.value, 2) == figures["kendall"]
    assert (found.n, found.n_undefined) == (9226, 6399)
    assert found.coverage == pytest.approx(0.5905, abs=5e-5)
    worst = agreement(score, truth, undefined="worst")
    assert worst.spearman.value == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1.0, 2.0], [1.0, 2.0]), {"undefined": "drop"}, "undefined must be 'omit' or 'worst', got 'drop'"),
        (([1.0, math.inf], [1.0, 2.0]), {}, "score has 1 infinite values among 2"),
        (([1.0, 2.0], [1.0, math.nan]), {}, "truth must be finite"),
        (([1.0, 2.0], [1.0]), {}, "score and truth must have the same length, got 2 and 1"),
        (([1.0, 2.0], [1.0, 2.0]), {"clusters": [1]}, "clusters and the points must have the same length, got 1 and 2"),
        (([1.0, 2.0], [1.0, 2.0]), {"level": 95.0}, "level must lie between 0 and 1"),
    ],
)
def test_bad_input_is_named(arguments, options, message):
    with pytest.raises(BadInputError, match=message):
        agreement(*arguments, **options)
