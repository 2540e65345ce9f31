"""A part of a space: where draws come from, and what can be reached."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from untrained.errors import OutOfSpaceError
from untrained.graphs.graph import Graph
from untrained.graphs.recurrent import Recurrent
from untrained.search.starts import key_of
from untrained.spaces.base import FiniteSpace, Space
from untrained.types import Arch, Scope, Task

if TYPE_CHECKING:
    import numpy as np

_TRIES = 200


@final
class Among(FiniteSpace):
    """Some architectures of a space, listed: those that draws give, and those that mutations may lead to.

    >>> import numpy as np
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> some = Among(SPACE, drawn=[SPACE[0], SPACE[1]], reached=[SPACE[0], SPACE[1], SPACE[2]])
    >>> len(some), some.mutate(SPACE[0], np.random.default_rng(0)) in (SPACE[1], SPACE[2])
    (2, True)
    """

    version = 1

    def __init__(self, space: Space, drawn: Sequence[Arch], reached: Sequence[Arch]) -> None:
        """`drawn` are listed and drawn uniformly; mutations lead from any of `reached` to another of these."""
        self.space = space
        self.name, self.title, self.cite, self.task = space.name, space.title, space.cite, space.task  # type: ignore[misc]
        self._drawn, self._reached = tuple(drawn), tuple(reached)
        self._known = frozenset(reached)
        self._places = {arch: i for i, arch in enumerate(self._drawn)}

    def __len__(self) -> int:
        return len(self._drawn)

    def __getitem__(self, i: int) -> Arch:
        return self._drawn[i]

    def index(self, arch: Arch) -> int:
        """The position among those drawn.

        Raises:
            OutOfSpaceError: it is none of them.
        """
        if arch not in self._places:
            raise OutOfSpaceError(f"{self.space.format(arch)} is not among the {len(self):,} that are drawn.")
        return self._places[arch]

    def mutate(self, arch: Arch, rng: "np.random.Generator") -> Arch:
        """One elementary change that leads to a member; any member where 200 tries do not."""
        for _ in range(_TRIES):
            child = self.space.mutate(arch, rng)
            if child in self._known:
                return child
        return self._reached[int(rng.integers(len(self._reached)))]

    def graph(self, arch: Arch, task: Task | None = None) -> Graph | Recurrent:
        """As in the whole space."""
        return self.space.graph(arch, task)

    def cell(self, arch: Arch) -> Graph:
        """As in the whole space."""
        return self.space.cell(arch)

    def format(self, arch: Arch) -> str:
        """As in the whole space."""
        return self.space.format(arch)

    def parse(self, text: str) -> Arch:
        """As in the whole space."""
        return self.space.parse(text)

    def canonical(self, arch: Arch, scope: Scope = Scope.KEY) -> str:
        """As in the whole space, and remembered with what it has of others."""
        return key_of(self.space, arch) if scope is Scope.KEY else self.space.canonical(arch, scope)
