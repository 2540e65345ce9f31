"""When are two graphs the same network? Two keys, never mixed up.

`key`: equal trainable network. Skips are the identity, sums flatten and commute with multiplicity kept, zeros and
dead branches vanish, parameter-free operations on equal inputs merge; separate trainable layers stay separate, so
that equality is isomorphism of labelled directed acyclic graphs.

`width1_key`: equal function under constant weights. There, two convolutions of one input are one function, so every
operation on equal inputs merges and equality is equality of expressions.
"""

import hashlib
from itertools import permutations
from typing import TypeVar

from untrained.graphs.graph import (
    GELU,
    TRAINABLE,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    GlobalAvgPool,
    Graph,
    Hardswish,
    Identity,
    Input,
    Linear,
    MaxPool,
    Node,
    Operation,
    Product,
    ReLU,
    ReLU6,
    Shape,
    Shift,
    Sigmoid,
    SiLU,
    Sum,
    Zero,
    input_operation,
)
from untrained.graphs.labelling import certificate
from untrained.graphs.order import commutes, expression_digests
from untrained.graphs.recurrent import Recurrent, resized

N = TypeVar("N", Graph, Recurrent, Graph | Recurrent)


def simplify(network: N) -> N:
    """The live part of a network: what is computed, once, and reaches an output.

    Skips are resolved, zeros are carried through (a convolution or norm of zeros counts as zeros: all that is lost is
    a trainable constant), equal parameter-free operations are merged, and sums that only sums read are folded into
    their readers. Concatenations whose order of channels no reader can tell are marked as such. An output that is
    always zero is a Zero node. A recurrent network keeps the states that reach its output, see `live_cell`, and, where
    these do not depend on x, the last layer alone. Idempotent.
    """
    if isinstance(network, Recurrent):
        return _live_layers(network)
    graph = _merge(network)
    while inner := _sums_read_by_sums_only(graph):
        graph = _merge(_fold(graph, inner))
    if free := _concats_in_any_order(graph):
        graph = _unordered(graph, free)
        if len({graph.nodes[i].inputs for i in free}) < len(free):
            graph = _merge(graph)
    return graph


def key(network: Graph | Recurrent) -> str:
    """Identity of the trainable network: equal if and only if the flattened graphs are isomorphic.

    32 hexadecimal digits; independent of the order in which nodes or summands were written. Of a recurrent network the
    identity of the live cell alone, without number and sizes of layers.
    """
    graph = live_cell(network.cell) if isinstance(network, Recurrent) else simplify(network)
    return _hexdigest(repr(certificate(flatten(graph))).encode())


def width1_key(network: Graph | Recurrent) -> str:
    """Identity of the function computed when all weights are one constant. 32 hexadecimal digits, as in `key`."""
    if isinstance(network, Recurrent):
        return _function(*width1_cell(network.cell))
    graph = flatten(simplify(network))
    return _function(graph, expression_digests(graph))


def _function(graph: Graph, digests: list[bytes]) -> str:
    return _hexdigest(b"".join([digests[i] for i in graph.outputs]))


def _hexdigest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _merge(graph: Graph) -> Graph:
    """Resolve skips, carry zeros through, merge equal parameter-free operations, drop what reaches no output."""
    nodes: list[Node] = []
    place: list[int] = []  # of each old node: its new position, or _NOTHING
    known: dict[tuple[Operation, tuple[int, ...], Shape], int] = {}

    def put(operation: Operation, inputs: tuple[int, ...], shape: Shape) -> int:
        position = known.setdefault((operation, inputs, shape), len(nodes))
        if position == len(nodes):
            nodes.append(Node(operation, inputs, shape))
        return position

    def zeros(old: int) -> int:
        return put(_ZERO, (0,), graph.nodes[old].shape)

    for operation, old_inputs, shape in graph.nodes:
        kind = type(operation)
        if len(old_inputs) == 1:
            source = place[old_inputs[0]]
            if source == _NOTHING and kind is Sigmoid:
                place.append(put(operation, (zeros(old_inputs[0]),), shape))
            elif source == _NOTHING or kind is Zero:
                place.append(_NOTHING)
            elif kind in _TRANSPARENT:
                place.append(source)
            elif kind in TRAINABLE:
                place.append(len(nodes))
                nodes.append(Node(operation, (source,), shape))
            else:
                place.append(put(operation, (source,), shape))
            continue
        inputs = [place[i] for i in old_inputs]
        live = [i for i in inputs if i != _NOTHING]
        if old_inputs and (not live or (kind is Product and len(live) < len(inputs))):
            place.append(_NOTHING)
        elif kind is Sum:
            place.append(live[0] if len(live) == 1 else put(operation, tuple(sorted(live)), shape))
        elif kind is Product:
            place.append(put(operation, tuple(sorted(live)), shape))
        elif kind in TRAINABLE:
            place.append(len(nodes))
            nodes.append(Node(operation, tuple(live), shape))
        elif old_inputs:  # a concatenation or a blend
            filled = [zeros(old) if new == _NOTHING else new for old, new in zip(old_inputs, inputs, strict=True)]
            place.append(put(operation, tuple(sorted(filled) if commutes(operation) else filled), shape))
        else:
            place.append(put(operation, (), shape))
    outputs = tuple([zeros(o) if place[o] == _NOTHING else place[o] for o in graph.outputs])
    return pruned(Graph(tuple(nodes), outputs))


