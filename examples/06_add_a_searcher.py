"""A searcher of one's own: a class that asks and is told. In a package, an entry point makes it known everywhere."""

# --8<-- [start:searcher]
from collections.abc import Sequence

from untrained.search import Search, searcher
from untrained.search.base import Problem, Told, told
from untrained.search.starts import Starts
from untrained.types import Arch


class Annealing(Search):
    """Simulated annealing: a mutant that is worse is taken the less often, the later it comes.

    Source: Kirkpatrick et al. 1983, Science 220, 671; the scale is that of differences of accuracy in fractions.
    """

    def __init__(self, problem: Problem, *, heat: float = 0.01, warmup: int = 0, unique: str = "key") -> None:
        super().__init__(problem)
        self._heat, self._told = heat, 0
        self._starts = Starts(self, warmup, unique)  # the best scored first, then random ones
        self._at: Told | None = None

    def ask(self) -> Arch:
        if self._at is None:
            return self._starts.next()
        at = self._at.arch
        return self._starts.fresh(lambda: self.space.mutate(at, self.rng))

    def tell(self, arch: Arch, value: float | Sequence[float], violation: float = 0.0) -> None:
        self._told += 1
        new = told(arch, value, violation)
        luck = self.rng.exponential() * self._heat * (1 - self._told / self.budget)
        if self._at is None or new.merit > self._at.merit or new.values[0] > self._at.values[0] - luck:
            self._at = new


SEARCHER = searcher(Annealing, name="annealing", version=1, cite="Kirkpatrick et al. 1983, Science 220, 671")
# --8<-- [end:searcher]

if __name__ == "__main__":
    # --8<-- [start:use]
    import untrained
    from untrained.testing import check_searcher

    check_searcher(SEARCHER)
    truth = untrained.load_truth("nasbench201:cifar10:test_acc")
    for asked in (SEARCHER.bind(heat=0.005), "random_search"):
        found = untrained.run_search("nasbench201", asked, objective=truth, budget=100, rounds=5, workers=1)
        print(found.job.searcher.text, found.curve("regret")["median"][-1])
    # --8<-- [end:use]
