"""Canonical labelling: the graph written in an order that equal networks share."""

from typing import Any

from untrained.graphs.graph import Graph
from untrained.graphs.order import commutes, label

Certificate = tuple[tuple[tuple[str, tuple[int, ...]], ...], tuple[int, ...]]


def certificate(graph: Graph) -> Certificate:
    """The graph written in a canonical order of its nodes: equal for isomorphic graphs and for no others.

    Colour refinement by the colours of inputs and readers; where nodes stay alike, each is singled out in turn and
    the least result kept. A candidate whose result equals the first one's is its image under an automorphism, so that
    its subtree need not be searched: twins cost a refinement each, not a doubling.
    """
    readers = graph.consumers()
    labels = [label(node.operation, node.shape) for node in graph.nodes]
    final = {o: i for i, o in enumerate(graph.outputs)}
    start = _ranks([(label, final.get(i, -1)) for i, label in enumerate(labels)])
    return _search(graph, readers, labels, _refine(graph, readers, start))


def _ranks(signatures: list[Any]) -> list[int]:
    order = {signature: rank for rank, signature in enumerate(sorted(set(signatures)))}
    return [order[signature] for signature in signatures]


def _refine(graph: Graph, readers: list[list[int]], colours: list[int]) -> list[int]:
    count = len(set(colours))
    while count < len(colours):
        colours = _ranks(
            [
                (
                    colours[i],
                    tuple(sorted([colours[j] for j in node.inputs])),
                    tuple(sorted([colours[j] for j in readers[i]])),
                )
                for i, node in enumerate(graph.nodes)
            ]
        )
        refined = len(set(colours))
        if refined == count:
            break
        count = refined
    return colours


def _search(graph: Graph, readers: list[list[int]], labels: list[str], colours: list[int]) -> Certificate:
    tied = _first_tie(colours)
    if not tied:
        return _written(graph, labels, colours)
    branches = [_refine(graph, readers, _singled_out(colours, node)) for node in tied]
    leaf = _leftmost(graph, readers, labels, branches[0])
    distinct = [b for b in branches[1:] if _leftmost(graph, readers, labels, b) != leaf]
    return min(_search(graph, readers, labels, branch) for branch in [branches[0], *distinct])


def _leftmost(graph: Graph, readers: list[list[int]], labels: list[str], colours: list[int]) -> Certificate:
    while tied := _first_tie(colours):
        colours = _refine(graph, readers, _singled_out(colours, tied[0]))
    return _written(graph, labels, colours)


def _first_tie(colours: list[int]) -> list[int]:
    members: dict[int, list[int]] = {}
    for node, colour in enumerate(colours):
        members.setdefault(colour, []).append(node)
    return min(((c, m) for c, m in members.items() if len(m) > 1), default=(0, []))[1]


def _singled_out(colours: list[int], node: int) -> list[int]:
    return [2 * colour + (i != node and colour == colours[node]) for i, colour in enumerate(colours)]


def _written(graph: Graph, labels: list[str], colours: list[int]) -> Certificate:
    order = sorted(range(len(colours)), key=colours.__getitem__)
    place = {node: rank for rank, node in enumerate(order)}
    rows = []
    for i in order:
        inputs = [place[j] for j in graph.nodes[i].inputs]
        rows.append((labels[i], tuple(sorted(inputs) if commutes(graph.nodes[i].operation) else inputs)))
    return tuple(rows), tuple([place[o] for o in graph.outputs])
