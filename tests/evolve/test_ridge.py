import numpy as np
import pytest

from untrained.evolve.ridge import Ridge
from untrained.evolve.width1_terms import target_of
from untrained.programs.column_fit import RIDGE
from untrained.programs.columns import compile_trees
from untrained.programs.text import parse

INDEX = {"a": 0, "b": 1, "c": 2}
SUM = "add(mul(3.0, a), sub(exp(b), mul(a, c)))"


def spaces(n_spaces):
    columns = [np.random.default_rng(i).normal(size=(3, 12 + 5 * i)) + i for i in range(n_spaces)]
    target = np.concatenate([target_of(one[0] * one[1]) for one in columns]) / np.sqrt(n_spaces)
    return columns, target, np.cumsum([0, *[one.shape[1] for one in columns]])


@pytest.mark.parametrize("n_spaces", [1, 2])
def test_each_network_is_predicted_by_weights_that_others_gave(n_spaces):
    columns, target, starts = spaces(n_spaces)
    found = Ridge(INDEX, columns, target, starts).predictions([parse(SUM)], None)
    terms = [np.array([one[0], np.exp(one[1]), one[0] * one[2]]) for one in columns]
    spread = np.sqrt(np.mean([one.var(axis=1) for one in terms], axis=0))[:, None]
    rows = [(one - one.mean(axis=1, keepdims=True)) / spread for one in terms]
    x = np.hstack([one / np.sqrt(one.shape[1] * n_spaces) for one in rows])
    for i in range(len(target)):
        rest = np.delete(np.arange(len(target)), i)
        weights = np.linalg.solve(x[:, rest] @ x[:, rest].T + RIDGE * np.eye(3), x[:, rest] @ target[rest])
        space = int(np.searchsorted(starts, i, side="right")) - 1
        assert found[space][0, i - starts[space]] == pytest.approx(weights @ x[:, i], rel=1e-9)


def test_other_networks_are_predicted_by_all_weights():
    columns, target, starts = spaces(1)
    new = np.random.default_rng(9).normal(size=(3, 7))
    (found,) = Ridge(INDEX, columns, target, starts).predictions([parse(SUM)], [new])
    terms, asked = (np.array([one[0], np.exp(one[1]), one[0] * one[2]]) for one in (columns[0], new))
    mean, spread = terms.mean(axis=1, keepdims=True), terms.std(axis=1, keepdims=True)
    x = (terms - mean) / spread / np.sqrt(terms.shape[1])
    weights = np.linalg.solve(x @ x.T + RIDGE * np.eye(3), x @ target)
    np.testing.assert_allclose(found[0], weights @ ((asked - mean) / spread), rtol=1e-9)


@pytest.mark.parametrize("text", ["mul(a, b)", "neg(a)", "add(a, sub(b, b))", "add(a, log(reciprocal(sub(b, b))))"])
def test_what_is_no_sum_or_cannot_be_weighted_is_taken_as_written(text):
    columns, target, starts = spaces(1)
    tree = parse(text)
    for asked in (None, [columns[0][:, :4]]):
        (found,) = Ridge(INDEX, columns, target, starts).predictions([tree, parse(SUM)], asked)
        expected = compile_trees([tree], INDEX).evaluate(columns[0] if asked is None else asked[0])
        np.testing.assert_array_equal(found[0], expected[0])


def test_nothing_depends_on_company_or_workers():
    columns, target, starts = spaces(2)
    ridge = Ridge(INDEX, columns, target, starts)
    trees = [parse(text) for text in (SUM, "add(a, b)", "a", "sub(mul(2.0, square(a)), c)")]
    together = ridge.predictions(trees, None, workers=3)
    for i, tree in enumerate(trees):
        for one, alone in zip(together, ridge.predictions([tree], None), strict=True):
            np.testing.assert_array_equal(one[i], alone[0])
