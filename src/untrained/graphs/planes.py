"""What values of a graph are under constant weights: planes with multiplicities."""

from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from untrained.errors import GraphError
from untrained.graphs.graph import AvgPool, Conv, MaxPool, Shape


class Term(NamedTuple):
    """A point-wise function of a stored plane: relu, times weight and multiplicity, batch norm, relu."""

    plane: int
    rectified: bool = False
    weighted: bool = False
    multiplicity: int = 1
    norm: int = -1
    rectified_after: bool = False
    fan_in: int = 0  # see `Lowering._fan_in`


@dataclass(slots=True, eq=False)
class PlaneSum:
    """A plane that is a sum of terms, each some times, and what reads its rows as they are computed.

    Without terms it is the stored `plane` itself, read once more.
    """

    size: tuple[int, int]
    terms: list[tuple[Term, int]]
    plane: int = -1  # where it is stored; -1 while only its readers see it
    rectified: "Rectified | None" = None
    windows: list[tuple[int, ...]] = field(default_factory=list)
    statistics: list[tuple[int, ...]] = field(default_factory=list)
    mean: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class Rectified:
    """ReLU of a sum, kept apart so that a convolution can read it without storing it."""

    of: PlaneSum


@dataclass(frozen=True, slots=True)
class Shifted:
    """A plane moved up and to the left; only windows can begin there, and find zeros behind it as in padding."""

    of: "Plane"
    up: int
    left: int


Plane = Term | PlaneSum | Rectified | Shifted
Value = list[tuple[Plane | None, int]]  # planes with multiplicities, None for zeros; they add up to the channels


def first_channels(value: Value, channels: int) -> Value:
    """The pairs of the first channels."""
    result: Value = []
    for plane, multiplicity in value:
        if channels > 0:
            result.append((plane, min(multiplicity, channels)))
        channels -= multiplicity
    return result


def unshifted(value: Value) -> tuple[list[tuple[Plane, int]], int, int]:
    """The planes that are not zero, and how many rows and columns all of them are without."""
    live = [(plane, m) for plane, m in value if plane is not None]
    if not any(isinstance(plane, Shifted) for plane, _ in live):
        return live, 0, 0
    shifts = {(plane.up, plane.left) if isinstance(plane, Shifted) else (0, 0) for plane, _ in live}
    if len(shifts) > 1:
        raise GraphError("under constant weights, a convolution can only read channels that are shifted alike")
    return [(plane.of, m) for plane, m in live if isinstance(plane, Shifted)], *shifts.pop()


def plane_at(value: Value, channel: int) -> Plane | None:
    """The plane of one channel, None for zeros."""
    for plane, multiplicity in value:
        channel -= multiplicity
        if channel < 0:
            return plane
    raise GraphError("a summand has too few channels")


def joined(value: Value) -> Value:
    """Merge neighbours that are the same plane."""
    result: Value = []
    for plane, multiplicity in value:
        if result and result[-1][0] == plane:
            result[-1] = plane, result[-1][1] + multiplicity
        else:
            result.append((plane, multiplicity))
    return result


def check_windows(
    window: Conv | AvgPool | MaxPool,
    size: tuple[int, ...],
    shape: Shape,
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> None:
    """Refuse windows that hold nothing but padding."""
    if not all(map(_meets, size, shape[1:], window.kernel, window.stride, padding, dilation)):
        raise GraphError(f"{window} has windows that lie wholly in the padding")


@cache
def _meets(size: int, count: int, kernel: int, stride: int, padding: int, dilation: int) -> bool:
    """Whether every window holds at least one element that is not padding."""
    starts = [i * stride - padding for i in range(count)]
    return all(any(0 <= start + k * dilation < size for k in range(kernel)) for start in starts)
