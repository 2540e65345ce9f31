"""Simplification: every identity holds for every bit, and so do whole trees."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from programs.trees import trees
from untrained.programs.evaluate import Failure, evaluate
from untrained.programs.operators import OPERATORS, UndefinedError, operator_set
from untrained.programs.simplify import COMMUTATIVE, RULES, simplify
from untrained.programs.text import parse
from untrained.programs.tree import Tree, call

SHAPES = nps.array_shapes(min_dims=0, max_dims=4, max_side=5)
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 1e-30, -1e-30, 1e-42, 3e38, -3e38, 88.0, -104.0, 1e30]
DTYPES = st.sampled_from([np.float32, np.float64])


def elements(dtype: type, *, finite: bool) -> st.SearchStrategy[float]:
    width = 32 if dtype is np.float32 else 64
    special = [*SPECIAL] if finite else [*SPECIAL, np.inf, -np.inf, np.nan]
    drawn = st.floats(width=width, allow_nan=not finite, allow_infinity=not finite)
    return st.one_of(st.sampled_from(special).map(lambda value: float(np.array(value, dtype))), drawn)


@st.composite
def pairs(draw: st.DrawFn, *, finite: bool = False) -> dict[str, np.ndarray]:
    """Two arrays that broadcast, most often of one shape."""
    dtype = draw(DTYPES)
    x = draw(nps.arrays(dtype, SHAPES, elements=elements(dtype, finite=finite)))
    other = draw(st.sampled_from([x.shape, x.shape, (), (1,) * x.ndim, x.shape[1:], (2, *x.shape)]))
    y = draw(nps.arrays(dtype, other, elements=elements(dtype, finite=finite)))
    return {"x": x, "y": y}


def value(tree: Tree, arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    """What the operators' functions give; None where one has no value."""
    if not tree.is_call:
        return arrays[str(tree.head)] if tree.is_terminal else np.array(tree.head, arrays["x"].dtype)
    args = [value(arg, arrays) for arg in tree.args]
    try:
        return None if any(arg is None for arg in args) else OPERATORS[str(tree.head)].fn(*args)
    except UndefinedError:
        return None


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Bit for bit, but any NaN is any other."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    nan = np.isnan(a)
    return bool((nan == np.isnan(b)).all()) and np.where(nan, 0, a).tobytes() == np.where(nan, 0, b).tobytes()


def check_rule(left: str, right: str, arrays: dict[str, np.ndarray]) -> None:
    before, after = value(parse(left), arrays), value(parse(right), arrays)
    if before is not None:
        assert after is not None, (left, right)
        assert same(before, after), (left, right, before, after)


IDENTITIES = (*RULES, *[(f"{name}(x, y)", f"{name}(y, x)") for name in COMMUTATIVE])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("left", "right"), IDENTITIES)
def test_a_rule_holds_for_every_pair_of_special_numbers(left: str, right: str, dtype: type) -> None:
    largest, smallest = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    numbers = [*SPECIAL, np.inf, np.nan, -np.inf, largest, -largest, smallest, -smallest, 1e-13, 0.1, -1 / 3]
    special = np.array(numbers).astype(dtype)
    x, y = (part.ravel() for part in np.meshgrid(special, special))
    check_rule(left, right, {"x": x, "y": y})
    check_rule(left, right, {"x": x.reshape(-1, 2, 3, 2), "y": y.reshape(-1, 2, 3, 2)})
    for number, other in zip(x[::37], y[::37], strict=True):
        check_rule(left, right, {"x": np.array(number), "y": np.array(other)})


@settings(max_examples=15, deadline=None)
@given(arrays=pairs())
def test_rules_hold_for_every_bit_of_any_arrays(arrays: dict[str, np.ndarray]) -> None:
    for left, right in IDENTITIES:
        check_rule(left, right, arrays)


def test_rules_come_to_an_end_and_leave_nothing_to_simplify_inside() -> None:
    for left, right in RULES:
        before, after = parse(left), parse(right)
        assert set(after.terminals()) <= set(before.terminals())
        assert after.depth <= 1
        measures = [(tree.size, [part.head for part in tree.walk()].count("greater")) for tree in (after, before)]
        assert measures[0] < measures[1], (left, right)


