"""Where searches begin: the best scored first, then architectures at random; and what counts as asked for before."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice

import numpy as np

from untrained.search.base import ExhaustedError, Search
from untrained.spaces import FiniteSpace, Space
from untrained.types import Arch

_TRIES = 100  # proposals in a row that were all asked for before, until something else is tried
_DRAWS = 10_000  # of a space without end
_SMALL = 100_000
_AT_ONCE = 64


class Starts:
    """Architectures to begin with, one after another, and all that were handed out.

    With `warmup` = K, K architectures are drawn and scored, and come in order of their score, undefined ones last and
    equal ones as drawn; those after them are drawn at random. `unique` says what is handed out at most once: "code"
    the architecture as written, "key" the network (see Scope.KEY), "no" nothing: draws are then with replacement.
    """

    def __init__(self, search: Search, warmup: int, unique: str) -> None:
        self.scores: dict[Arch, float] = {}
        self._search, self._unique = search, unique
        self._seen: set[Arch | str] = set()
        self._draws = _draws(search.space, search.rng, unique)
        self._queue = self._ordered(warmup)

    def _ordered(self, warmup: int) -> Iterator[Arch]:
        if warmup:
            drawn = list(islice(self._draws, warmup))
            scores = self._search.score(drawn)
            self.scores.update(zip(drawn, scores.tolist(), strict=True))
            order = np.argsort(np.where(np.isnan(scores), np.inf, -scores), kind="stable")
            yield from [drawn[i] for i in order.tolist()]
        yield from self._draws

    def score(self, arch: Arch) -> float:
        """The score of one architecture, which is asked for once."""
        if arch not in self.scores:
            self.scores[arch] = float(self._search.score([arch])[0])
        return self.scores[arch]

    def next(self) -> Arch:
        """The next architecture.

        Raises:
            ExhaustedError: the space has no other.
        """
        for refused, arch in enumerate(self._queue):
            if self.take(arch):
                return arch
            if refused >= _DRAWS and not isinstance(self._search.space, FiniteSpace):
                break
        raise ExhaustedError(f"{self._search.space.name} has no architecture left that was not asked for.")

    def fresh(self, propose: Callable[[], Arch]) -> Arch:
        """The first of many proposals that may be handed out; the next architecture if there is none.

        Raises:
            ExhaustedError: the space has no other.
        """
        return self.proposed(propose) or self.next()

    def proposed(self, propose: Callable[[], Arch]) -> Arch | None:
        """The first of many proposals that may be handed out, if any."""
        for _ in range(_TRIES):
            arch = propose()
            if self.take(arch):
                return arch
        return None

    def take(self, arch: Arch) -> bool:
        """Hand out `arch`, if it may be."""
        if self._unique == "no":
            return True
        name = arch if self._unique == "code" else key_of(self._search.space, arch)
        if name in self._seen:
            return False
        self._seen.add(name)
        return True


@lru_cache(maxsize=1 << 17)
def key_of(space: Space, arch: Arch) -> str:
    """What `arch` shares with every architecture that is the same network; many rounds ask for it again."""
    return space.canonical(arch)


def _draws(space: Space, rng: np.random.Generator, unique: str) -> Iterator[Arch]:
    """Random architectures: of a space that can be listed uniformly, without replacement unless `unique` is "no"."""
    if not isinstance(space, FiniteSpace):
        yield from _endless(space, rng, unique)
        return
    n = len(space)
    at = _listed(space).__getitem__ if n <= _SMALL else space.__getitem__
    if unique == "no":
        while True:
            yield from map(at, rng.integers(n, size=_AT_ONCE).tolist())
    moved: dict[int, int] = {}  # Fisher and Yates's shuffle, of which only what was exchanged is kept
    for first in range(0, n, _AT_ONCE):
        places = np.arange(first, min(first + _AT_ONCE, n))
        for i, j in zip(places.tolist(), rng.integers(places, n).tolist(), strict=True):
            yield at(moved.get(j, j))
            moved[j] = moved.pop(i, i)


@lru_cache(maxsize=4)
def _listed(space: FiniteSpace) -> tuple[Arch, ...]:
    """All of a small space: many rounds draw from it."""
    return tuple(space)


def _endless(space: Space, rng: np.random.Generator, unique: str) -> Iterator[Arch]:
    drawn: set[Arch] = set()
    refused = 0
    while refused < _DRAWS:
        arch = space.sample(rng, 1)[0]
        if unique == "no" or arch not in drawn:
            refused = 0
            drawn.add(arch)
            yield arch
        else:
            refused += 1