_NOTHING = -1
_SORTED = (Sum, Product)  # whose inputs stand in ascending order once merged
_TRANSPARENT = (Identity, Sum, Product, Concat)  # with one input, these are that input
_ZERO = Zero()
_UNORDERED = Concat(ordered=False)


def pruned(graph: Graph) -> Graph:
    """Drop nodes that reach no output; inputs stay."""
    live = [type(node.operation) is Input for node in graph.nodes]
    for output in graph.outputs:
        live[output] = True
    for position in range(len(graph.nodes) - 1, 0, -1):
        if live[position]:
            for source in graph.nodes[position].inputs:
                live[source] = True
    if all(live):
        return graph
    place: list[int] = []
    nodes: list[Node] = []
    for alive, (operation, inputs, shape) in zip(live, graph.nodes, strict=True):
        place.append(len(nodes))
        if alive:
            nodes.append(Node(operation, tuple([place[i] for i in inputs]), shape))
    return Graph(tuple(nodes), tuple([place[o] for o in graph.outputs]))


def _sums_read_by_sums_only(graph: Graph) -> frozenset[int]:
    sums = {i for i, node in enumerate(graph.nodes) if type(node.operation) is Sum}
    if not sums:
        return frozenset()
    read_otherwise = set(graph.outputs)
    for position, node in enumerate(graph.nodes):
        if position not in sums:
            read_otherwise.update(node.inputs)
    return frozenset(sums - read_otherwise)


_CHANNELWISE = (ReLU, ReLU6, SiLU, GELU, Hardswish, BatchNorm, AvgPool, MaxPool, GlobalAvgPool, Shift, Concat)


def _concats_in_any_order(graph: Graph) -> list[int]:
    """Concatenations that only full convolutions and linear layers read, or channelwise operations that these read.

    With its channels in another order such a network is the same: the layers' weights change places with them. A sum
    may add what comes from a convolution and is read nowhere else, whose channels change places as well.
    """
    concats = [i for i, node in enumerate(graph.nodes) if type(node.operation) is Concat]
    if not concats:
        return []
    free = [True] * len(graph.nodes)
    readings = [0] * len(graph.nodes)
    for node in graph.nodes:
        for source in node.inputs:
            readings[source] += 1
    for output in graph.outputs:
        free[output] = False
        readings[output] += 1

    def movable(position: int) -> bool:
        operation, inputs, _ = graph.nodes[position]
        if readings[position] > 1:
            return False
        if isinstance(operation, Conv):
            return operation.groups == 1
        return type(operation) in _CHANNELWISE and len(inputs) == 1 and movable(inputs[0])

    for position in range(len(graph.nodes) - 1, concats[0], -1):
        operation, inputs, _ = graph.nodes[position]
        mixes = passes = False
        if isinstance(operation, Conv):
            mixes = operation.groups == 1
            passes = operation.groups == operation.out_channels == graph.nodes[inputs[0]].shape[0]
        elif free[position]:
            passes = type(operation) in _CHANNELWISE
            if type(operation) is Sum:
                passes = sum([not movable(source) for source in inputs]) <= 1
        if not (mixes or (passes and free[position]) or type(operation) is Linear):
            for source in inputs:
                free[source] = False
    return [i for i in concats if free[i] and graph.nodes[i].operation == Concat()]


def _unordered(graph: Graph, concats: list[int]) -> Graph:
    nodes = list(graph.nodes)
    for i in concats:
        nodes[i] = Node(_UNORDERED, tuple(sorted(nodes[i].inputs)), nodes[i].shape)
    return Graph(tuple(nodes), graph.outputs)


