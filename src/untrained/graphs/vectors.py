"""Vectors as feature maps of one position, so that what holds of planes holds of the layers behind a pool too."""

from untrained.errors import GraphError
from untrained.graphs.graph import (
    AvgPool,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    Graph,
    Linear,
    Node,
    Operation,
    Shape,
    Zero,
    infer_shape,
)


def as_maps(graph: Graph) -> Graph:
    """The same function of the images, with maps in place of vectors and a global mean of the first output.

    A global average pool is an average pool of one window, a flattened map is the map itself, and a linear layer that
    reads it is a convolution whose window is the whole map.

    Raises:
        GraphError: what has no such form: vectors as input, several vectors read by one layer, or a concatenation of
            flattened maps.

    >>> from untrained.graphs.graph import GraphBuilder
    >>> b = GraphBuilder((3, 8, 8))
    >>> graph = b.build([b.linear(b.relu(b.linear(b.flatten(b.input), 5)), 2)])
    >>> [type(node.operation).__name__ for node in as_maps(graph).nodes]
    ['Input', 'Conv', 'ReLU', 'Conv', 'GlobalAvgPool']
    """
    nodes: list[Node] = []
    place: list[int] = []
    for node in graph.nodes:
        inputs = tuple([place[i] for i in node.inputs])
        if isinstance(node.operation, Flatten):
            place.append(inputs[0])
            continue
        operation, shape = _as_map(node, [nodes[i].shape for i in inputs])
        place.append(len(nodes))
        nodes.append(Node(operation, inputs, shape))
    output = place[graph.outputs[0]]
    channels, *size = nodes[output].shape
    if size != [1, 1]:
        raise GraphError(
            f"the first output must be pooled features or linear in them, not {graph.nodes[graph.outputs[0]].operation}"
        )
    nodes.append(Node(GlobalAvgPool(), (output,), (channels,)))
    return Graph(tuple(nodes), (len(nodes) - 1,))


def _as_map(node: Node, inputs: list[Shape]) -> tuple[Operation, Shape]:
    operation, _, shape = node
    if isinstance(operation, Zero):  # of any shape, once a graph is simplified
        return operation, shape if len(shape) == 3 else (*shape, 1, 1)
    if not inputs:
        if len(shape) != 3:
            raise GraphError(f"under constant weights, an input of shape {shape} is no feature map")
        return operation, shape
    if isinstance(operation, Linear) and len(inputs) > 1:
        raise GraphError("under constant weights, a linear layer on several vectors is not supported here")
    _, *(height, width) = inputs[0]
    if isinstance(operation, GlobalAvgPool):
        operation = AvgPool((height, width), (1, 1), (0, 0), False)
    elif isinstance(operation, Linear):
        operation = Conv(operation.out_features, (height, width), (1, 1), (0, 0), (1, 1), 1, operation.bias)
    elif isinstance(operation, Concat) and len(shape) == 1 and any(size[1:] != (1, 1) for size in inputs):
        raise GraphError("under constant weights, a concatenation of flattened maps is not supported")
    return operation, infer_shape(operation, tuple(inputs))
