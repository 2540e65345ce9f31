"""The one description of a network: a short, immutable list of typed operations with their shapes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import NamedTuple

from untrained.errors import GraphError
from untrained.graphs.operations import (
    GELU,
    TRAINABLE,
    AvgPool,
    BatchNorm,
    Blend,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    Hardswish,
    Identity,
    Input,
    LeakyReLU,
    Linear,
    MaxPool,
    Operation,
    Product,
    ReLU,
    ReLU6,
    Shape,
    Shift,
    Sigmoid,
    SiLU,
    Sum,
    Tanh,
    Truncate,
    Zero,
)

__all__ = [
    "GELU",
    "TRAINABLE",
    "AvgPool",
    "BatchNorm",
    "Blend",
    "Concat",
    "Conv",
    "Flatten",
    "GlobalAvgPool",
    "Graph",
    "GraphBuilder",
    "Hardswish",
    "Identity",
    "Input",
    "LeakyReLU",
    "Linear",
    "MaxPool",
    "Node",
    "Operation",
    "Product",
    "ReLU",
    "ReLU6",
    "Shape",
    "Shift",
    "SiLU",
    "Sigmoid",
    "Sum",
    "Tanh",
    "Truncate",
    "Zero",
    "infer_shape",
    "input_operation",
]

_new = tuple.__new__  # of a Node, without the detour that a named tuple takes


class Node(NamedTuple):
    """One operation, the positions of its inputs (earlier in the graph), and the shape of its output."""

    operation: Operation
    inputs: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True, slots=True)
class Graph:
    """A network: nodes in topological order, inputs first. `outputs` are what the forward pass returns.

    The first output is the one that constant-weight proxies read, as in the published programs. A whole network has
    one input; a cell may have several. `stages` are the nodes that the stem and each cell or block end in, for those
    who look inside; what simplifies a graph forgets them.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    stages: tuple[int, ...] = ()

    @property
    def input_shape(self) -> Shape:
        """Shape of the first input."""
        return self.nodes[0].shape

    @property
    def n_inputs(self) -> int:
        """How many of the first nodes are inputs."""
        count = 0
        while count < len(self.nodes) and type(self.nodes[count].operation) is Input:
            count += 1
        return count

    def consumers(self) -> list[list[int]]:
        """For every node, the nodes that read it, once per reading."""
        readers: list[list[int]] = [[] for _ in self.nodes]
        for position, node in enumerate(self.nodes):
            for source in node.inputs:
                readers[source].append(position)
        return readers


