"""NSGA-II: several objectives at once, and constraints."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from untrained.errors import MissingDependencyError
from untrained.search.base import Floats, Parameter, Problem, Search, Told, at_least, check_unique, searcher, told
from untrained.search.starts import Starts
from untrained.types import Arch


class Nsga2(Search):
    """A population that keeps what no other is better than in every objective, and of these the least crowded.

    In each generation `population` children are made: of two members drawn at random the one that stands first in
    `ranking` is mutated (`Space.mutate`; spaces have no crossover). Of parents and children the first `population` in
    `ranking` live on.

    Args:
        problem: see `Problem`.
        population: members, and children of a generation.
        warmup: K: the first population is the best of K scored; 0 is none.
        unique: "key" evaluates no network twice, "code" no architecture as written, "no" lets them come again.

    Source: Deb et al. 2002, IEEE Trans. Evol. Comput. 6, 182; constraints as in its section VI.
    """

    several = True

    def __init__(self, problem: Problem, *, population: int = 40, warmup: int = 0, unique: str = "key") -> None:
        super().__init__(problem)
        self._size = population
        self._starts = Starts(self, warmup, unique)
        self._members: list[Told] = []  # as `ranking` sorts
        self._children: list[Told] = []
        self._asked = 0  # in this generation

    @property
    def population(self) -> tuple[Told, ...]:
        """The members, in the order of `ranking`."""
        return tuple(self._members)

    @property
    def independent(self) -> int:
        """A generation is made without being told anything of it."""
        return max(1, self._size - self._asked)

    def ask(self) -> Arch:
        """One for the first population, or a child."""
        self._asked += 1
        if not self._members:
            return self._starts.next()
        return self._starts.fresh(lambda: self.space.mutate(self._parent(), self.rng))

    def _parent(self) -> Arch:
        return self._members[int(self.rng.integers(len(self._members), size=2).min())].arch

    def tell(self, arch: Arch, value: float | Sequence[float], violation: float = 0.0) -> None:
        """A new child; when all of a generation are known, who lives on is chosen."""
        self._children.append(told(arch, value, violation))
        if len(self._children) >= self._size:
            every = [*self._members, *self._children]
            self._members = [every[i] for i in ranking(every)[: self._size]]
            self._children, self._asked = [], 0


def ranking(members: Sequence[Told]) -> list[int]:
    """Places of members, best first.

    Those that meet the constraints and have all values stand first, by nondominated rank and, of equal rank, by
    crowding distance; then those that lack a value; then those that miss constraints, by how much. Of equal ones the
    earlier stands first.
    """
    order: list[int] = []
    points = np.array([one.values for one in members], np.float64).reshape(len(members), -1)
    violation = np.array([one.violation for one in members], np.float64)
    violation[np.isnan(violation)] = np.inf
    whole = np.flatnonzero((violation <= 0) & ~np.isnan(points).any(axis=1))
    if len(whole):
        ranks = pareto_ranks(points[whole])
        distances = np.zeros(len(whole))
        for rank in np.unique(ranks).tolist():
            at = np.flatnonzero(ranks == rank)
            distances[at] = crowding(points[whole[at]])
        order += whole[np.lexsort((np.arange(len(whole)), -distances, ranks))].tolist()
    rest = np.setdiff1d(np.arange(len(members)), whole)
    order += rest[np.argsort(np.maximum(violation[rest], 0), kind="stable")].tolist()
    return order


def pareto_ranks(points: Floats) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Nondominated ranks, 0 first, of points of shape (n, objectives) without NaN, higher is better.

    Raises:
        MissingDependencyError: moocore is not installed.

    >>> pareto_ranks(np.array([[1.0, 2], [2, 1], [0, 0]])).tolist()
    [0, 0, 1]
    """
    ranks: np.ndarray[tuple[int], np.dtype[np.int64]] = np.asarray(_moocore().pareto_rank(-points), np.int64)
    return ranks


def hypervolume(points: Floats, reference: Floats) -> float:
    """Volume that points of shape (n, objectives) dominate above a reference point, higher is better.

    Raises:
        MissingDependencyError: moocore is not installed.

    >>> hypervolume(np.array([[1.0, 2], [2, 1]]), np.zeros(2))
    3.0
    """
    above = points[(points > reference).all(axis=1)]
    return float(_moocore().hypervolume(-above, ref=-reference)) if len(above) else 0.0


def crowding(points: Floats) -> Floats:
    """Crowding distance of points of one rank, shape (n, objectives): infinite at the ends of every objective.

    Source: Deb et al. 2002, IEEE Trans. Evol. Comput. 6, 182, section III-B.

    >>> crowding(np.array([[0.0, 4], [1, 2], [4, 0]])).tolist()
    [inf, 2.0, inf]
    """
    distances = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distances[order[[0, -1]]] = np.inf
        if span > 0:
            distances[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distances


def _moocore() -> Any:
    try:
        import moocore
    except ModuleNotFoundError as error:
        raise MissingDependencyError.of("moocore", "evolve", "sorting by several objectives") from error
    return moocore


def _check(*, population: Parameter, warmup: Parameter, unique: Parameter) -> None:
    at_least("population", population, 2)
    at_least("warmup", warmup, 0)
    check_unique(unique)


SEARCHER = searcher(
    Nsga2, name="nsga2", version=1, cite="Deb et al. 2002, IEEE Trans. Evol. Comput. 6, 182", check=_check
)
