"""Random graphs, other ways to write a graph, and isomorphisms found the slow way."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from untrained.errors import GraphError
from untrained.graphs.graph import TRAINABLE, Concat, Graph, GraphBuilder, Node, Sum, Zero
from untrained.graphs.order import commutes
from untrained.graphs.recurrent import Recurrent, resized
from untrained.spaces.nasbench_nlp import SPACE as NLP

# The same examples in every run; no time limit, since the first one compiles.
REPEATABLE = settings(deadline=None, derandomize=True)

KERNELS = (1, 3, 5, (1, 7), (7, 1))


@st.composite
def graphs(draw: Any) -> Graph:
    """Small networks of every operation, with dead ends; pooled features or one or two linear layers come out."""
    b = GraphBuilder((draw(st.integers(1, 3)), draw(st.integers(4, 9)), draw(st.integers(4, 9))))
    maps = [b.input]
    for _ in range(draw(st.integers(2, 14))):
        x = maps[-1 - draw(st.integers(0, min(4, len(maps) - 1)))]
        step = draw(st.sampled_from(STEPS))
        try:
            maps.append(step(draw, b, maps, x))
        except GraphError:  # the window is larger than what is left of the map
            continue
    last = maps[-1 - draw(st.integers(0, min(2, len(maps) - 1)))]
    features = b.global_avg_pool(last)
    top = features
    for depth in range(draw(st.integers(0, 2))):
        read = b.flatten(last) if depth == 0 and draw(st.booleans()) else top
        top = b.linear(read, draw(st.integers(1, 4)), bias=draw(st.booleans()))
        if draw(st.booleans()):
            top = draw(st.sampled_from([b.relu, b.relu6]))(top)
    return b.build(draw(st.sampled_from([[top], [features, top], [top, features]])))


def conv(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    kernel = draw(st.sampled_from(KERNELS))
    return b.conv(
        x,
        draw(st.integers(1, 4)),
        kernel=kernel,
        stride=draw(st.integers(1, 2)),
        padding=draw(st.sampled_from([None, None, None, 0])),
        dilation=draw(st.sampled_from([1, 1, 2])),
        bias=draw(st.booleans()),
    )


def depthwise(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    channels = b.shape(x)[0]
    return b.conv(x, channels, kernel=draw(st.sampled_from(KERNELS)), stride=draw(st.integers(1, 2)), groups=channels)


def relu_conv_norm(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    return b.batch_norm(b.conv(b.relu(x), b.shape(x)[0], kernel=draw(st.sampled_from((1, 3)))))


def batch_norm(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    return b.batch_norm(x)


def relu(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    return b.relu(x)


def relu6(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    return b.relu6(x)


def skip(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    return b.identity(x)


def zero(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    return b.zero(x)


def total(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    alike = [y for y in maps if b.shape(y) == b.shape(x)]
    return b.sum(draw(st.lists(st.sampled_from(alike), min_size=1, max_size=4)))


def concat(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    alike = [y for y in maps if b.shape(y)[1:] == b.shape(x)[1:] and b.shape(y)[0] <= 6]
    return b.concat(draw(st.lists(st.sampled_from(alike), min_size=1, max_size=3))) if alike else x


def truncate(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    return b.truncate(x, draw(st.integers(1, b.shape(x)[0])))


def halve(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    """Every second position of a map and of the map moved by one, side by side."""
    _channels, height, width = b.shape(x)
    if height % 2 or width % 2:
        return x
    shifted = b.shift(x, up=1, left=1)
    parts = [b.conv(y, draw(st.integers(1, 3)), kernel=1, stride=2) for y in (x, shifted)]
    return b.batch_norm(b.concat(parts))


def avg_pool(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    kernel, padding = draw(st.sampled_from([(2, 0), (2, 1), (3, 0), (3, 1)]))
    count_padding = draw(st.booleans())
    return b.avg_pool(x, kernel=kernel, padding=padding, stride=draw(st.integers(1, 2)), count_padding=count_padding)


def max_pool(draw: Any, b: GraphBuilder, maps: list[int], x: int) -> int:
    kernel, padding = draw(st.sampled_from([(2, 0), (2, 1), (3, 0), (3, 1)]))
    return b.max_pool(x, kernel=kernel, padding=padding, stride=draw(st.integers(1, 2)))


Step = Callable[[Any, GraphBuilder, list[int], int], int]
STEPS: list[Step] = [conv, depthwise, batch_norm, relu, skip, zero, total, concat, avg_pool, max_pool, truncate, halve]
STEPS += [relu6, conv, relu_conv_norm, relu_conv_norm, total]  # more of what networks are made of


def rewritten(graph: Graph, rng: np.random.Generator) -> Graph:
    """The same graph with its nodes in another topological order and its summands in another order."""
    waiting = [len(set(node.inputs)) for node in graph.nodes]
    readers = graph.consumers()
    ready, order = [0], []
    while ready:
        position = ready.pop(int(rng.integers(len(ready))))
        order.append(position)
        for reader in set(readers[position]):
            waiting[reader] -= 1
            if not waiting[reader]:
                ready.append(reader)
    place = {old: new for new, old in enumerate(order)}
    nodes = []
    for old in order:
        operation, inputs, shape = graph.nodes[old]
        places = [place[i] for i in inputs]
        if isinstance(operation, Sum):
            rng.shuffle(places)
        nodes.append(Node(operation, tuple(places), shape))
    return Graph(tuple(nodes), tuple(place[o] for o in graph.outputs))


def layers(graph: Graph) -> list[int]:
    """Positions of the trainable operations."""
    return [i for i, node in enumerate(graph.nodes) if isinstance(node.operation, TRAINABLE)]


def live_layers(graph: Graph) -> list[int]:
    """Positions of the trainable operations that read something other than zeros and reach an output."""
    filled: list[bool] = []
    for operation, inputs, _ in graph.nodes:
        filled.append(not isinstance(operation, Zero) and (not inputs or any(filled[i] for i in inputs)))
    needed = set(graph.outputs)
    for position in range(len(graph.nodes) - 1, -1, -1):
        if position in needed and filled[position]:
            needed.update(graph.nodes[position].inputs)
    return [i for i in layers(graph) if i in needed and filled[i]]


def isomorphism(a: Graph, b: Graph) -> list[int] | None:
    """Of each node of `a` its image in `b`, by trying; None where there is none. Summands are unordered."""
    if len(a.nodes) != len(b.nodes):
        return None
    image: list[int] = []

    def fits(i: int, j: int) -> bool:
        (operation, inputs, shape), other = a.nodes[i], b.nodes[j]
        mapped = [image[k] for k in inputs]
        unordered = isinstance(operation, Sum) or operation == Concat(ordered=False)
        return (operation, shape) == (other.operation, other.shape) and (
            sorted(mapped) == sorted(other.inputs) if unordered else tuple(mapped) == other.inputs
        )

    def extend(i: int) -> bool:
        if i == len(a.nodes):
            return [image[o] for o in a.outputs] == list(b.outputs)
        for j in range(len(b.nodes)):
            if j not in image and fits(i, j):
                image.append(j)
                if extend(i + 1):
                    return True
                image.pop()
        return False

    return image if extend(0) else None


# Recurrent networks ---------------------------------------------------------------------------------------------------

SEEDS = st.integers(0, 2**32 - 1)


def recurrent(seed: int, sizes: tuple[int, ...] = (5, 7, 7, 5), vocabulary: int = 11, steps: int = 4) -> Recurrent:
    """A random network of NAS-Bench-NLP in small sizes."""
    (arch,) = NLP.sample(np.random.default_rng(seed), 1)
    cell = NLP.cell(arch)
    return Recurrent(resized(cell, sizes[0], sizes[1]), sizes, vocabulary, steps)


def restated(network: Recurrent, rng: np.random.Generator) -> Recurrent:
    """The same network with its states but the first in another order, and operands in another order."""
    cell, n_inputs = network.cell, network.cell.n_inputs
    order = [0, *(1 + rng.permutation(n_inputs - 2)).tolist()]  # of the states
    place = {0: 0, **{1 + old: 1 + new for new, old in enumerate(order)}}
    nodes = list(cell.nodes[:n_inputs])
    for i, (operation, inputs, shape) in enumerate(cell.nodes[n_inputs:], start=n_inputs):
        read = [place[source] for source in inputs]
        if commutes(operation):
            read = [read[k] for k in rng.permutation(len(read))]
        place[i] = i
        nodes.append(Node(operation, tuple(read), shape))
    outputs = tuple(place[cell.outputs[state]] for state in order)
    return Recurrent(Graph(tuple(nodes), outputs), network.sizes, network.vocabulary, network.steps)
