"""Every setting of a search, and the settings that have names."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Self

from untrained.errors import BadInputError, UnknownNameError

MUTATIONS: Final = ("subtree", "point", "hoist", "shrink", "constants", "over")
OBJECTIVES: Final = ("fitness", "size", "milliseconds", "size_partial")

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "search": ("evolve", "random"),
    "parents": ("tournament", "uniform"),
    "survivors": ("best", "nsga2", "tournament"),
    "constants": ("normal", "log_uniform"),
}
_AT_LEAST: Final = {
    "population": 2, "generations": 0, "islands": 1, "migrate_every": 1, "migrants": 0, "initial_min_depth": 0,
    "initial_max_depth": 0, "max_depth": 1, "max_size": 2, "retries": 0, "tournament": 1, "tune": 0, "start": 0,
    "hall": 1, "committee": 1, "max_evaluations": 0, "parsimony": 0.0, "champion_errors": 0.0,
}  # fmt: skip
_SHARES: Final = ("crossover", "mutation", "internal", "leaf", "constant", "scaled_leaf", "racing")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a search proceeds.

    Attributes:
        search: "evolve", or "random": every program comes from the distribution of the first generation. All else
            being equal, the same number of programs is evaluated, so that it is the baseline.
        population: programs that live at a time, and programs proposed in a generation, over all islands.
        generations: how many follow the first.
        max_evaluations: proposals end after so many; 0 for no limit.
        islands: populations that evolve apart.
        migrate_every: generations after which the best of each island are copied to the next.
        migrants: how many.
        initial_min_depth: of the first programs (ramped half-and-half).
        initial_max_depth: of the first programs.
        max_depth: of any program.
        max_size: operators and leaves of any program.
        crossover: share of children that come from two parents.
        mutation: share of children that are a changed parent; the rest are unchanged parents.
        mutations: relative frequency of each kind of MUTATIONS.
        internal: share of the places of crossover and mutation that are operators, not leaves.
        leaf: probability that a growing tree ends at a place where it may.
        constant: probability that a scalar leaf is a number.
        constants: law of numbers: "normal", N(0, 1); or "log_uniform", 1e-3 to 1e3 of either sign.
        scaled_leaf: probability that a leaf is born as a number times (leaf - mean), where its mean is known.
        retries: further attempts where a child was seen before or breaks a limit.
        simplify: whether programs are replaced by their simplified forms.
        negate: whether the negative of a program that ranks backwards is proposed, where `neg` is an operator.
        parents: "tournament" or "uniform".
        tournament: programs in a tournament.
        parsimony: among programs whose fitness is no further from the best of a tournament, the smallest wins.
        survivors: who of parents and children lives on: the "best", "nsga2", or winners of "tournament"s, as often as
            they win.
        objectives: of NSGA-II, some of OBJECTIVES.
        distinct: whether of programs with equal evaluations, which rank alike, only the smallest lives on.
        racing: share of the population that is worse than the floor below which evaluation may stop; 0 for no floor.
        tune: how many of the best new programs of a generation have their numbers tuned.
        start: programs of the first generation that the world makes, where it can; none of a search at random.
        hall: how many of the best programs, and of the Pareto front, are evaluated on the validation part.
        committee: the champion is the mean of so many of these, the best on the validation part first, where the world
            can take means; 1 is one alone.
        champion_errors: that one is the smallest program within so many standard errors of the best.

    Raises:
        BadInputError: a value is outside its range; the message names it.
    """

    search: str = "evolve"
    population: int = 200
    generations: int = 40
    max_evaluations: int = 0
    islands: int = 4
    migrate_every: int = 5
    migrants: int = 3
    initial_min_depth: int = 1
    initial_max_depth: int = 5
    max_depth: int = 10
    max_size: int = 40
    crossover: float = 0.5
    mutation: float = 0.5
    mutations: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType(
            {"subtree": 0.3, "point": 0.3, "hoist": 0.1, "shrink": 0.1, "constants": 0.1, "over": 0.1}
        )
    )
    internal: float = 0.8
    leaf: float = 0.3
    constant: float = 0.1
    constants: str = "normal"
    scaled_leaf: float = 0.0
    retries: int = 8
    simplify: bool = True
    negate: bool = True
    parents: str = "tournament"
    tournament: int = 4
    parsimony: float = 0.002
    survivors: str = "nsga2"
    objectives: tuple[str, ...] = ("fitness", "size")
    distinct: bool = True
    racing: float = 0.2
    tune: int = 4
    start: int = 0
    hall: int = 30
    committee: int = 1
    champion_errors: float = 1.0

    def __post_init__(self) -> None:
        for name, among in _CHOICES.items():
            if getattr(self, name) not in among:
                raise BadInputError(f"{name} must be one of {', '.join(among)}, got {getattr(self, name)!r}.")
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            number = isinstance(value, float | int) if isinstance(least, float) else isinstance(value, int)
            if not number or isinstance(value, bool) or not least <= value < math.inf:
                raise BadInputError(f"{name} must be {'' if isinstance(least, float) else 'a whole number '}"
                                    f"from {least} on, got {value!r}.")  # fmt: skip
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise BadInputError(f"{name} must lie between 0 and 1, got {getattr(self, name)!r}.")
        if self.crossover + self.mutation > 1 + 1e-12:
            raise BadInputError(
                f"crossover and mutation are shares of the children, but {self.crossover} + {self.mutation} > 1."
            )
        if not self.initial_min_depth <= self.initial_max_depth <= self.max_depth:
            raise BadInputError(
                "depths must not decrease from initial_min_depth over initial_max_depth to max_depth, got "
                f"{self.initial_min_depth}, {self.initial_max_depth}, {self.max_depth}."
            )
        if self.population < 2 * self.islands:
            raise BadInputError(
                f"{self.islands} islands need a population of {2 * self.islands}, got {self.population}."
            )
        for name, chosen, known in (
            ("mutations", tuple(self.mutations), MUTATIONS),
            ("objectives", self.objectives, OBJECTIVES),
        ):
            if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
                raise BadInputError(f"{name} must be some of {', '.join(known)}, each once; got {', '.join(chosen)}.")
        if min(self.mutations.values()) < 0 or not 0 < sum(self.mutations.values()) < math.inf:
            raise BadInputError(
                f"frequencies of mutations must not be negative, nor all 0; got {dict(self.mutations)}."
            )

    def as_json(self) -> dict[str, Any]:
        """Every setting as plain data; `from_json` reads it back."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**content, "mutations": dict(self.mutations), "objectives": list(self.objectives)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The settings of `as_json`.

        >>> Settings.from_json(preset("eznas").as_json()) == preset("eznas")
        True
        """
        return cls(
            **{
                **content,
                "mutations": MappingProxyType(dict(content["mutations"])),
                "objectives": tuple(content["objectives"]),
            }
        )


