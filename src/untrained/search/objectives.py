"""What is optimised, limited or used to score: numbers of architectures, each found once.

Truths reach this package as `Known`, plain numbers by architecture, or as `Called`, a plain function.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from untrained.errors import BadInputError
from untrained.graphs import cost
from untrained.graphs.canonical import simplify
from untrained.search.base import Floats
from untrained.search.starts import key_of
from untrained.spaces import Space
from untrained.types import Arch, Outcome, Scope, Status, Task


class Quantity(ABC):
    """A number that architectures have.

    Attributes:
        text: what files call it.
        higher_is_better: which way is up.
        scope: what two architectures share that have the same number.
        ready: whether it is a matter of looking up or counting, so that any process can.
        dear: whether each number is stored as soon as it is there, with the time it took.
    """

    text: str
    higher_is_better: bool
    scope: Scope
    ready: ClassVar[bool] = False
    dear: bool = False

    @abstractmethod
    def measure(self, arch: Arch) -> Outcome:
        """The number of one architecture, or why there is none."""

    def measure_all(self, archs: Sequence[Arch]) -> Iterable[Outcome]:
        """The numbers of several, in order; as soon as they are there."""
        return map(self.measure, archs)

    @property
    def protocol(self) -> dict[str, Any]:
        """What a stored search must say of it."""
        return {"text": self.text, "higher_is_better": self.higher_is_better}


class Known(Quantity):
    """Numbers that are there already, by architecture: a truth table, or scores of a run."""

    scope = Scope.CODE
    ready = True

    def __init__(self, text: str, values: Mapping[Arch, float], *, higher_is_better: bool = True) -> None:
        """`values` are finite, or NaN where there is none."""
        self.text, self.higher_is_better, self.values = text, higher_is_better, values
        lines = "\n".join(sorted(f"{arch.code} {float(value).hex()}" for arch, value in values.items()))
        self.digest = hashlib.blake2b(lines.encode(), digest_size=8).hexdigest()

    def measure(self, arch: Arch) -> Outcome:
        """The number; none where it is NaN or the architecture is unknown."""
        value = self.values.get(arch, np.nan)
        return Outcome(value) if value == value else _UNKNOWN

    @property
    def protocol(self) -> dict[str, Any]:
        """With a digest of the numbers."""
        return {**super().protocol, "digest": self.digest}


_UNKNOWN: Final = Outcome(None, Status.UNDEFINED, "no value known")


class Called(Quantity):
    """What a function returns for an architecture, such as training it.

    Whatever the function raises counts as a failure of this architecture, with the reason, and the search goes on.
    """

    dear = True

    def __init__(
        self, text: str, fn: Callable[[Arch], float], *, higher_is_better: bool = True, scope: Scope = Scope.KEY
    ) -> None:
        """`fn` is called once for each class of `scope`."""
        self.text, self.fn, self.higher_is_better, self.scope = text, fn, higher_is_better, scope

    def measure(self, arch: Arch) -> Outcome:
        """The function's value; none where it fails, or returns no finite number."""
        try:
            returned = self.fn(arch)
        except Exception as error:  # the user's function may raise whatever it likes
            return Outcome(None, Status.FAILED, " ".join(f"{type(error).__name__}: {error}".split())[:500])
        try:
            value = float(returned)
        except (TypeError, ValueError):
            return Outcome(None, Status.FAILED, f"returned {returned!r:.100}, which is no number")
        if not np.isfinite(value):
            return Outcome(None, Status.NONFINITE, f"returned {value}")
        return Outcome(value)


COUNTS: Final[Mapping[str, Callable[[Any], int]]] = {"params": cost.n_params, "flops": cost.n_flops}


