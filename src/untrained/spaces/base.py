"""What every space can do; a space itself says only what its codes mean."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from untrained.errors import OutOfSpaceError
from untrained.graphs import canonical
from untrained.graphs.graph import Graph
from untrained.graphs.recurrent import Recurrent
from untrained.types import Arch, Scope, Task

if TYPE_CHECKING:
    import numpy as np


Published = Mapping[str, Mapping[str, float | str]]  # of each proxy the parameters that its paper used in a space


class Space(ABC):
    """A set of architectures, perhaps too many to list. Subclasses are final."""

    name: str
    version: ClassVar[int]
    title: ClassVar[str]
    cite: ClassVar[str]
    task: Task  # what the benchmark trained its networks for
    batch: str = "grey_ramp"  # what networks are scored on if the user names nothing else
    batch_size: int = 256
    own_weights: ClassVar[bool] = False  # of networks, so that equal graphs do not make them equal
    published: ClassVar[Published] = MappingProxyType({})

    @abstractmethod
    def graph(self, arch: Arch, task: Task | None = None) -> Graph | Recurrent:
        """The whole network as written, dead parts included; `task` defaults to the benchmark's own."""

    @abstractmethod
    def cell(self, arch: Arch) -> Graph:
        """The smallest graph that decides which architectures are equal: the repeated cell, where there is one."""

    @abstractmethod
    def mutate(self, arch: Arch, rng: "np.random.Generator") -> Arch:
        """A different architecture, one elementary change away."""

    @abstractmethod
    def format(self, arch: Arch) -> str:
        """The text by which the literature names this architecture."""

    @abstractmethod
    def parse(self, text: str) -> Arch:
        """The architecture of a text.

        Raises:
            OutOfSpaceError: the text names no architecture of this space; the message says where it goes wrong.
        """

    @abstractmethod
    def sample(self, rng: "np.random.Generator", n: int) -> list[Arch]:
        """`n` different architectures, independently drawn from the space's own distribution.

        Raises:
            OutOfSpaceError: the space has fewer than `n`.
        """

    def canonical(self, arch: Arch, scope: Scope = Scope.KEY) -> str:
        """What `arch` shares with every architecture that is the same in `scope`."""
        match scope:
            case Scope.CODE:
                return self.format(arch)
            case Scope.KEY:
                return canonical.key(self.cell(arch))
            case Scope.WIDTH1_KEY:
                return canonical.width1_key(self.cell(arch))

    def unique(self, archs: Iterable[Arch], scope: Scope = Scope.KEY) -> dict[str, list[Arch]]:
        """Architectures grouped by what they share in `scope`, groups in order of first appearance."""
        groups: dict[str, list[Arch]] = {}
        for arch in archs:
            groups.setdefault(self.canonical(arch, scope), []).append(arch)
        return groups


class FiniteSpace(Space):
    """A space that can be listed. The order is part of the contract."""

    @abstractmethod
    def __len__(self) -> int:
        """How many codes there are."""

    @abstractmethod
    def __getitem__(self, i: int) -> Arch:
        """The i-th architecture, 0 <= i < len(self)."""

    @abstractmethod
    def index(self, arch: Arch) -> int:
        """The position of an architecture: self[self.index(arch)] == arch."""

    def __iter__(self) -> Iterator[Arch]:
        return (self[i] for i in range(len(self)))

    def sample(self, rng: "np.random.Generator", n: int) -> list[Arch]:
        """`n` different architectures, uniformly.

        Raises:
            OutOfSpaceError: the space has fewer than `n`.
        """
        if not 0 <= n <= len(self):
            raise OutOfSpaceError(f"cannot draw {n} different architectures: {self.name} has {len(self):,}.")
        return [self[int(i)] for i in rng.choice(len(self), size=n, replace=False)]
