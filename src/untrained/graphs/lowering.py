"""From a graph to a program of plane operations: the width-1 theorem, applied node by node.

Every value of the graph becomes a list of (plane, multiplicity) pairs. A plane that is stored is written by one sweep;
what is point-wise in a stored plane is kept as a term and folded into whoever reads it. See docs/width1.md.
"""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from untrained.errors import GraphError
from untrained.graphs import kernels
from untrained.graphs.canonical import simplify
from untrained.graphs.graph import (
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    GlobalAvgPool,
    Graph,
    Input,
    Linear,
    MaxPool,
    Node,
    ReLU,
    ReLU6,
    Shape,
    Shift,
    Sum,
    Truncate,
    Zero,
)
from untrained.graphs.order import expressions
from untrained.graphs.planes import (
    Plane,
    PlaneSum,
    Rectified,
    Shifted,
    Term,
    Value,
    check_windows,
    first_channels,
    joined,
    plane_at,
    unshifted,
)
from untrained.graphs.vectors import as_maps


@dataclass(frozen=True, slots=True)
class Program:
    """A network as plane operations. `words` is read by the compiled kernel; see `kernels` for their meaning.

    `offsets` say where each plane begins in the work space and `size` how long that is, in numbers per image; planes
    that are not needed at the same time share room. The input channels come first, scratch rows last.
    """

    words: NDArray[np.int64]
    offsets: NDArray[np.int64]
    size: int
    n_norms: int
    input_shape: tuple[int, int, int]
    readout: tuple[int, ...]  # the output is the sum of the mean planes, each this often ...
    gains: tuple[int, ...]  # ... through linear layers: times the weight and this number, for each layer

    @property
    def connected(self) -> bool:
        """Whether a path leads from the input to the output."""
        return bool(self.readout)


def lower(graph: Graph) -> Program:
    """The plane program of the graph's first output.

    Raises:
        GraphError: an operation that constant weights do not reduce to planes.
    """
    live = simplify(Graph(graph.nodes, graph.outputs[:1]))
    return Lowering(live if ends_pooled(live) else as_maps(live)).program()


def ends_pooled(graph: Graph) -> bool:
    """Whether vectors are nothing but the mean over all positions, and linear layers of it one after the other."""
    vectors = {i for i, node in enumerate(graph.nodes) if len(node.shape) == 1}
    if not all(isinstance(graph.nodes[i].operation, Linear | GlobalAvgPool | Zero) for i in vectors):
        return False
    first = min(vectors, default=len(graph.nodes))
    return all(len(node.shape) == 1 or vectors.isdisjoint(node.inputs) for node in graph.nodes[first:])


_ONE_POSITION = MaxPool((1, 1), (1, 1), (0, 0))


