"""What a network costs: parameters, multiply-accumulates, depth, and how often each operation occurs."""

from collections import Counter
from functools import cache

from untrained.graphs.graph import BatchNorm, Conv, Graph, Linear, Node, Operation, Shape
from untrained.graphs.recurrent import Recurrent


def n_params(network: Graph | Recurrent) -> int:
    """Trainable numbers: weights and biases of convolutions and linear layers, scale and shift of batch norms.

    Of a recurrent network also the embedding and the decoder, whose weights are the same, with its bias.

    >>> from untrained.graphs.graph import GraphBuilder
    >>> b = GraphBuilder((3, 8, 8))
    >>> n_params(b.build([b.batch_norm(b.conv(b.input, 4, kernel=3))]))
    116
    """
    if isinstance(network, Recurrent):
        return sum(map(n_params, network.layers())) + network.vocabulary * (network.sizes[-1] + 1)
    nodes = network.nodes
    return sum([_n_params(operation, _read(nodes, inputs)) for operation, inputs, _ in nodes if inputs])


def n_flops(network: Graph | Recurrent) -> int:
    """Multiply-accumulates of convolutions and linear layers for one image, additions of biases included.

    This is the "FLOPs" of the NAS-Bench-201 and NATS-Bench files, which count norms, activations and pools as free. Of
    a recurrent network those for one text, all its steps, decoder included.
    """
    if isinstance(network, Recurrent):
        return network.steps * (sum(map(n_flops, network.layers())) + network.vocabulary * (network.sizes[-1] + 1))
    nodes = network.nodes
    return sum([_n_flops(operation, _read(nodes, inputs), shape) for operation, inputs, shape in nodes if inputs])


def depth(network: Graph | Recurrent) -> int:
    """Convolutions and linear layers on the longest path to an output.

    Of a recurrent network those on the longest path through all its layers in one step, decoder included.
    """
    if isinstance(network, Recurrent):
        x = 0
        for cell in network.layers():
            x = _depths(cell, x)[cell.outputs[0]]
        return x + 1
    depths = _depths(network, 0)
    return max(depths[o] for o in network.outputs)


def operation_counts(network: Graph | Recurrent) -> dict[str, int]:
    """How often each kind of operation occurs, e.g. {"Conv 3x3": 5, "BatchNorm": 5}; inputs of cells left out."""
    if isinstance(network, Recurrent):
        counts = Counter(["Embedding"])
        for cell in network.layers():
            counts.update(operation_counts(Graph(cell.nodes[cell.n_inputs :], cell.outputs)))
        return dict(counts + Counter(["Linear"]))
    return dict(Counter(_kind(node.operation) for node in network.nodes))


def _depths(graph: Graph, x: int) -> list[int]:
    """Of every node, where the first input is `x` deep and the others 0."""
    depths: list[int] = []
    for operation, inputs, _ in graph.nodes:
        longest = max([depths[i] for i in inputs], default=0 if depths else x)
        depths.append(longest + isinstance(operation, Conv | Linear))
    return depths


def _read(nodes: tuple[Node, ...], inputs: tuple[int, ...]) -> Shape:
    """The shape of what is read; several vectors are as good as one, joined."""
    return nodes[inputs[0]].shape if len(inputs) == 1 else (sum([nodes[i].shape[0] for i in inputs]),)


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
