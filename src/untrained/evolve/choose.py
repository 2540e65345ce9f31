"""The champion: chosen on the validation part, small rather than lucky."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from untrained.errors import UntrainedError
from untrained.evolve.worlds import Evaluation
from untrained.programs.program import Program, parse_program
from untrained.types import Status


@dataclass(frozen=True, slots=True)
class Candidate:
    """A program of the hall of fame, with what it is worth on both parts.

    Attributes:
        program: the program.
        origin: how it came about.
        generation: when.
        discovery: on the networks it was found with.
        validation: on networks it was not.
    """

    program: Program
    origin: str
    generation: int
    discovery: Evaluation
    validation: Evaluation

    def as_json(self) -> dict[str, Any]:
        """Plain data, for found.json."""
        tree = self.program.tree
        parts = {"discovery": self.discovery, "validation": self.validation}
        return {
            "program": self.program.text,
            "over": self.program.over,
            "size": tree.size,
            "depth": tree.depth,
            "origin": self.origin,
            "generation": self.generation,
            **{part: {"fitness": it.fitness, **it.as_json()} for part, it in parts.items()},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The candidate of `as_json`.

        Raises:
            BadInputError: its program cannot be read.
        """
        parts = [Evaluation.from_json(content[part]) for part in ("discovery", "validation")]
        return cls(parse_program(content["program"]), content["origin"], content["generation"], *parts)


def tau_error(tau: float, n: int) -> float:
    """Standard error of Kendall's tau over n points, from its value alone.

    For normal variables, with rho = sin(pi tau / 2) their correlation,

        var(tau) = 2 / (n (n - 1)) [1 - tau^2 + 2 (n - 2) (1/9 - (2/pi asin(rho / 2))^2)].

    Args:
        tau: in [-1, 1].
        n: number of points; below 2 the error is infinite.

    Source: Esscher 1924, Skand. Aktuarietidskr. 7, 201; agrees with simulated samples (tests).

    >>> round(tau_error(0.0, 100), 4), round(tau_error(0.75, 100), 4), tau_error(1.0, 100)
    (0.0678, 0.0281, 0.0)
    """
    if n < 2:
        return math.inf
    rho = math.sin(math.pi * tau / 2)
    spread = 1 / 9 - (2 / math.pi * math.asin(rho / 2)) ** 2
    return math.sqrt(max(0.0, 2 / (n * (n - 1)) * (1 - tau * tau + 2 * (n - 2) * spread)))


def choose(candidates: Sequence[Candidate], errors: float) -> Candidate:
    """The smallest program whose validation fitness is within so many standard errors of the best one's.

    The standard error is that of the best candidate's smallest tau (`tau_error`), with the networks of the validation
    part shared equally among the spaces. Of equally small programs the fitter wins, then the one whose text comes
    first. Discovery fitness plays no part: it chose the candidates.

    Raises:
        UntrainedError: no candidate has a value on the validation part.
    """
    valued = [one for one in candidates if one.validation.status is Status.OK]
    if not valued:
        reasons = sorted({one.validation.reason for one in candidates if one.validation.reason})
        because = f" ({reasons[0]})" if reasons else ""
        raise UntrainedError(
            f"none of {len(candidates)} programs found has a value on the validation part{because}. "
            "Allow other operators, or more generations."
        )
    best = max(valued, key=lambda one: one.validation.fitness).validation
    bar = best.fitness - errors * tau_error(best.fitness, best.n_used // len(best.taus)) if errors > 0 else best.fitness
    near = [one for one in valued if one.validation.fitness >= bar]
    return min(near, key=lambda one: (one.program.tree.size, -one.validation.fitness, one.program.text))
