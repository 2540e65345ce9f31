import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.calibration.next_labels import PROMISE, next_labels
from untrained.calibration.process import FittedProcess, fit_process
from untrained.proxies.predictors import Floats, Ints

from .made_up import made_up


def fitted(n: int, m: int, seed: int) -> tuple[FittedProcess, Floats, Ints]:
    """A process fitted to n random rows of m."""
    data = made_up(m, 6, seed)
    rows = np.random.default_rng(seed).permutation(m)[:n]
    return fit_process(data.features[rows], data.labels[rows], data.groups), data.features, rows


@settings(deadline=None, max_examples=25)
@given(st.integers(5, 20), st.integers(21, 60), st.integers(0, 60), st.integers(0, 100))
def test_what_is_proposed_is_new_and_different(n: int, m: int, budget: int, seed: int) -> None:
    process, features, rows = fitted(n, m, seed)
    chosen = next_labels(process, features, rows, budget, seed=0).tolist()
    assert len(chosen) == len(set(chosen)) == min(budget, m - n)
    assert not set(chosen) & set(rows.tolist())
    assert chosen[: len(chosen) // 2] == next_labels(process, features, rows, len(chosen) // 2, seed=0).tolist()


def test_each_choice_is_the_one_that_tells_most() -> None:
    """Against the definition: posterior covariances from scratch, by solving for everything known each time."""
    process, features, rows = fitted(12, 40, 1)
    chosen = next_labels(process, features, rows, 6, seed=0)
    promise = ((np.argsort(np.argsort(process.predictor.predict(features))) + 1) / len(features)) ** PROMISE
    known = rows.tolist()
    for row in chosen.tolist():
        prior = process.correlation(features, features)
        of_known = prior[np.ix_(known, known)] + process.noise * np.eye(len(known))
        posterior = prior - prior[:, known] @ np.linalg.solve(of_known, prior[known])
        gain = promise @ posterior**2 / (np.diag(posterior) + process.noise)
        gain[known] = -np.inf
        assert gain[row] == pytest.approx(gain.max(), rel=1e-6)
        known.append(row)


def test_of_twins_only_one_is_chosen_early() -> None:
    process, features, rows = fitted(10, 40, 2)
    free = np.setdiff1d(np.arange(40), rows)
    twins = np.vstack([features, features[free]])
    chosen = next_labels(process, twins, rows, 10, seed=0)
    assert len({tuple(twins[row]) for row in chosen.tolist()}) == 10


def test_promise_counts() -> None:
    process, features, rows = fitted(15, 400, 3)
    chosen = next_labels(process, features, rows, 20, seed=0)
    predictions = process.predictor.predict(features)
    assert np.median(predictions[chosen]) > np.quantile(predictions, 0.6)
