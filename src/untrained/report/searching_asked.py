"""What a search is to optimise, to limit and to score with: from words to quantities. Truths become numbers here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from untrained.engine import ScoreTable
from untrained.engine.aggregate import parse_asked
from untrained.errors import BadInputError, OutOfSpaceError
from untrained.report.compare import Scores, from_table, load_scores
from untrained.search.latency import parse_latency
from untrained.search.objectives import COUNTS, Called, Count, Known, Quantity
from untrained.search.own_function import own_objective
from untrained.search.scored import Proxied
from untrained.spaces import FiniteSpace, Space
from untrained.tables import Truth, load_truth
from untrained.types import Arch, Batch, Scope, Task

Objective: TypeAlias = str | Truth | Quantity | Callable[[Arch], float]
ReadyScores: TypeAlias = ScoreTable | Scores | Path | str
_DIRECTIONS: Final = {"minimise": False, "maximise": True}


def known_truth(truth: Truth, space: Space, text: str) -> Known:
    """A truth by architecture of `space`; of several rows of one architecture the mean.

    Raises:
        BadInputError: the truth is of another space, or has no architecture of this one.
    """
    if truth.space not in (None, space.name):
        raise BadInputError(f"{truth.source} is of {truth.space}, not of {space.name}.")
    rows: dict[Arch, list[float]] = {}
    for name, value in zip(truth.arch, truth.value.tolist(), strict=True):
        if value != value:
            continue
        try:
            rows.setdefault(space.parse(name), []).append(value)
        except OutOfSpaceError:
            continue
    if not rows:
        raise BadInputError(f"{truth.source} has no value of an architecture of {space.name}.")
    means = {arch: float(np.mean(values)) for arch, values in rows.items()}
    return Known(text, means, higher_is_better=truth.higher_is_better)


def named(given: str | Truth, truth: Truth) -> str:
    """What files call a truth: the table's column, or a file's name and its column, wherever the file is.

    >>> truth = Truth("one cell", None, ("a",), np.array([0.9]), "acc", "", True)
    >>> named("data/mine.csv", truth), named("nasbench201:cifar10:test_acc", truth)
    ('mine.csv:acc', 'nasbench201:cifar10:test_acc')
    """
    if not isinstance(given, str):
        return truth.column
    return given if given.count(":") == 2 else f"{Path(given).name}:{truth.column}"


def loaded(scores: ReadyScores) -> Scores:
    """Scores, from wherever they are."""
    if isinstance(scores, ScoreTable):
        return from_table(scores)
    return scores if isinstance(scores, Scores) else load_scores(scores)


@dataclass
class Reader:
    """From what the user names to quantities."""

    space: Space
    column: str | None
    ready: Scores | None
    task: Task | None
    batch: str | Batch | None
    batch_size: int | None
    workers: int | None
    out: Path | None
    n_scored: int = 0

    def objective(self, given: Objective) -> Quantity:
        """What is optimised."""
        if isinstance(given, Quantity):
            return given
        if isinstance(given, Truth):
            return known_truth(given, self.space, named(given, given))
        if not isinstance(given, str):
            return Called(getattr(given, "__name__", type(given).__name__), given, scope=Scope.CODE)
        direction, colon, rest = given.partition(":")
        if not colon or direction not in _DIRECTIONS:
            return self._named(given)
        quantity = self._named(rest)
        quantity.higher_is_better = _DIRECTIONS[direction]
        return quantity

    def limited(self, text: str) -> Quantity:
        """What a constraint limits: nothing that training gives."""
        found = self._without_training(text)
        if found is None:
            raise BadInputError(f"cannot limit {text!r}: expected {', '.join(_counts())}, latency_ms or proxy:NAME.")
        return found

    def _named(self, text: str) -> Quantity:
        found = self._without_training(text)
        if found is not None:
            return found
        if text.startswith("train:"):
            return own_objective(text.removeprefix("train:"), self.space)
        is_csv = text.lower().endswith((".csv", ".csv.gz")) or ":" not in text
        truth = load_truth(text, self.column if is_csv else None)
        return known_truth(truth, self.space, named(text, truth))

    def _without_training(self, text: str) -> Quantity | None:
        text = text.strip()
        if text in _counts():
            return Count(text, self.space, self.task)
        if text.startswith("proxy:"):
            return self.proxy(text.removeprefix("proxy:"))
        return parse_latency(text, self.space, self.task)

    def proxy(self, text: str) -> Quantity:
        """A proxy: ready-made scores where there are any, or the engine."""
        if self.ready is not None:
            return self._ready_made(text, self.ready)
        out = None if self.out is None else self.out / "scores" / str(self.n_scored)
        self.n_scored += 1
        return Proxied(
            self.space, text, task=self.task, batch=self.batch, batch_size=self.batch_size, workers=self.workers,
            out=out,
        )  # fmt: skip

    def _ready_made(self, text: str, ready: Scores) -> Known:
        asked = parse_asked(text, self.space.published)
        name = asked[0].text
        how = f'`untrained score {self.space.name} --proxies "{text}" --out RUN` computes what is missing.'
        if len(asked) != 1:
            raise BadInputError(f"expected one proxy, got {len(asked)}: {text}.")
        if ready.space not in (None, self.space.name):
            raise BadInputError(f"{ready.source} has scores of {ready.space}, not of {self.space.name}.")
        if name not in ready.values:
            has = ", ".join(list(ready.values)[:20]) or "none"
            raise BadInputError(f"{ready.source} has no scores of {name}; it has {has}. {how}")
        scored, values = ready.scored[name].tolist(), ready.values[name].tolist()
        known = {
            self.space.parse(arch): value
            for arch, value, there in zip(ready.arch, values, scored, strict=True)
            if there
        }
        if isinstance(self.space, FiniteSpace) and len(known) < len(self.space):
            raise BadInputError(
                f"{ready.source} has scores of {len(known):,} of the {len(self.space):,} architectures of "
                f"{self.space.name}, and a search may ask for any. {how}"
            )
        return Known(name, known, higher_is_better=ready.higher_is_better[name])


def _counts() -> list[str]:
    return [*COUNTS, *[f"live_{name}" for name in COUNTS]]