_EZNAS: Final = Settings(
    population=50,
    generations=15,
    islands=1,
    migrants=0,
    initial_min_depth=2,
    initial_max_depth=10,
    max_depth=10,
    max_size=2000,
    crossover=0.4,
    mutation=0.4,
    mutations=MappingProxyType({"subtree": 1.0}),
    constant=0.0,
    simplify=False,
    negate=False,
    parents="uniform",
    tournament=4,
    parsimony=0.0,
    survivors="tournament",
    distinct=False,
    racing=0.0,
    tune=0,
)

PRESETS: Final[Mapping[str, Settings]] = {
    "default": Settings(population=60, generations=18, start=30, tune=0, champion_errors=0.25),
    "width1": Settings(
        population=1000,
        generations=100,
        initial_max_depth=4,
        islands=10,
        migrants=0,
        max_depth=14,
        max_size=100,
        max_evaluations=10_000,
        mutations=MappingProxyType({"subtree": 0.3, "point": 0.3, "hoist": 0.1, "shrink": 0.1, "constants": 0.2}),
        constant=0.2,
        scaled_leaf=0.5,
        tune=100,
        start=100,
        committee=20,
        champion_errors=0.0,
    ),
    "eznas": _EZNAS,
    "eznas_program": dataclasses.replace(_EZNAS, population=200, generations=100, crossover=0.5, mutation=0.5),
}
"""Settings by name.

"eznas" is the paper's search (arXiv:2209.07413): 50 programs, 15 generations, crossover and mutation 0.4 each,
tournaments of 4, depth 2 to 10. "eznas_program" has the numbers of the published program: 200 programs, 100
generations, half-and-half trees, crossover and mutation 0.5 each. In both fitness is the minimum tau as it is,
negatives are not proposed, and there is no limit on size but the parser's. Of how programs are chosen
only the tournaments of 4 are known: here any program may be a parent, and winners among parents and children live on.
"""


def preset(name: str, **overrides: Any) -> Settings:
    """The settings of a name, with some replaced.

    Raises:
        UnknownNameError: there is no such preset.
        BadInputError: there is no such setting, or its value is outside its range.

    >>> preset("eznas", generations=3).generations
    3
    """
    if name not in PRESETS:
        raise UnknownNameError.among("preset", name, PRESETS, f"There are {', '.join(PRESETS)}.")
    for field_name in overrides:
        if field_name not in Settings.__dataclass_fields__:
            raise UnknownNameError.among("setting", field_name, Settings.__dataclass_fields__, "`Settings` lists them.")
    return dataclasses.replace(PRESETS[name], **overrides)
