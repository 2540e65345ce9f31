"""NATS-Bench's size space: 32,768 choices of the channels of five layers around one fixed cell.

Source: Dong, Liu, Musial and Gabrys 2021, "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and
Size", section 3.2.

The layers are cell, residual block of stride 2, cell, residual block of stride 2, cell; a number is the channels that
its layer gives, and the first also those of the stem. Where a cell is to give another number than it gets, its skip
from the input is a 1x1 convolution and a norm. The cell is CELL, the best of NAS-Bench-201 on CIFAR-100.

Order. A code holds the five numbers. Architecture i has the base-8 digits of i as its choices, first layer most
significant, which is also the order of the official files.
"""

import re
from typing import TYPE_CHECKING, ClassVar, final

from untrained.errors import BadInputError, OutOfSpaceError
from untrained.graphs.graph import Graph, GraphBuilder
from untrained.spaces import blocks
from untrained.spaces.base import FiniteSpace, Published
from untrained.types import Arch, Task

if TYPE_CHECKING:
    import numpy as np


CHANNELS = (8, 16, 24, 32, 40, 48, 56, 64)
LAYERS = 5
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
_OPERATIONS = re.findall(r"[a-z_0-9]+(?=~)", CELL)
_FORM = "8:16:24:32:40"


@final
class NatsBenchSizes(FiniteSpace):
    """Stem, cell, residual block, cell, residual block, cell, head; five numbers of channels are free."""

    name = "natsbench_sss"
    version = 1
    title = "NATS-Bench size space"
    cite = "Dong, Liu, Musial and Gabrys 2021, arXiv:2009.00437"
    task = Task(input_shape=(3, 32, 32), n_classes=10, depth=1)
    # Not in epsinas' paper: found by its rule, the widest powers of ten from 1e-7 to 1 with under 10 % undefined.
    published: ClassVar[Published] = {"epsinas": {"low": 1e-6, "high": 1.0}}

    def __len__(self) -> int:
        return int(len(CHANNELS) ** LAYERS)

    def __getitem__(self, i: int) -> Arch:
        if not 0 <= i < len(self):
            raise IndexError(f"natsbench_sss has indices 0 to {len(self) - 1}, got {i}")
        choices = []
        for _ in range(LAYERS):
            i, digit = divmod(i, len(CHANNELS))
            choices.append(CHANNELS[digit])
        return Arch(self.name, tuple(reversed(choices)))

    def index(self, arch: Arch) -> int:
        """The position of an architecture."""
        i = 0
        for channels in self._code(arch):
            i = i * len(CHANNELS) + CHANNELS.index(channels)
        return i

    def graph(self, arch: Arch, task: Task | None = None) -> Graph:
        """The network; outputs are the pooled features and the logits.

        The depth of a task is the number of cells in a row; only the first of them changes the number of channels.

        Raises:
            BadInputError: the task sets a width, which is what the architectures of this space are.
        """
        task = task or self.task
        depth = 1 if task.depth is None else task.depth
        if task.width is not None or depth < 1:
            raise BadInputError(
                "natsbench_sss networks have the widths of their code and at least one cell between blocks: leave "
                f"the width of the task at None and its depth at 1 or more; got width {task.width}, depth {depth}."
            )
        code = self._code(arch)
        b = GraphBuilder(task.input_shape)
        x = b.stage(b.batch_norm(b.conv(b.input, code[0], kernel=3)))
        for layer, channels in enumerate(code):
            if layer % 2:
                x = b.stage(blocks.residual_block(b, x, channels))
                continue
            for _ in range(depth):
                x = b.stage(b.insert(blocks.cell(b.shape(x), _OPERATIONS, channels), x))
        features = b.global_avg_pool(b.relu(b.batch_norm(x)))
        return b.build([features, b.linear(features, task.n_classes)])

    def cell(self, arch: Arch) -> Graph:
        """Five convolutions in a row with the channels of the layers, the only thing in which two networks differ."""
        b = GraphBuilder((3, 1, 1))
        x = b.input
        for channels in self._code(arch):
            x = b.conv(x, channels, kernel=1)
        return b.build([x])

    def mutate(self, arch: Arch, rng: "np.random.Generator") -> Arch:
        """Another number of channels in one layer."""
        code = list(self._code(arch))
        layer = int(rng.integers(LAYERS))
        choice = CHANNELS.index(code[layer]) + int(rng.integers(1, len(CHANNELS)))
        code[layer] = CHANNELS[choice % len(CHANNELS)]
        return Arch(self.name, tuple(code))

    def format(self, arch: Arch) -> str:
        """The numbers, from the stem to the head.

        >>> NatsBenchSizes().format(NatsBenchSizes()[11])
        '8:8:8:16:32'
        """
        return ":".join(map(str, self._code(arch)))

    def parse(self, text: str) -> Arch:
        """Inverse of `format`.

        Raises:
            OutOfSpaceError: another form, or a number that is no choice.
        """
        if not re.fullmatch(r"[0-9]+(:[0-9]+){4}", text.strip()):
            raise OutOfSpaceError(f"natsbench_sss architectures have the form {_FORM}, got {text!r}.")
        numbers = text.strip().split(":")
        for layer, number in enumerate(numbers):
            if number not in map(str, CHANNELS):
                raise OutOfSpaceError(
                    f"natsbench_sss has no layer of {number} channels (layer {layer} of {text!r}); "
                    f"there are {', '.join(map(str, CHANNELS))}."
                )
        return Arch(self.name, tuple(map(int, numbers)))

    def _code(self, arch: Arch) -> tuple[int, ...]:
        code = arch.code
        if arch.space != self.name or not isinstance(code, tuple) or len(code) != LAYERS:
            raise OutOfSpaceError(f"natsbench_sss codes are five numbers of channels, got {arch}.")
        for channels in code:
            if channels not in CHANNELS:
                raise OutOfSpaceError(f"natsbench_sss has 8, 16, ..., 64 channels, got {channels} in {code}.")
        return code


SPACE = NatsBenchSizes()
