"""What a node of a graph does: typed operations, which are values."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform
from zlib import crc32

Shape = tuple[int, ...]  # (channels, height, width) of a feature map, (features,) of a vector; the batch is implied

T = TypeVar("T")


class _Operation:
    __slots__ = ("_hash",)
    _hash: int

    def __post_init__(self) -> None:
        values = tuple([getattr(self, name) for name in self.__slots__])
        object.__setattr__(self, "_hash", hash((crc32(type(self).__name__.encode()), *values)))

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Copies and pickles build the operation anew, so that they have a hash too."""
        return type(self), tuple([getattr(self, name) for name in self.__slots__])


@dataclass_transform(frozen_default=True)
def _operation(cls: type[T]) -> type[T]:
    """A frozen dataclass whose hash is computed once: operations are looked up hundreds of times for each network."""
    cls.__hash__ = lambda self: self._hash  # type: ignore[method-assign, attr-defined]
    return dataclass(frozen=True, slots=True)(cls)


@_operation
class Input(_Operation):
    """What the graph reads: the images, or one of the feature maps that a cell reads."""

    index: int = 0


@_operation
class Identity(_Operation):
    """The input, unchanged: a skip connection."""


@_operation
class Zero(_Operation):
    """Zeros in place of the input, at every `stride`-th position: the absence of a connection."""

    stride: int = 1


@_operation
class Conv(_Operation):
    """Two-dimensional convolution; pairs are (vertical, horizontal)."""

    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    bias: bool


@_operation
class BatchNorm(_Operation):
    """Batch normalisation over images and positions, with trainable scale and shift, eps 1e-5."""


@_operation
class ReLU(_Operation):
    """max(x, 0)."""


@_operation
class ReLU6(_Operation):
    """min(max(x, 0), 6)."""


@_operation
class SiLU(_Operation):
    """x / (1 + exp(-x)), also called swish."""


@_operation
class GELU(_Operation):
    """x times the probability that a normal number is below x, the exact form."""


@_operation
class Hardswish(_Operation):
    """x * min(max(x + 3, 0), 6) / 6."""


@_operation
class LeakyReLU(_Operation):
    """x where x is positive, x / 100 elsewhere."""


@_operation
class Sigmoid(_Operation):
    """1 / (1 + exp(-x))."""


@_operation
class Tanh(_Operation):
    """Hyperbolic tangent."""


@_operation
class Sum(_Operation):
    """Element-wise sum of all inputs; an input may occur several times."""


@_operation
class Product(_Operation):
    """Element-wise product of all inputs; an input may occur several times."""


@_operation
class Blend(_Operation):
    """a * b + (1 - a) * c for the inputs a, b, c, element by element."""


@_operation
class Concat(_Operation):
    """Concatenation along channels.

    `ordered` is False once it is known that nothing tells one order of channels from another; see `canonical`.
    """

    ordered: bool = True


@_operation
class Truncate(_Operation):
    """The first channels of a feature map."""

    channels: int


@_operation
class Shift(_Operation):
    """A feature map moved by `up` rows and `left` columns, which fall off; zeros come in from the other sides."""

    up: int
    left: int


@_operation
class AvgPool(_Operation):
    """Mean over a window; `count_padding` says whether padded zeros count as elements."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    count_padding: bool


@_operation
class MaxPool(_Operation):
    """Maximum over a window; padding never wins."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


@_operation
class GlobalAvgPool(_Operation):
    """Mean over all positions: a feature map becomes a vector."""


@_operation
class Flatten(_Operation):
    """A feature map written as a vector: channels, then rows, then columns."""


@_operation
class Linear(_Operation):
    """Dense layer: a weight matrix for each input vector, whose results are added up, and at most one bias."""

    out_features: int
    bias: bool


Operation = (
    Input
    | Identity
    | Zero
    | Conv
    | BatchNorm
    | ReLU
    | ReLU6
    | SiLU
    | GELU
    | Hardswish
    | LeakyReLU
    | Sigmoid
    | Tanh
    | Sum
    | Product
    | Blend
    | Concat
    | Truncate
    | Shift
    | AvgPool
    | MaxPool
    | GlobalAvgPool
    | Flatten
    | Linear
)

TRAINABLE = (Conv, BatchNorm, Linear)
