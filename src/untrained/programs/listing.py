"""What there is to write programs with, as rows for people."""

from typing import NamedTuple

from untrained.programs.operators import OPERATORS


class OperatorRow(NamedTuple):
    """One operator: how it is called, where it is from, what it does, and that in NumPy, of a and b."""

    name: str
    arity: int
    origin: str
    elementwise: bool
    summary: str
    formula: str


def operator_rows() -> list[OperatorRow]:
    """A row for every operator, in the order of OPERATORS.

    >>> operator_rows()[0]
    OperatorRow(name='add', arity=2, origin='registered', elementwise=True, summary='Sum', formula='(a + b)')
    """
    return [
        OperatorRow(
            found.name,
            found.arity,
            found.origin,
            found.elementwise,
            found.summary,
            found.python.format("a", "b"),
        )
        for found in OPERATORS.values()
    ]
