"""Random search: what every other searcher has to beat."""

from collections.abc import Sequence

from untrained.search.base import Parameter, Problem, Search, at_least, check_unique, searcher
from untrained.search.starts import Starts
from untrained.types import Arch


class RandomSearch(Search):
    """Architectures at random; with a warm-up the best of so many scored, in order of score.

    With `warmup` = K, K architectures are drawn and scored before anything is evaluated, and evaluated in order of
    score, undefined ones last; after all K follow random ones that are not scored.

    Args:
        problem: see `Problem`.
        warmup: K; 0 is none.
        unique: "key" evaluates no network twice, "code" no architecture as written, "no" draws with replacement.

    Source: Mhaouad et al. 2023, arXiv 2302.04406, section "Integration", and their program, which draws with
    replacement (unique=no).
    """

    def __init__(self, problem: Problem, *, warmup: int = 0, unique: str = "key") -> None:
        super().__init__(problem)
        self._starts = Starts(self, warmup, unique)

    @property
    def independent(self) -> int:
        """Nothing depends on what is told."""
        return self.budget

    def ask(self) -> Arch:
        """The next one."""
        return self._starts.next()

    def tell(self, arch: Arch, value: float | Sequence[float], violation: float = 0.0) -> None:
        """Nothing is learnt from it."""


def _check(*, warmup: Parameter, unique: Parameter) -> None:
    at_least("warmup", warmup, 0)
    check_unique(unique)


SEARCHER = searcher(
    RandomSearch, name="random_search", version=1, cite="Bergstra and Bengio 2012, JMLR 13, 281", check=_check
)
