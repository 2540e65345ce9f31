"""What a graph costs: parameters, multiply-accumulates, depth, and how often each operation occurs."""

from collections import Counter
from functools import cache

from untrained.graphs.graph import BatchNorm, Conv, Graph, Linear, Operation, Shape


def n_params(graph: Graph) -> int:
    """Trainable numbers: weights and biases of convolutions and linear layers, scale and shift of batch norms.

    >>> from untrained.graphs.graph import GraphBuilder
    >>> b = GraphBuilder((3, 8, 8))
    >>> n_params(b.build([b.batch_norm(b.conv(b.input, 4, kernel=3))]))
    116
    """
    nodes = graph.nodes
    return sum([_n_params(operation, nodes[inputs[0]].shape) for operation, inputs, _ in nodes if inputs])


def n_flops(graph: Graph) -> int:
    """Multiply-accumulates of convolutions and linear layers for one image, additions of biases included.

    This is the "FLOPs" of the NAS-Bench-201 and NATS-Bench files, which count norms, activations and pools as free.
    """
    nodes = graph.nodes
    return sum([_n_flops(operation, nodes[inputs[0]].shape, shape) for operation, inputs, shape in nodes if inputs])


def depth(graph: Graph) -> int:
    """Convolutions and linear layers on the longest path to an output."""
    depths: list[int] = []
    for operation, inputs, _ in graph.nodes:
        longest = max([depths[i] for i in inputs], default=0)
        depths.append(longest + isinstance(operation, Conv | Linear))
    return max(depths[o] for o in graph.outputs)


def operation_counts(graph: Graph) -> dict[str, int]:
    """How often each kind of operation occurs, e.g. {"Conv 3x3": 5, "BatchNorm": 5}."""
    return dict(Counter(_kind(node.operation) for node in graph.nodes))


def _kind(operation: Operation) -> str:
    kernel = getattr(operation, "kernel", None)
    return type(operation).__name__ + (f" {kernel[0]}x{kernel[1]}" if kernel else "")


@cache
def _n_params(operation: Operation, shape: Shape) -> int:
    match operation:
        case Conv(out_channels, kernel, groups=groups, bias=bias):
            return out_channels * (shape[0] // groups * kernel[0] * kernel[1] + bias)
        case BatchNorm():
            return 2 * shape[0]
        case Linear(out_features, bias):
            return out_features * (shape[0] + bias)
        case _:
            return 0


@cache
def _n_flops(operation: Operation, shape: Shape, out: Shape) -> int:
    match operation:
        case Conv(out_channels, kernel, groups=groups, bias=bias):
            return out[1] * out[2] * out_channels * (shape[0] // groups * kernel[0] * kernel[1] + bias)
        case Linear(out_features, bias):
            return out_features * (shape[0] + bias)
        case _:
            return 0
