"""What a searcher is: it asks for architectures and is told what they are worth.

A search has one random generator and no other source of chance, so that its state follows from the seed and from what
it was told. `search/run.py` runs searches; `search/starts.py` has what most of them begin with.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError, UntrainedError
from untrained.parameters import Value, as_kind, called, read_parameters, refuse_unknown, split_call
from untrained.registry import Registry
from untrained.spaces import Space
from untrained.types import Arch

Parameter: TypeAlias = Value
Floats: TypeAlias = NDArray[np.float64]
Scorer: TypeAlias = Callable[[Sequence[Arch]], Floats]
"""A proxy: one score for each architecture, higher is better, NaN = undefined."""

UNIQUE = ("no", "code", "key")


class ExhaustedError(UntrainedError):
    """There is no architecture left that a search may ask for."""


class Told(NamedTuple):
    """What an architecture was said to be worth; merits compare as worths do.

    `values` are objectives, higher is better, NaN where there is none. `violation` is 0 where all constraints hold.
    """

    arch: Arch
    values: tuple[float, ...]
    violation: float

    @property
    def merit(self) -> tuple[float, bool, float]:
        """Larger for better: first how far constraints hold, then having a value at all, then the first objective."""
        value = self.values[0]
        violation = np.inf if self.violation != self.violation else self.violation
        return (-violation, True, value) if value == value else (-violation, False, 0.0)


class Problem(NamedTuple):
    """What a search is given: where it looks, its only source of chance, how often it may ask, and what scores."""

    space: Space
    rng: np.random.Generator
    budget: int
    scorer: Scorer | None


class Search(ABC):
    """One run of a searcher. Subclasses take the Problem and their parameters, as keywords with defaults.

    Whoever runs it calls `ask` and `tell` in turn; up to `independent` calls of `ask` may come before the next `tell`,
    and are told in the order asked.
    """

    several: ClassVar[bool] = False  # whether it is made for several objectives

    def __init__(self, problem: Problem) -> None:
        self.space, self.rng, self.budget, self.scorer = problem

    @classmethod
    def reads_scores(cls, parameters: Mapping[str, Parameter]) -> bool:
        """Whether it needs a scorer with these parameters."""
        return bool(parameters.get("warmup")) or bool(parameters.get("move"))

    @property
    def independent(self) -> int:
        """How many calls of `ask` from now on depend on nothing that is still to be told; at least 1."""
        return 1

    @abstractmethod
    def ask(self) -> Arch:
        """The next architecture to evaluate.

        Raises:
            ExhaustedError: there is none that was not asked for.
        """

    @abstractmethod
    def tell(self, arch: Arch, value: float | Sequence[float], violation: float = 0.0) -> None:
        """What an architecture is worth.

        Args:
            arch: as it was asked for.
            value: of every objective, higher is better; NaN counts as worst.
            violation: by how much constraints are missed; any positive number ranks behind all that have 0.
        """

    def score(self, archs: Sequence[Arch]) -> Floats:
        """Scores of architectures, shape (len(archs),), NaN = undefined.

        Raises:
            BadInputError: there is no scorer, or it returns something else.
        """
        if self.scorer is None:
            raise BadInputError("this searcher reads scores (warmup, move), and none are given. Name a proxy.")
        scores = np.asarray(self.scorer(archs), np.float64)
        if scores.shape != (len(archs),):
            raise BadInputError(f"the scorer gives shape {scores.shape} for {len(archs)} architectures.")
        return scores


def told(arch: Arch, value: float | Sequence[float], violation: float) -> Told:
    """What `Search.tell` is given, in one form."""
    values = (float(value),) if isinstance(value, int | float) else tuple([float(one) for one in value])
    return Told(arch, values, float(violation))


@dataclass(frozen=True)
class Searcher:
    """A way to search. `make(problem, **parameters)` begins a search; `parameters` are its keywords with defaults.

    `check(**parameters)` raises BadInputError for values without meaning.
    """

    name: str
    version: int
    title: str
    cite: str
    make: type[Search]
    parameters: Mapping[str, Parameter]
    check: Callable[..., None] | None = None

    def bind(self, **parameters: Parameter) -> "BoundSearcher":
        """The searcher with some parameters set.

        Raises:
            BadInputError: an unknown parameter, a value of another kind than the default, or one without meaning.
        """
        owner = f"searcher {self.name}"
        refuse_unknown(owner, parameters, self.parameters)
        given = {k: as_kind(owner, k, v, self.parameters[k]) for k, v in parameters.items()}
        bound = BoundSearcher(self, {**self.parameters, **given})
        if self.check is not None:
            self.check(**bound.parameters)
        return bound

    def start(
        self,
        space: Space,
        rng: np.random.Generator,
        budget: int,
        scorer: Scorer | None = None,
        **parameters: Parameter,
    ) -> Search:
        """Begin a search; see `bind` for errors."""
        return self.bind(**parameters).start(space, rng, budget, scorer)


@dataclass(frozen=True)
class BoundSearcher:
    """A searcher with all its parameters."""

    searcher: Searcher
    parameters: Mapping[str, Parameter]

    @property
    def text(self) -> str:
        """The name, with the parameters that differ from their defaults.

        >>> SEARCHERS["ageing_evolution"].bind(warmup=3000, pool=64).text
        'ageing_evolution(warmup=3000)'
        """
        return called(self.searcher.name, self.parameters, self.searcher.parameters)

    @property
    def reads_scores(self) -> bool:
        """Whether a search needs a scorer."""
        return self.searcher.make.reads_scores(self.parameters)

    @property
    def protocol(self) -> dict[str, Any]:
        """What a stored search must say of its searcher."""
        return {"name": self.searcher.name, "version": self.searcher.version, "parameters": dict(self.parameters)}

    def start(self, space: Space, rng: np.random.Generator, budget: int, scorer: Scorer | None = None) -> Search:
        """Begin a search.

        Raises:
            BadInputError: scores are needed and there is no scorer, or the budget is less than 1.
        """
        if budget < 1:
            raise BadInputError(f"budget must be at least 1, got {budget}.")
        if self.reads_scores and scorer is None:
            raise BadInputError(f"{self.text} reads scores: name a proxy.")
        return self.searcher.make(Problem(space, rng, budget, scorer), **self.parameters)


SEARCHERS: Registry[Searcher] = Registry("searcher", "untrained.search", "SEARCHER", command=False)


def searcher(
    make: type[Search], *, name: str, version: int, cite: str, check: Callable[..., None] | None = None
) -> Searcher:
    """A searcher of a class: its keywords are the parameters, the first line of its docstring is the title."""
    signature = inspect.signature(make)
    parameters = {p.name: p.default for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}
    title = (inspect.getdoc(make) or "").partition("\n")[0]
    return Searcher(name, version, title, cite, make, parameters, check)


def parse_searcher(text: str) -> BoundSearcher:
    """A searcher from text such as `ageing_evolution(warmup=3000,move=true)`.

    Raises:
        UnknownNameError: no searcher of that name.
        BadInputError: malformed text, an unknown parameter or a value without meaning.

    >>> parse_searcher("ageing_evolution(pool=64, move=true)").text
    'ageing_evolution(move=true)'
    """
    call = split_call(text)
    if call is None:
        raise BadInputError(f"cannot read searcher {text!r:.200}. Write name or name(parameter=value,...).")
    name, inside = call
    return SEARCHERS[name].bind(**read_parameters(f"searcher {name}", inside))


def at_least(name: str, value: Parameter, least: int) -> None:
    """Raise BadInputError unless a parameter is a number so large."""
    if not isinstance(value, int | float) or value < least:
        raise BadInputError(f"{name} must be at least {least}, got {value}.")


def check_unique(value: Parameter) -> None:
    """Raise BadInputError unless `value` says when two architectures are the same."""
    if value not in UNIQUE:
        raise BadInputError(f"unique must be one of {', '.join(UNIQUE)}, got {value!r}.")
