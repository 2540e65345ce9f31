"""Parts that several spaces are built of: the blocks and the cell of NAS-Bench-201 and NATS-Bench."""

from collections.abc import Sequence

from untrained.errors import GraphError
from untrained.graphs.graph import Graph, GraphBuilder, Shape

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


def relu_conv_bn(b: GraphBuilder, x: int, channels: int, *, kernel: int, stride: int = 1) -> int:
    """ReLU, convolution without bias, batch norm."""
    return b.batch_norm(b.conv(b.relu(x), channels, kernel=kernel, stride=stride, padding=kernel // 2))


def residual_block(b: GraphBuilder, x: int, channels: int) -> int:
    """Two 3x3 convolutions, the first of stride 2, beside a mean over 2x2 and a 1x1 convolution."""
    deep = relu_conv_bn(b, relu_conv_bn(b, x, channels, kernel=3, stride=2), channels, kernel=3)
    short = b.conv(b.avg_pool(x, kernel=2, stride=2), channels, kernel=1)
    return b.sum([deep, short])


def cell(shape: Shape, operations: Sequence[str], channels: int) -> Graph:
    """Four nodes; each is the sum of one operation on every node before it.

    Args:
        shape: the feature map that the cell reads, (channels, height, width).
        operations: names, one for each of EDGES.
        channels: of the cell's output; where they are not those of its input, a skip is a 1x1 convolution and a norm.

    Raises:
        GraphError: no such operation, or "none" or a pool would have to change the number of channels.
    """
    b = GraphBuilder(shape)
    nodes = [b.input]
    edge = 0
    for node in (1, 2, 3):
        incoming = []
        for source in range(node):
            incoming.append(_edge(b, nodes[source], channels, operations[edge]))
            edge += 1
        nodes.append(b.sum(incoming))
    return b.build(nodes[-1:])


def _edge(b: GraphBuilder, x: int, channels: int, operation: str) -> int:
    kept = b.shape(x)[0] == channels
    match operation:
        case "nor_conv_1x1":
            return relu_conv_bn(b, x, channels, kernel=1)
        case "nor_conv_3x3":
            return relu_conv_bn(b, x, channels, kernel=3)
        case "skip_connect":
            return b.identity(x) if kept else b.batch_norm(b.conv(x, channels, kernel=1))
        case "none" if kept:
            return b.zero(x)
        case "avg_pool_3x3" if kept:
            return b.avg_pool(x, kernel=3, padding=1)
    raise GraphError(f"no edge {operation!r} leads from {b.shape(x)[0]} to {channels} channels")
