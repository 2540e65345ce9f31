"""What a network is made of, counted so that equal networks have equal counts.

All counts are of the live part: what is computed from the input and reaches the first output, except for parameters,
multiply-accumulates and depth, which `cost` counts to all outputs. The same network can be written in many ways: a skip
is the identity, sums flatten, a pool of a map's first channels is the first channels of its pool. So everything here is
counted on one form for all of them: skips, nested sums and truncations are gone, equal operations without weights are
one, and every operation reads sums of other operations. Counts are thus functions of `canonical.key`. They are none of
`width1_key`: under constant weights two convolutions of one input are one function, and here they are two.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

from untrained.graphs import cost
from untrained.graphs.canonical import pruned, simplify
from untrained.graphs.graph import (
    GELU,
    TRAINABLE,
    AvgPool,
    Blend,
    Concat,
    Conv,
    Graph,
    Hardswish,
    LeakyReLU,
    Linear,
    MaxPool,
    Operation,
    Product,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Sum,
    Tanh,
    Truncate,
    Zero,
)
from untrained.graphs.order import commutes
from untrained.graphs.recurrent import Recurrent

__all__ = [
    "FRACTIONS",
    "MEANINGS",
    "TOTALS",
    "VERSION",
    "absent",
    "counts",
    "is_count",
    "meaning",
    "parts_of",
    "value_of",
]

VERSION = 1  # raised whenever a count changes

MEANINGS = {
    "live_params": "trainable numbers of the part that reaches an output",
    "live_flops": "multiply-accumulates of that part for one image or text",
    "depth": "convolutions and linear layers on the longest live path to an output",
    "live_avg_pool": "average pools over a window",
    "live_max_pool": "maximum pools",
    "live_skip": "pairs (operation, sum or concatenation) that a skip joins, though another way leads there too",
    "live_linear": "linear layers",
    "live_activation": "activations, those that read the same map counted once",
    "live_product": "element-wise products",
    "live_blend": "blends a * b + (1 - a) * c",
    "longest_conv_path": "convolutions and linear layers on the longest path from input to first output",
    "shortest_conv_path": "convolutions and linear layers on the shortest such path",
    "log_paths": "natural logarithm of the number of paths from input to first output, each skip a way of its own",
    "conv_path_mean": "mean number of convolutions and linear layers on a path, all paths weighing the same",
    "conv_path_sd": "standard deviation of that number over the paths",
    "pool_path_mean": "mean number of average and maximum pools on a path",
}
FRACTIONS = ("log_paths", "conv_path_mean", "conv_path_sd", "pool_path_mean")  # counts that are no whole numbers
TOTALS = {  # what spaces with different operations have in common
    "live_convs": "convolutions of any kernel and grouping",
    "live_pools": "average and maximum pools over a window",
}
_CONV = re.compile(r"live_(dw|g)?conv[0-9]+x[0-9]+")
_POOLS = ("live_avg_pool", "live_max_pool")
_ACTIVATIONS = (ReLU, ReLU6, SiLU, GELU, Hardswish, LeakyReLU, Sigmoid, Tanh)
_KINDS: dict[type, str] = {
    AvgPool: "live_avg_pool",
    MaxPool: "live_max_pool",
    Linear: "live_linear",
    Product: "live_product",
    Blend: "live_blend",
    **dict.fromkeys(_ACTIVATIONS, "live_activation"),
}
_OF_CELLS = ("live_linear", "live_activation", "live_product", "live_blend")


def meaning(name: str) -> str:
    """What a count counts, in words.

    >>> meaning("live_dwconv3x3")
    'depthwise convolutions with a 3x3 kernel'
    """
    if name in MEANINGS:
        return MEANINGS[name]
    kind, _, kernel = name.removeprefix("live_").partition("conv")
    ways = {"": "convolutions", "dw": "depthwise convolutions", "g": "grouped convolutions"}
    return f"{ways[kind]} with a {kernel} kernel"


def is_count(name: str) -> bool:
    """Whether `counts` gives a number of this name, to some network.

    >>> is_count("live_gconv3x5"), is_count("depth"), is_count("live_pools"), is_count("eps_relu_lin__normal")
    (True, True, False, False)
    """
    return name in MEANINGS or bool(_CONV.fullmatch(name))


def absent(name: str) -> float:
    """What a count is where `counts` has none of this name: 0 of what it counts, NaN of what has no value."""
    return 0.0 if name.startswith("live_") else math.nan


def parts_of(total: str, names: Iterable[str]) -> list[str]:
    """Those of the counts `names` that one of TOTALS adds up.

    >>> parts_of("live_convs", ["depth", "live_conv3x3", "live_dwconv5x5", "live_avg_pool"])
    ['live_conv3x3', 'live_dwconv5x5']
    """
    return [name for name in names if (name in _POOLS if total == "live_pools" else _CONV.fullmatch(name))]


def value_of(found: Mapping[str, float], name: str) -> float:
    """One count, or one of TOTALS, of a network for which `counts` gave `found`.

    >>> value_of({"live_avg_pool": 2, "live_max_pool": 1}, "live_pools"), value_of({}, "live_conv1x1")
    (3.0, 0.0)
    """
    if name in TOTALS:
        return float(sum([found[part] for part in parts_of(name, found)]))
    return float(found.get(name, absent(name)))


def counts(network: Graph | Recurrent) -> dict[str, float]:
    """All counts of a network by name; what it has none of and what has no value is not among them.

    - `live_conv3x3`, `live_conv1x7` (height x width): convolutions by kernel, whatever their stride and dilation;
      `live_dwconv3x3` if every channel is a group of its own, `live_gconv3x3` if there are other groups;
    - `live_avg_pool`, `live_max_pool`, `live_linear`, `live_activation` and so on, see MEANINGS;
    - `live_skip`: pairs (u, j) of an operation and a sum or concatenation, where j takes what u gives as it is, and
      takes it twice or also takes something that depends on u. (How many skips are written is no property of the
      network: x + f(x) + g(x + f(x)) can be written with two or with four.)
    - `longest_conv_path`, `shortest_conv_path`, `log_paths`, `conv_path_mean`, `conv_path_sd`,
      `pool_path_mean`: over paths from the input to the first output. A path goes along one input of every node; an
      input that a sum reads twice is two ways.

    Of a recurrent network: `live_params`, `live_flops`, `depth`, and linear layers, activations, products and blends of
    all layers, decoder and embedding left out.

    Args:
        network: as written.

    Returns:
        Whole numbers, except for `log_paths` and the means. Without a path from input to first output what is counted
        over paths is missing.

    >>> from untrained.graphs.graph import GraphBuilder
    >>> b = GraphBuilder((3, 8, 8))
    >>> x = b.conv(b.input, 4, kernel=3)
    >>> found = counts(b.build([b.sum([x, b.identity(x), b.conv(b.relu(x), 4, kernel=1)])]))
    >>> found["live_conv3x3"], found["live_skip"], found["shortest_conv_path"], round(math.exp(found["log_paths"]))
    (1, 1, 1, 3)
    """
    whole = simplify(network)
    found: Counter[str] = Counter()
    total: dict[str, float] = {
        "live_params": cost.n_params(whole),
        "live_flops": cost.n_flops(whole),
        "depth": cost.depth(whole),
    }
    if isinstance(whole, Recurrent):
        for operation in _Terms(whole.cell).operations:
            if kind := _KINDS.get(type(operation)):
                found[kind] += len(whole.sizes) - 1
        return total | {kind: found[kind] for kind in _OF_CELLS if found[kind]}
    live = pruned(Graph(whole.nodes, whole.outputs[:1]))
    terms = _Terms(live)
    for operation, channels in zip(terms.operations, terms.channels, strict=True):
        kind = _conv_kind(operation, channels) if isinstance(operation, Conv) else _KINDS.get(type(operation))
        if kind:
            found[kind] += 1
    found["live_skip"] = terms.n_skips()
    total |= {kind: n for kind, n in found.items() if n}
    if paths := _paths(live):
        total["longest_conv_path"] = paths.longest
        total["shortest_conv_path"] = paths.shortest
        total["log_paths"] = math.log(paths.number)
        total["conv_path_mean"] = paths.convs / paths.number
        variance = Fraction(paths.squares, paths.number) - Fraction(paths.convs, paths.number) ** 2
        total["conv_path_sd"] = math.sqrt(variance)
        total["pool_path_mean"] = paths.pools / paths.number
    return total


def _conv_kind(conv: Conv, channels: int) -> str:
    way = "" if conv.groups == 1 else "dw" if conv.groups == channels else "g"
    return f"live_{way}conv{conv.kernel[0]}x{conv.kernel[1]}"


_Term = tuple[tuple[int, int], ...]  # a sum: (operation, how often), in ascending order


class _Terms:
    """Operations that are no sums, each reading sums of operations. Partial sums and their nesting are gone."""

    def __init__(self, live: Graph) -> None:
        """`live` is simplified."""
        self.operations: list[Operation] = []
        self.channels: list[int] = []  # that an operation reads
        self.above: list[int] = []  # the operations that an operation depends on, as bits
        self._joints: set[_Term] = set()  # what a sum or concatenation takes together
        known: dict[tuple[object, ...], int] = {}
        terms: list[_Term] = []
        for operation, inputs, shape in live.nodes:
            read = [terms[i] for i in inputs]
            if type(operation) is Sum:
                terms.append(_added(read))
                continue
            if type(operation) in (Zero, Truncate):  # the first channels of a map are of the map
                terms.append(() if type(operation) is Zero else read[0])
                continue
            same = (operation, shape[1:], *(sorted(read) if commutes(operation) else read))
            place = known.get(same, len(self.operations))
            if place == len(self.operations):
                if type(operation) not in TRAINABLE:
                    known[same] = place
                self._add(operation, live.nodes[inputs[0]].shape[0] if inputs else 0, read)
            terms.append(((place, 1),))
        self._joints.update([terms[o] for o in live.outputs])

    def _add(self, operation: Operation, channels: int, read: list[_Term]) -> None:
        above = 0
        for term in read:
            for source, _ in term:
                above |= self.above[source] | 1 << source
        self.operations.append(operation)
        self.channels.append(channels)
        self.above.append(above)
        self._joints.update(read)
        if type(operation) is Concat:
            self._joints.add(_added(read))

    def n_skips(self) -> int:
        """Pairs (operation, joint) where the joint takes the operation twice, or something that depends on it too."""
        total = 0
        for joint in self._joints:
            above = 0
            for source, _ in joint:
                above |= self.above[source]
            total += sum([times > 1 or above >> source & 1 for source, times in joint])
        return total


def _added(terms: list[_Term]) -> _Term:
    total: dict[int, int] = {}
    for term in terms:
        for source, times in term:
            total[source] = total.get(source, 0) + times
    return tuple(sorted(total.items()))


class _Paths(NamedTuple):
    """Paths from the input: how many, the fewest and most convolutions and linear layers on one, and sums over all.

    Whole numbers: a network of 15 cells has more paths than float64 can count.
    """

    number: int
    shortest: int
    longest: int
    convs: int  # convolutions and linear layers on all paths together ...
    squares: int  # ... and squares of their numbers on each
    pools: int


def _paths(live: Graph) -> _Paths | None:
    """Paths to the first output; None if there is none."""
    paths: list[_Paths | None] = []
    for operation, inputs, _ in live.nodes:
        if not inputs:
            paths.append(_Paths(1, 0, 0, 0, 0, 0))
            continue
        read = [] if type(operation) is Zero else [found for i in inputs if (found := paths[i])]
        if not read:
            paths.append(None)
            continue
        step = isinstance(operation, Conv | Linear)
        number, convs = sum([found.number for found in read]), sum([found.convs for found in read])
        paths.append(
            _Paths(
                number,
                min([found.shortest for found in read]) + step,
                max([found.longest for found in read]) + step,
                convs + step * number,
                sum([found.squares for found in read]) + step * (2 * convs + number),
                sum([found.pools for found in read]) + isinstance(operation, AvgPool | MaxPool) * number,
            )
        )
    return paths[live.outputs[0]]
