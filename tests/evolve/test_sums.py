import numpy as np
import pytest

from untrained.evolve.sums import Sums, summands, weighted_sum
from untrained.programs.columns import compile_trees
from untrained.programs.text import parse
from untrained.programs.tree import terminal
from untrained.stats import kendall_tau_b

NAMES = ("a", "b", "c", "d", "e")
INDEX = {name: i for i, name in enumerate(NAMES)}


@pytest.fixture
def columns():
    return np.random.default_rng(3).normal(size=(5, 200)) ** 2


def value(tree, columns):
    return compile_trees([tree], INDEX).evaluate(columns)[0]


def test_growing_finds_a_sum_of_products_and_logarithms():
    columns = np.random.default_rng(3).normal(size=(5, 400))
    a, b, c, d, _ = columns
    labels = 2 * a - b * c + 2 * np.log1p(abs(d))
    sums, rng = Sums(NAMES, [columns], [labels], ridge=1e-3), np.random.default_rng(0)
    tree = terminal("e")
    for _ in range(8):
        tree = sums.grown(tree, rng)
    for _ in range(5):
        tree = sums.pruned(tree)
    assert {"a", "mul(b, c)", "log1p_abs(d)"} <= {part.text for part in summands(tree)}
    assert kendall_tau_b(value(tree, columns), labels) > 0.95


def test_weights_are_those_of_ridge_regression_on_standardised_summands(columns):
    labels = columns[0] + columns[1] * 3
    tree = Sums(NAMES, [columns], [labels], ridge=5.0).refitted(parse("add(a, add(b, c))"))
    from scipy.stats import norm, rankdata

    x = columns[:3].T - columns[:3].T.mean(axis=0)
    x /= x.std(axis=0)
    y = norm.ppf(rankdata(labels) / 201)
    expected = np.linalg.solve(x.T @ x + 5.0 * np.eye(3), x.T @ (y - y.mean())) / columns[:3].T.std(axis=0)
    x_own = {part.text: float(tree_weight(tree, part)) for part in summands(tree)}
    np.testing.assert_allclose([x_own[name] for name in "abc"], expected, rtol=1e-4)


def tree_weight(tree, part):
    return next(t.args[0].head for t in tree.walk() if t.head == "mul" and t.args[1] is part and t.args[0].is_constant)


def test_the_level_of_a_space_does_not_matter(columns):
    first, second = columns[:, :80], columns[:, 80:] + 100.0
    labels = [one[0] - one[1] for one in (first, second)]
    tree = Sums(NAMES, [first, second], labels).refitted(parse("add(a, b)"))
    for one, label in zip((first, second), labels, strict=True):
        assert kendall_tau_b(value(tree, one), label) > 0.8


def test_what_is_constant_or_not_finite_gets_no_weight(columns):
    sums = Sums(NAMES, [columns], [columns[0]])
    found = sums.refitted(parse("add(a, sub(zeros_like(b), reciprocal(mul(c, zeros_like(c)))))"))
    assert [part.text for part in summands(found)] == ["a"]
    assert sums.refitted(parse("reciprocal(zeros_like(c))")) is None
    assert sums.grown(parse("reciprocal(zeros_like(c))"), np.random.default_rng(0)) is None
    assert sums.pruned(parse("a")) is None


def test_equal_seeds_grow_equal_trees(columns):
    def grow():
        sums, rng = Sums(NAMES, [columns], [columns[0] * columns[3]]), np.random.default_rng(5)
        tree = terminal("b")
        for _ in range(4):
            tree = sums.grown(tree, rng)
        return tree

    assert grow() is grow()


@pytest.mark.parametrize("n", [1, 2, 5, 8, 33])
def test_sums_are_flat(n):
    tree = weighted_sum([1.0] * n, [terminal(f"x{i}") for i in range(n)])
    assert len(summands(tree)) == n
    assert tree.depth <= 2 + int(np.ceil(np.log2(n)))
