"""Many programs on the same arrays at once: every distinct subtree is computed once and freed after its last use.

What a program would need is known from shapes before anything is computed: programs that are undefined, too large or
too costly for the arrays' shapes are never run.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

import numpy as np

from untrained.errors import BadInputError
from untrained.programs.operator import as_floats
from untrained.programs.operators import (
    OPERATORS,
    Array,
    Operator,
    Shape,
    TooCostlyError,
    TooLargeError,
    UndefinedError,
)
from untrained.programs.tree import Tree
from untrained.types import Status

T = TypeVar("T")
MOST_SCHEDULES: Final = 1024  # kept for different shapes


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a program has no value: UNDEFINED, OUT_OF_MEMORY (too many elements) or TIMEOUT (too many steps)."""

    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class _Step:
    """One operator to apply. Values are by position in `Plan._nodes`."""

    at: int
    compute: Callable[..., Any]
    args: tuple[int, ...]
    done: tuple[int, ...]  # trees whose value this is
    frees: tuple[int, ...]  # values that nothing reads from here on


@dataclass(frozen=True, slots=True)
class _Schedule:
    """What is to be done for arrays of given shapes."""

    steps: tuple[_Step, ...]
    leaves: tuple[tuple[int, int], ...]  # (tree, value) of trees without operators
    failures: tuple[tuple[int, Failure], ...]  # of trees
    costs: tuple[float, ...]


