"""NAS-Bench-101: 423,624 cells of at most seven vertices and nine edges, in one fixed skeleton.

Source: Ying, Klein, Real, Christiansen, Murphy and Hutter 2019, "NAS-Bench-101: Towards Reproducible Neural
Architecture Search"; channels and the order of cells as in its program, google-research/nasbench.

Cells that differ only in the numbering of their vertices are one architecture. Its representative is the numbering
that the published program meets first when it lists all cells, which is the one the tables were trained with. That
matters: channels are shared out in the order of vertices (128 = 43 + 43 + 42), so that another numbering can be a
slightly different network. `parse` takes any numbering, idle vertices included, and gives the representative.

Order. Architectures are in the order in which the published program meets them: by number of vertices, then by edges
read as a number (the edge from x to y > x is bit x + y(y-1)/2), then by operations, first vertex most significant. A
code holds the edges and the operation numbers of the vertices between input and output; codes sort in this order.
"""

import difflib
import json
import re
from functools import cache
from typing import Any, ClassVar, NoReturn, final

import numpy as np

from untrained.errors import BadInputError, OutOfSpaceError
from untrained.graphs.graph import Graph, GraphBuilder, Shape
from untrained.spaces import nasbench101_cells as cells
from untrained.spaces.base import FiniteSpace, Published
from untrained.spaces.nasbench101_cells import EDGES, MAX_EDGES, MAX_VERTICES, OPERATIONS, Code
from untrained.types import Arch, Scope, Task

_FORM = "0110/0011/0001/0000;input,conv1x1-bn-relu,conv3x3-bn-relu,output"
_KEYS = (("module_adjacency", "module_operations"), ("adjacency", "ops"))


