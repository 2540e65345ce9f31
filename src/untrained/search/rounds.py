"""One round of a search, played or replayed: who asks, what is measured, what is told."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from untrained.errors import BadInputError, RunConflictError
from untrained.search.base import BoundSearcher, ExhaustedError
from untrained.search.objectives import Constraint, Memo, Quantity
from untrained.search.scored import Proxied
from untrained.search.starts import key_of
from untrained.seeds import seed_for
from untrained.spaces import FiniteSpace, Space
from untrained.types import Arch, Outcome, Progress, Status

EVALUATIONS: Final = {
    "round": pl.Int32(),
    "step": pl.Int32(),
    "arch": pl.String(),
    "key": pl.String(),
    "value": pl.Float64(),
    "values": pl.List(pl.Float64),
    "statuses": pl.List(pl.String),
    "details": pl.List(pl.String),
    "costs": pl.List(pl.Float64),
    "violation": pl.Float64(),
    "score": pl.Float64(),
    "seconds": pl.Float64(),
}
"""Columns of evaluations.

`values`, `statuses` and `details` are of all objectives, `value` of the first; `costs` of all constraints; each in its
own unit, null where there is none. `violation` is 0 where all constraints hold. `score` is the proxy's, where the
searcher reads one. `seconds` is the time of evaluations that are dear.
"""


class Row(NamedTuple):
    """One evaluation; see EVALUATIONS."""

    round: int
    step: int
    arch: str
    key: str
    value: float | None
    values: list[float | None]
    statuses: list[str]
    details: list[str]
    costs: list[float | None]
    violation: float
    score: float | None
    seconds: float | None


@dataclass(frozen=True)
class Job:
    """What is searched for, where, how, how often and from which seed.

    `scorer` is for searchers that read scores. Where a constraint is missed objectives are not evaluated: the step
    counts all the same.

    Raises:
        BadInputError: no objective, several for a searcher of one, a scorer missing or not read, or a number below 1.
    """

    space: Space
    searcher: BoundSearcher
    objectives: tuple[Quantity, ...]
    budget: int
    rounds: int = 1
    seed: int = 0
    scorer: Quantity | None = None
    constraints: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        name = self.searcher.searcher.name
        texts = [one.text for one in self.objectives]
        if not texts:
            raise BadInputError("name what is searched for: an objective.")
        if len(set(texts)) < len(texts):
            raise BadInputError(f"each objective once, got {', '.join(texts)}.")
        if len(texts) > 1 and not self.searcher.searcher.make.several:
            raise BadInputError(f"{name} has one objective, got {', '.join(texts)}. nsga2 takes several.")
        if self.searcher.reads_scores and self.scorer is None:
            raise BadInputError(f"{self.searcher.text} reads scores: name a proxy.")
        if self.scorer is not None and not self.searcher.reads_scores:
            raise BadInputError(f"{self.searcher.text} reads no scores: leave out the proxy, or add warmup=3000.")
        for what, value in (("budget", self.budget), ("rounds", self.rounds)):
            if value < 1:
                raise BadInputError(f"{what} must be at least 1, got {value}.")

    def with_whole_spaces(self, progress: Progress | None = None) -> "Job":
        """The same job, with proxies looked up where its rounds may ask for as many scores as the space has.

        The space is then scored once, and rounds need nothing but what is known.
        """
        warmup = self.searcher.parameters.get("warmup", 0)
        most = self.rounds * max(self.budget, warmup if isinstance(warmup, int) else 0)
        if not isinstance(self.space, FiniteSpace) or len(self.space) > most:
            return self

        def known(quantity: Quantity) -> Quantity:
            return quantity.whole_space(progress) if isinstance(quantity, Proxied) else quantity

        return replace(
            self,
            objectives=tuple([known(one) for one in self.objectives]),
            constraints=tuple([replace(limit, quantity=known(limit.quantity)) for limit in self.constraints]),
            scorer=None if self.scorer is None else known(self.scorer),
        )

    @property
    def quantities(self) -> list[Quantity]:
        """All that is measured of architectures."""
        limits = [limit.quantity for limit in self.constraints]
        return [*self.objectives, *limits, *([] if self.scorer is None else [self.scorer])]

    @property
    def protocol(self) -> dict[str, Any]:
        """Everything that may change what is found, as JSON gives it back."""
        content = {
            "space": self.space.name,
            "space_version": self.space.version,
            "searcher": self.searcher.protocol,
            "objectives": [one.protocol for one in self.objectives],
            "constraints": [limit.text for limit in self.constraints],
            "scorer": None if self.scorer is None else self.scorer.protocol,
            "budget": self.budget,
            "rounds": self.rounds,
            "seed": self.seed,
        }
        plain: dict[str, Any] = json.loads(json.dumps(content))
        return plain


class Desk:
    """Where rounds are played; what it measured of one round it knows in the next."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._memos = {quantity.text: Memo(quantity, job.space) for quantity in reversed(job.quantities)}
        self.dear = any(quantity.dear for quantity in job.quantities)

    def learn(self, rows: Sequence[Row]) -> None:
        """Take over what stored rows say."""
        for row in rows:
            arch = self.job.space.parse(row.arch)
            for limit, cost in zip(self.job.constraints, row.costs, strict=True):
                self._memos[limit.quantity.text].learn(arch, _outcome(cost, "failed", ""))
            if row.violation <= 0:
                said = map(_outcome, row.values, row.statuses, row.details)
                for one, outcome in zip(self.job.objectives, said, strict=True):
                    self._memos[one.text].learn(arch, outcome)

    def play(self, round_: int, known: Sequence[Row]) -> Iterator[list[Row]]:
        """New rows of a round, of which some are known."""
        job = self.job
        rng = np.random.default_rng(seed_for("search", job.seed, round_))
        scorer = None if job.scorer is None else self._memos[job.scorer.text].values
        search = job.searcher.start(job.space, rng, job.budget, scorer)
        step, ended = 0, False
        while step < job.budget and not ended:
            asked: list[Arch] = []
            try:
                asked.extend(search.ask() for _ in range(min(search.independent, job.budget - step)))
            except ExhaustedError:
                ended = True
            old = known[step : step + len(asked)]
            self._refuse_others(round_, asked, old)
            told = list(old)
            for rows in self._evaluated(round_, step + len(old), asked[len(old) :]):
                told += rows
                yield rows
            for arch, row in zip(asked, told, strict=True):
                search.tell(arch, self._worths(row), row.violation)
            step += len(asked)

    def _refuse_others(self, round_: int, asked: Sequence[Arch], known: Sequence[Row]) -> None:
        for arch, row in zip(asked, known, strict=False):
            if self.job.space.format(arch) != row.arch:
                raise RunConflictError(
                    f"step {row.step} of round {round_} is stored as {row.arch}, and this version asks for "
                    f"{self.job.space.format(arch)}. Choose another --out."
                )

    def _worths(self, row: Row) -> list[float]:
        """Values as searchers are told them: higher is better, NaN where there is none."""
        signs = [1.0 if one.higher_is_better else -1.0 for one in self.job.objectives]
        return [np.nan if value is None else sign * value for sign, value in zip(signs, row.values, strict=True)]

    def _evaluated(self, round_: int, step: int, archs: Sequence[Arch]) -> Iterator[list[Row]]:
        size = 1 if self.dear else max(1, len(archs))
        for i in range(0, len(archs), size):
            yield self._rows(round_, step + i, archs[i : i + size])

    def _rows(self, round_: int, step: int, archs: Sequence[Arch]) -> list[Row]:
        job = self.job
        start = time.perf_counter()
        anew = self.dear and any(not self._memos[one.text].knows(arch) for one in job.objectives for arch in archs)
        costs = [self._memos[limit.quantity.text].outcomes(archs) for limit in job.constraints]
        missed = [
            math.fsum([limit.violation(cost[i]) for limit, cost in zip(job.constraints, costs, strict=True)])
            for i in range(len(archs))
        ]
        feasible = [arch for arch, violation in zip(archs, missed, strict=True) if violation <= 0]
        found = [iter(self._memos[one.text].outcomes(feasible)) for one in job.objectives]
        seconds = time.perf_counter() - start if anew and feasible else None
        scores: list[Outcome] = []
        if job.scorer is not None:
            scores = self._memos[job.scorer.text].outcomes(archs)
        rows = []
        for i, arch in enumerate(archs):
            said = [next(one) for one in found] if missed[i] <= 0 else [_NOT_EVALUATED for _ in found]
            rows.append(
                Row(
                    round_,
                    step + i,
                    job.space.format(arch),
                    key_of(job.space, arch),
                    said[0].value,
                    [one.value for one in said],
                    [one.status.value for one in said],
                    [one.detail for one in said],
                    [cost[i].value for cost in costs],
                    missed[i],
                    scores[i].value if scores else None,
                    seconds,
                )
            )
        return rows


_NOT_EVALUATED: Final = Outcome(None, Status.UNDEFINED, "not evaluated: a constraint is missed")


def _outcome(value: float | None, status: str, detail: str) -> Outcome:
    return Outcome(None, Status(status), detail) if value is None else Outcome(value)
