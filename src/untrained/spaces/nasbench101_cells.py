"""Cells of NAS-Bench-101 as integers: edges, pruning, representatives, enumeration and the published fingerprint.

The edges of a cell are one number. The edge from vertex x to vertex y > x is bit x + y(y-1)/2, so that what a vertex
reads are neighbouring bits. Vertex 0 is the input, the last one the output, and each vertex between has a label, the
position of its operation in OPERATIONS. A code is (edges, *labels).

Where every vertex is on a path from input to output, the edges tell how many vertices there are, and more vertices
make a larger number. So codes sort as the published generator lists cells: by vertices, edges, labels.
"""

import hashlib
from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
POOL = 2
MAX_VERTICES = 7
MAX_EDGES = 9
UNEVEN = (3, 5)  # among so many, channels that are a multiple of 4 may leave a remainder
N_CELLS = 423_624

EDGES = tuple([(x, y) for y in range(MAX_VERTICES) for x in range(y)])  # edge i is bit i

Code = tuple[int, ...]


def edges_of(pairs: Collection[tuple[int, int]]) -> int:
    """The edges as a number.

    >>> edges_of([(0, 1), (0, 2), (1, 2)])
    7
    """
    return sum([1 << (x + y * (y - 1) // 2) for x, y in pairs])


def pruned(pairs: Collection[tuple[int, int]], labels: Sequence[int]) -> Code | None:
    """The code of what lies on a path from the first to the last vertex; None where there is no path.

    Any number of vertices and edges; `pairs` lead from lower to higher vertices.

    >>> pruned([(0, 1), (1, 3), (0, 2)], [2, 1])  # nothing reads vertex 2
    (5, 2)
    """
    last = len(labels) + 1
    reached, needed = {0}, {last}
    for x, y in sorted(pairs):
        if x in reached:
            reached.add(y)
    for x, y in sorted(pairs, key=lambda pair: -pair[1]):
        if y in needed:
            needed.add(x)
    if last not in reached:
        return None
    place = {old: new for new, old in enumerate(sorted(reached & needed))}
    kept = [(place[x], place[y]) for x, y in pairs if x in place and y in place]
    return edges_of(kept), *[labels[v - 1] for v in place if 0 < v < last]


def representative(code: Code) -> Code:
    """The least code among all ways to number the vertices: the one that the published generator meets first."""
    edges, *labels = code
    least, orders = _least(edges)
    return least, *min([tuple([labels[i] for i in order]) for order in orders])


def is_representative(code: Code) -> bool:
    """Whether this is the code of a cell of the space, in the numbering that stands for all others."""
    edges, *labels = code
    orders = _symmetries(edges)
    if not orders or len(labels) != len(orders[0]) or not all(0 <= label < len(OPERATIONS) for label in labels):
        return False
    return len(orders) == 1 or all(labels <= [labels[i] for i in order] for order in orders)


class Wiring(NamedTuple):
    """What the edges alone say about a cell."""

    sources: tuple[tuple[int, ...], ...]  # of each vertex, what it reads, ascending
    feeders: tuple[int, ...]  # the inner vertices that the output reads
    ranks: tuple[int, ...]  # of each vertex, the first feeder that it is or leads to; 0 for input and output


@cache
def wiring(edges: int) -> Wiring:
    """The wiring of a cell that is pruned."""
    sources = _sources(edges)
    *inner, output = range(1, len(sources))
    feeders = tuple([v for v in sources[output] if v])
    ranks = [0] * len(sources)
    for v in reversed(inner):
        readers = [y for y in inner if v in sources[y]]
        ranks[v] = feeders.index(v) if v in feeders else min([ranks[y] for y in readers])
    return Wiring(sources, feeders, tuple(ranks))


def _sources(edges: int) -> tuple[tuple[int, ...], ...]:
    rows: list[tuple[int, ...]] = [()]
    while edges:
        y = len(rows)
        rows.append(tuple([x for x in range(y) if edges >> x & 1]))
        edges >>= y
    return tuple(rows)


@lru_cache(maxsize=8192)  # more than there are matrices
def _least(edges: int) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """The least edges among all numberings, and the orders in which the inner vertices give them."""
    sources = _sources(edges)
    pairs = [(x, y) for y, row in enumerate(sources) for x in row]
    last = len(sources) - 1
    least, orders = edges, [tuple(range(last - 1))]
    for order in permutations(range(1, last)):
        place = [0, *order, last]
        moved = [(place[x], place[y]) for x, y in pairs]
        if any(x > y for x, y in moved):
            continue
        number = edges_of(moved)
        if number < least:
            least, orders = number, []
        if number == least:
            orders.append(tuple([order.index(v) for v in range(1, last)]))
    return least, tuple(dict.fromkeys(orders))


@lru_cache(maxsize=8192)
def _symmetries(edges: int) -> tuple[tuple[int, ...], ...]:
    """The orders of the inner vertices that leave a matrix of the enumeration as it is; none for any other number."""
    if not 0 < edges < 1 << len(EDGES) or edges.bit_count() > MAX_EDGES:
        return ()
    sources = _sources(edges)
    read = {x for row in sources for x in row}
    if not all(sources[1:]) or len(read) < len(sources) - 1:
        return ()
    least, orders = _least(edges)
    return orders if least == edges else ()


# --- all cells -----------------------------------------------------------------------------------------------------


@cache
def all_cells() -> NDArray[np.uint32]:
    """Every cell of the space once, packed, ascending; made in about a tenth of a second.

    A matrix is listed if no other numbering of its vertices has smaller edges, a labelling of it if no symmetry of
    the matrix makes its labels smaller.
    """
    cells = np.concatenate([_cells(n) for n in range(2, MAX_VERTICES + 1)])
    assert len(cells) == N_CELLS
    cells.flags.writeable = False
    return cells


def packed(code: Code) -> int:
    """A code as one number of 31 bits: the edges, then two bits for each label."""
    number = code[0] << _LABEL_BITS
    for label, shift in zip(code[1:], _SHIFTS, strict=False):
        number |= label << shift
    return number


def unpacked(number: int) -> Code:
    """The code of `packed`."""
    edges = number >> _LABEL_BITS
    n = len(wiring(edges).sources)
    return edges, *[number >> shift & 3 for shift in _SHIFTS[: n - 2]]


_LABEL_BITS = 2 * (MAX_VERTICES - 2)
_SHIFTS = tuple(range(_LABEL_BITS - 2, -1, -2))


def _cells(n: int) -> NDArray[np.uint32]:
    pairs = EDGES[: n * (n - 1) // 2]
    matrices = np.arange(1 << len(pairs), dtype=np.uint32)
    for v in range(n):
        for end in (0, 1):  # every vertex but the last is read, every vertex but the first reads
            mask = edges_of([pair for pair in pairs if pair[end] == v])
            matrices = matrices[matrices & np.uint32(mask) != 0] if mask else matrices
    matrices = matrices[sum([matrices >> i & 1 for i in range(len(pairs))]) <= MAX_EDGES]
    labellings = np.array(list(product(range(len(OPERATIONS)), repeat=n - 2)), np.uint32)
    labellings = labellings.reshape(len(OPERATIONS) ** (n - 2), n - 2)
    shifts = np.array(_SHIFTS[: n - 2], np.uint32)
    numbers = np.bitwise_or.reduce(labellings << shifts, axis=1, dtype=np.uint32)
    least = np.ones(len(matrices), bool)
    least_labels = np.ones((len(matrices), len(numbers)), bool)
    for order in permutations(range(1, n - 1)):
        place = (0, *order, n - 1)
        moved, upward = np.zeros_like(matrices), np.ones(len(matrices), bool)
        for i, (x, y) in enumerate(pairs):
            there = matrices >> i & 1
            if place[x] < place[y]:
                moved |= there << edges_of([(place[x], place[y])]).bit_length() - 1
            else:
                upward &= there == 0
        least &= ~upward | (moved >= matrices)
        symmetric = upward & (moved == matrices)
        relabelled = np.bitwise_or.reduce(labellings << shifts[np.array(order, int) - 1], axis=1, dtype=np.uint32)
        least_labels[symmetric] &= numbers <= relabelled
    listed: NDArray[np.uint32] = (matrices[least, None] << _LABEL_BITS | numbers)[least_labels[least]]
    return listed


# --- texts and keys ------------------------------------------------------------------------------------------------


def text(code: Code) -> str:
    """Rows of the adjacency matrix and operations.

    >>> text((55, 1, 0))
    '0110/0011/0001/0000;input,conv1x1-bn-relu,conv3x3-bn-relu,output'
    """
    edges, *labels = code
    return f"{_rows(edges)};{_operations(labels)}"


def network_key(code: Code) -> str:
    """Equal for two cells if and only if they make the same trainable networks, up to the order of channels.

    This is the cell's text, unless it has max pools that read the same vertices, and not the cell's input, for which
    each would have its own projection. Such pools are one: the text is that of the cell after merging them, digits in
    the matrix counting how often a vertex is read. Where the output's channels are not split evenly, among 3 or 5, it
    may matter which vertex has one more; if that is not the first, the places of the vertices follow.
    """
    edges, *labels = code
    if labels.count(POOL) < 2:
        return text(code)
    sources, feeders, _ = wiring(edges)
    last = len(sources) - 1
    stands_for = {0: 0, last: last}  # of each vertex, the one with which it is merged
    pools: dict[tuple[int, ...], int] = {}
    for v in range(1, last):
        reads = tuple(sorted([stands_for[x] for x in sources[v]]))
        stands_for[v] = pools.setdefault(reads, v) if labels[v - 1] == POOL and 0 not in reads else v
    kept = sorted(set(stands_for.values()))
    if len(kept) > last:
        return text(code)
    reads_of = [[stands_for[x] for x in sources[v]] for v in kept]
    _, orders = _least(edges_of({(kept.index(x), y) for y, reads in enumerate(reads_of) for x in reads}))
    ways = []
    for order in orders:
        olds = [0, *[kept[i + 1] for i in order], last]
        rows = ["".join([str(reads_of[kept.index(y)].count(x)) for y in olds]) for x in olds]
        places = [i for x in olds for i, v in enumerate(feeders) if stands_for[v] == x]
        uneven = len(feeders) in UNEVEN and places != sorted(places)
        ways.append(([labels[v - 1] for v in olds[1:-1]], places if uneven else [], rows))
    labels, places, rows = min(ways)
    return f"{'/'.join(rows)};{_operations(labels)}" + (f";{','.join(map(str, places))}" if places else "")


def function_key(code: Code) -> str:
    """Equal for two cells if and only if they make the same function under constant weights.

    Then all channels of a vertex are one plane, and so are two vertices that do the same to the same. The number of
    channels matters to a convolution (the eps of its norm is not scaled with it) and to the output, which adds up
    planes as often as they have channels, but not to a pool.

    Reads: x is the projected input; 3, 1 and m are the operations, each followed by what it reads. After a 3 or 1, and
    after each share of the output, stands the place of its channels, where these are not split evenly.

    >>> function_key((55, 1, 0))
    '[1(x),3(1(x)+x)]'
    """
    edges, *labels = code
    sources, feeders, ranks = wiring(edges)
    uneven = len(feeders) in UNEVEN
    made = ["x"]
    for v, label in enumerate(labels, start=1):
        reads = "+".join(sorted([made[x] for x in sources[v]]))
        size = ranks[v] if uneven and label != POOL else ""
        made.append(f"{_SIGNS[label]}{size}({reads})")
    shares = sorted([f"{made[v]}{ranks[v] if uneven else ''}" for v in feeders])
    return ("x+" if 0 in sources[-1] else "") + f"[{','.join(shares)}]"


_SIGNS = "31m"


def module_hash(code: Code) -> str:
    """The fingerprint by which the published tables name a cell: 32 hexadecimal digits, the same in any numbering.

    Vertices are coloured by what they read and who reads them, as often as there are vertices; colours and the
    fingerprint are md5 digests of texts whose form (brackets, commas and quotes included) is that of the published
    program, google-research/nasbench.

    >>> module_hash((55, 1, 0))
    '5529e1779433733d1145e20de5d8604e'
    """
    edges, *labels = code
    sources = wiring(edges).sources
    n = len(sources)
    readers = [[y for y in range(n) if x in sources[y]] for x in range(n)]
    colours = [_md5(f"({len(readers[v])}, {len(sources[v])}, {label})") for v, label in enumerate([-1, *labels, -2])]
    for _ in range(n):
        colours = [
            _md5(
                "".join(sorted([colours[x] for x in sources[v]]))
                + "|"
                + "".join(sorted([colours[y] for y in readers[v]]))
                + "|"
                + colours[v]
            )
            for v in range(n)
        ]
    return _md5(str(sorted(colours)))


def _md5(content: str) -> str:
    return hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()


def _operations(labels: Sequence[int]) -> str:
    return ",".join(["input", *[OPERATIONS[label] for label in labels], "output"])


@cache
def _rows(edges: int) -> str:
    sources = wiring(edges).sources
    return "/".join(["".join(["01"[x in row] for row in sources]) for x in range(len(sources))])
