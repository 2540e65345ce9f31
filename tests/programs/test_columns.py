import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import kendalltau

from untrained.errors import BadInputError
from untrained.programs.column_kernels import OPCODES, TILE
from untrained.programs.columns import Labels, compile_trees
from untrained.programs.operators import OPERATORS
from untrained.programs.tree import Tree, call, constant, terminal
from untrained.stats import kendall_tau_b

A, B = terminal("a"), terminal("b")
SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -3.0,
    1e-13,
    -1e-13,
    1e-300,
    1e300,
    -1e300,
    800.0,
    -800.0,
    np.inf,
    -np.inf,
    np.nan,
]
# Where NumPy has vector instructions of its own and numba calls the C library: units in the last place.
ROUNDED = {"exp": 2, "log": 2, "abs_log": 2, "log1p_abs": 2, "sigmoid": 4, "tanh": 2}


def pairs() -> np.ndarray:
    """Two columns: all pairs of special values, then random ones of all sizes."""
    rng = np.random.default_rng(0)
    drawn = rng.standard_normal((2, 1000)) * 10.0 ** rng.uniform(-4, 4, (2, 1000))
    special = np.array(np.meshgrid(SPECIAL, SPECIAL)).reshape(2, -1)
    return np.ascontiguousarray(np.hstack([special, drawn, [[2.0], [2.0]]]))


def elementwise() -> list[str]:
    return [name for name, operator in OPERATORS.items() if operator.elementwise]


def test_every_elementwise_operator_has_an_opcode():
    assert elementwise()
    assert set(elementwise()) == set(OPCODES)


@pytest.mark.parametrize("name", sorted(OPCODES))
def test_opcodes_are_the_operators(name):
    operator, columns = OPERATORS[name], pairs()
    args = columns[: operator.arity]
    with np.errstate(all="ignore"):
        expected = operator.fn(*args)
    assert expected.dtype == np.float64
    found = compile_trees([call(name, *[A, B][: operator.arity])], {"a": 0, "b": 1}).evaluate(columns)[0]
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    known = ~np.isnan(expected)
    if name in ROUNDED:
        np.testing.assert_array_max_ulp(found[known], expected[known], ROUNDED[name])
    else:
        np.testing.assert_array_equal(found[known], expected[known])


def random_tree(rng: np.random.Generator, depth: int) -> Tree:
    if depth == 0 or rng.random() < 0.2:
        return [A, B, terminal("c"), constant(round(float(rng.normal()), 2))][rng.integers(4)]
    name = list(OPCODES)[rng.integers(len(OPCODES))]
    return call(name, *[random_tree(rng, depth - 1) for _ in range(OPERATORS[name].arity)])


def alone(tree: Tree, columns: dict[str, np.ndarray]) -> np.ndarray:
    """A tree by the operators, nothing shared."""
    if tree.is_call:
        return OPERATORS[str(tree.head)].fn(*[alone(arg, columns) for arg in tree.args])
    return columns[tree.head] if tree.is_terminal else np.full(len(columns["a"]), tree.head)


def test_many_trees_share_and_give_what_each_gives_alone():
    rng = np.random.default_rng(1)
    n = 2 * TILE + 3
    columns = rng.standard_normal((4, n))
    columns[1, :5] = np.nan
    names = {"b": 1, "c": 3, "a": 2}  # the first column is read by none
    trees = [random_tree(rng, 5) for _ in range(400)]
    compiled = compile_trees(trees, names)
    assert compiled.n_nodes == len({id(part) for tree in trees for part in tree.walk()})
    found = compiled.evaluate(columns)
    with np.errstate(all="ignore"):
        expected = np.array([alone(tree, {name: columns[i] for name, i in names.items()}) for tree in trees])
    # rounding of the last place may flip a sign or a comparison further up: nearly all trees are equal throughout
    same = [np.allclose(f, e, rtol=1e-9, atol=1e-12, equal_nan=True) for f, e in zip(found, expected, strict=True)]
    assert np.mean(same) > 0.99
    np.testing.assert_array_equal(compiled.evaluate(columns, workers=3), found)
    one_by_one = np.vstack([compile_trees([tree], names).evaluate(columns) for tree in trees])
    np.testing.assert_array_equal(one_by_one, found)
    assert compiled.n_slots < compiled.n_nodes


def test_equal_trees_and_bare_leaves():
    columns = np.array([[1.0, 2.0], [3.0, 4.0]])
    trees = [B, constant(2.0), A, B, call("mul", A, A), call("neg", call("mul", A, A))]
    found = compile_trees(trees, {"a": 0, "b": 1}).evaluate(columns)
    assert found.tolist() == [[3, 4], [2, 2], [1, 2], [3, 4], [1, 4], [-1, -4]]


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (call("det", A), "det of 1 cannot be applied"),
        (call("add", A), "add of 1 cannot be applied"),
        (call("exp", A, A), "exp of 2 cannot be applied"),
        (terminal("nowhere"), "no column is called 'nowhere'"),
    ],
)
def test_what_is_no_program_over_columns_is_refused(tree, message):
    with pytest.raises(BadInputError, match=message):
        compile_trees([tree], {"a": 0})


coarse = arrays.arrays(np.float64, (2, 9), elements=st.integers(-3, 3).map(float))
fine = arrays.arrays(np.float64, (2, 9), elements=st.floats(-1e6, 1e6))


@given(st.one_of(coarse, fine))
@settings(deadline=None, max_examples=60)
def test_taus_are_exact(xy):
    found = Labels.of(xy[1]).taus(xy[:1])[0]
    ours, scipys = kendall_tau_b(xy[0], xy[1]), kendalltau(xy[0], xy[1]).statistic
    assert found == ours or (math.isnan(found) and math.isnan(ours))
    assert found == pytest.approx(scipys, abs=1e-12, nan_ok=True)


def test_taus_of_many_rows():
    rng = np.random.default_rng(2)
    labels = rng.normal(size=701).round(2)
    values = rng.normal(size=(30, 701)).round(1) + labels
    values[3:6] = 10.0 ** values[3:6] * 1e200
    found = Labels.of(labels).taus(values)
    np.testing.assert_array_equal(found, [kendall_tau_b(row, labels) for row in values])
    np.testing.assert_array_equal(Labels.of(labels).taus(values, workers=4), found)


def test_undefined_values_are_tied_and_last():
    labels = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    values = np.array([[1.0, np.nan, np.inf, 3.0, 2.0], [1.0, -np.inf, np.nan, 3.0, -2.0]])
    expected = [kendall_tau_b([1, -9, -9, 3, 2], labels), kendall_tau_b([1, -9, -9, 3, -2], labels)]
    assert Labels.of(labels).taus(values).tolist() == expected
    nothing = np.array([[np.nan, np.inf, np.nan, np.nan, -np.inf], [7.0, 7.0, 7.0, 7.0, 7.0]])
    assert np.isnan(Labels.of(labels).taus(nothing)).all()
    assert np.isnan(Labels.of(np.ones(5)).taus(values)).all()