class Plan:
    """Programs to be evaluated again and again, on arrays of whatever shapes.

    >>> from untrained.programs.tree import call, constant, terminal
    >>> energy = call("mean", call("square", terminal("weight")))
    >>> plan = Plan([energy, call("add", energy, constant(1.0)), call("det", terminal("weight"))])
    >>> for value in plan.run({"weight": np.arange(6, dtype=np.float32).reshape(2, 3)}):
    ...     print(value)
    9.166667
    10.166667
    Failure(status=<Status.UNDEFINED: 'undefined'>, reason='no determinant of maps of shape (2, 3)')
    """

    def __init__(
        self,
        trees: Iterable[Tree],
        *,
        max_cost: float = math.inf,
        operators: Mapping[str, Operator] = OPERATORS,
        dtype: Any = None,
    ) -> None:
        """Put all distinct subtrees in order.

        Args:
            trees: the programs.
            max_cost: steps (about nanoseconds) that each program alone may take on one mapping of arrays.
            operators: by name; programs may use no others.
            dtype: type of constants; None is what the arrays that the programs read promote to, float64 where they
                read none. Where types are mixed, give it: what a program is evaluated with must not matter.

        Raises:
            BadInputError: a program uses an operator that there is not, or with another number of arguments.
        """
        self.trees: Final = tuple(trees)
        self.max_cost: Final = max_cost
        self._dtype: Final = dtype
        self._nodes: Final = _in_order(self.trees)
        self._at: Final = {tree: i for i, tree in enumerate(self._nodes)}
        self._args: Final = [tuple([self._at[arg] for arg in tree.args]) for tree in self._nodes]
        self._operators: Final = [_operator(tree, operators) if tree.is_call else None for tree in self._nodes]
        self._terminals: Final = [(i, str(tree.head)) for i, tree in enumerate(self._nodes) if tree.is_terminal]
        self._constants: Final = [(i, tree.head) for i, tree in enumerate(self._nodes) if tree.is_constant]
        self._needs: Final = [self._needed_by(self._at[tree]) for tree in self.trees]
        self._schedules: Final[dict[tuple[Shape, ...], _Schedule]] = {}

    @property
    def terminals(self) -> list[str]:
        """Names of the arrays that the programs read."""
        return [name for _, name in self._terminals]

    @property
    def n_distinct(self) -> int:
        """How many operators are applied, equal subtrees counted once."""
        return sum(operator is not None for operator in self._operators)

    def costs(self, shapes: Mapping[str, Shape]) -> list[float]:
        """Steps (about nanoseconds) that each program alone takes on arrays of these shapes.

        Subtrees that several programs share count for each of them, those that occur in a program twice count once.
        Programs that would fail take none.

        Raises:
            BadInputError: a program reads an array whose shape is not given.
        """
        return list(self._schedule(tuple([_get(shapes, name) for name in self.terminals])).costs)

    def failures(self, shapes: Mapping[str, Shape]) -> list[Failure | None]:
        """Why each program has no value on arrays of these shapes; None where it has one.

        Raises:
            BadInputError: a program reads an array whose shape is not given.
        """
        failed = dict(self._schedule(tuple([_get(shapes, name) for name in self.terminals])).failures)
        return [failed.get(tree) for tree in range(len(self.trees))]

    @overload
    def run(self, values: Mapping[str, Array]) -> list[Array | Failure]: ...

    @overload
    def run(self, values: Mapping[str, Array], finish: Callable[[Array], T]) -> list[T | Failure]: ...

    def run(self, values: Mapping[str, Array], finish: Callable[[Array], Any] | None = None) -> list[Any]:
        """Evaluate all programs.

        Args:
            values: arrays by terminal; they are not changed. What are no floats are taken as float64.
            finish: applied to every program's value as soon as it is known, so that the value itself can be freed.

        Returns:
            For every program an array, which may hold infinity or NaN and may be read-only or a view of a value, or
            what `finish` made of it, or a Failure.

        Raises:
            BadInputError: a program reads an array that is not given.
        """
        found: list[Any] = [None] * len(self._nodes)
        for i, name in self._terminals:
            found[i] = as_floats(_get(values, name))
        leaves = [found[i] for i, _ in self._terminals]
        schedule = self._schedule(tuple([array.shape for array in leaves]))
        out: list[Any] = [None] * len(self.trees)
        last = np.asarray if finish is None else finish
        with np.errstate(all="ignore"):
            if self._constants:
                dtype = self._dtype or (np.result_type(*leaves) if leaves else np.float64)
                for i, number in self._constants:
                    found[i] = np.asarray(number).astype(dtype)
            for tree, at in schedule.leaves:
                out[tree] = last(found[at])
            for step in schedule.steps:
                value = found[step.at] = step.compute(*[found[i] for i in step.args])
                if step.done:
                    finished = last(np.asarray(value))
                    for tree in step.done:
                        out[tree] = finished
                for i in step.frees:
                    found[i] = None
        for tree, failure in schedule.failures:
            out[tree] = failure
        return out

    def _needed_by(self, root: int) -> tuple[int, ...]:
        """All that a value is computed from, itself included, each once, in order."""
        found, todo = {root}, [root]
        while todo:
            for arg in self._args[todo.pop()]:
                if arg not in found:
                    found.add(arg)
                    todo.append(arg)
        return tuple(sorted(found))

    def _schedule(self, shapes: tuple[Shape, ...]) -> _Schedule:
        schedule = self._schedules.get(shapes)
        if schedule is None:
            if len(self._schedules) >= MOST_SCHEDULES:
                self._schedules.clear()
            schedule = self._schedules[shapes] = self._make_schedule(shapes)
        return schedule

    def _make_schedule(self, shapes: tuple[Shape, ...]) -> _Schedule:
        known: list[Shape | Failure] = [()] * len(self._nodes)
        steps = [0.0] * len(self._nodes)
        for (i, _), shape in zip(self._terminals, shapes, strict=True):
            known[i] = shape
        for i, operator in enumerate(self._operators):
            if operator is not None:
                known[i], steps[i] = _result(operator, [known[arg] for arg in self._args[i]])
        costs, failures = [], []
        wanted: set[int] = set()
        for tree, needs in enumerate(self._needs):
            failure = known[needs[-1]]
            cost = sum([steps[i] for i in needs])
            if not isinstance(failure, Failure) and cost > self.max_cost:
                most = f"at most {self.max_cost:.3g} may"
                failure = Failure(Status.TIMEOUT, f"the program would take {cost:.3g} steps, {most}")
            if isinstance(failure, Failure):
                failures.append((tree, failure))
                costs.append(0.0)
            else:
                wanted.update(needs)
                costs.append(cost)
        return self._fill(wanted, {tree for tree, _ in failures}, tuple(failures), tuple(costs))

    def _fill(
        self, wanted: set[int], failed: set[int], failures: tuple[tuple[int, Failure], ...], costs: tuple[float, ...]
    ) -> _Schedule:
        """Which operators are applied in which order, and what is free after each."""
        results: dict[int, list[int]] = {}
        for tree, needs in enumerate(self._needs):
            if tree not in failed:
                results.setdefault(needs[-1], []).append(tree)
        order = sorted(wanted)
        last_use = {arg: i for i in order for arg in self._args[i]}
        frees: dict[int, list[int]] = {}
        for arg, i in sorted(last_use.items()):
            frees.setdefault(i, []).append(arg)
        steps, leaves = [], []
        for i in order:
            operator = self._operators[i]
            trees = tuple(results.get(i, ()))
            if operator is None:
                leaves.extend([(tree, i) for tree in trees])
                continue
            unused = () if i in last_use else (i,)
            steps.append(_Step(i, operator.compute or operator.fn, self._args[i], trees, (*frees.get(i, ()), *unused)))
        return _Schedule(tuple(steps), tuple(leaves), failures, costs)