def _fold(graph: Graph, inner: frozenset[int]) -> Graph:
    """Replace every sum in `inner`, where another sum reads it, by its summands."""
    summands: dict[int, tuple[int, ...]] = {}
    nodes = list(graph.nodes)
    for position, node in enumerate(nodes):
        if not isinstance(node.operation, Sum):
            continue
        inputs = node.inputs
        if not inner.isdisjoint(inputs):
            inputs = tuple([leaf for i in inputs for leaf in (summands[i] if i in inner else (i,))])
            nodes[position] = Node(node.operation, inputs, node.shape)
        summands[position] = inputs
    return Graph(tuple(nodes), graph.outputs)


def flatten(graph: Graph) -> Graph:
    """Write every sum in terms of what is not a sum, so that no association of summands can be told from another."""
    while True:
        sums = frozenset([i for i, node in enumerate(graph.nodes) if type(node.operation) is Sum])
        if all(sums.isdisjoint(graph.nodes[i].inputs) for i in sums):
            return graph
        graph = _merge(_fold(graph, sums))


# --- recurrent cells -----------------------------------------------------------------------------------------------


def live_cell(cell: Graph) -> Graph:
    """The part of a recurrent cell on which its first state depends, now or in later steps, simplified.

    Inputs are x and the previous states, outputs the new ones. States that never reach the first one vanish. The others
    are numbered in an order of their own, so that cells that differ in the numbering alone have equal keys.
    """
    cell = _live_states(cell)
    if len(cell.outputs) < 3:
        return cell
    forms = [(width1_key(numbered), numbered) for numbered in _numberings(cell)]
    least = min([function for function, _ in forms])
    best = [numbered for function, numbered in forms if function == least]
    return best[0] if len(best) == 1 else min(best, key=key)


def width1_cell(cell: Graph) -> tuple[Graph, list[bytes]]:
    """The flattened live cell, numbered for `width1_key`, and its expression digests."""
    flat = flatten(_live_states(cell))
    if len(flat.outputs) < 3:
        return flat, expression_digests(flat)
    return min([(graph, expression_digests(graph)) for graph in _numberings(flat)], key=lambda form: _function(*form))


def _live_states(cell: Graph) -> Graph:
    cell = simplify(cell)
    reach: list[int] = []  # of every node the inputs it depends on, as bits
    for i, node in enumerate(cell.nodes):
        bits = 0 if node.inputs else 1 << i
        for source in node.inputs:
            bits |= reach[source]
        reach.append(bits)
    live, todo = 1, reach[cell.outputs[0]] >> 1  # states, as bits
    while todo & ~live:
        live |= todo
        for state, output in enumerate(cell.outputs):
            todo |= reach[output] >> 1 if live >> state & 1 else 0
    states = [state for state in range(len(cell.outputs)) if live >> state & 1]
    return cell if len(states) == len(cell.outputs) else simplify(_renumbered(cell, states))


def _numberings(cell: Graph) -> list[Graph]:
    """The cell with its states in every order, the first state first."""
    return [_renumbered(cell, [0, *rest]) for rest in permutations(range(1, len(cell.outputs)))]


def _renumbered(cell: Graph, states: list[int]) -> Graph:
    """The cell with these of its states, in this order."""
    n_inputs = cell.n_inputs
    place = {0: 0, **{1 + old: 1 + new for new, old in enumerate(states)}}
    nodes = [cell.nodes[0], *[Node(input_operation(1 + new), (), cell.nodes[1].shape) for new in range(len(states))]]
    for i, (operation, inputs, shape) in enumerate(cell.nodes[n_inputs:], start=n_inputs):
        if all(source in place for source in inputs):  # what reads another state is not read by these
            places = [place[source] for source in inputs]
            place[i] = len(nodes)
            nodes.append(Node(operation, tuple(sorted(places) if type(operation) in _SORTED else places), shape))
    return Graph(tuple(nodes), tuple([place[cell.outputs[state]] for state in states]))


def _live_layers(network: Recurrent) -> Recurrent:
    cell, sizes = live_cell(network.cell), network.sizes
    if not any(0 in node.inputs and isinstance(node.operation, Linear) for node in cell.nodes):
        cell, sizes = resized(cell, sizes[-1], sizes[-1]), sizes[-1:] * 2
    return Recurrent(cell, sizes, network.vocabulary, network.steps)
