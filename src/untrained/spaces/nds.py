"""The five NAS design spaces of NDS: two cells drawn at random, stacked to a random depth at a random width.

Source: Radosavovic et al. 2019, "On Network Design Spaces for Visual Recognition", table 2 (operations, nodes, and
which nodes make a cell's output); network: pycls, models/nas/nas.py, which follows DARTS (arXiv:1806.09055).

A network of depth d has d cells. Cells d // 3 and 2 d // 3 are reduction cells: they double the channels and halve the
map. With d < 3 these are all cells there are, and the normal cell makes no difference.

The constants of epsinas in `published` are ours: its paper has none for these spaces. They are found by its authors'
rule, the widest window of powers of ten within 1e-7 to 1 in which fewer than 10 % of the scores drawn are undefined,
on 1,000 networks and 64 grey images. (On 100 networks, as many as the authors draw, chance decides between windows.)
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from untrained.errors import BadInputError, OutOfSpaceError
from untrained.graphs.graph import Graph, GraphBuilder, Shape
from untrained.spaces.base import Space
from untrained.spaces.nds_genotype import MAX_DEPTH, MAX_WIDTH, Cell, Edge, Net, Rules, read_net
from untrained.spaces.nds_operations import OPERATIONS, factorized_reduce, relu_conv_bn
from untrained.types import Arch, Scope, Task

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")


class Nds(Space):
    """Normal and reduction cells between a stem and a linear classifier, for CIFAR or ImageNet.

    The first output is the logits, the second, of networks with an auxiliary head, that head's. `task.width` and
    `task.depth` take the place of an architecture's own. Images of more than 64 rows get the ImageNet network, whose
    stem makes the map eight times smaller.

    Drop path is off. In pycls, where the second reduction cell is the last one (depth 3 or less), an auxiliary head
    also rectifies, while training, what the classifier reads; here it never does.
    """

    version = 1
    cite = "Radosavovic et al. 2019, arXiv:1905.13214"
    task = Task(input_shape=(3, 32, 32), n_classes=10)
    batch_size = 64
    operations: ClassVar[tuple[str, ...]]
    n_nodes: ClassVar[int]
    output: ClassVar[Literal["all", "loose"]]  # a cell's output: all its nodes, or those that no other node reads

    def __init__(self, *, widths: tuple[int, ...] = (16, 24, 32), depths: tuple[int, ...] = (4, 8, 12, 16, 20)) -> None:
        """Widths and depths to draw from; a text may have others.

        One of each makes the space of the benchmark's `_fix-w-d` files: `NdsDarts(widths=(16,), depths=(20,))`.
        """
        self.widths = widths
        self.depths = depths

    def graph(self, arch: Arch, task: Task | None = None) -> Graph:
        """The network; outputs are the logits and, with an auxiliary head, the logits of that.

        Raises:
            BadInputError: a width, depth or image size of which the network cannot be made.
        """
        net = self._net(arch)
        task = task or self.task
        width = _within("width", net.width if task.width is None else task.width, MAX_WIDTH)
        depth = _within("depth", net.depth if task.depth is None else task.depth, MAX_DEPTH)
        if len(task.input_shape) != 3:
            raise BadInputError(f"{self.name} networks read images (channels, height, width), not {task.input_shape}.")
        b = GraphBuilder(task.input_shape)
        large = task.input_shape[1] > 64
        s0, s1 = _imagenet_stem(b, width) if large else _cifar_stem(b, width)
        channels = width
        auxiliary = b.stage(s1)
        for i in range(depth):
            reduction = i in (depth // 3, 2 * depth // 3)
            if reduction:
                channels *= 2
            cell = net.reduce if reduction else net.normal
            part = _cell(cell, channels, 2 if reduction else 1, b.shape(s0), b.shape(s1))
            s0, s1 = s1, b.stage(b.insert(part, s0, s1))
            if i == 2 * depth // 3:
                auxiliary = s1
        outputs = [b.linear(b.global_avg_pool(s1), task.n_classes)]
        if net.aux:
            outputs.append(_auxiliary_head(b, auxiliary, task.n_classes, large=large))
        return b.build(outputs)

    def cell(self, arch: Arch) -> Graph:
        """Both cells on maps of the first cell's width, each read by a convolution, as any cell is.

        Networks with cells that are equal here are equal at every depth.
        """
        net = self._net(arch)
        shape = (net.width, 32, 32)
        b = GraphBuilder(shape, shape)
        outputs = []
        for cell, stride in ((net.normal, 1), (net.reduce, 2)):
            x = b.insert(_cell(cell, net.width * stride, stride, shape, shape), *b.inputs)
            outputs.append(b.conv(b.relu(x), net.width * stride, kernel=1))
        return b.build(outputs)

    def canonical(self, arch: Arch, scope: Scope = Scope.KEY) -> str:
        """The cells' key with width, depth and, unless constant weights decide, the auxiliary head."""
        key = super().canonical(arch, scope)
        if scope is Scope.CODE:
            return key
        net = self._net(arch)
        head = "+aux" if net.aux and scope is Scope.KEY else ""
        return f"{key}-{net.width}x{net.depth}{head}"

    def sample(self, rng: "np.random.Generator", n: int) -> list[Arch]:
        """`n` different architectures as NDS draws them: every operation, input, width and depth uniformly.

        They have no auxiliary head.
        """
        if n < 0:
            raise OutOfSpaceError(f"cannot draw {n} architectures.")
        drawn: dict[Arch, None] = {}
        while len(drawn) < n:
            net = Net(
                normal=self._random_cell(rng),
                reduce=self._random_cell(rng),
                width=_choice(rng, self.widths),
                depth=_choice(rng, self.depths),
                aux=False,
            )
            drawn[Arch(self.name, net.text())] = None
        return list(drawn)

    def mutate(self, arch: Arch, rng: "np.random.Generator") -> Arch:
        """Another operation or input of one edge, another width, or another depth.

        Where a cell's output follows the rule of the space, it still does.
        """
        net = self._net(arch)
        sizes = [
            (name, other)
            for name, now, known in (("width", net.width, self.widths), ("depth", net.depth, self.depths))
            if (other := [size for size in known if size != now])
        ]
        sites = 4 * self.n_nodes  # of a cell: an operation and an input for each of its edges
        site = int(rng.integers(2 * sites + len(sizes)))
        if site < sites:
            net = replace(net, normal=self._mutated(net.normal, rng))
        elif site < 2 * sites:
            net = replace(net, reduce=self._mutated(net.reduce, rng))
        else:
            name, other = sizes[site - 2 * sites]
            size = _choice(rng, other)
            net = replace(net, width=size) if name == "width" else replace(net, depth=size)
        return Arch(self.name, net.text())

    def format(self, arch: Arch) -> str:
        """The `net` object of the NDS files in one line of JSON, keys sorted, with what defines the network."""
        return self._net(arch).text()

    def parse(self, text: str) -> Arch:
        """The network of a net object, of its genotype alone, or of a DARTS Genotype(...); see `read_net`.

        Raises:
            OutOfSpaceError: another form, or a network that is not of this space.

        >>> from untrained.spaces.nds_darts import SPACE
        >>> cell = ", ".join(["('sep_conv_3x3', 0), ('skip_connect', 1)"] * 4)
        >>> text = f"Genotype(normal=[{cell}], normal_concat=range(2, 6), reduce=[{cell}], reduce_concat=range(2, 6))"
        >>> SPACE.format(SPACE.parse(text))[:51]
        '{"aux":false,"depth":20,"genotype":{"normal":[["sep'
        """
        return Arch(self.name, read_net(text, self._rules()).text())

    def _rules(self) -> Rules:
        return Rules(self.name, self.operations, self.n_nodes)

    def _net(self, arch: Arch) -> Net:
        if arch.space != self.name or not isinstance(arch.code, str):
            raise OutOfSpaceError(f"{self.name} codes are texts, got {arch}.")
        net = read_net(arch.code, self._rules())
        if net.text() != arch.code:
            raise OutOfSpaceError(f"{self.name} codes are texts as `format` writes them, got {arch}. Use `parse`.")
        return net

    def _random_cell(self, rng: "np.random.Generator") -> Cell:
        edges = [
            (_choice(rng, self.operations), int(rng.integers(2 + position // 2)))
            for position in range(2 * self.n_nodes)
        ]
        return Cell(tuple(edges), self._concat(edges))

    def _mutated(self, cell: Cell, rng: "np.random.Generator") -> Cell:
        edges = list(cell.edges)
        position = int(rng.integers(len(edges)))
        operation, source = edges[position]
        if rng.integers(2):
            operation = _choice(rng, [op for op in self.operations if op != operation])
        else:
            source = _choice(rng, [state for state in range(2 + position // 2) if state != source])
        edges[position] = operation, source
        concat = self._concat(edges) if cell.concat == self._concat(cell.edges) else cell.concat
        return Cell(tuple(edges), concat)

    def _concat(self, edges: "list[Edge] | tuple[Edge, ...]") -> tuple[int, ...]:
        """Which nodes make the output of a cell."""
        read = {source for _, source in edges} if self.output == "loose" else set()
        return tuple([node for node in range(2, 2 + self.n_nodes) if node not in read])


def _choice(rng: "np.random.Generator", choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]


def _within(name: str, value: int, largest: int) -> int:
    if not 1 <= value <= largest:
        raise BadInputError(f"a {name} of {value}: expected 1 to {largest}.")
    return value


@lru_cache(maxsize=256)
def _cell(cell: Cell, channels: int, stride: int, shape0: Shape, shape1: Shape) -> Graph:
    """One cell that reads the outputs of the two cells before it."""
    b = GraphBuilder(shape0, shape1)
    s0, s1 = b.inputs
    halved = shape0[1:] != shape1[1:]  # the cell before is a reduction cell, so that the older map is twice as large
    first = factorized_reduce(b, s0, channels) if halved else relu_conv_bn(b, s0, channels)
    states = [first, relu_conv_bn(b, s1, channels)]
    for pair in zip(cell.edges[::2], cell.edges[1::2], strict=True):
        summands = [OPERATIONS[name](b, states[source], stride if source < 2 else 1) for name, source in pair]
        states.append(b.sum(summands))
    return b.build([b.concat([states[node] for node in cell.concat])])


def _cifar_stem(b: GraphBuilder, width: int) -> tuple[int, int]:
    x = b.batch_norm(b.conv(b.input, 3 * width, kernel=3))
    return x, x


def _imagenet_stem(b: GraphBuilder, width: int) -> tuple[int, int]:
    if width % 2:
        raise BadInputError(f"the ImageNet network needs an even width, got {width}.")
    x = b.batch_norm(b.conv(b.input, width // 2, kernel=3, stride=2, padding=1))
    s0 = b.batch_norm(b.conv(b.relu(x), width, kernel=3, stride=2, padding=1))
    return s0, b.batch_norm(b.conv(b.relu(s0), width, kernel=3, stride=2, padding=1))


def _auxiliary_head(b: GraphBuilder, x: int, n_classes: int, *, large: bool) -> int:
    """A classifier of the second reduction cell's output, which must be pooled to 2x2: 8x8, or 7x7 for ImageNet."""
    if (size := b.shape(x)[1:]) != ((7, 7) if large else (8, 8)):
        raise BadInputError(
            "an auxiliary head reads a map of {}, got {}x{}. ".format("7x7" if large else "8x8", *size)
            + "Choose images of 224x224 or 32x32 and a depth of 2 or more, or no auxiliary head."
        )
    x = b.avg_pool(b.relu(x), kernel=5, stride=2 if large else 3)
    x = b.conv(b.relu(b.batch_norm(b.conv(x, 128, kernel=1))), 768, kernel=2, padding=0)
    if not large:  # pycls leaves this norm out for ImageNet, as DARTS did by mistake
        x = b.batch_norm(x)
    return b.linear(b.global_avg_pool(b.relu(x)), n_classes)
