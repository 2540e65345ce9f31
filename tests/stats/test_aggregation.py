import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from untrained.errors import BadInputError
from untrained.stats import AGGREGATIONS, borda, log_rank, mean_rank, vote

NAN = math.nan


def tables(max_n=12):
    """Scores of up to four members with many ties."""
    return st.tuples(st.integers(1, 4), st.integers(2, max_n)).flatmap(
        lambda shape: st.lists(
            st.lists(st.integers(-2, 2).map(float), min_size=shape[1], max_size=shape[1]),
            min_size=shape[0],
            max_size=shape[0],
        )
    )


def votes_one_by_one(scores):
    """Copeland's count, written as it is defined."""
    n = len(scores[0])
    points = []
    for a in range(n):
        total = 0.0
        for b in range(n):
            if a != b:
                for_a = sum(row[a] > row[b] for row in scores)
                for_b = sum(row[a] < row[b] for row in scores)
                total += 1.0 if for_a > for_b else 0.5 if for_a == for_b else 0.0
        points.append(total / (n - 1))
    return points


@given(tables())
def test_ranks_are_those_of_scipy(scores):
    ranks = stats.rankdata(scores, axis=1)
    n = ranks.shape[1]
    np.testing.assert_allclose(log_rank(scores), np.log(ranks / n).sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(borda(scores), (ranks - 1).sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(mean_rank(scores), (ranks / n).mean(axis=0), atol=1e-12)


@given(tables())
def test_votes_are_counted_one_by_one(scores):
    np.testing.assert_allclose(vote(scores), votes_one_by_one(scores), atol=1e-12)


def test_votes_do_not_depend_on_how_many_pairs_are_compared_at_a_time(monkeypatch):
    scores = np.random.default_rng(0).integers(0, 5, (3, 40)).astype(float)
    whole = vote(scores)
    monkeypatch.setattr("untrained.stats.aggregation._BLOCK", 100)
    np.testing.assert_array_equal(vote(scores), whole)


@pytest.mark.parametrize("name", AGGREGATIONS)
@given(tables(), st.randoms(use_true_random=False))
def test_only_the_order_within_a_member_matters_and_members_are_equal(name, scores, random):
    before = AGGREGATIONS[name](scores)
    changed = [[math.exp(x) + 7 for x in row] for row in scores]
    random.shuffle(changed)
    np.testing.assert_allclose(AGGREGATIONS[name](changed), before, atol=1e-12)


@pytest.mark.parametrize("name", AGGREGATIONS)
@given(tables())
def test_a_network_better_in_every_member_is_better(name, scores):
    """Dominance, among themselves and, weakly, against any pool."""
    values = AGGREGATIONS[name](scores)
    placed = AGGREGATIONS[name](scores, [row[::-1][:3] for row in scores])
    columns = np.array(scores)
    for a in range(columns.shape[1]):
        for b in range(columns.shape[1]):
            if (columns[:, a] > columns[:, b]).all():
                assert values[a] > values[b]
                assert placed[a] >= placed[b]


@pytest.mark.parametrize("name", AGGREGATIONS)
@given(tables())
def test_placed_against_a_pool_is_ranked_among_the_pool_and_itself(name, scores):
    pool = np.array(scores)[:, 1:]
    new = np.array(scores)[:, :1]
    among_all = AGGREGATIONS[name](scores)[0]
    np.testing.assert_allclose(AGGREGATIONS[name](new, pool), [among_all], atol=1e-12)


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_a_network_undefined_in_one_member_is_undefined_and_nobodys_rival(name):
    scores = [[1.0, 2.0, NAN, 4.0], [3.0, 1.0, 9.0, 2.0]]
    rest = [[1.0, 2.0, 4.0], [3.0, 1.0, 2.0]]
    found = AGGREGATIONS[name](scores)
    assert math.isnan(found[2])
    np.testing.assert_allclose(found[[0, 1, 3]], AGGREGATIONS[name](rest), atol=1e-12)
    new = [[3.0, NAN], [2.0, 2.0]]
    placed = AGGREGATIONS[name](new, scores)
    assert math.isnan(placed[1])
    np.testing.assert_allclose(placed[0], AGGREGATIONS[name]([[3.0], [2.0]], rest)[0], atol=1e-12)


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_nothing_defined_is_no_error(name):
    assert np.isnan(AGGREGATIONS[name]([[NAN, 1.0], [1.0, NAN]])).all()


def test_majorities_may_go_round_in_a_circle():
    assert vote([[1.0, 2.0, 3.0], [2.0, 3.0, 1.0], [3.0, 1.0, 2.0]]).tolist() == [0.5, 0.5, 0.5]


def test_one_bad_rank_costs_more_than_a_good_one_gains():
    scores = [[1.0, 3.0, 2.0, 4.0], [4.0, 2.0, 3.0, 1.0]]
    assert mean_rank(scores).tolist() == [0.625] * 4
    uneven, even = log_rank(scores)[0], log_rank(scores)[1]
    assert uneven < even


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0],), "one row for each member"),
        (([[1.0, math.inf]],), "must not be infinite"),
        (([["a"]],), "must be numbers"),
        (([[1.0], [2.0]], [[1.0]]), "scores have 2 members, the pool 1"),
    ],
)
@pytest.mark.parametrize("name", AGGREGATIONS)
def test_bad_input_is_named(name, arguments, message):
    with pytest.raises(BadInputError, match=message):
        AGGREGATIONS[name](*arguments)
