"""Which programs live on and which have children."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import moocore
import numpy as np
from numpy.typing import NDArray

from untrained.evolve.draws import Draws
from untrained.evolve.worlds import WORST, Evaluation
from untrained.programs.program import Program
from untrained.types import Status

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Individual:
    """A program that was evaluated.

    Attributes:
        program: the program.
        key: digest of its simplified form: programs of one key are one program.
        evaluation: on the discovery part.
        origin: how it came about.
        generation: when it was evaluated.
        island: where.
        fitness: see `Evaluation.fitness`.
        size: operators and leaves.
        text: of the program.
    """

    program: Program
    key: str
    evaluation: Evaluation
    origin: str
    generation: int
    island: int
    fitness: float = field(init=False)
    size: int = field(init=False)
    text: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fitness", self.evaluation.fitness)
        object.__setattr__(self, "size", self.program.tree.size)
        object.__setattr__(self, "text", self.program.text)

    @property
    def fingerprint(self) -> tuple[object, ...]:
        """Equal for programs that rank alike, but for rare coincidences."""
        evaluation = self.evaluation
        return evaluation.status, evaluation.taus, evaluation.size_partials


def by_fitness(individual: Individual) -> tuple[float, int, str]:
    """Sorts the best first; of equally good ones the smallest, then by text."""
    return -individual.fitness, individual.size, individual.text


def best(individuals: Sequence[Individual], n: int) -> list[Individual]:
    """The n best, best first."""
    return sorted(individuals, key=by_fitness)[:n]


def distinct(individuals: Sequence[Individual]) -> list[Individual]:
    """Of programs that rank alike, the smallest; in the order of `best`."""
    found: dict[tuple[object, ...], Individual] = {}
    for individual in sorted(individuals, key=by_fitness):
        found.setdefault(individual.fingerprint, individual)
    return list(found.values())


def tournament(draws: Draws, individuals: Sequence[Individual], size: int, parsimony: float) -> Individual:
    """The winner among so many drawn with replacement: the smallest of those within `parsimony` of the best.

    Source: lexicographic parsimony pressure, Luke and Panait 2002, GECCO, with a tolerance.
    """
    drawn = [draws.choice(individuals) for _ in range(size)]
    bar = max([individual.fitness for individual in drawn]) - parsimony
    near = [individual for individual in drawn if individual.fitness >= bar]
    if len(near) == 1:
        return near[0]
    return min(near, key=lambda one: (one.size, -one.fitness, one.text))


def objectives(individuals: Sequence[Individual], names: Sequence[str]) -> Floats:
    """Objectives of each program, shape (n, len(names)), all to be minimised.

    "fitness" is the negative of the smallest tau, "size" the number of operators and leaves, "milliseconds" the
    predicted cost, and "size_partial" the negative of the mean over spaces of |partial correlation with the labels
    given the number of parameters|: what a program knows beyond size is to be large, so that champions are no disguised
    parameter counts.
    """
    columns = {
        "fitness": [-one.fitness for one in individuals],
        "size": [float(one.size) for one in individuals],
        "milliseconds": [one.evaluation.milliseconds for one in individuals],
        "size_partial": [-_mean(one.evaluation.size_partials) for one in individuals],
    }
    return np.array([columns[name] for name in names], np.float64).T.reshape(len(individuals), len(names))


def crowding(points: Floats) -> Floats:
    """Crowding distance of mutually nondominated points, shape (n,): infinite at the ends of every objective.

    Source: Deb et al. 2002, IEEE Trans. Evol. Comput. 6, 182, section III-B.

    >>> crowding(np.array([[0.0, 4], [1, 2], [4, 0]])).tolist()
    [inf, 2.0, inf]
    """
    n = len(points)
    distances = np.zeros(n)
    for column in points.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distances[order[[0, -1]]] = np.inf
        if n > 2 and span > 0:
            distances[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distances


def nsga2(individuals: Sequence[Individual], n: int, names: Sequence[str]) -> list[Individual]:
    """The n that NSGA-II keeps: by nondominated rank, then by crowding distance, then as `best` sorts.

    Source: Deb et al. 2002, IEEE Trans. Evol. Comput. 6, 182.
    """
    ordered = sorted(individuals, key=by_fitness)
    if not ordered:
        return []
    points = objectives(ordered, names)
    ranks = moocore.pareto_rank(points)
    distances = np.zeros(len(ordered))
    for rank in range(int(ranks.max()) + 1):
        members = np.flatnonzero(ranks == rank)
        distances[members] = crowding(points[members])
    order = np.lexsort((np.arange(len(ordered)), -distances, ranks))
    return [ordered[i] for i in order[:n].tolist()]


def front(individuals: Sequence[Individual], n: int, names: Sequence[str]) -> list[Individual]:
    """The nondominated programs with a value, at most n, those in crowds left out first; in the order of `best`."""
    valued = sorted([one for one in individuals if one.evaluation.status is Status.OK], key=by_fitness)
    if not valued:
        return []
    ranks = moocore.pareto_rank(objectives(valued, names))
    return best(nsga2([valued[i] for i in np.flatnonzero(ranks == 0).tolist()], n, names), n)


def hypervolume(individuals: Sequence[Individual], max_size: int) -> float:
    """Share of (fitness, size, size partial) space that some program dominates, in [0, 1].

    The reference point is a fitness of -1, a size of `max_size` and a size partial of 0.
    """
    valued = [one for one in individuals if one.evaluation.status is Status.OK and one.size <= max_size]
    if not valued:
        return 0.0
    points = objectives(valued, ("fitness", "size", "size_partial")) / np.array([1.0, max_size, 1.0])
    return float(moocore.hypervolume(points, ref=np.array([-WORST, 1.0, 0.0]))) / 2


def migrate(islands: Sequence[Sequence[Individual]], migrants: int) -> list[list[Individual]]:
    """Every island with the best of the one before it, in a ring, in the place of its worst.

    A migrant whose program already lives on the island stays away.
    """
    sent = [best(island, migrants) for island in islands]
    found = []
    for i, island in enumerate(islands):
        keys = {one.key for one in island}
        new = [one for one in sent[i - 1] if one.key not in keys] if len(islands) > 1 else []
        found.append([*best(island, len(island) - len(new)), *new])
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
