"""Orders and digests of nodes that do not depend on how a network was written."""

import hashlib
from functools import lru_cache

from untrained.graphs.graph import Concat, Graph, Linear, Node, Operation, Product, Shape, Sum

_COMMUTING = (Sum, Product, Linear)


def commutes(operation: Operation) -> bool:
    """Whether the order of its inputs does not matter; those of a linear layer have weights of their own."""
    return type(operation) in _COMMUTING or (isinstance(operation, Concat) and not operation.ordered)


@lru_cache(maxsize=65536)
def label(operation: Operation, shape: Shape) -> str:
    """An operation and what it gives, in text."""
    return f"{operation}{shape}"


def expression_digests(graph: Graph) -> list[bytes]:
    """For every node a digest of the whole expression it stands for, summands sorted."""
    digests: list[bytes] = []
    for operation, inputs, shape in graph.nodes:
        parts = [digests[i] for i in inputs]
        if len(parts) > 1 and commutes(operation):
            parts.sort()
        digests.append(hashlib.blake2b(label(operation, shape).encode() + b"".join(parts), digest_size=16).digest())
    return digests


def expressions(graph: Graph) -> tuple[list[int], list[tuple[int, int]]]:
    """For every node a number that equal expressions share, and a place in an order of expressions.

    The order, deepest first, then by a hash, does not depend on how the graph was written. Operations hash alike in
    every process, since they hold nothing but whole numbers.
    """
    known: dict[tuple[Operation, Shape, tuple[int, ...]], int] = {}
    numbers: list[int] = []
    order: list[tuple[int, int]] = []  # minus the longest path from an input, and the hash
    for operation, inputs, shape in graph.nodes:
        if len(inputs) == 1:
            (source,) = inputs
            number = known.setdefault((operation, shape, (numbers[source],)), len(known))
            height, digest = order[source]
            order.append((height - 1, hash((operation, shape, digest))))
        else:
            parts = [numbers[i] for i in inputs]
            digests = [order[i][1] for i in inputs]
            if commutes(operation):
                parts.sort()
                digests.sort()
            number = known.setdefault((operation, shape, tuple(parts)), len(known))
            height = min([order[i][0] for i in inputs], default=1) - 1
            order.append((height, hash((operation, shape, tuple(digests)))))
        numbers.append(number)
    return numbers, order


def ordered(graph: Graph) -> Graph:
    """The same network with its nodes in an order that does not depend on how it was written.

    Depth first from the outputs; among inputs that commute those come first whose digest of what they compute is least,
    then of what reads them. Equal networks give equal graphs: what is drawn or added node by node is then the same for
    all of them, to the last bit. (Only a partial sum that something else reads may be associated in two ways.)

    >>> from untrained.graphs.graph import GraphBuilder
    >>> def one(first, second):
    ...     b = GraphBuilder((3, 8, 8))
    ...     branches = [b.conv(b.input, 4, kernel=kernel) for kernel in (first, second)]
    ...     return b.build([b.sum(branches)])
    >>> ordered(one(1, 3)) == ordered(one(3, 1)), one(1, 3) == one(3, 1)
    (True, False)
    """
    below = expression_digests(graph)
    above = _reader_digests(graph, below)
    place = {i: i for i in range(graph.n_inputs)}
    nodes = list(graph.nodes[: graph.n_inputs])
    for output in graph.outputs:
        todo = [output]
        while todo:
            current = todo[-1]
            operation, inputs, shape = graph.nodes[current]
            missing = [i for i in inputs if i not in place]
            if current in place:
                todo.pop()
            elif missing:
                todo.append(min(missing, key=lambda i: (below[i], above[i])) if commutes(operation) else missing[0])
            else:
                places = [place[i] for i in inputs]
                place[todo.pop()] = len(nodes)
                nodes.append(Node(operation, tuple(sorted(places) if commutes(operation) else places), shape))
    return Graph(tuple(nodes), tuple([place[o] for o in graph.outputs]))


def _reader_digests(graph: Graph, below: list[bytes]) -> list[bytes]:
    """For every node a digest of all that reads it, up to the outputs."""
    notes: list[list[bytes]] = [[] for _ in graph.nodes]
    digests = [b""] * len(graph.nodes)
    for number, output in enumerate(graph.outputs):
        notes[output].append(b"output%d" % number)
    for i in range(len(graph.nodes) - 1, -1, -1):
        digests[i] = hashlib.blake2b(b"".join(sorted(notes[i])), digest_size=16).digest()
        operation, inputs, _ = graph.nodes[i]
        for slot, source in enumerate(inputs):
            notes[source].append(below[i] + digests[i] + (b"" if commutes(operation) else b"%d" % slot))
    return digests
