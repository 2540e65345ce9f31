"""All operators of programs, and named sets of them.

>>> sorted(operator_set("paper").keys() - operator_set("eznas").keys())
['sub']
>>> import numpy as np
>>> float(OPERATORS["frobenius"].fn(np.array([3.0, 4.0])))
5.0
"""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Final

from untrained.errors import BadInputError
from untrained.programs import elementwise, linear_algebra, reductions, rescaling  # noqa: F401 (they fill OPERATORS)
from untrained.programs.operator import (
    MAX_ELEMENTS,
    MAX_STEPS,
    OPERATORS,
    Array,
    Operator,
    Shape,
    TooCostlyError,
    TooLargeError,
    UndefinedError,
)

__all__ = [
    "MAX_ELEMENTS",
    "MAX_STEPS",
    "OPERATORS",
    "SETS",
    "VERSION",
    "Array",
    "Operator",
    "Shape",
    "TooCostlyError",
    "TooLargeError",
    "UndefinedError",
    "operator_set",
]

VERSION: Final = 1  # raised whenever an operator gives other numbers

SETS: Final[Mapping[str, Callable[[Operator], bool]]] = MappingProxyType(
    {
        "eznas": lambda operator: operator.origin == "registered",
        "paper": lambda operator: operator.origin == "registered" or operator.name == "sub",
        "all": lambda operator: True,  # noqa: ARG005
        "elementwise": lambda operator: operator.elementwise,
    }
)


def operator_set(name: str, disabled: Collection[str] = ()) -> Mapping[str, Operator]:
    """Operators by the name of a set, without some of them.

    Args:
        name: "eznas" (the 33 that EZNAS's program registers), "paper" (34: with `sub`), "all", or "elementwise" (all
            that scalars are enough for).
        disabled: names of operators to leave out, of any set.

    Raises:
        BadInputError: no such set or operator.

    >>> len(operator_set("eznas")), "exp" in operator_set("eznas", disabled=("exp", "det"))
    (33, False)
    """
    if name not in SETS:
        raise BadInputError(f"operators: the set must be one of {', '.join(SETS)}, got {name!r}.")
    for unknown in sorted(set(disabled) - OPERATORS.keys()):
        raise BadInputError(
            f"operators to disable: there is none named {unknown!r}. There are: {', '.join(OPERATORS)}."
        )
    return {key: found for key, found in OPERATORS.items() if SETS[name](found) and key not in disabled}