class Count(Quantity):
    """Parameters or multiply-accumulates (see `graphs.cost`) of the network as written, or of its live part."""

    higher_is_better = False
    ready = True

    def __init__(self, text: str, space: Space, task: Task | None = None) -> None:
        """`text` is params, flops, live_params or live_flops."""
        self.text, self._space, self._task = text, space, task
        self._live = text.startswith("live_")
        self._count = COUNTS[text.removeprefix("live_")]
        self.scope = Scope.KEY if self._live else Scope.CODE

    def measure(self, arch: Arch) -> Outcome:
        """The count."""
        graph = self._space.graph(arch, self._task)
        return Outcome(float(self._count(simplify(graph) if self._live else graph)))


class Memo:
    """A quantity each of whose numbers is found once."""

    def __init__(self, quantity: Quantity, space: Space) -> None:
        self.quantity, self._space = quantity, space
        self.found: dict[Arch | str, Outcome] = {}

    def name(self, arch: Arch) -> Arch | str:
        """What shares the number of `arch`."""
        match self.quantity.scope:
            case Scope.CODE:
                return arch
            case Scope.KEY:
                return key_of(self._space, arch)
            case scope:
                return self._space.canonical(arch, scope)

    def learn(self, arch: Arch, outcome: Outcome) -> None:
        """Take over what was found before."""
        self.found[self.name(arch)] = outcome

    def knows(self, arch: Arch) -> bool:
        """Whether the number is there."""
        return self.name(arch) in self.found

    def outcomes(self, archs: Sequence[Arch]) -> list[Outcome]:
        """Of each architecture."""
        if isinstance(self.quantity, Known):
            return [self.quantity.measure(arch) for arch in archs]
        names = [self.name(arch) for arch in archs]
        missing = {name: arch for name, arch in zip(names, archs, strict=True) if name not in self.found}
        self.found.update(zip(missing, self.quantity.measure_all(list(missing.values())), strict=True))
        return [self.found[name] for name in names]

    def values(self, archs: Sequence[Arch]) -> Floats:
        """Turned so that higher is better, NaN where there is none; a `Scorer`."""
        sign = 1.0 if self.quantity.higher_is_better else -1.0
        known = self.quantity
        if isinstance(known, Known):  # warm-ups look up thousands in every round
            return sign * np.array([known.values.get(arch, np.nan) for arch in archs], np.float64)
        return np.array([oriented(outcome, sign) for outcome in self.outcomes(archs)], np.float64)


def oriented(outcome: Outcome, sign: float) -> float:
    """A number times `sign`, NaN where there is none."""
    return np.nan if outcome.value is None else sign * outcome.value


@dataclass(frozen=True)
class Constraint:
    """A limit: `quantity <= bound`, or `>=` where `at_most` is False."""

    quantity: Quantity
    at_most: bool
    bound: float

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.quantity.text}{'<=' if self.at_most else '>='}{self.bound:g}"

    def violation(self, outcome: Outcome) -> float:
        """0 where the limit holds, else by how much it is missed, as a share of the bound; infinite without a number.

        >>> known = Known("params", {})
        >>> Constraint(known, True, 100.0).violation(Outcome(150.0))
        0.5
        """
        if outcome.value is None:
            return np.inf
        over = outcome.value - self.bound if self.at_most else self.bound - outcome.value
        return max(0.0, over) / (abs(self.bound) or 1.0)


def parse_constraint(text: str, quantity_of: Callable[[str], Quantity]) -> Constraint:
    """A limit from text such as `params<=1e6` or `latency_ms(batch=8) <= 20`.

    Raises:
        BadInputError: another form, or a bound that is no finite number.
    """
    match = re.fullmatch(r"\s*(.+?)\s*(<=|>=)\s*([^<>=\s]+)\s*", text)
    try:
        bound = float(match[3]) if match else np.nan
    except ValueError:
        bound = np.nan
    if match is None or not np.isfinite(bound):
        raise BadInputError(f"cannot read constraint {text!r:.200}. Write for instance params<=1e6 or latency_ms<=20.")
    return Constraint(quantity_of(match[1]), match[2] == "<=", bound)