class Lowering:
    """Turns a simplified graph into sums of planes, node by node; then these are written down."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.sizes: list[tuple[int, int]] = []  # of each stored plane
        self.sums: list[PlaneSum] = []  # in the order in which they run
        self.writers: dict[int, PlaneSum] = {}  # of stored planes: the sum that sweeps over them
        self.window_of: dict[int, tuple[PlaneSum, int]] = {}  # of window planes: where they are written
        self.norms: dict[tuple[Term, bool], int] = {}  # of terms that are normalised: where their scale and shift are
        self.n_norms = 0
        self.n_means = 0
        self.expressions, self.order = expressions(graph)

    def program(self) -> Program:
        """The program of the first output under constant weights."""
        values: list[Value] = []
        known: dict[int, Value] = {}
        input_shape = self.graph.nodes[0].shape
        output, layers = self._readout()
        gains = (1, *layers[1:]) if layers else ()
        for node, expression in zip(self.graph.nodes[: output + 1], self.expressions, strict=False):
            value = known.get(expression)
            if value is None:
                value = known[expression] = self._value(node, values)
            values.append(value)
        readout = tuple([multiplicity for plane, multiplicity in values[output] if plane is not None])
        if not gains and readout and readout != self.graph.nodes[output].shape:
            raise GraphError("the output has channels that differ under constant weights; only one plane can be read")
        channels, height, width = input_shape
        words = self._words()
        offsets, size = self._layout(channels)
        return Program(words, offsets, size, self.n_norms, (channels, height, width), readout, gains)

    def _readout(self) -> tuple[int, tuple[int, ...]]:
        """The pooled node that the first output reads, and how many features each linear layer on the way reads."""
        nodes = self.graph.nodes
        at = self.graph.outputs[0]
        layers: list[int] = []
        while isinstance(nodes[at].operation, Linear):
            if len(nodes[at].inputs) > 1:
                raise GraphError("under constant weights, a linear layer on several vectors is not supported here")
            at = nodes[at].inputs[0]
            layers.append(nodes[at].shape[0])
        if not isinstance(nodes[at].operation, GlobalAvgPool | Zero):
            raise GraphError(f"the first output must be pooled features or linear in them, not {nodes[at].operation}")
        return at, tuple(layers[::-1])

    def _value(self, node: Node, values: list[Value]) -> Value:
        operation, inputs, shape = node
        match operation:
            case ReLU():
                return [(plane and self._relu(plane), m) for plane, m in values[inputs[0]]]
            case ReLU6():
                return [(plane and self._relu6(plane, shape), m) for plane, m in values[inputs[0]]]
            case BatchNorm():
                return [(plane and self._norm(plane), m) for plane, m in values[inputs[0]]]
            case Conv():
                if inputs[0] == 0 and operation.groups == 1:
                    return [(self._stem(operation, shape), operation.out_channels)]
                return self._conv(operation, values[inputs[0]], shape)
            case Sum():
                # The deepest summand first, then by expression: an order that does not depend on how the graph was
                # written, so that equal functions give equal bits, and rounds as the published network does.
                return self._sum(sorted(inputs, key=self.order.__getitem__), values, shape[1:])
            case Input():
                return [(self._stored(shape[1:]), 1) for _ in range(shape[0])]
            case Zero():
                return [(None, shape[0])]
            case Concat(ordered):
                order = inputs if ordered else sorted(inputs, key=self.order.__getitem__)
                return joined([pair for i in order for pair in values[i]])
            case Truncate(channels):
                return first_channels(values[inputs[0]], channels)
            case Shift(up, left):
                return [(plane and Shifted(plane, up, left), m) for plane, m in values[inputs[0]]]
            case AvgPool() | MaxPool():
                return [(plane and self._pool(operation, plane, shape), m) for plane, m in values[inputs[0]]]
            case GlobalAvgPool():
                return [(plane and self._mean(plane), m) for plane, m in values[inputs[0]]]
            case _:
                raise GraphError(f"constant weights do not reduce {operation} to planes")

    def _fan_in(self, inputs: int) -> int:  # noqa: ARG002
        """What becomes of the number of weights of one output: nothing, where all weights are one constant."""
        return 0

    # Planes ----------------------------------------------------------------------------------------------------------

    def _stored(self, size: tuple[int, ...]) -> Term:
        self.sizes.append((size[0], size[1]))
        return Term(len(self.sizes) - 1)

    def _term(self, plane: Plane) -> Term:
        """The plane as a point-wise function of a stored one."""
        if isinstance(plane, Term):
            return plane
        if isinstance(plane, Shifted):
            raise GraphError("under constant weights, only convolutions can read a shifted map")
        rectified = isinstance(plane, Rectified)
        total = plane.of if isinstance(plane, Rectified) else plane
        if total.plane < 0:
            total.plane = self._stored(total.size).plane
            self.writers[total.plane] = total
        return Term(total.plane, rectified=rectified)

    def _add(self, terms: list[tuple[Term, int]], size: tuple[int, int]) -> PlaneSum:
        total = PlaneSum(size, terms)
        self.sums.append(total)
        return total

    def _sweep(self, plane: Plane) -> tuple[PlaneSum, bool]:
        """A sum whose rows, rectified or not, are the plane's."""
        if isinstance(plane, PlaneSum):
            return plane, False
        if isinstance(plane, Rectified):
            return plane.of, True
        if isinstance(plane, Shifted):
            raise GraphError("under constant weights, only convolutions can read a shifted map")
        if plane.norm >= 0 or plane.weighted or plane.rectified_after:
            return self._add([(plane, 1)], self.sizes[plane.plane]), False
        writer = self.writers.get(plane.plane)
        if writer is None:
            writer = self.writers[plane.plane] = self._add([], self.sizes[plane.plane])
            writer.plane = plane.plane
        return writer, plane.rectified

    def _relu(self, plane: Plane) -> Plane:
        match plane:
            case PlaneSum():
                plane.rectified = plane.rectified or Rectified(plane)
                return plane.rectified
            case Term(norm=-1, weighted=False):
                return plane._replace(rectified=True)
            case Term():
                return plane._replace(rectified_after=True)
            case Shifted(of, up, left):
                return Shifted(self._relu(of), up, left)
            case _:
                return plane

    def _relu6(self, plane: Plane, shape: Shape) -> Plane:
        """Stored, as a window of one position: terms know a floor and no ceiling."""
        if isinstance(plane, Shifted):
            return Shifted(self._relu6(plane.of, shape), plane.up, plane.left)
        return self._windowed(kernels.RELU6, _ONE_POSITION, (1, 1), plane, 1, shape)

    def _norm(self, plane: Plane, kept: bool = True) -> Plane:
        """The plane normalised; those that are kept always are told from others, see `modes`."""
        term = self._term(plane)
        if term.norm >= 0 or term.rectified_after:
            term = self._term(self._add([(term, 1)], self.sizes[term.plane]))
        slot = self.norms.get((term, kept), self.n_norms)
        normed = term._replace(norm=slot)
        if slot < self.n_norms:  # normalised before, for example as a part of a concatenation
            return normed
        self.norms[term, kept] = slot
        self.n_norms += 1
        self._measure(term, slot)
        return normed

    def _measure(self, term: Term, slot: int) -> None:
        """Let mean and variance of a term be found where its plane is written or swept over."""
        made = self.window_of.get(term.plane)
        if made is not None and not (term.rectified or term.weighted) and made[0].windows[made[1]][4] < 0:
            total, position = made
            total.windows[position] = (*total.windows[position][:4], slot, *total.windows[position][5:])
        else:
            sweep, _ = self._sweep(Term(term.plane))
            sweep.statistics.append((slot, term.rectified, term.weighted, term.multiplicity))

    def _sum(self, inputs: list[int], values: list[Value], size: tuple[int, ...]) -> Value:
        """Add up channel ranges in which no summand changes its plane."""
        if all(len(values[i]) == 1 for i in inputs):
            ends = [values[inputs[0]][0][1]]
        else:
            ends = sorted({end for i in inputs for end in accumulate(m for _, m in values[i])})
        result: Value = []
        start = 0
        for end in ends:
            terms: dict[Term, int] = {}
            for i in inputs:
                plane = plane_at(values[i], start)
                if plane is not None:
                    term = self._term(plane)
                    terms[term] = terms.get(term, 0) + 1
            result.append((self._add(list(terms.items()), (size[0], size[1])) if terms else None, end - start))
            start = end
        return result

    def _stem(self, conv: Conv, shape: Shape) -> Term:
        return self._windowed(kernels.STEM, conv, conv.dilation, Term(0), self.graph.nodes[0].shape[0], shape)

    def _conv(self, conv: Conv, value: Value, shape: Shape) -> Value:
        taps, channels = conv.kernel[0] * conv.kernel[1], sum([m for _, m in value])
        if conv.groups > 1:
            if not conv.groups == conv.out_channels == channels:
                raise GraphError(f"constant weights do not reduce {conv} to planes: groups must be 1 or every channel")
            fan_in = self._fan_in(taps)
            return [
                (plane and self._windowed(kernels.CONV, conv, conv.dilation, plane, 1, shape, fan_in), m)
                for plane, m in value
            ]
        fan_in = self._fan_in(channels * taps)
        live, up, left = unshifted(value)
        if not live:
            return [(None, conv.out_channels)]
        if conv.kernel == (1, 1) and conv.stride == (1, 1) and conv.padding == (0, 0) and not (up or left):
            bare = [(self._bare(plane), m) for plane, m in live]
            terms = [Term(term.plane, term.rectified, weighted=True, multiplicity=m, fan_in=fan_in) for term, m in bare]
            if len(terms) == 1:
                return [(terms[0], conv.out_channels)]
            return [(self._add([(term, 1) for term in terms], (shape[1], shape[2])), conv.out_channels)]
        plane, multiplicity = live[0]
        if len(live) > 1:
            size = self.sizes[self._term(plane).plane]
            plane, multiplicity = self._add([(self._term(p), m) for p, m in live], size), 1
        if up or left:
            plane = Shifted(plane, up, left)
        window = self._windowed(kernels.CONV, conv, conv.dilation, plane, multiplicity, shape, fan_in)
        return [(window, conv.out_channels)]

    def _bare(self, plane: Plane) -> Term:
        """The plane as a stored plane, rectified at most."""
        term = self._term(plane)
        if term.norm >= 0 or term.weighted or term.rectified_after:
            return self._term(self._add([(term, 1)], self.sizes[term.plane]))
        return term

    def _pool(self, pool: AvgPool | MaxPool, plane: Plane, shape: Shape) -> Plane:
        if isinstance(plane, Shifted):
            raise GraphError("under constant weights, a pool of a shifted map is not supported")
        if isinstance(pool, AvgPool):
            kind = kernels.AVG_POOL_PADDED if pool.count_padding else kernels.AVG_POOL
            if isinstance(plane, Rectified) or (isinstance(plane, Term) and plane.rectified):
                term = self._term(plane)  # the kernel averages rows as they are, so these must be rectified ones
                plane = self._add([(term, 1)], self.sizes[term.plane])
            return self._windowed(kind, pool, (1, 1), plane, 1, shape)
        sweep, rectified = self._sweep(plane)
        largest = self._windowed(kernels.MAX_POOL, pool, (1, 1), sweep, 1, shape)
        return largest._replace(rectified=rectified)  # the largest of rectified values is the largest, rectified

    def _windowed(
        self,
        kind: int,
        window: Conv | AvgPool | MaxPool,
        dilation: tuple[int, int],
        plane: Plane,
        m: int,
        shape: Shape,
        fan_in: int = 0,
    ) -> Term:
        padding = window.padding
        if isinstance(plane, Shifted):  # windows begin later, as if there were less than no padding
            if padding != (0, 0):
                raise GraphError("under constant weights, a padded window on a shifted map is not supported")
            padding = -plane.up, -plane.left
            plane = plane.of
        sweep, rectified = self._sweep(plane)
        check_windows(window, sweep.size, shape, padding, dilation)
        out = self._stored(shape[1:])
        self.window_of[out.plane] = sweep, len(sweep.windows)
        geometry = (*window.kernel, *window.stride, *padding, *dilation, *shape[1:])
        sweep.windows.append((kind, out.plane, rectified, m, -1, *geometry, fan_in))
        return out

    def _mean(self, plane: Plane) -> Plane:
        sweep, rectified = self._sweep(plane)
        if rectified or sweep.mean >= 0 or not sweep.terms:  # only sums of terms have whole rows on flat images
            sweep = self._add([(self._term(plane), 1)], sweep.size)
        sweep.mean = self.n_means
        self.n_means += 1
        return plane

    # Writing down ----------------------------------------------------------------------------------------------------

    def _words(self) -> NDArray[np.int64]:
        words: list[int] = [*self.graph.nodes[0].shape]
        for total in self.sums:
            counts = len(total.terms), len(total.windows), len(total.statistics)
            words += (*total.size, total.plane, *counts, total.mean)
            for t, count in total.terms:
                words += (t.plane, t.rectified, t.weighted, t.multiplicity, t.norm, t.rectified_after, count)
            for window in total.windows:
                words += window[: kernels.WINDOW_WORDS]
            for statistic in total.statistics:
                words += statistic
        return np.array(words, np.int64)

    def _layout(self, channels: int) -> tuple[NDArray[np.int64], int]:
        """Give every plane room that no other plane needs at the same time."""
        last = self._last_uses()
        offsets = [0] * len(self.sizes)
        free: dict[int, list[int]] = {}
        end = 0

        def place(plane: int) -> None:
            nonlocal end
            size = self.sizes[plane][0] * self.sizes[plane][1]
            room = free.get(size)
            if room:
                offsets[plane] = room.pop()
            else:
                offsets[plane] = end
                end += size

        for plane in range(channels):
            place(plane)
        expiring: dict[int, list[int]] = {}
        for plane, step in last.items():
            if plane >= channels:
                expiring.setdefault(step, []).append(plane)
        for step, total in enumerate(self.sums):
            if total.terms and total.plane >= 0:
                place(total.plane)
            for window in total.windows:
                place(window[1])
            for plane in expiring.get(step, ()):
                free.setdefault(self.sizes[plane][0] * self.sizes[plane][1], []).append(offsets[plane])
        offsets.append(end)
        return np.array(offsets, np.int64), end + max(h * w for h, w in self.sizes)

    def _last_uses(self) -> dict[int, int]:
        """Of each stored plane the last sweep that writes or reads it."""
        last = {}
        for step, total in enumerate(self.sums):
            last[total.plane] = step
            for term, _ in total.terms:
                last[term.plane] = step
        return last
