"""Static rules of operators: kinds, shapes and cost of results from those of the arguments.

Costs are in nanoseconds on one core of the machine that they were measured on, rounded; what counts are ratios.
"""

import math
from collections.abc import Callable

from untrained.programs.operator import Shape, UndefinedError, check_size
from untrained.programs.tree import Kind

CALL = 1500.0  # of any operator, however small its arguments

# --- kinds


def widest(*kinds: Kind) -> Kind:
    """Of elementwise operators: broadcasting gives the dimensions of the argument that has the most."""
    return max(kinds)


def always(kind: Kind, least: Kind = Kind.SCALAR) -> Callable[..., Kind | None]:
    """One kind, for arguments of at least another."""

    def found(*kinds: Kind) -> Kind | None:
        return kind if min(kinds) >= least else None

    return found


def at_least(least: Kind) -> Callable[[Kind], Kind | None]:
    """The argument's kind, from some kind on."""

    def found(kind: Kind) -> Kind | None:
        return kind if kind >= least else None

    return found


def kind_per_map(kind: Kind) -> Kind | None:
    """Of what turns the last two dimensions into a number."""
    return {Kind.MATRIX: Kind.SCALAR, Kind.TENSOR: Kind.MATRIX}.get(kind)


# --- shapes


def same(shape: Shape) -> Shape:
    """The argument's own."""
    return shape


def scalar(*_: Shape) -> Shape:
    """No dimensions."""
    return ()


def broadcast(what: str) -> Callable[[Shape, Shape], Shape]:
    """NumPy's broadcasting; `what` is what there is none of otherwise, such as "sum"."""

    def found(a: Shape, b: Shape) -> Shape:
        if a == b:
            return a
        long, short = (a, b) if len(a) >= len(b) else (b, a)
        ends = list(long)
        for i in range(1, len(short) + 1):
            m, n = long[-i], short[-i]
            if m != n and m != 1 and n != 1:
                raise UndefinedError(f"no {what} of shapes {a} and {b}")
            ends[-i] = n if m == 1 else m
        check_size(what, tuple(ends))
        return tuple(ends)

    return found


def not_empty(what: str, rule: Callable[[Shape], Shape]) -> Callable[[Shape], Shape]:
    """A rule that holds for arrays with elements."""

    def found(shape: Shape) -> Shape:
        if 0 in shape:
            raise UndefinedError(f"no {what} of no elements, shape {shape}")
        return rule(shape)

    return found


def from_dimensions(least: int, what: str, rule: Callable[[Shape], Shape]) -> Callable[[Shape], Shape]:
    """A rule that holds for arrays of some dimensions or more."""

    def found(shape: Shape) -> Shape:
        if len(shape) < least:
            raise UndefinedError(f"no {what} of shape {shape}: that takes {least} dimensions or more")
        return rule(shape)

    return found


def per_map(what: str, least: int = 0) -> Callable[[Shape], Shape]:
    """Square maps, shape (..., n, n), to a number each, shape (...); n is `least` or more."""

    def found(shape: Shape) -> Shape:
        if len(shape) < 2 or shape[-1] != shape[-2] or shape[-1] < least:
            raise UndefinedError(f"no {what} of maps of shape {shape[-2:]}")
        return shape[:-2]

    return found


def flat_pair(shape: Shape) -> tuple[int, int]:
    """Rows and columns of an array whose first dimension are rows and all others together columns."""
    return shape[0], math.prod(shape[1:])


# --- cost


def per_element(steps: float) -> Callable[..., float]:
    """So many steps for every element of what the arguments broadcast to, or of all arguments if they do not."""

    def found(*shapes: Shape) -> float:
        if len(shapes) == 1 or shapes[0] == shapes[1]:
            return CALL + steps * math.prod(shapes[0])
        a, b = shapes
        length = max(len(a), len(b))
        pairs = zip((1,) * (length - len(a)) + a, (1,) * (length - len(b)) + b, strict=True)
        return CALL + steps * math.prod([m if n == 1 else n for m, n in pairs])

    return found


def per_product(steps: float) -> Callable[[Shape], float]:
    """So many steps for every product of the rows' inner products, rows being the first dimension."""

    def found(shape: Shape) -> float:
        rows, columns = flat_pair(shape)
        return 2 * CALL + columns * rows * (1.5 + steps * rows)

    return found


def per_cube(steps: float, each: float) -> Callable[[Shape], float]:
    """So many steps for n^3 of every map, shape (..., n, n), and `each` for every map."""

    def found(shape: Shape) -> float:
        return 2 * CALL + math.prod(shape[:-2]) * (each + 3 * shape[-1] ** 2 + steps * shape[-1] ** 3)

    return found
