"""What a program is worth: the one interface between the search and the networks it is judged by."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError
from untrained.programs.operators import Operator
from untrained.programs.tree import Kind
from untrained.types import Status

if TYPE_CHECKING:
    from untrained.programs.program import Program

Part: TypeAlias = Literal["discovery", "validation"]

WORST = -1.0  # fitness of a program without a value, and of one that ranks everything the wrong way round


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Labelled networks of one space.

    Attributes:
        space: name of the space.
        archs: their texts, each once.
        labels: shape (n,), finite, higher is better.
        params: numbers of parameters, shape (n,), finite.

    Raises:
        BadInputError: lengths differ, an architecture stands twice, or a number is not finite.

    >>> Labelled("space", ("a", "b"), np.array([0.5, np.nan]), np.array([1.0, 2.0]))
    Traceback (most recent call last):
    untrained.errors.BadInputError: space: labels must be finite, got nan for b. Leave this network out.
    """

    space: str
    archs: tuple[str, ...]
    labels: NDArray[np.float64]
    params: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name, values in (("labels", self.labels), ("params", self.params)):
            if values.shape != (len(self.archs),):
                raise BadInputError(
                    f"{self.space}: {name} must have shape ({len(self.archs)},), one for each architecture, "
                    f"got {values.shape}."
                )
            for i in np.flatnonzero(~np.isfinite(values))[:1]:
                raise BadInputError(
                    f"{self.space}: {name} must be finite, got {values[i]} for {self.archs[i]}. Leave this network out."
                )
        if len(set(self.archs)) < len(self.archs):
            raise BadInputError(f"{self.space}: an architecture stands twice. Give each network once.")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a program is worth on one part of the networks.

    Attributes:
        status: OK, or why there is no value.
        reason: in one line, empty where status is OK.
        taus: Kendall's tau-b with the labels, for each space; networks without a value are ranked last.
        size_partials: |partial rank correlation| with the labels given the number of parameters, for each space: what
            the program knows beyond size; 0 where there is none.
        milliseconds: predicted from the costs of the operators for one network, never measured.
        n_used: how many networks were looked at before it was clear that the program ends below the floor.
    """

    status: Status
    reason: str
    taus: tuple[float, ...]
    size_partials: tuple[float, ...]
    milliseconds: float
    n_used: int

    @property
    def fitness(self) -> float:
        """The smallest tau over the spaces; -1 unless the status is OK.

        >>> Evaluation(Status.OK, "", (0.7, 0.5), (0.1, 0.2), 0.3, 60).fitness
        0.5
        """
        if self.status is not Status.OK or not self.taus:
            return WORST
        fitness = min(self.taus)
        return fitness if math.isfinite(fitness) else WORST

    def as_json(self) -> dict[str, Any]:
        """Plain data; `from_json` reads it back exactly."""
        return {
            "status": self.status.value,
            "reason": self.reason,
            "taus": list(self.taus),
            "size_partials": list(self.size_partials),
            "milliseconds": self.milliseconds,
            "n_used": self.n_used,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The evaluation of `as_json`; what else is there is left alone.

        >>> it = Evaluation(Status.OK, "", (0.7,), (0.1,), 0.3, 60)
        >>> Evaluation.from_json(it.as_json()) == it
        True
        """
        return cls(
            Status(content["status"]),
            content["reason"],
            tuple(content["taus"]),
            tuple(content["size_partials"]),
            content["milliseconds"],
            content["n_used"],
        )


class World(Protocol):
    """Where programs are worth something.

    What `evaluate` returns depends on the program, the part and the floor alone: never on the other programs of the
    call, on the number of workers or on time.

    Attributes:
        name: "layers" or "width1".
        operators: what programs may be made of.
        terminals: what programs may read.
        overs: how a network's score may come from the value of a tree.
        n_evaluated: programs evaluated so far.
    """

    name: str
    operators: Mapping[str, Operator]
    terminals: Mapping[str, Kind]
    overs: tuple[str, ...]
    n_evaluated: int

    def evaluate(self, programs: "Sequence[Program]", part: str, *, floor: float = WORST) -> list[Evaluation]:
        """What each program is worth on a part of the networks, "discovery" or "validation".

        A program that surely ends with a fitness below `floor` need not be evaluated on all networks.
        """
        ...

    def tune(self, programs: "Sequence[Program]") -> "list[Program]":
        """The same programs with better constants for the discovery part; as they are where that cannot be done."""
        ...

    def refit(self, programs: "Sequence[Program]") -> "Program":
        """One program for several: their mean, each with its constants fitted to both parts together.

        The first of them as it is where that cannot be done.
        """
        ...

    def start(self, n: int, seed: int) -> "list[Program]":
        """At most so many programs to begin with, made from the discovery part; none where a world has no idea."""
        ...
