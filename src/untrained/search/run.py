"""Searches in rounds, stored as they go: a killed one goes on by replaying what is stored.

search.json                      protocol (what may change what is found) and calls (how it came about)
evaluations/part-000001.parquet  what was evaluated, see EVALUATIONS: a round each, or where an evaluation is dear one
                                 evaluation each; numbered by the place of their first row among all
scores/                          a run folder: scores of the proxy, as far as they were computed here
"""

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from untrained.engine.folder import (
    claim,
    make,
    provenance,
    read_frame,
    read_json,
    refuse_other_fields,
    write_frame,
    write_json,
)
from untrained.engine.processes import count_workers, in_processes
from untrained.errors import BadInputError, RunConflictError
from untrained.search.base import BoundSearcher, ExhaustedError
from untrained.search.objectives import Constraint, Memo, Quantity
from untrained.search.starts import key_of
from untrained.seeds import seed_for
from untrained.spaces import Space
from untrained.types import Arch, Outcome, Progress, Status

FORMAT: Final = 1
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

_PARTS: Final = "evaluations"
_FOLDERS: Final = (_PARTS, "scores")
_ADVICE: Final = "Choose another --out, or run the same command as before."


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


def run(
    job: Job, *, out: Path | None = None, workers: int | None = None, progress: Progress | None = None
) -> pl.DataFrame:
    """Do all rounds, or what is left of them; every evaluation, with the columns of EVALUATIONS.

    Round r draws from the seed and r alone. Where all numbers are looked up or counted, rounds run in processes; else
    one after another, and no number is found twice. Nothing but `seconds` and measured latencies depends on `workers`
    or on when a run was killed.

    Args:
        job: what to do.
        out: the folder, new or of the same search; None stores nothing.
        workers: processes; None is one for each core.
        progress: told of evaluations done, and of all.

    Raises:
        RunConflictError: the folder holds something else, another search, or rows that this one does not ask for.
    """
    n_workers = count_workers(workers)
    stored: dict[int, list[Row]] = {}
    if out is not None:
        open_folder(out, job.protocol)
        stored = _stored(out)
    rows = {r: _unbroken(stored.get(r, [])) for r in range(job.rounds)}
    left = [r for r in rows if len(rows[r]) < job.budget]
    n_done = sum(map(len, rows.values()))
    n_all = job.budget * job.rounds
    if progress is not None:
        progress(n_done, n_all)
    for new in _played(job, left, rows, stored, n_workers):
        if not new:
            continue
        if out is not None:
            write_frame(_part(out, new[0].round * job.budget + new[0].step + 1), _frame(new))
        rows[new[0].round].extend(new)
        n_done += len(new)
        if progress is not None:
            progress(n_done, n_all)
    return _frame([row for r in sorted(rows) for row in rows[r]])


def open_folder(out: Path, protocol: Mapping[str, Any]) -> None:
    """Make the folder of a search, or see that it is of this one.

    Raises:
        RunConflictError: it is not.
    """
    path = out / "search.json"
    calls: list[Any] = []
    if path.exists():
        old = read_search(out)
        refuse_other_fields(out, "a search", old["protocol"], protocol, _ADVICE)
        calls = old["calls"]
        make(out, _FOLDERS)
    else:
        claim(out, "search", _FOLDERS)
    write_json(path, {"format": FORMAT, "protocol": dict(protocol), "calls": [*calls, provenance()]})


def read_search(out: Path) -> dict[str, Any]:
    """The content of a folder's search.json.

    Raises:
        RunConflictError: no search there, or written by another version of the format.
    """
    path = out / "search.json"
    content = read_json(path, "search")
    whole = isinstance(content, dict) and content.get("format") == FORMAT and {"protocol", "calls"} <= content.keys()
    if not whole or not isinstance(content["protocol"], dict):
        raise RunConflictError(f"{path} is not of format {FORMAT}. Choose another --out.")
    found: dict[str, Any] = content
    return found


def read_evaluations(out: Path) -> pl.DataFrame:
    """Every stored evaluation, by round and step.

    Raises:
        RunConflictError: a part cannot be read.
    """
    paths = sorted((out / _PARTS).glob("part-*.parquet"), key=lambda path: (len(path.name), path.name))
    frames = [read_frame(path, EVALUATIONS) for path in paths]
    whole = pl.concat(frames) if frames else pl.DataFrame(schema=EVALUATIONS)
    return whole.unique(["round", "step"], keep="first").sort("round", "step")


def _stored(out: Path) -> dict[int, list[Row]]:
    rows: dict[int, list[Row]] = {}
    for row in map(Row._make, read_evaluations(out).iter_rows()):
        rows.setdefault(row.round, []).append(row)
    return rows


def _unbroken(rows: Sequence[Row]) -> list[Row]:
    """Up to where a step is missing: what comes later is asked for again."""
    return [row for i, row in enumerate(rows) if row.step == i and rows[i].step == i]


def _part(out: Path, number: int) -> Path:
    return out / _PARTS / f"part-{number:06d}.parquet"


def _frame(rows: Sequence[Row]) -> pl.DataFrame:
    columns = dict(zip(EVALUATIONS, zip(*rows, strict=True), strict=True)) if rows else {}
    frame = {
        name: _lists(name, columns[name], kind.inner) if isinstance(kind, pl.List) else columns[name]
        for name, kind in EVALUATIONS.items()
        if columns
    }
    return pl.DataFrame(frame, schema=EVALUATIONS)


def _lists(name: str, rows: Sequence[Sequence[Any]], kind: Any) -> pl.Series:
    """Lists of one length; polars takes long over rows of lists."""
    width = len(rows[0])
    if width == 0:
        return pl.Series(name, [[]], dtype=pl.List(kind)).new_from_index(0, len(rows))
    flat = pl.Series(name, [one for row in rows for one in row], dtype=kind)
    return flat.reshape((len(rows), width)).arr.to_list()


def _played(
    job: Job, left: Sequence[int], rows: Mapping[int, Sequence[Row]], stored: Mapping[int, Sequence[Row]], workers: int
) -> Iterator[list[Row]]:
    """New rows, a round at a time, or an evaluation at a time where these are dear."""
    if all(quantity.ready for quantity in job.quantities):
        size = max(1, math.ceil(len(left) / (4 * workers)))
        begun = [(r, rows[r]) for r in left]
        for rounds in in_processes(_rounds, begun, size, (job,), workers, lambda: None):
            yield from rounds
        return
    desk = _Desk(job)
    for old in stored.values():
        desk.learn(old)
    for round_ in left:
        parts = desk.play(round_, rows[round_])
        if desk.dear:
            yield from parts
        else:
            yield [row for part in parts for row in part]


def _rounds(begun: Sequence[tuple[int, Sequence[Row]]], job: Job) -> list[list[Row]]:
    """What is left of rounds, in a process of their own."""
    desk = _Desk(job)
    return [[row for part in desk.play(round_, known) for row in part] for round_, known in begun]


class _Desk:
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