def evaluate(
    trees: Sequence[Tree], values: Mapping[str, Array], *, max_cost: float = math.inf
) -> list[Array | Failure]:
    """The values of programs on the same arrays; see `Plan`, which is faster where they are evaluated again.

    Args:
        trees: the programs.
        values: arrays by terminal; they are not changed.
        max_cost: steps (about nanoseconds) that each program alone may take.

    Returns:
        For every program an array, which may hold infinity or NaN, or a Failure.

    Raises:
        BadInputError: a program uses an operator or reads an array that there is not.

    >>> from untrained.programs.tree import call, constant, terminal
    >>> evaluate([call("mul", constant(2.0), terminal("x"))], {"x": np.array([1.0, 2.0])})
    [array([2., 4.])]
    """
    return Plan(trees, max_cost=max_cost).run(values)


def _in_order(trees: Sequence[Tree]) -> list[Tree]:
    """All distinct subtrees, arguments before what is applied to them, each program's as close together as can be."""
    order: dict[Tree, None] = {}
    for root in trees:
        todo = [(root, False)]
        while todo:
            tree, ready = todo.pop()
            if tree in order:
                continue
            if ready or not tree.args:
                order[tree] = None
            else:
                todo.append((tree, True))
                todo.extend([(arg, False) for arg in reversed(tree.args)])
    return list(order)


def _operator(tree: Tree, operators: Mapping[str, Operator]) -> Operator:
    found = operators.get(str(tree.head))
    if found is None:
        raise BadInputError(f"program: there is no operator {tree.head!r}. There are: {', '.join(operators)}.")
    if found.arity != len(tree.args):
        raise BadInputError(f"program: {found.name} takes {found.arity} arguments, got {len(tree.args)}.")
    return found


def _get(given: Mapping[str, T], name: str) -> T:
    if name not in given:
        raise BadInputError(f"program: it reads {name!r}, which is not given. Given are: {', '.join(given) or 'none'}.")
    return given[name]


def _result(operator: Operator, args: Sequence[Shape | Failure]) -> tuple[Shape | Failure, float]:
    """Shape of the result and its steps, or the failure: of the first argument that failed, or its own."""
    shapes: list[Shape] = []
    for arg in args:
        if isinstance(arg, Failure):
            return arg, 0.0
        shapes.append(arg)
    try:
        return operator.result_shape(*shapes), operator.cost(*shapes)
    except UndefinedError as undefined:
        return Failure(Status.UNDEFINED, str(undefined)), 0.0
    except TooCostlyError as costly:
        return Failure(Status.TIMEOUT, str(costly)), 0.0
    except TooLargeError as large:
        return Failure(Status.OUT_OF_MEMORY, str(large)), 0.0
