"""The operators of programs: one decorated function each, of arrays, which never changes what it reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from untrained.programs.tree import Kind

Array = NDArray[np.floating[Any]]
Shape = tuple[int, ...]
MAX_ELEMENTS: Final = 1 << 26  # of any value of a program


class UndefinedError(Exception):
    """An operator has no value for these arrays; the message says why."""


class TooLargeError(Exception):
    """A value of a program would have more than MAX_ELEMENTS elements, or cost too much; the message says how many."""


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        name: how programs call it.
        arity: how many arguments it has.
        fn: of so many arrays to an array of the same dtype; raises UndefinedError; never changes its arguments.
        kind: kinds of the arguments to the kind of the result; None where it cannot be applied to such kinds.
        shape: shapes of the arguments to the shape of the result; raises UndefinedError where there is none.
        cost: elementary steps (about a nanosecond each) from the shapes of the arguments.
        origin: "registered" or "unregistered" (in EZNAS's program), or "own".
        elementwise: applied to one element of each argument at a time, so that scalars are enough to know it.
        latex: a format with {0} and {1} for the arguments.
        python: a NumPy expression, as a format with {0} and {1}.
        summary: in one line, for people.
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


OPERATORS: dict[str, Operator] = {}


def operator_set(name: str) -> Mapping[str, Operator]:
    """Operators by the name of a set: "eznas" (the 33 that EZNAS's program registers), "paper", "all", "elementwise"."""
    raise NotImplementedError
