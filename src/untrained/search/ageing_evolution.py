"""Ageing (regularised) evolution, with the warm-up and the move of zero-cost proxies."""

from collections import deque
from collections.abc import Sequence

from untrained.errors import BadInputError
from untrained.search.base import Parameter, Problem, Search, Told, at_least, check_unique, searcher, told
from untrained.search.starts import Starts
from untrained.types import Arch


class AgeingEvolution(Search):
    """A pool whose best of a tournament is mutated, and whose oldest dies.

    The first `pool` architectures are random, or with `warmup` = K the best of K scored. Then in every step
    `tournament` members are drawn without replacement, the best of them is mutated (`Space.mutate`), and the child
    takes the place of the oldest member. With `move` the best is the one of the highest score, not of the highest
    value; among equals the youngest. Members without a value, or without a score, are parents only if all drawn are.

    Args:
        problem: see `Problem`.
        pool: members.
        tournament: members drawn for a step.
        warmup: K; 0 is none.
        move: choose parents by score.
        unique: "no" lets the same architecture come again, as the paper's program does; "code" and "key" mutate anew
            until the child is an architecture, or a network, that was not asked for.

    Source: Real et al. 2019, AAAI 33, 4780; warm-up and move: Abdelfattah et al. 2021, arXiv 2101.08134. The program
    of arXiv 2302.04406 does the same, with these differences: there undefined scores become 0, which for epsinas is
    the worst too, and a mutation draws a node of the NAS-Bench-201 cell first and then one of its edges, so that the
    first edge changes in 1/3 of all steps and one into the last node in 1/9, where ours draws all edges alike.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        pool: int = 64,
        tournament: int = 10,
        warmup: int = 0,
        move: bool = False,
        unique: str = "no",
    ) -> None:
        super().__init__(problem)
        self._size, self._tournament, self._move = pool, tournament, move
        self._starts = Starts(self, warmup, unique)
        self._pool: deque[Told] = deque(maxlen=pool)
        self._asked = 0

    @property
    def pool(self) -> tuple[Told, ...]:
        """The members, oldest first."""
        return tuple(self._pool)

    @property
    def independent(self) -> int:
        """The pool is filled without being told anything."""
        return max(1, self._size - self._asked)

    def ask(self) -> Arch:
        """One for the first pool, or a child."""
        self._asked += 1
        if self._asked <= self._size or not self._pool:
            return self._starts.next()
        return self._starts.fresh(lambda: self.space.mutate(self.parent(), self.rng))

    def parent(self) -> Arch:
        """The winner of a tournament."""
        n = len(self._pool)
        drawn = self.rng.choice(n, min(self._tournament, n), replace=False, shuffle=False)
        drawn.sort()  # the youngest last
        return max([self._pool[i] for i in reversed(drawn.tolist())], key=self._merit).arch

    def _merit(self, member: Told) -> tuple[float, bool, float]:
        return (
            Told(member.arch, (self._starts.score(member.arch),), member.violation).merit
            if self._move
            else member.merit
        )

    def tell(self, arch: Arch, value: float | Sequence[float], violation: float = 0.0) -> None:
        """A new member; the oldest dies if there is no room."""
        self._pool.append(told(arch, value, violation))


def _check(
    *, pool: Parameter, tournament: Parameter, warmup: Parameter, move: Parameter, unique: Parameter  # noqa: ARG001
) -> None:  # fmt: skip
    at_least("pool", pool, 1)
    at_least("tournament", tournament, 1)
    at_least("warmup", warmup, 0)
    check_unique(unique)
    if int(tournament) > int(pool):
        raise BadInputError(f"tournament must be at most pool ({pool}), got {tournament}.")


SEARCHER = searcher(
    AgeingEvolution,
    name="ageing_evolution",
    version=1,
    cite="Real et al. 2019, AAAI 33, 4780; warm-up and move: Abdelfattah et al. 2021, arXiv 2101.08134",
    check=_check,
)
