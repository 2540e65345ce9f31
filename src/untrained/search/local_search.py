"""Hill climbing with restarts."""

from collections.abc import Sequence

from untrained.search.base import Parameter, Problem, Search, Told, at_least, check_unique, searcher, told
from untrained.search.starts import Starts
from untrained.types import Arch


class LocalSearch(Search):
    """One architecture, replaced by the first mutant that is better; started anew where none is.

    A climb begins at a random architecture, or with `warmup` = K at the next best of K scored. It goes to the first of
    its mutants (`Space.mutate`) that is strictly better, and ends when `patience` of them in a row are not, or when
    there is none left that was not asked for.

    Args:
        problem: see `Problem`.
        patience: mutants in a row that may fail; 24 are all neighbours of a NAS-Bench-201 cell.
        warmup: K; 0 is none.
        unique: "key" evaluates no network twice, "code" no architecture as written, "no" lets them come again.

    Source: White et al. 2021, UAI, arXiv 2005.02960, whose climbs look at all neighbours before they move; ours move to
    the first that is better, so that infinite neighbourhoods do.
    """

    def __init__(self, problem: Problem, *, patience: int = 24, warmup: int = 0, unique: str = "key") -> None:
        super().__init__(problem)
        self._patience = patience
        self._starts = Starts(self, warmup, unique)
        self._top: Told | None = None  # where the climb is; None: the next one told begins a climb
        self._failed = 0

    def ask(self) -> Arch:
        """A mutant of where the climb is, or a new beginning."""
        if self._top is not None and self._failed < self._patience:
            at = self._top.arch
            arch = self._starts.proposed(lambda: self.space.mutate(at, self.rng))
            if arch is not None:
                return arch
        self._top = None
        return self._starts.next()

    def tell(self, arch: Arch, value: float | Sequence[float], violation: float = 0.0) -> None:
        """Go there if it is better."""
        new = told(arch, value, violation)
        if self._top is None or new.merit > self._top.merit:
            self._top, self._failed = new, 0
        else:
            self._failed += 1


def _check(*, patience: Parameter, warmup: Parameter, unique: Parameter) -> None:
    at_least("patience", patience, 1)
    at_least("warmup", warmup, 0)
    check_unique(unique)


SEARCHER = searcher(
    LocalSearch, name="local_search", version=1, cite="White et al. 2021, UAI, arXiv 2005.02960", check=_check
)
