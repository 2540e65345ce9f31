"""Evaluation of many programs: equal to one by one, each part once, limits before computing."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import BadInputError
from untrained.programs.evaluate import Failure, Plan, evaluate
from untrained.programs.operators import OPERATORS, Operator, UndefinedError
from untrained.programs.tree import Tree, call, constant, terminal
from untrained.types import Status

Array = np.ndarray[Any, Any]
X, Y, W = terminal("x"), terminal("y"), terminal("w")
VALUES: dict[str, Array] = {
    "x": np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32),
    "y": np.random.default_rng(1).normal(size=(2, 3, 4, 4)).astype(np.float32),
    "w": np.random.default_rng(2).normal(size=(3, 5)).astype(np.float32),
}


def trees(depth: int = 4) -> st.SearchStrategy[Tree]:
    leaves = st.sampled_from([X, Y, W, constant(0.5), constant(-2.0)])

    def grow(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        return st.sampled_from(list(OPERATORS.values())).flatmap(
            lambda found: st.tuples(*[children] * found.arity).map(lambda args: call(found.name, *args))
        )

    return st.recursive(leaves, grow, max_leaves=8)


def alone(tree: Tree) -> Array | None:
    """The value, without sharing and without plans; None where it is undefined."""
    if tree.is_constant:
        return np.asarray(tree.head, np.float32)
    if tree.is_terminal:
        return VALUES[str(tree.head)]
    args = [alone(arg) for arg in tree.args]
    try:
        return None if any(arg is None for arg in args) else OPERATORS[str(tree.head)].fn(*args)
    except UndefinedError:
        return None


@given(st.lists(trees(), max_size=6))
@settings(deadline=None, max_examples=40)
def test_together_as_alone(programs: list[Tree]) -> None:
    before = {name: array.tobytes() for name, array in VALUES.items()}
    plan = Plan(programs)
    needed = {name: VALUES[name] for name in plan.terminals}
    for _ in range(2):
        found = plan.run(needed)
        assert len(found) == len(programs)
        for tree, ours in zip(programs, found, strict=True):
            expected = alone(tree)
            if expected is None:
                assert isinstance(ours, Failure)
                assert (ours.status, bool(ours.reason)) == (Status.UNDEFINED, True)
            else:
                assert isinstance(ours, np.ndarray)
                assert ours.shape == expected.shape
                if plan.terminals:
                    assert ours.dtype == np.float32
                np.testing.assert_allclose(ours, expected, rtol=1e-5)
    assert before == {name: array.tobytes() for name, array in VALUES.items()}


@given(st.lists(trees(), min_size=2, max_size=5))
@settings(deadline=None, max_examples=30)
def test_values_do_not_depend_on_the_company(programs: list[Tree]) -> None:
    together = evaluate([X, *programs[::-1]], VALUES)[:0:-1]  # with X, as constants alone have another type
    for tree, ours in zip(programs, together, strict=True):
        (single,) = evaluate([X, tree], VALUES)[1:]
        if isinstance(single, Failure):
            assert single == ours
        else:
            assert isinstance(ours, np.ndarray)
            assert single.tobytes() == ours.tobytes()


def counted(name: str, calls: list[str]) -> Operator:
    found = OPERATORS[name]
    compute: Callable[..., Any] = found.compute or found.fn

    def count(*args: Any) -> Any:
        calls.append(name)
        return compute(*args)

    return dataclasses.replace(found, compute=count)


def counting(*names: str) -> tuple[dict[str, Operator], list[str]]:
    calls: list[str] = []
    return {name: counted(name, calls) for name in names}, calls


def test_equal_parts_are_computed_once() -> None:
    operators, calls = counting("abs", "mean", "sum", "add")
    part = call("abs", X)
    programs = [call("mean", part), call("sum", part), call("add", part, part), call("mean", part), part]
    plan = Plan(programs, operators=operators)
    found = plan.run(VALUES)
    assert sorted(calls) == ["abs", "add", "mean", "sum"]
    assert plan.n_distinct == 4
    assert found[0] is found[3]
    np.testing.assert_array_equal(found[2], 2 * np.abs(VALUES["x"]))


def test_what_cannot_be_finished_is_not_begun() -> None:
    operators, calls = counting("exp", "add", "outer", "det", "mean")
    undefined = call("det", call("add", call("exp", W), constant(1.0)))
    large = call("mean", call("outer", call("exp", X), call("outer", X, call("outer", X, X))))
    found = Plan([undefined, large, call("mean", undefined), call("mean", Y)], operators=operators).run(VALUES)
    assert calls == ["mean"]
    reasons = [failure.reason if isinstance(failure, Failure) else "" for failure in found]
    assert reasons[0] == reasons[2] == "no determinant of maps of shape (3, 5)"
    assert "elements of shape" in reasons[1]
    assert [getattr(failure, "status", None) for failure in found[:3]] == [
        Status.UNDEFINED,
        Status.OUT_OF_MEMORY,
        Status.UNDEFINED,
    ]


def test_costs_and_their_limit() -> None:
    operators, calls = counting("exp", "abs", "mean", "eig_ratio")
    part = call("exp", X)
    cheap, dear, unknown = call("mean", part), call("mean", call("eig_ratio", part)), call("eig_ratio", W)
    shapes = {name: array.shape for name, array in VALUES.items()}
    plan = Plan([cheap, dear, cheap, unknown, X], operators=operators)
    costs = plan.costs(shapes)
    exp, mean = OPERATORS["exp"].cost((2, 3, 4, 4)), OPERATORS["mean"].cost((2, 3, 4, 4))
    assert costs[0] == costs[2] == exp + mean
    assert costs[1] == exp + OPERATORS["eig_ratio"].cost((2, 3, 4, 4)) + OPERATORS["mean"].cost((2, 3))
    assert costs[3:] == [0, 0]
    limited = Plan([cheap, dear, unknown], operators=operators, max_cost=costs[0]).run(VALUES)
    assert "eig_ratio" not in calls
    assert isinstance(limited[0], np.ndarray)
    assert isinstance(limited[1], Failure)
    assert limited[1].status is Status.TIMEOUT
    assert "steps, at most" in limited[1].reason
    assert isinstance(limited[2], Failure)
    assert limited[2].status is Status.UNDEFINED
    assert Plan([call("add", part, part)]).costs(shapes) == [exp + OPERATORS["add"].cost(*[(2, 3, 4, 4)] * 2)]


def test_too_costly_operators_fail_before_they_run() -> None:
    big = np.broadcast_to(np.float32(1), (1 << 13, 1 << 13))
    (found,) = evaluate([call("exp", call("min_eig", X))], {"x": big})
    assert isinstance(found, Failure)
    assert found.status is Status.TIMEOUT
    assert found.reason.startswith("min_eig of (8192, 8192) would take")


def test_values_are_freed_after_their_last_use() -> None:
    import weakref

    alive: list[int] = []
    made: list[weakref.ref[Any]] = []

    def watched(name: str) -> Operator:
        compute = OPERATORS[name].compute
        assert compute is not None

        def watch(*args: Any) -> Any:
            alive.append(sum(ref() is not None for ref in made))
            out = compute(*args)
            made.append(weakref.ref(out))
            return out

        return dataclasses.replace(OPERATORS[name], compute=watch)

    operators = {name: watched(name) for name in ("exp", "abs")}
    chain = X
    for i in range(10):
        chain = call("exp" if i % 2 else "abs", chain)
    sums = Plan([chain, call("exp", chain)], operators=operators).run(VALUES, lambda value: float(value.sum()))
    assert max(alive) == 1
    assert all(isinstance(value, float) for value in sums)
    assert not any(ref() is not None for ref in made)


def test_finish() -> None:
    det = call("det", W)
    found = Plan([X, call("abs", X), call("abs", X), det, constant(3.0)]).run(VALUES, np.size)
    assert [found[i] for i in (0, 1, 2, 4)] == [96, 96, 96, 1]
    assert isinstance(found[3], Failure)


def test_other_shapes_with_the_same_plan() -> None:
    plan = Plan([call("det", X), call("add", X, constant(1.0))])
    assert isinstance(plan.run({"x": np.ones((2, 3))})[0], Failure)
    assert plan.run({"x": 2 * np.eye(3)})[0] == pytest.approx(8)
    assert isinstance(plan.run({"x": np.ones((2, 3))})[0], Failure)
    assert plan.costs({"x": (3, 3)})[0] > 0 == plan.costs({"x": (2, 3)})[0]
    for n in range(1, 3000):
        plan.costs({"x": (n,)})
    assert len(plan._schedules) <= 1024


def test_constants_take_the_type_of_the_values() -> None:
    tree = call("add", X, constant(0.1))
    for dtype in (np.float32, np.float64):
        (found,) = evaluate([tree], {"x": np.ones(3, dtype)})
        assert isinstance(found, np.ndarray)
        assert found.dtype == dtype
    (alone_,) = evaluate([call("mul", constant(2.0), constant(3.0))], {})
    assert isinstance(alone_, np.ndarray)
    assert (alone_.dtype, alone_.shape, float(alone_)) == (np.float64, (), 6)
    product = call("mul", constant(2.0), constant(3.0))
    for programs in ([product], [X, product]):
        found = Plan(programs, dtype=np.float32).run({"x": np.ones(3)})[-1]
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float32
    (large,) = evaluate([call("mul", X, constant(1e300))], {"x": np.ones(1, np.float32)})
    assert isinstance(large, np.ndarray)
    assert float(large[0]) == math.inf


def test_whole_numbers_are_taken_as_floats() -> None:
    (found,) = evaluate([call("reciprocal", X)], {"x": np.array([2, 4])})
    np.testing.assert_array_equal(found, [0.5, 0.25])
    np.testing.assert_array_equal(OPERATORS["add"].fn(np.array([1, 2]), 0.5), [1.5, 2.5])


def test_infinity_and_nan_are_values() -> None:
    found = evaluate([call("reciprocal", X), call("unit_range", X)], {"x": np.zeros(2)})
    np.testing.assert_array_equal(found, [[math.inf] * 2, [math.nan] * 2])


def test_what_there_is_not() -> None:
    with pytest.raises(BadInputError, match="there is no operator '__import__'"):
        Plan([call("__import__", X)])
    with pytest.raises(BadInputError, match="add takes 2 arguments, got 1"):
        Plan([call("add", X)])
    with pytest.raises(BadInputError, match="it reads 'y', which is not given"):
        evaluate([call("add", X, Y)], {"x": np.ones(2)})
    with pytest.raises(BadInputError, match="Given are: none"):
        Plan([X]).costs({})
    assert evaluate([], {}) == []


def test_depth_and_shared_parts_are_no_limit() -> None:
    deep = X
    for _ in range(5_000):
        deep = call("neg", deep)
    doubled = X
    for _ in range(60):  # 2^60 leaves if written out
        doubled = call("add", doubled, doubled)
    found = evaluate([deep, doubled], {"x": np.ones(2)})
    np.testing.assert_array_equal(found, [[1, 1], [2.0**60] * 2])