class GraphBuilder:
    """Builds a Graph node by node; every method takes node positions and returns a new one.

    >>> b = GraphBuilder((3, 32, 32))
    >>> x = b.batch_norm(b.conv(b.input, 16, kernel=3))
    >>> graph = b.build([b.global_avg_pool(b.relu(x))])
    >>> graph.nodes[-1].shape
    (16,)
    """

    __slots__ = ("_nodes", "_stages", "input", "inputs")

    def __init__(self, *input_shapes: Shape) -> None:
        """A shape (channels, height, width) for each input."""
        self._stages: list[int] = []
        self._nodes = [Node(input_operation(index), (), shape) for index, shape in enumerate(input_shapes)]
        self.inputs = tuple(range(len(input_shapes)))
        self.input = 0

    def shape(self, x: int) -> Shape:
        """Shape of node `x`."""
        return self._nodes[x].shape

    def add(self, operation: Operation, inputs: Sequence[int]) -> int:
        """Append any operation.

        Raises:
            GraphError: the operation cannot take inputs of these shapes.
        """
        nodes = self._nodes
        try:
            shape = infer_shape(operation, tuple([nodes[i].shape for i in inputs]))
        except GraphError as error:
            raise GraphError(f"node {len(nodes)} ({operation}, inputs {tuple(inputs)}): {error}") from None
        nodes.append(Node(operation, tuple(inputs), shape))
        return len(nodes) - 1

    def identity(self, x: int) -> int:
        """A skip connection."""
        return self.add(_IDENTITY, (x,))

    def zero(self, x: int, *, stride: int = 1) -> int:
        """Zeros in the shape of `x`, or of every `stride`-th position of it."""
        return self.add(_zero(stride), (x,))

    def conv(
        self,
        x: int,
        out_channels: int,
        *,
        kernel: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | None = None,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> int:
        """A convolution; without `padding`, that which keeps height and width at stride 1."""
        return self.add(_conv(out_channels, kernel, stride, padding, dilation, groups, bias), (x,))

    def batch_norm(self, x: int) -> int:
        """Batch normalisation."""
        return self.add(_BATCH_NORM, (x,))

    def relu(self, x: int) -> int:
        """max(x, 0)."""
        return self.add(_RELU, (x,))

    def relu6(self, x: int) -> int:
        """min(max(x, 0), 6)."""
        return self.add(_RELU6, (x,))

    def leaky_relu(self, x: int) -> int:
        """X where x is positive, x / 100 elsewhere."""
        return self.add(_LEAKY_RELU, (x,))

    def sigmoid(self, x: int) -> int:
        """1 / (1 + exp(-x))."""
        return self.add(_SIGMOID, (x,))

    def tanh(self, x: int) -> int:
        """Hyperbolic tangent."""
        return self.add(_TANH, (x,))

    def sum(self, inputs: Sequence[int]) -> int:
        """Element-wise sum."""
        return self.add(_SUM, inputs)

    def product(self, inputs: Sequence[int]) -> int:
        """Element-wise product."""
        return self.add(_PRODUCT, inputs)

    def blend(self, gate: int, one: int, other: int) -> int:
        """`one` where `gate` is 1, `other` where it is 0, and between the two between."""
        return self.add(_BLEND, (gate, one, other))

    def concat(self, inputs: Sequence[int]) -> int:
        """Concatenation along channels."""
        return self.add(_CONCAT, inputs)

    def truncate(self, x: int, channels: int) -> int:
        """The first `channels` of `x`; `x` itself if it has no more."""
        return x if self.shape(x)[0] == channels else self.add(_truncate(channels), (x,))

    def shift(self, x: int, *, up: int, left: int) -> int:
        """`x` without its first rows and columns, with as many zeros after its last."""
        return self.add(Shift(up, left), (x,))

    def avg_pool(self, x: int, *, kernel: int, stride: int = 1, padding: int = 0, count_padding: bool = False) -> int:
        """Mean over a square window."""
        return self.add(_avg_pool(kernel, stride, padding, count_padding), (x,))

    def max_pool(self, x: int, *, kernel: int, stride: int = 1, padding: int = 0) -> int:
        """Maximum over a square window."""
        return self.add(_max_pool(kernel, stride, padding), (x,))

    def global_avg_pool(self, x: int) -> int:
        """Mean over all positions."""
        return self.add(_GLOBAL_AVG_POOL, (x,))

    def flatten(self, x: int) -> int:
        """A feature map as a vector."""
        return self.add(_FLATTEN, (x,))

    def linear(self, x: int | Sequence[int], out_features: int, *, bias: bool = True) -> int:
        """A dense layer on one vector, or on several."""
        return self.add(_linear(out_features, bias), (x,) if isinstance(x, int) else x)

    def insert(self, part: Graph, *xs: int) -> int:
        """Append a finished graph that reads `xs`; returns its first output. Its shapes are taken as they are.

        Raises:
            GraphError: the shapes of `xs` are not those of the part's inputs.
        """
        nodes = self._nodes
        n_inputs = len(xs)
        shapes, wanted = [nodes[x].shape for x in xs], [node.shape for node in part.nodes[:n_inputs]]
        if shapes != wanted or part.n_inputs != n_inputs:
            wanted = [node.shape for node in part.nodes[: part.n_inputs]]
            raise GraphError(f"nodes {xs} have shapes {shapes}, the part reads {wanted}")
        shift = len(nodes) - n_inputs
        if n_inputs == 1:
            (x,) = xs
            for operation, inputs, shape in part.nodes[1:]:
                nodes.append(_new(Node, (operation, tuple([i + shift if i else x for i in inputs]), shape)))
        else:
            for operation, inputs, shape in part.nodes[n_inputs:]:
                places = tuple([i + shift if i >= n_inputs else xs[i] for i in inputs])
                nodes.append(Node(operation, places, shape))
        first = part.outputs[0]
        return first + shift if first >= n_inputs else xs[first]

    def stage(self, x: int) -> int:
        """`x`, noted as what the stem, a cell or a block gives."""
        self._stages.append(x)
        return x

    def build(self, outputs: Iterable[int]) -> Graph:
        """The finished graph."""
        return Graph(tuple(self._nodes), tuple(outputs), tuple(self._stages))


@cache
def infer_shape(operation: Operation, inputs: tuple[Shape, ...]) -> Shape:
    """Output shape of `operation` on inputs of these shapes.

    Raises:
        GraphError: wrong number or kind of inputs, or a window larger than the padded input.
    """
    match operation:
        case Sum() | Product() | Concat() | Linear():
            if not inputs:
                raise GraphError("needs at least one input")
        case Blend():
            if len(inputs) != 3:
                raise GraphError(f"takes three inputs, got {len(inputs)}")
        case Input():
            raise GraphError("an input cannot be added to a graph; name all input shapes when its building begins")
        case _ if len(inputs) != 1:
            raise GraphError(f"takes one input, got {len(inputs)}")
    shape = inputs[0]
    match operation:
        case Sum() | Product() | Blend():
            if any(other != shape for other in inputs):
                kind = type(operation).__name__.lower()
                raise GraphError(f"a {kind} needs equal shapes, got {', '.join(map(str, inputs))}")
            return shape
        case Concat():
            if any(len(other) != len(shape) or other[1:] != shape[1:] for other in inputs):
                raise GraphError(f"a concatenation needs equal heights and widths, got {', '.join(map(str, inputs))}")
            return (sum(other[0] for other in inputs), *shape[1:])
        case Conv(out_channels, kernel, stride, padding, dilation, groups):
            channels, *size = _feature_map(shape)
            if channels % groups or out_channels % groups:
                raise GraphError(f"groups {groups} must divide {channels} input and {out_channels} output channels")
            return (out_channels, *map(_window_count, size, kernel, stride, padding, dilation))
        case Zero(every):
            return shape if every == 1 else (shape[0], *[-(-size // every) for size in _feature_map(shape)[1:]])
        case Truncate(n):
            channels, *size = _feature_map(shape)
            if not 0 < n <= channels:
                raise GraphError(f"cannot take the first {n} of {channels} channels")
            return (n, *size)
        case Shift(up, left):
            _channels, height, width = _feature_map(shape)
            if not (0 <= up < height and 0 <= left < width):
                raise GraphError(f"cannot move a map of {height}x{width} by {up} rows and {left} columns")
            return shape
        case AvgPool(kernel, stride, padding) | MaxPool(kernel, stride, padding):
            channels, *size = _feature_map(shape)
            if any(2 * pad > reach for pad, reach in zip(padding, kernel, strict=True)):
                raise GraphError(f"padding {padding} of a pool must be at most half of its window {kernel}")
            return (channels, *map(_window_count, size, kernel, stride, padding, (1, 1)))
        case Flatten():
            return (prod(_feature_map(shape)),)
        case BatchNorm() | GlobalAvgPool():
            channels = _feature_map(shape)[0]
            return shape if isinstance(operation, BatchNorm) else (channels,)
        case Linear(out_features):
            for other in inputs:
                if len(other) != 1:
                    raise GraphError(f"a linear layer reads a vector, got shape {other}")
            return (out_features,)
        case _:
            return shape


def _feature_map(shape: Shape) -> Shape:
    if len(shape) != 3:
        raise GraphError(f"reads a feature map (channels, height, width), got shape {shape}")
    return shape


def _window_count(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    reach = dilation * (kernel - 1) + 1
    if reach > size + 2 * padding:
        raise GraphError(f"window of {reach} is larger than the padded input of {size + 2 * padding}")
    return (size + 2 * padding - reach) // stride + 1


# Operations are values: equal ones are built once and shared, since whole spaces of graphs are built in seconds.
_IDENTITY = Identity()
_BATCH_NORM, _RELU, _SUM, _CONCAT, _GLOBAL_AVG_POOL = BatchNorm(), ReLU(), Sum(), Concat(), GlobalAvgPool()
_RELU6, _FLATTEN = ReLU6(), Flatten()
_LEAKY_RELU, _SIGMOID, _TANH, _PRODUCT, _BLEND = LeakyReLU(), Sigmoid(), Tanh(), Product(), Blend()


@cache
def input_operation(index: int) -> Input:
    """The operation of a graph's input."""
    return Input(index)


@cache
def _conv(
    out_channels: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: int | tuple[int, int] | None,
    dilation: int,
    groups: int,
    bias: bool,
) -> Conv:
    size = _pair(kernel)
    keep = (dilation * (size[0] - 1) // 2, dilation * (size[1] - 1) // 2)
    pad = keep if padding is None else _pair(padding)
    return Conv(out_channels, size, _pair(stride), pad, _pair(dilation), groups, bias)


@cache
def _avg_pool(kernel: int, stride: int, padding: int, count_padding: bool) -> AvgPool:
    return AvgPool(_pair(kernel), _pair(stride), _pair(padding), count_padding)


@cache
def _max_pool(kernel: int, stride: int, padding: int) -> MaxPool:
    return MaxPool(_pair(kernel), _pair(stride), _pair(padding))


_zero, _truncate = cache(Zero), cache(Truncate)


@cache
def _linear(out_features: int, bias: bool) -> Linear:
    return Linear(out_features, bias)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)
