"""Predictors as arrays: what they compute, and what they refuse."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from untrained.errors import BadInputError
from untrained.proxies.predictors import (
    MAX_KNOTS,
    Average,
    Process,
    Ranks,
    Ridge,
    Trees,
    log_rank,
    matern,
    predictor_of,
    ranks_of,
)
from untrained.stats import midranks

COLUMN = hnp.arrays(np.float64, st.integers(1, 60), elements=st.integers(-9, 9).map(float))


@given(COLUMN)
def test_shares_are_midranks(column: np.ndarray[Any, Any]) -> None:
    shares = Ranks.of(column[:, None]).share(column[:, None])[:, 0]
    np.testing.assert_allclose(shares, (midranks(column) - 0.5) / len(column), atol=1e-12)


def test_a_long_column_keeps_few_knots_and_stays_close() -> None:
    column = np.random.default_rng(0).standard_cauchy(5000)
    ranks = Ranks.of(column[:, None])
    assert len(ranks.values) <= MAX_KNOTS
    exact = (midranks(column) - 0.5) / len(column)
    assert np.abs(ranks.share(column[:, None])[:, 0] - exact).max() < 1 / (MAX_KNOTS - 1)
    ends = column[[column.argmin(), column.argmax()]]
    np.testing.assert_allclose(ranks.share(ends[:, None])[:, 0], [0.5 / 5000, 1 - 0.5 / 5000])


@given(COLUMN, st.floats(-20, 20), st.floats(-20, 20))
def test_shares_never_fall(column: np.ndarray[Any, Any], a: float, b: float) -> None:
    ranks = Ranks.of(column[:, None])
    low, high = (float(ranks.share(np.array([[x]]))[0, 0]) for x in sorted((a, b)))
    assert 0 < low <= high < 1


def test_an_architecture_has_the_same_rank_alone_and_among_others() -> None:
    columns = np.random.default_rng(1).normal(size=(50, 4))
    ranks = Ranks.of(columns)
    together = ranks.normal(columns)
    np.testing.assert_array_equal(together, np.vstack([ranks.normal(row[None]) for row in columns]))


def test_what_is_undefined_stands_in_the_middle_and_has_an_indicator() -> None:
    columns = np.array([[1.0, np.nan, np.nan], [2.0, 5.0, 1.0], [3.0, 6.0, 9.0]])
    ranks = Ranks.of(columns)
    assert ranks.nulls.tolist() == [1]  # the third column is undefined in the same rows
    features = ranks.normal(columns)
    assert features.shape == (3, 4)
    assert features[0, 1:].tolist() == [0.0, 0.0, 1.0]
    assert features[1:, 3].tolist() == [0.0, 0.0]
    assert ranks.share(columns)[0].tolist()[1:] == [0.5, 0.5]


def test_the_kernel_is_the_textbook_s() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    r = np.sqrt(3) * np.linalg.norm(a[:, None] - b[None], axis=2)
    np.testing.assert_allclose(matern(a, b), (1 + r) * np.exp(-r), rtol=1e-12)


def stump() -> Trees:
    """Two trees: one splits at feature 1 <= 0.5, the other is a leaf."""
    return Trees(
        np.array([1, -1, -1, -1]), np.array([0.5, 0, 0, 0]), np.array([1, 0, 0, 0]), np.array([2, 0, 0, 0]),
        np.array([0.0, 10, 20, 4]), np.array([0, 3]), 2,
    )  # fmt: skip


def test_trees_walk_down() -> None:
    assert stump().predict(np.array([[9.0, 0.5], [9.0, 0.6]])).tolist() == [7, 12]
    assert stump().predict(np.empty((0, 2))).tolist() == []


def test_a_log_rank_sum_is_what_it_says() -> None:
    shares = np.array([[0.1, 0.2], [0.9, 0.7]])
    expected = 2 * np.log([0.1, 0.9]) + 3 * np.log([0.8, 0.3])
    np.testing.assert_allclose(log_rank(shares, [2, 3], [False, True]), expected)


def broken(arrays: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {name: array for name, array in {**arrays, **changed}.items() if array is not None}


RIDGE = Ridge(np.ones(2), 0.0).arrays()
PROCESS = Process(np.ones((3, 2)), np.ones(2), np.ones(3), 0.0).arrays()
TREES = stump().arrays()
AVERAGE = Average((Ridge(np.ones(2), 0.0), stump())).arrays()


@pytest.mark.parametrize(
    ("kind", "arrays"),
    [
        ("ridge", broken(RIDGE, weights=None)),
        ("ridge", broken(RIDGE, weights=np.array([1.0, np.nan]))),
        ("ridge", broken(RIDGE, weights=np.ones((2, 2)))),
        ("ridge", broken(RIDGE, weights=np.ones(2, np.float32))),
        ("ridge", broken(RIDGE, intercept=np.array("a"))),
        ("process", broken(PROCESS, points=np.ones((2, 2)))),
        ("process", broken(PROCESS, scales=np.ones(3))),
        ("trees", broken(TREES, feature=np.array([2, -1, -1, -1]))),
        ("trees", broken(TREES, feature=np.array([-2, -1, -1, -1]))),
        ("trees", broken(TREES, left=np.array([0, 0, 0, 0]))),  # a walk without end
        ("trees", broken(TREES, right=np.array([4, 0, 0, 0]))),
        ("trees", broken(TREES, roots=np.array([4]))),
        ("trees", broken(TREES, roots=np.array([-1]))),
        ("trees", broken(TREES, roots=np.array([], np.int64))),
        ("trees", broken(TREES, value=np.ones(3))),
        ("average", {}),
        ("average", {f"average.{name}": array for name, array in RIDGE.items()}),
        ("average", broken(AVERAGE, **{"ridge.weights": np.ones(3)})),
        ("svm", {}),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(kind: str, arrays: dict[str, Any]) -> None:
    with pytest.raises(BadInputError):
        predictor_of(kind, arrays)


GOOD = {
    "values": np.array([1.0, 2, 5]), "shares": np.array([0.1, 0.5, 0.5]), "starts": np.array([0, 2, 3]),
    "nulls": np.array([1]),
}  # fmt: skip


def test_good_ranks_are_read() -> None:
    np.testing.assert_allclose(ranks_of(GOOD).share(np.array([[1.5, 7.0]])), [[0.3, 0.5]])


@pytest.mark.parametrize(
    "changed",
    [
        {"values": np.array([2.0, 1, 5])},
        {"values": np.array([1.0, 1, 5])},
        {"values": np.array([1.0, np.inf, 5])},
        {"shares": np.array([0.5, 0.1, 0.5])},
        {"shares": np.array([0.0, 0.5, 0.5])},
        {"shares": np.array([0.1, 1.0, 0.5])},
        {"shares": np.array([0.1, 0.5])},
        {"starts": np.array([0, 3, 3])},
        {"starts": np.array([1, 2, 3])},
        {"starts": np.array([0, 2, 4])},
        {"starts": np.array([0])},
        {"starts": None},
        {"nulls": np.array([2])},
        {"nulls": np.array([-1])},
    ],
)
def test_ranks_that_are_none_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(BadInputError):
        ranks_of(broken(GOOD, **changed))