@final
class NasBench101(FiniteSpace):
    """Stem of 128 channels, three stacks of three cells, the last two after a pool and with doubled channels, head.

    A vertex adds up what it reads and applies its operation. What it reads of the cell's input goes through a
    projection of its own, a 1x1 convolution with norm and ReLU. The output concatenates what it reads, and adds the
    projected input if it reads that too. Vertices share the output's channels; one that the output does not read has
    as many as the largest that reads it, and smaller readers take the first of them.
    """

    name = "nasbench101"
    version = 1
    title = "NAS-Bench-101 cells"
    cite = "Ying et al. 2019, arXiv:1902.09635"
    task = Task(input_shape=(3, 32, 32), n_classes=10, width=128, depth=3)
    published: ClassVar[Published] = {"epsinas": {"low": 1e-4, "high": 10.0}}

    def __len__(self) -> int:
        return cells.N_CELLS

    def __getitem__(self, i: int) -> Arch:
        if not 0 <= i < len(self):
            raise IndexError(f"nasbench101 has indices 0 to {len(self) - 1}, got {i}")
        return Arch(self.name, cells.unpacked(int(cells.all_cells()[i])))

    def index(self, arch: Arch) -> int:
        """The position of an architecture."""
        return int(np.searchsorted(cells.all_cells(), np.uint32(cells.packed(self._code(arch)))))

    def graph(self, arch: Arch, task: Task | None = None) -> Graph:
        """The network; its output is the logits.

        Raises:
            BadInputError: the task's width is not a multiple of 4 of at least 8, or its depth is less than 1.
        """
        task = task or self.task
        code = self._code(arch)
        width = 128 if task.width is None else task.width
        depth = 3 if task.depth is None else task.depth
        if width < 8 or width % 4 or depth < 1:
            raise BadInputError(
                "nasbench101 networks need a width that is a multiple of 4 (channels are halved and quartered) of at "
                f"least 8, and a depth of at least 1; got width {width} and depth {depth}."
            )
        b = GraphBuilder(task.input_shape)
        x = b.stage(b.insert(_conv_bn_relu(task.input_shape, width, 3), b.input))
        for stack in range(3):
            x = b.max_pool(x, kernel=2, stride=2) if stack else x
            shape = b.shape(x)
            cell = _cell((width << stack, *shape[1:]), code)  # a stack's first cell reads half as many, or the stem
            x = b.stage(b.insert(Graph((cell.nodes[0]._replace(shape=shape), *cell.nodes[1:]), cell.outputs), x))
            for _ in range(depth - 1):
                x = b.stage(b.insert(cell, x))
        return b.build([b.linear(b.global_avg_pool(x), task.n_classes)])

    def cell(self, arch: Arch) -> Graph:
        """One cell on a feature map; it is the only thing in which two networks differ."""
        return _cell((128, 32, 32), self._code(arch))

    def canonical(self, arch: Arch, scope: Scope = Scope.KEY) -> str:
        """What `arch` shares with every architecture that is the same in `scope`; no graph is built for it.

        KEY is the text of the cell after merging max pools that read the same: 419,286 networks. WIDTH1_KEY is what
        the cell computes under constant weights, as an expression: 387,130 functions.
        """
        code = self._code(arch)
        match scope:
            case Scope.CODE:
                return cells.text(code)
            case Scope.KEY:
                return cells.network_key(code)
            case Scope.WIDTH1_KEY:
                return cells.function_key(code)

    def module_hash(self, arch: Arch) -> str:
        """The fingerprint by which the published tables name a cell, 32 hexadecimal digits.

        >>> space = NasBench101()
        >>> space.module_hash(space.parse("0110/0011/0001/0000;input,conv1x1-bn-relu,conv3x3-bn-relu,output"))
        '5529e1779433733d1145e20de5d8604e'
        """
        return cells.module_hash(self._code(arch))

    def mutate(self, arch: Arch, rng: np.random.Generator) -> Arch:
        """One edge more or less, or another operation, drawn again until that is another cell of the space.

        As in the paper's evolution, a cell has seven vertices, of which some may be idle. Architectures do not record
        idle vertices, so they are drawn: each in a random place, with a random operation, reading one random vertex.
        One more edge then puts it to use.
        """
        code = self._code(arch)
        while True:
            pairs, labels = _with_idle_vertices(code, rng)
            change = int(rng.integers(len(EDGES) + 2 * len(labels)))
            if change < len(EDGES):
                pairs ^= {EDGES[change]}
            else:
                vertex, step = divmod(change - len(EDGES), 2)
                labels[vertex] = (labels[vertex] + 1 + step) % len(OPERATIONS)
            mutant = cells.pruned(pairs, labels)
            if mutant and mutant[0].bit_count() <= MAX_EDGES and (found := cells.representative(mutant)) != code:
                return Arch(self.name, found)

    def format(self, arch: Arch) -> str:
        """Rows of the adjacency matrix, then operations.

        >>> NasBench101().format(NasBench101()[20])
        '0110/0010/0001/0000;input,conv1x1-bn-relu,conv1x1-bn-relu,output'
        """
        return cells.text(self._code(arch))

    def parse(self, text: str) -> Arch:
        """The representative of a cell.

        Args:
            text: the form of `format`, in which | may stand for commas; or a JSON object with "module_adjacency" and
                "module_operations", or "adjacency" and "ops", the matrix being a list of rows, each of them a list
                or a text of 0 and 1. Idle vertices are allowed and left out.

        Raises:
            OutOfSpaceError: another form, or no cell of the space; the message says where it goes wrong.

        >>> space = NasBench101()
        >>> arch = space.parse('{"adjacency": ["011", "000", "000"], "ops": ["input", "maxpool3x3", "output"]}')
        >>> space.format(arch)
        '01/00;input,output'
        """
        matrix, operations = _read(text.strip())
        pairs = _pairs(matrix)
        code = cells.pruned(pairs, _labels(operations, len(matrix)))
        if code is None:
            _refuse("no path leads from the input, vertex 0, to the output, the last vertex")
        if len(code) + 1 > MAX_VERTICES or code[0].bit_count() > MAX_EDGES:
            _refuse(
                f"a cell has at most {MAX_VERTICES} vertices and {MAX_EDGES} edges; without idle vertices this one has "
                f"{len(code) + 1} and {code[0].bit_count()}"
            )
        return Arch(self.name, cells.representative(code))

    def _code(self, arch: Arch) -> Code:
        code = arch.code
        if arch.space != self.name or not isinstance(code, tuple) or not code:
            raise OutOfSpaceError(f"nasbench101 codes are edges and operation numbers, got {arch}.")
        if not cells.is_representative(code):
            raise OutOfSpaceError(
                f"{code} is no nasbench101 architecture: expected edges that leave no vertex idle, an operation number "
                "from 0 to 2 for each inner vertex, and of all numberings the least. `parse` finds it for any cell."
            )
        return code


# --- networks ------------------------------------------------------------------------------------------------------


