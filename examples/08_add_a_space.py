# --8<-- [start:space]
"""Chains of four layers, each of one of four kinds, between a stem and a pooled classifier.

Order. Architecture i has the base-4 digits of i as its code, first layer most significant.
"""

from typing import TYPE_CHECKING, final

from untrained.errors import OutOfSpaceError
from untrained.graphs.graph import Graph, GraphBuilder
from untrained.spaces.base import FiniteSpace
from untrained.types import Arch, Task

if TYPE_CHECKING:
    import numpy as np

LAYERS = ("skip", "pool", "conv1x1", "conv3x3")
LENGTH = 4


@final
class Chain4(FiniteSpace):
    """Stem, four layers at one width, head. Text form: layer names with dashes between."""

    name = "chain4"
    version = 1
    title = "Chains of four layers"
    cite = "an example, in no paper"
    task = Task(input_shape=(3, 32, 32), n_classes=10, width=16)

    def __len__(self) -> int:
        return int(len(LAYERS) ** LENGTH)

    def __getitem__(self, i: int) -> Arch:
        if not 0 <= i < len(self):
            raise IndexError(f"chain4 has indices 0 to {len(self) - 1}, got {i}")
        return Arch(self.name, tuple([i // len(LAYERS) ** k % len(LAYERS) for k in reversed(range(LENGTH))]))

    def index(self, arch: Arch) -> int:
        """The position of an architecture."""
        i = 0
        for layer in self._code(arch):
            i = i * len(LAYERS) + layer
        return i

    def graph(self, arch: Arch, task: Task | None = None) -> Graph:
        """The network; outputs are the pooled features and the logits."""
        task = task or self.task
        width = task.width or 16
        b = GraphBuilder(task.input_shape)
        x = b.batch_norm(b.conv(b.input, width, kernel=3))
        features = b.global_avg_pool(b.relu(_chain(b, x, width, self._code(arch))))
        return b.build([features, b.linear(features, task.n_classes)])

    def cell(self, arch: Arch) -> Graph:
        """The chain on a feature map; it is the only thing in which two networks differ."""
        b = GraphBuilder((16, 32, 32))
        return b.build([_chain(b, b.input, 16, self._code(arch))])

    def mutate(self, arch: Arch, rng: "np.random.Generator") -> Arch:
        """Another kind of layer at one place."""
        code = list(self._code(arch))
        place = int(rng.integers(LENGTH))
        code[place] = (code[place] + int(rng.integers(1, len(LAYERS)))) % len(LAYERS)
        return Arch(self.name, tuple(code))

    def format(self, arch: Arch) -> str:
        """The text of an architecture."""
        return "-".join([LAYERS[layer] for layer in self._code(arch)])

    def parse(self, text: str) -> Arch:
        """Inverse of `format`.

        Raises:
            OutOfSpaceError: another number of layers, or an unknown one.
        """
        names = text.strip().split("-")
        unknown = [name for name in names if name not in LAYERS]
        if unknown or len(names) != LENGTH:
            raise OutOfSpaceError(
                f"chain4 architectures are {LENGTH} of {', '.join(LAYERS)} with dashes between, got {text!r}."
            )
        return Arch(self.name, tuple([LAYERS.index(name) for name in names]))

    def _code(self, arch: Arch) -> tuple[int, ...]:
        code = arch.code
        if arch.space != self.name or not isinstance(code, tuple) or len(code) != LENGTH:
            raise OutOfSpaceError(f"chain4 codes are {LENGTH} layer numbers, got {arch}.")
        if not all(0 <= layer < len(LAYERS) for layer in code):
            raise OutOfSpaceError(f"chain4 has layers 0 to {len(LAYERS) - 1}, got {code}.")
        return code


def _chain(b: GraphBuilder, x: int, channels: int, code: tuple[int, ...]) -> int:
    for layer in code:
        match LAYERS[layer]:
            case "skip":
                x = b.identity(x)
            case "pool":
                x = b.avg_pool(x, kernel=3, padding=1)
            case "conv1x1":
                x = b.batch_norm(b.conv(b.relu(x), channels, kernel=1))
            case _:
                x = b.batch_norm(b.conv(b.relu(x), channels, kernel=3))
    return x


SPACE = Chain4()
# --8<-- [end:space]


# --8<-- [start:test]
def test_chain4() -> None:
    from untrained.graphs import cost
    from untrained.testing import check_space
    from untrained.types import Scope

    check_space(SPACE)

    a, b = SPACE.parse("conv3x3-skip-skip-pool"), SPACE.parse("skip-conv3x3-pool-skip")
    assert SPACE.canonical(a, Scope.KEY) == SPACE.canonical(b, Scope.KEY), "skips vanish"
    assert len(SPACE.unique(SPACE)) == 1 + 3 + 9 + 27 + 81

    stem, layer, head = 3 * 16 * 9 + 32, 16 * 16 * 9 + 32, 16 * 10 + 10
    assert cost.n_params(SPACE.graph(SPACE.parse("conv3x3-skip-pool-skip"))) == stem + layer + head
    # --8<-- [end:test]


def main() -> None:
    test_chain4()
    # --8<-- [start:use]
    import untrained

    archs = [SPACE.parse("conv3x3-skip-pool-conv1x1"), SPACE.parse("conv1x1-pool-skip-skip")]
    for score in untrained.score(SPACE, "params,depth,relu_magnitude", archs=archs, workers=1):
        print(SPACE.format(score.arch), score.proxy, score.value)
    # --8<-- [end:use]


if __name__ == "__main__":
    main()
