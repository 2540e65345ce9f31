"""What an operator of programs is: one decorated function of arrays, which never changes what it reads.

The decorator registers a function in OPERATORS by its name; `untrained.programs.operators` has them all.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from untrained.programs.tree import Kind

Array = NDArray[np.floating[Any]]
Shape = tuple[int, ...]
MAX_ELEMENTS: Final = 1 << 26  # of any value of a program
MAX_STEPS: Final = 2e10  # of one operator


class UndefinedError(Exception):
    """An operator has no value for these arrays; the message says why."""


class TooLargeError(Exception):
    """A value of a program would have more than MAX_ELEMENTS elements; the message says how many."""


class TooCostlyError(TooLargeError):
    """An operator would take more than MAX_STEPS steps; the message says how many."""


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        name: how programs call it.
        arity: how many arguments it has.
        fn: of so many arrays to an array of the same dtype; never changes its arguments. Raises UndefinedError and
            TooLargeError, by the shapes alone and before anything is computed.
        kind: kinds of the arguments to the kind of the result; None where it cannot be applied to such kinds. A tensor
            is taken to have four dimensions, as all statistics of layers do.
        shape: shapes of the arguments to the shape of the result; raises UndefinedError where there is none.
        cost: elementary steps (about a nanosecond each) from the shapes of the arguments.
        origin: "registered" or "unregistered" (in EZNAS's program), or "own".
        elementwise: applied to one element of each argument at a time, so that scalars are enough to know it.
        latex: a format with {0} and {1} for the arguments.
        python: a NumPy expression, as a format with {0} and {1}.
        summary: in one line, for people.
        compute: `fn` without checks, for shapes that `result_shape` accepts; called inside `np.errstate(all="ignore")`.
            It may give a NumPy scalar where `fn` gives an array of no dimensions. None: `fn` is all there is.
    """

    name: str
    arity: int
    fn: Callable[..., Array]
    kind: Callable[..., Kind | None]
    shape: Callable[..., Shape]
    cost: Callable[..., float]
    origin: str
    elementwise: bool
    latex: str
    python: str
    summary: str
    compute: Callable[..., Any] | None = None

    def result_shape(self, *shapes: Shape) -> Shape:
        """The shape of the result, if that may be computed.

        Raises:
            UndefinedError: there is no result for such shapes.
            TooLargeError: it would have more than MAX_ELEMENTS elements, or (TooCostlyError) take more than MAX_STEPS.
        """
        found = self.shape(*shapes)
        check_size(self.name, found)
        steps = self.cost(*shapes)
        if steps > MAX_STEPS:
            written = " and ".join(map(str, shapes))
            raise TooCostlyError(f"{self.name} of {written} would take {steps:.3g} steps, at most {MAX_STEPS:.3g} may")
        return found


OPERATORS: dict[str, Operator] = {}


def as_floats(given: Any) -> Array:
    """The array itself if it has floats, else its numbers as float64."""
    array = np.asarray(given)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def check_size(what: str, shape: Shape) -> None:
    """Refuse shapes of more than MAX_ELEMENTS elements with TooLargeError."""
    size = math.prod(shape)
    if size > MAX_ELEMENTS:
        raise TooLargeError(f"{what} would have {size:,} elements of shape {shape}, at most {MAX_ELEMENTS:,} may be")


def operator(
    *,
    arity: int,
    kind: Callable[..., Kind | None],
    shape: Callable[..., Shape],
    cost: Callable[..., float],
    latex: str,
    python: str,
    origin: str = "own",
    elementwise: bool = False,
) -> Callable[[Callable[..., Any]], Operator]:
    """Make an operator of a function and register it under the function's name, less an underscore at its end.

    The function may count on shapes for which `shape` has a result, and on NumPy's warnings being off. Its docstring's
    first line is the summary. The parameters are the attributes of `Operator`.
    """

    def register(compute: Callable[..., Any]) -> Operator:
        name = compute.__name__.removesuffix("_")

        def fn(*arrays: Array) -> Array:
            given = [as_floats(array) for array in arrays]
            found.result_shape(*[array.shape for array in given])
            with np.errstate(all="ignore"):
                return np.asarray(compute(*given), np.result_type(*given))

        fn.__name__ = fn.__qualname__ = name
        fn.__doc__ = compute.__doc__
        summary = (compute.__doc__ or "").strip().splitlines()[0].rstrip(".")
        found = Operator(
            name, arity, fn, kind, shape, cost, origin, elementwise, latex, python, summary, compute=compute
        )
        if name in OPERATORS:
            raise ValueError(f"two operators are named {name}")
        OPERATORS[name] = found
        return found

    return register
