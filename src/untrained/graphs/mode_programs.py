"""From a graph to one program for all modes: planes as in `lowering`, with what modes may switch marked.

Rectifiers and norms stay in the program; the kernel heeds them or not. So a network is lowered once, and what it is
lowered to does not depend on the modes asked for.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from untrained.errors import GraphError
from untrained.graphs.canonical import simplify
from untrained.graphs.graph import (
    GELU,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    Graph,
    Hardswish,
    Identity,
    Input,
    LeakyReLU,
    Node,
    Operation,
    Product,
    ReLU,
    ReLU6,
    Shape,
    Sigmoid,
    SiLU,
    Sum,
    Zero,
)
from untrained.graphs.lowering import Lowering, ends_pooled
from untrained.graphs.planes import Plane, Term, Value, check_windows
from untrained.graphs.vectors import as_maps

RECTIFIERS = (ReLU, ReLU6, SiLU, GELU, Hardswish, LeakyReLU)  # what a mode may switch off
_CURVED = (SiLU, GELU, Hardswish, LeakyReLU)  # of these, what cannot be evaluated switched on


class Given(NamedTuple):
    """A plane that depends on the images alone: one channel of them, or a window's sums of all of them.

    Without a kernel it is the channel `fan_in`; with one, what a convolution of the images with mean filters gives,
    times its fan-in.
    """

    size: tuple[int, int]
    fan_in: int
    kernel: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)


class Readout(NamedTuple):
    """A response: the sum of mean planes, each this often, over `channels`, and through linear layers."""

    means: tuple[tuple[int, int], ...]  # (mean, how often); none where it is zero
    channels: int  # what to divide by: of the map, or 1
    layers: tuple[int, ...]  # features that each linear layer reads


@dataclass(frozen=True, slots=True)
class ModeProgram:
    """A network as plane operations for all modes; `words` is read by `mode_kernels`.

    `offsets` say where each plane begins in the work space, `size` how long that is, in numbers per image. Planes that
    are given come first, and have no room there.
    """

    words: NDArray[np.int64]
    offsets: NDArray[np.int64]
    size: int
    given: tuple[Given, ...]
    given_norms: tuple[tuple[int, int], ...]  # (norm, plane): whose statistics are those of a given plane
    kept: tuple[bool, ...]  # of each norm, whether it stays when norms are off
    readouts: tuple[Readout, ...]
    n_means: int
    curved: Operation | None  # a rectifier that can only be switched off
    limits: tuple[int, int, int]  # most terms, most records and most rows that a window reaches over
    row: int  # the longest row, with room at both sides


def lower(graph: Graph, *, stages: bool = False) -> ModeProgram:
    """The program of the graph's first output, or of all its stages.

    Raises:
        GraphError: an operation that constant weights do not reduce to planes.
    """
    if len(graph.input_shape) != 3:
        raise GraphError(f"modes evaluate networks that read images, not inputs of shape {graph.input_shape}")
    last = graph.stages[-1:]
    live = simplify(Graph(graph.nodes, (*(graph.stages if stages else graph.outputs[:1]), *last)))
    outputs = live.outputs[: len(live.outputs) - len(last)]
    last = live.outputs[-1:] if last else ()
    graph = Graph(live.nodes if stages else live.nodes[: outputs[0] + 1], outputs, last)
    if stages or ends_pooled(graph):
        return _ModeLowering(graph).finish(stages=stages)
    stays = zip(graph.nodes, kept_norms(graph, live_expressions(graph)), strict=True)
    as_map = as_maps(graph)  # without those that write a map as a vector, and with a mean at the end
    return _ModeLowering(as_map, [stay for node, stay in stays if type(node.operation) is not Flatten]).finish()


def kept_norms(graph: Graph, expressions: list[int]) -> list[bool]:
    """Whether each node is a norm that stays when norms are off; see `modes.switched`.

    Args:
        graph: a network, whose last stage is the end of its body; it may lie behind the last node, where nothing is.
        expressions: of each node a number that equal ones share, -1 for zeros.
    """
    last = expressions[graph.stages[-1]] if graph.stages and graph.stages[-1] < len(expressions) else -2
    before: list[bool] = []  # whether a norm is before a node, or is it
    after: list[bool] = []  # whether a node is after the last stage, or is it
    stays: list[bool] = []
    for (operation, inputs, _), expression in zip(graph.nodes, expressions, strict=True):
        normed = passed = False
        for i in inputs:
            if expressions[i] >= 0:
                normed = normed or before[i]
                passed = passed or after[i]
        norm = type(operation) is BatchNorm
        stays.append(norm and (passed or not normed))
        before.append(normed or norm)
        after.append(passed or expression == last)
    if not graph.stages:
        head = _head_norm(graph, expressions)
        stays = [stay or (expression == head >= 0) for stay, expression in zip(stays, expressions, strict=True)]
    return stays


def live_expressions(graph: Graph) -> list[int]:
    """Of each node of a network as written the number of the expression that it is, -1 for zeros.

    What `simplify` leaves out has no number of its own.
    """
    numbers: list[int] = []
    known: dict[tuple[Operation, Shape, tuple[int, ...]], int] = {}
    for operation, inputs, shape in graph.nodes:
        read = [numbers[i] for i in inputs]
        live = [i for i in read if i >= 0]
        kind = type(operation)
        missing = len(live) < len(read)
        if kind is Zero or (missing and (kind is Product or not live) and kind is not Sigmoid):
            numbers.append(-1)
        elif kind is Identity or (len(live) == 1 and (kind is Sum or (len(read) == 1 and kind in (Product, Concat)))):
            numbers.append(live[0])
        elif kind is Sum or kind is Product:
            numbers.append(known.setdefault((operation, shape, tuple(sorted(live))), len(known)))
        else:
            numbers.append(known.setdefault((operation, shape, tuple(read)), len(known)))
    return numbers


def _head_norm(graph: Graph, expressions: list[int]) -> int:
    """The norm that all paths to the output go through, if neither norm nor convolution comes after it, or -1."""
    readings: dict[int, tuple[Operation, set[int]]] = {}  # of each live expression, and what it reads
    for (operation, inputs, _), expression in zip(graph.nodes, expressions, strict=True):
        if expression >= 0 and not isinstance(operation, Identity):
            live = {expressions[i] for i in inputs if expressions[i] >= 0}
            readings.setdefault(expression, (operation, live - {expression}))
    needed: set[int] = set()
    todo = {expressions[graph.outputs[0]]} & readings.keys()
    while todo:
        needed |= todo
        todo = {i for expression in todo for i in readings[expression][1]} - needed
    order = sorted(needed)
    final = max([i for i in order if isinstance(readings[i][0], Conv | BatchNorm)], default=-1)
    if final < 0 or not isinstance(readings[final][0], BatchNorm):
        return -1
    # In topological order, a path that goes round it has a step that jumps over it.
    around = any(i > final and any(j < final for j in readings[i][1]) for i in order)
    return -1 if around else final


class _ModeLowering(Lowering):
    def __init__(self, graph: Graph, stays: list[bool] | None = None) -> None:
        super().__init__(graph)
        self.stays = stays or kept_norms(graph, self.expressions)
        self.kept: list[bool] = []  # of each norm
        self.given_norms: list[tuple[int, int]] = []
        self.means: dict[Plane, int] = {}
        self.curved: Operation | None = None
        channels, height, width = graph.input_shape
        self.given = [Given((height, width), channel) for channel in range(channels)]
        for operation, inputs, shape in graph.nodes:
            if isinstance(operation, Conv) and inputs == (0,) and operation.groups == 1:
                stem = _stem_of(operation, channels, shape)
                if stem not in self.given:
                    self.given.append(stem)
        self.sizes = [plane.size for plane in self.given]

    def finish(self, *, stages: bool = False) -> ModeProgram:
        """The program that gives the first output, or the mean of each output over channels and positions."""
        nodes = self.graph.nodes
        read = [(output, ()) for output in self.graph.outputs] if stages else [self._readout()]
        values: list[Value] = []
        known: dict[int, Value] = {}
        for i, expression in enumerate(self.expressions[: 1 + max(at for at, _ in read)]):
            value = known.get(expression)
            if value is None:
                if type(nodes[i].operation) is BatchNorm:
                    value = [(plane and self._norm(plane, self.stays[i]), m) for plane, m in values[nodes[i].inputs[0]]]
                else:
                    value = self._value(nodes[i], values)
                known[expression] = value
            values.append(value)
        readouts = tuple([self._response(nodes[at], values[at], layers, stages) for at, layers in read])
        words, limits, row = self._sweeps()
        offsets, size = self._layout(len(self.given))
        return ModeProgram(
            words,
            offsets,
            size,
            tuple(self.given),
            tuple(self.given_norms),
            tuple(self.kept),
            readouts,
            self.n_means,
            self.curved,
            limits,
            row,
        )

    def _response(self, node: Node, value: Value, layers: tuple[int, ...], stage: bool) -> Readout:
        if stage and len(node.shape) != 3:
            raise GraphError(f"a stage must be a feature map to have a mean, not {node.operation}")
        live = [(plane, m) for plane, m in value if plane is not None]
        if not (stage or layers) and live:
            if len(value) > 1:
                raise GraphError(
                    "the output has channels that differ under constant weights; only one plane can be read"
                )
            return Readout(((self.means[live[0][0]], 1),), 1, ())
        if stage:
            live = [(self._mean(plane), m) for plane, m in live]
        means = tuple([(self.means[plane], m) for plane, m in live])
        return Readout(means, node.shape[0] if stage else 1, layers)

    # What is another plane, or none, for modes ---------------------------------------------------------------------

    def _value(self, node: Node, values: list[Value]) -> Value:
        operation, inputs, _ = node
        if isinstance(operation, Input):
            return [(Term(channel), 1) for channel in range(node.shape[0])]
        if isinstance(operation, _CURVED):
            self.curved = operation
            return values[inputs[0]]
        return super()._value(node, values)

    def _fan_in(self, inputs: int) -> int:
        return inputs

    def _stem(self, conv: Conv, shape: Shape) -> Term:
        channels, *size = self.graph.input_shape
        check_windows(conv, tuple(size), shape, conv.padding, conv.dilation)
        return Term(self.given.index(_stem_of(conv, channels, shape)))

    def _norm(self, plane: Plane, kept: bool = True) -> Plane:
        normed = super()._norm(plane, kept)
        if len(self.kept) < self.n_norms:
            self.kept.append(kept)
        return normed

    def _measure(self, term: Term, slot: int) -> None:
        if term.plane < len(self.given) and not (term.rectified or term.weighted):
            self.given_norms.append((slot, term.plane))
        else:
            super()._measure(term, slot)

    def _mean(self, plane: Plane) -> Plane:
        if plane not in self.means:
            sweep, rectified = self._sweep(plane)
            if rectified or sweep.mean >= 0:
                sweep = self._add([(self._term(plane), 1)], sweep.size)
            sweep.mean = self.means[plane] = self.n_means
            self.n_means += 1
        return plane

    def _last_uses(self) -> dict[int, int]:
        """A sum of one term may be a view of its plane, which then lives as long."""
        last = super()._last_uses()
        for total in reversed(self.sums):
            if len(total.terms) == 1 and total.plane >= 0:
                plane = total.terms[0][0].plane
                last[plane] = max(last[plane], last[total.plane])
        return last

    # Writing down --------------------------------------------------------------------------------------------------

    def _sweeps(self) -> tuple[NDArray[np.int64], tuple[int, int, int], int]:
        words: list[int] = []
        most_terms = most_records = most_rows = 1
        row = max(width for _, width in self.sizes)
        for total in self.sums:
            counts = len(total.terms), len(total.windows), len(total.statistics)
            most_terms, most_records = max(most_terms, counts[0]), max(most_records, counts[1] + counts[2])
            words += (*total.size, total.plane, *counts, total.mean)
            for (plane, rectified, weighted, multiplicity, norm, after, fan_in), count in total.terms:
                words += (plane, rectified, fan_in if weighted else 0, multiplicity, norm, after, count)
            for kind, out, floor, times, slot, *geometry, fan_in in total.windows:
                inside, room = _inside(total.size, tuple(geometry))
                words += (kind, out, floor, fan_in, times, slot, inside, *geometry)
                most_rows, row = max(most_rows, (geometry[0] - 1) * geometry[6] + 1), max(row, room)
            for slot, floor, *_ in total.statistics:
                words += (slot, floor)
        return np.array(words, np.int64), (most_terms, most_records, most_rows), row


def _stem_of(conv: Conv, channels: int, shape: Shape) -> Given:
    fan_in = channels * conv.kernel[0] * conv.kernel[1]
    return Given((shape[1], shape[2]), fan_in, conv.kernel, conv.stride, conv.padding, conv.dilation)


@cache
def _inside(size: tuple[int, int], geometry: tuple[int, ...]) -> tuple[int, int]:
    """How many taps of a window are inside at most; and columns of a row with room for what its windows read outside.

    `geometry` is kernel, stride, padding, dilation, out, each vertical and horizontal.
    """
    most = 1
    for axis in range(2):
        kernel, stride, padding, dilation, out = geometry[axis::2]
        starts = [i * stride - padding for i in range(out)]
        most *= max(sum(0 <= start + k * dilation < size[axis] for k in range(kernel)) for start in starts)
    reach = (out - 1) * stride + (kernel - 1) * dilation - padding + 1
    return most, max(padding, 0) + max(size[1], reach)