NAMES = ("x", "y", "z")


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, np.ndarray]:
    dtype = draw(DTYPES)
    shape = draw(nps.array_shapes(min_dims=0, max_dims=3, max_side=4))
    return {name: draw(nps.arrays(dtype, shape, elements=elements(dtype, finite=False))) for name in NAMES}


@settings(max_examples=50, deadline=None)
@given(tree=trees(names=NAMES), arrays=worlds())
def test_a_whole_tree_keeps_every_bit(tree: Tree, arrays: dict[str, np.ndarray]) -> None:
    simple = simplify(tree)
    assert simple.size <= tree.size
    assert simplify(simple) is simple
    before, after = evaluate([tree, simple], arrays)
    if not isinstance(before, Failure):
        assert not isinstance(after, Failure)
        assert same(before, after), (tree, simple, before, after)


@settings(max_examples=50, deadline=None)
@given(
    tree=trees(
        sorted({str(part.head) for r in RULES for part in parse(r[0]).walk() if part.is_call}), NAMES, max_parts=20
    ),
    arrays=worlds(),
)
def test_trees_full_of_what_rules_know_keep_every_bit(tree: Tree, arrays: dict[str, np.ndarray]) -> None:
    test_a_whole_tree_keeps_every_bit.hypothesis.inner_test(tree, arrays)


@settings(max_examples=30, deadline=None)
@given(tree=trees(names=NAMES))
def test_only_operators_that_may_be_used_are_brought_in(tree: Tree) -> None:
    few = operator_set("eznas")
    had = {str(part.head) for part in tree.walk() if part.is_call}
    brought = {str(part.head) for part in simplify(tree, few).walk() if part.is_call} - had
    assert brought <= set(few)


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ("abs(abs(abs(x)))", "abs(x)"),
        ("neg(neg(neg(x)))", "neg(x)"),
        ("relu(exp(abs(x)))", "exp(abs(x))"),
        ("abs(relu(exp(x)))", "exp(x)"),
        ("mul(1, x)", "x"),
        ("add(x, 0)", "add(x, 0.0)"),
        ("mul(mul(x, y), mul(y, x))", "square(mul(x, y))"),
        ("mul(neg(x), abs(neg(x)))", "mul(abs(x), neg(x))"),
        ("add(mul(y, x), 2)", "add(mul(x, y), 2.0)"),
        ("add(add(1, 2), neg(3))", "0.0"),
        ("mul(0.1, 0.2)", "mul(0.1, 0.2)"),
        ("exp(1000)", "exp(1000.0)"),
        ("reciprocal(0)", "reciprocal(0.0)"),
        ("mul(x, sub(3, 2))", "x"),
        ("numel(mul(square(neg(x)), -1))", "numel(x)"),
        ("mean(sum(abs(x)))", "l1_norm(x)"),
        ("sub(x, x)", "sub(x, x)"),
        ("maximum(y, x)", "maximum(y, x)"),
        ("frobenius(abs(neg(x)))", "frobenius(x)"),
        ("greater(x, y)", "less(y, x)"),
    ],
)
def test_examples(text: str, simple: str) -> None:
    assert simplify(parse(text)).text == simple


def test_programs_that_differ_in_order_alone_are_found_equal() -> None:
    forms = ["add(mul(a, b), {})", "add({}, mul(a, b))", "add(mul(b, a), {})", "add({}, mul(b, a))"]
    inner = ["mul(c, add(d, e))", "mul(add(e, d), c)"]
    found = {simplify(parse(form.format(part))) for form, part in itertools.product(forms, inner)}
    assert len(found) == 1


def test_a_very_deep_tree_is_no_problem() -> None:
    tree = parse("x")
    for _ in range(5000):
        tree = call("neg", tree)
    assert simplify(tree) is parse("x")


def test_folding_takes_the_operators_own_function() -> None:
    for name, operator in OPERATORS.items():
        if operator.elementwise and operator.arity == 1:
            folded = simplify(call(name, parse("0.25")))
            if folded.is_constant:
                assert folded.head == float(operator.fn(np.array(0.25)))
