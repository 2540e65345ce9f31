"""The first cell of a network by itself, as thin as it can be."""

from dataclasses import replace
from math import gcd

from untrained.graphs.graph import Conv, Graph, GraphBuilder, Operation, Truncate
from untrained.graphs.recurrent import Recurrent
from untrained.proxies.base import NoScore
from untrained.types import Status


def first_cell(graph: Graph | Recurrent, size: int) -> Graph:
    """What lies between the first two stages, then batch norm and ReLU, for inputs `size` high and wide.

    All numbers of channels are divided by their greatest common divisor: in most spaces the cell then reads one.

    Raises:
        NoScore: the network has no stages, or its first cell reads more than the stem.
        GraphError: the cell cannot read inputs of this size, or cannot be as thin.

    >>> from untrained.spaces.nasbench201 import SPACE
    >>> first_cell(SPACE.graph(SPACE[15624]), 3).input_shape
    (1, 3, 3)
    """
    if isinstance(graph, Recurrent) or len(graph.stages) < 2:
        raise NoScore(Status.UNSUPPORTED, "the network is not made of cells")
    start, end = graph.stages[:2]
    members = _between(graph, start, end)
    unit = gcd(*[graph.nodes[i].shape[0] for i in (start, *members)])
    b = GraphBuilder((graph.nodes[start].shape[0] // unit, size, size))
    place = {start: b.input}
    for i in members:
        operation, inputs, _ = graph.nodes[i]
        place[i] = b.add(_thin(operation, graph.nodes[inputs[0]].shape[0], unit), [place[j] for j in inputs])
    return b.build([b.relu(b.batch_norm(place[end]))])


def _between(graph: Graph, start: int, end: int) -> list[int]:
    """Nodes that `end` depends on and `start` does not, in order."""
    found: set[int] = set()
    todo = [end]
    while todo:
        node = todo.pop()
        if node == start or node in found:
            continue
        if not graph.nodes[node].inputs:
            raise NoScore(Status.UNSUPPORTED, "the first cell reads more than the stem gives")
        found.add(node)
        todo.extend(graph.nodes[node].inputs)
    return sorted(found)


def _thin(operation: Operation, channels: int, unit: int) -> Operation:
    match operation:
        case Conv(out_channels=out, groups=groups):
            groups = channels // unit if groups == channels else groups
            return replace(operation, out_channels=out // unit, groups=groups)
        case Truncate(out):
            return replace(operation, channels=out // unit)
        case _:
            return operation
