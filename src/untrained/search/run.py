"""Searches in rounds, stored as they go: a killed one goes on by replaying what is stored.

search.json                      protocol (what may change what is found) and calls (how it came about)
evaluations/part-000001.parquet  what was evaluated, see EVALUATIONS: a round each, or where an evaluation is dear one
                                 evaluation each; numbered by the place of their first row among all
scores/                          a run folder: scores of the proxy, as far as they were computed here
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from untrained.engine.folder import Kind, read_frame, refuse_other_fields, write_frame
from untrained.engine.processes import count_workers, in_processes
from untrained.search.rounds import EVALUATIONS, Desk, Job, Row
from untrained.types import Progress

FORMAT: Final = 1
_PARTS: Final = "evaluations"
_KIND: Final = Kind("search", FORMAT, (_PARTS, "scores"))
_ADVICE: Final = "Choose another --out, or run the same command as before."


class Ran(NamedTuple):
    """What `run` did: the job, with proxies looked up that were scored beforehand, and every evaluation in order."""

    job: Job
    evaluations: pl.DataFrame


def run(
    job: Job,
    *,
    out: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    scoring: Progress | None = None,
) -> Ran:
    """Do all rounds, or what is left of them.

    Round r draws from the seed and r alone. Where all numbers are looked up or counted, rounds run in processes; else
    one after another, and no number is found twice. Nothing but `seconds` and measured latencies depends on `workers`
    or on when a run was killed.

    Args:
        job: what to do.
        out: the folder, new or of the same search; None stores nothing.
        workers: processes; None is one for each core.
        progress: told of evaluations done, and of all.
        scoring: told of scores done, and of all, where the whole space is scored first.

    Raises:
        RunConflictError: the folder holds something else, another search, or rows that this one does not ask for.
    """
    n_workers = count_workers(workers)
    stored: dict[int, list[Row]] = {}
    if out is not None:
        open_folder(out, job.protocol)
        stored = _stored(out)
    job = job.with_whole_spaces(scoring)
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
    return Ran(job, _frame([row for r in sorted(rows) for row in rows[r]]))


def open_folder(out: Path, protocol: Mapping[str, Any]) -> None:
    """Make the folder of a search, or see that it is of this one.

    Raises:
        RunConflictError: it is not.
    """
    stored = _KIND.begin(out)
    if stored is not None:
        refuse_other_fields(out, "a search", stored["protocol"], protocol, _ADVICE)
    _KIND.note(out, stored, protocol)


def read_search(out: Path) -> dict[str, Any]:
    """The content of a folder's search.json.

    Raises:
        RunConflictError: no search there, or written by another version of the format.
    """
    return _KIND.read(out)


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
    return [row for i, row in enumerate(rows) if row.step == i]


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
    desk = Desk(job)
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
    desk = Desk(job)
    return [[row for part in desk.play(round_, known) for row in part] for round_, known in begun]