def _cell(shape: Shape, code: Code) -> Graph:
    """A cell that keeps the number of channels. On another number only the input's shape would be different."""
    edges, *labels = code
    sources, feeders, ranks = cells.wiring(edges)
    share, extra = divmod(shape[0], len(feeders) or 1)
    b = GraphBuilder(shape)
    made = [b.input]
    for v, label in enumerate(labels, start=1):
        width = share + (ranks[v] < extra)
        reads = [b.truncate(made[x], width) for x in sources[v] if x]
        if sources[v][0] == 0:
            reads.append(b.insert(_conv_bn_relu(shape, width, 1), b.input))
        x = b.sum(reads) if len(reads) > 1 else reads[0]
        if label == cells.POOL:
            made.append(b.max_pool(x, kernel=3, padding=1))
        else:
            made.append(b.insert(_conv_bn_relu(b.shape(x), width, _KERNELS[label]), x))
    joined = [made[v] for v in feeders]
    if len(joined) > 1:
        joined = [b.concat(joined)]
    if sources[-1][0] == 0:
        joined.append(b.insert(_conv_bn_relu(shape, shape[0], 1), b.input))
    return b.build([b.sum(joined) if len(joined) > 1 else joined[0]])


_KERNELS = (3, 1)  # of the operations that are convolutions


@cache
def _conv_bn_relu(shape: Shape, channels: int, kernel: int) -> Graph:
    b = GraphBuilder(shape)
    return b.build([b.relu(b.batch_norm(b.conv(b.input, channels, kernel=kernel)))])


def _with_idle_vertices(code: Code, rng: np.random.Generator) -> tuple[set[tuple[int, int]], list[int]]:
    edges, *labels = code
    pairs = {(x, y) for y, reads in enumerate(cells.wiring(edges).sources) for x in reads}
    while len(labels) < MAX_VERTICES - 2:
        place = int(rng.integers(1, len(labels) + 2))
        pairs = {(x + (x >= place), y + (y >= place)) for x, y in pairs}
        pairs.add((int(rng.integers(place)), place))
        labels.insert(place - 1, int(rng.integers(len(OPERATIONS))))
    return pairs, labels


# --- texts ---------------------------------------------------------------------------------------------------------


def _refuse(why: str) -> NoReturn:
    raise OutOfSpaceError(f"not a nasbench101 cell: {why}.")


def _read(text: str) -> tuple[list[Any], list[Any]]:
    """Rows of the matrix and operations, as they are written."""
    if not text.startswith("{"):
        rows, semicolon, operations = text.partition(";")
        if not semicolon:
            _refuse(f"expected the form {_FORM}, got {_short(text)}")
        return rows.split("/"), re.split("[,|]", operations)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        _refuse(f"the JSON cannot be read ({error}): {_short(text)}")
    for keys in _KEYS:
        if all(isinstance(found.get(key), list) for key in keys):
            return found[keys[0]], found[keys[1]]
    wanted = " or ".join([" and ".join(keys) for keys in _KEYS])
    _refuse(f"expected a JSON object with the lists {wanted}, got {_short(text)}")


def _pairs(matrix: list[Any]) -> list[tuple[int, int]]:
    """The edges of a written matrix."""
    n = len(matrix)
    pairs = []
    for x, row in enumerate(matrix):
        bits = "".join([str(int(value)) if value in (0, 1) else "?" for value in row]) if isinstance(row, list) else row
        if not isinstance(bits, str) or bits.strip("01"):
            _refuse(f"row {x} of the matrix must consist of 0 and 1, got {_short(row)}")
        if len(bits) != n:
            _refuse(f"the matrix must be square; it has {n} rows, and row {x} has {len(bits)} entries")
        reads = [y for y, bit in enumerate(bits) if bit == "1"]
        if reads and reads[0] <= x:
            _refuse(f"edges lead from lower to higher vertices; row {x} of the matrix has one to vertex {reads[0]}")
        pairs += [(x, y) for y in reads]
    return pairs


def _labels(operations: list[Any], n: int) -> list[int]:
    """The operation numbers of the inner vertices."""
    if len(operations) != n:
        _refuse(f"expected an operation for each vertex; the matrix has {n} rows, but there are {len(operations)}")
    if n < 2:
        _refuse(f"a cell has an input and an output, but the matrix has {n} rows")
    for v, name in ((0, "input"), (n - 1, "output")):
        if operations[v] != name:
            _refuse(f"the operation of vertex {v} must be {name!r}, got {_short(operations[v])}")
    for v, name in enumerate(operations[1:-1], start=1):
        if name not in OPERATIONS:
            near = difflib.get_close_matches(str(name), OPERATIONS, n=1, cutoff=0.3)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            _refuse(f"vertex {v} has the unknown operation {_short(name)}.{hint} There are {', '.join(OPERATIONS)}")
    return [OPERATIONS.index(name) for name in operations[1:-1]]


def _short(value: object) -> str:
    return repr(value) if len(repr(value)) <= 100 else f"{repr(value)[:97]}..."


SPACE = NasBench101()
