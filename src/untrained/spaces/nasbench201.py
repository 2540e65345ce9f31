"""NAS-Bench-201: 15,625 cells of six edges over five operations, in one fixed skeleton.

Source: Dong and Yang 2020, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search".

Order. A code holds one operation number for each edge; edges are ordered (0,1) (0,2) (1,2) (0,3) (1,3) (2,3), as in
the text form, and operations as in OPERATIONS. Architecture i has the base-5 digits of i as its code, first edge
most significant. The official files have another order, which `NasBench201.official_order` gives.
"""

import itertools
import random
import re
from functools import cache
from typing import TYPE_CHECKING, ClassVar, final

from untrained.errors import OutOfSpaceError
from untrained.graphs.graph import Graph, GraphBuilder, Shape
from untrained.spaces import blocks
from untrained.spaces.base import FiniteSpace, Published
from untrained.spaces.blocks import EDGES
from untrained.types import Arch, Task

if TYPE_CHECKING:
    import numpy as np


OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"


@final
class NasBench201(FiniteSpace):
    """Stem, three stages of five cells at 16, 32 and 64 channels with residual blocks between, head."""

    name = "nasbench201"
    version = 1
    title = "NAS-Bench-201 cells (NATS-Bench topology space)"
    cite = "Dong and Yang 2020, arXiv:2001.00326"
    task = Task(input_shape=(3, 32, 32), n_classes=10, width=16, depth=5)
    published: ClassVar[Published] = {"epsinas": {"low": 1e-7, "high": 1.0}}

    def __len__(self) -> int:
        return 5**6

    def __getitem__(self, i: int) -> Arch:
        if not 0 <= i < len(self):
            raise IndexError(f"nasbench201 has indices 0 to {len(self) - 1}, got {i}")
        digits = []
        for _ in EDGES:
            i, digit = divmod(i, len(OPERATIONS))
            digits.append(digit)
        return Arch(self.name, tuple(reversed(digits)))

    def index(self, arch: Arch) -> int:
        """The position of an architecture."""
        i = 0
        for digit in self._code(arch):
            i = i * len(OPERATIONS) + digit
        return i

    def official_order(self) -> tuple[Arch, ...]:
        """All cells in the order of the official files, where "the first 5,000 cells" of papers are the first.

        The benchmark's authors listed the operations on the edges in the order none, skip, 1x1, 3x3, pool, the last
        edge changing fastest, and shuffled the list with Python's generator and seed 88.

        >>> SPACE.format(SPACE.official_order()[0])
        '|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|'
        """
        return tuple([Arch(self.name, code) for code in _official_indices()])

    def official_index(self, arch: Arch) -> int:
        """The number of an architecture in the official files: official_order()[official_index(arch)] == arch.

        >>> SPACE.official_index(SPACE[0])
        1651
        """
        return _official_indices()[self._code(arch)]

    def graph(self, arch: Arch, task: Task | None = None) -> Graph:
        """The network; outputs are the pooled features and the logits."""
        task = task or self.task
        code = self._code(arch)
        width = task.width or 16
        depth = 5 if task.depth is None else task.depth
        b = GraphBuilder(task.input_shape)
        x = b.stage(b.batch_norm(b.conv(b.input, width, kernel=3)))
        for stage in range(3):
            channels = width << stage
            if stage:
                x = b.stage(blocks.residual_block(b, x, channels))
            cell = _cell(b.shape(x), code)
            for _ in range(depth):
                x = b.stage(b.insert(cell, x))
        features = b.global_avg_pool(b.relu(b.batch_norm(x)))
        return b.build([features, b.linear(features, task.n_classes)])

    def cell(self, arch: Arch) -> Graph:
        """One cell on a feature map; it is the only thing in which two networks differ."""
        return _cell((16, 32, 32), self._code(arch))

    def mutate(self, arch: Arch, rng: "np.random.Generator") -> Arch:
        """Another operation on one edge."""
        code = list(self._code(arch))
        edge = int(rng.integers(len(EDGES)))
        code[edge] = (code[edge] + int(rng.integers(1, len(OPERATIONS)))) % len(OPERATIONS)
        return Arch(self.name, tuple(code))

    def format(self, arch: Arch) -> str:
        """The literature's string, node by node.

        >>> NasBench201().format(NasBench201()[0])
        '|none~0|+|none~0|none~1|+|none~0|none~1|none~2|'
        """
        names = [f"{OPERATIONS[op]}~{source}" for op, (source, _) in zip(self._code(arch), EDGES, strict=True)]
        return f"|{names[0]}|+|{'|'.join(names[1:3])}|+|{'|'.join(names[3:])}|"

    def parse(self, text: str) -> Arch:
        """Inverse of `format`.

        Raises:
            OutOfSpaceError: another form, or an unknown operation.
        """
        names = re.findall(r"([^|~+\s]+)~(\d)", text)
        if [int(source) for _, source in names] != [source for source, _ in EDGES] or text.strip() != (
            "|{}~{}|+|{}~{}|{}~{}|+|{}~{}|{}~{}|{}~{}|".format(*[part for name in names for part in name])
        ):
            raise OutOfSpaceError(f"nasbench201 architectures have the form {_FORM}, got {text!r}.")
        for edge, (name, _) in zip(EDGES, names, strict=True):
            if name not in OPERATIONS:
                raise OutOfSpaceError(
                    f"nasbench201 has no operation {name!r} (edge {edge[0]} to {edge[1]} of {text!r}); "
                    f"there are {', '.join(OPERATIONS)}."
                )
        return Arch(self.name, tuple(OPERATIONS.index(name) for name, _ in names))

    def _code(self, arch: Arch) -> tuple[int, ...]:
        code = arch.code
        if arch.space != self.name or not isinstance(code, tuple) or len(code) != len(EDGES):
            raise OutOfSpaceError(f"nasbench201 codes are six operation numbers, got {arch}.")
        for edge, op in zip(EDGES, code, strict=True):
            if not 0 <= op < len(OPERATIONS):
                raise OutOfSpaceError(f"nasbench201 has operations 0 to 4, got {op} on edge {edge} of {code}.")
        return code


@cache
def _official_indices() -> dict[tuple[int, ...], int]:
    codes = list(itertools.product(range(len(OPERATIONS)), repeat=len(EDGES)))
    random.Random(88).shuffle(codes)
    return {code: i for i, code in enumerate(codes)}


def _cell(shape: Shape, code: tuple[int, ...]) -> Graph:
    return blocks.cell(shape, [OPERATIONS[op] for op in code], shape[0])


SPACE = NasBench201()
