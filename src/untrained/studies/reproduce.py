"""Every table of a paper again: what its authors published, ours under their protocol, ours on every architecture.

Made of studies in sub-folders, which share their scores, so that an interrupted call goes on where it stopped.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import polars as pl

from untrained.batches import load_batch, make_batch
from untrained.engine.folder import Kind, write_bytes, write_frame
from untrained.engine.store import read_archs, read_run
from untrained.errors import DataMissingError, RunConflictError, UnknownNameError
from untrained.spaces import Space, find_space
from untrained.studies.base import digest, rows_with_truth
from untrained.studies.published import PublishedTable, find, published_tables
from untrained.studies.run import StudyResult, study
from untrained.studies.text import cell
from untrained.tables import TABLES, Truth, load_truth
from untrained.types import Batch, Progress

IMAGES: Final = 256  # of the epsinas paper
_STUDIES, _SCORES = "studies", "scores"
_KIND: Final = Kind("reproduce", 1, (_STUDIES, _SCORES), ("paper",))
_SCHEMA: Final = {
    "paper": pl.String,
    "table": pl.String,
    "row": pl.String,
    "measure": pl.String,
    "published": pl.Float64,
    "same_protocol": pl.Float64,
    "difference": pl.Float64,
    "full_coverage": pl.Float64,
    "n_defined": pl.Int64,
    "n_total": pl.Int64,
    "coverage": pl.Float64,
    "truth": pl.String,
    "missing": pl.String,
}

Given: TypeAlias = Mapping[str, "Truth | str"]
Watch: TypeAlias = Callable[[str], "Progress | None"]  # told what is made next


@dataclass(frozen=True)
class Reproduction:
    """What became of the tables of a paper.

    `frame` has a row for each published figure: the figure, ours under the paper's protocol, the difference, ours with
    every architecture and undefined scores last, how many architectures the former is of, and the reason where ours is
    missing. `protocols` says by table how ours were made.
    """

    paper: str
    frame: pl.DataFrame
    protocols: Mapping[str, str]

    def markdown(self) -> str:
        """All tables, with the protocols of both sides."""
        names = [name for name in self.frame.columns if name not in ("paper", "table", "truth", "missing")]
        published = {table.name: table for table in published_tables(self.paper)}
        lines = [f"# The tables of {self.paper}, made again"]
        for name in self.protocols:
            table = published[name]
            rows = self.frame.filter(pl.col("table") == name)
            lines += ["", f"## {name}", "", f"Published: {table.source}; {table.protocol}.", ""]
            lines += [self.protocols[name], "", f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
            lines += [f"| {' | '.join(_cell(row, column) for column in names)} |" for row in rows.iter_rows(named=True)]
            lines += [f"\n{reason}" for reason in rows["missing"].drop_nulls().unique(maintain_order=True).to_list()]
        return "\n".join(lines) + "\n"


def reproduce(
    paper: str,
    out: Path | str,
    *,
    truths: Given | None = None,
    real: str | Batch | None = None,
    scores: Sequence[Path | str] = (),
    only: Sequence[str] = (),
    sample: int | None = None,
    workers: int | None = None,
    watch: Watch | None = None,
) -> Reproduction:
    """Make the tables of a paper again, as far as the data is here.

    Args:
        paper: `epsinas` or `eznas`.
        out: a folder, with a study for each table; what is found there is not computed again.
        truths: what training gave, by the names in `published.toml` ("nasbench201_cifar10"). Of those not given the
            imported official table is taken, or else, for NAS-Bench-201 on CIFAR-10, the installed retrained one.
        real: real images, of which the first 256 are used (16 for EZNAS); a file, a named batch, or a batch. Without,
            the spaces' own made-up images stand in for them, and that is said.
        scores: run folders with scores of rivals, or of what takes long.
        only: names of the tables to make, or parts of names, whatever their case; all if none is given.
        sample: how many architectures of each truth to draw, for a first look.
        workers: as in `score`.
        watch: told what is made next, returns what is told of its progress.

    Raises:
        UntrainedError: an unknown paper, table or truth, or a folder of something else. Data that is not here is no
            error but a reason in the table.
    """
    tables = published_tables(paper)
    given = dict(truths or {})
    known = dict.fromkeys(table.truth for table in tables)
    for name in given:
        if name not in known:
            raise UnknownNameError.among("truth", name, known, f"The tables of {paper} need: {', '.join(known)}.")
    folder = Path(out)
    chosen = named_tables(tables, only) if only else tables
    if not chosen:
        named = "; ".join(table.name for table in tables)
        raise UnknownNameError(f"no table of {paper} is named like {', '.join(only)}. There are: {named}.")
    _open(folder, paper)
    made: dict[str, StudyResult] = {}
    rows: list[dict[str, Any]] = []
    protocols = {}
    for table in chosen:
        try:
            truth, called = truth_of(table, given)
            space = find_space(table.space)
            arguments = _arguments(table, space, real, scores)
            n = None if sample is None else min(sample, len(rows_with_truth(space, truth)))
            name = f"{table.study}_{table.truth}_{digest(sorted(table.parameters.items()))[:6]}"
            if name not in made:
                progress = watch(table.name) if watch else None
                made[name] = study(
                    table.study, space, truth, out=folder / _STUDIES / name, store=folder / _SCORES,
                    sample=n, workers=workers, progress=progress, **arguments,
                )  # fmt: skip
            protocols[table.name] = _protocol(made[name], called)
            rows += _compared(table, made[name].frame, called)
        except DataMissingError as error:
            protocols[table.name] = "Ours: missing."
            rows += [_row(table, figure.row, figure.measure, figure.value, str(error)) for figure in table.figures]
    found = Reproduction(paper, pl.DataFrame(rows, schema=_SCHEMA), protocols)
    write_frame(folder / "reproduce.parquet", found.frame)
    write_bytes(folder / "reproduce.md", found.markdown().encode())
    return found


def named_tables(tables: Sequence[PublishedTable], names: Sequence[str]) -> list[PublishedTable]:
    """Those that are called so, or of a name that none has those that have it in theirs."""
    whole = {table.name.lower() for table in tables}
    asked = {name.lower() for name in names}
    parts = asked - whole
    return [
        table for table in tables if table.name.lower() in asked or any(part in table.name.lower() for part in parts)
    ]


def truth_of(table: PublishedTable, given: Given) -> tuple[Truth, str]:
    """What training gave, and what to call it: the one of `given` that the table names, or the imported official one.

    Raises:
        DataMissingError: it is not on this machine; the message says how to get it.
    """
    for name in filter(None, (table.truth, table.truth_else)):
        if name in given:
            one = given[name]
            truth = load_truth(one) if isinstance(one, str) else one
            return truth, truth.source + (f", in place of {table.truth}" if name != table.truth else "")
    if not table.metric:
        raise DataMissingError(f"Needs a truth {table.truth}. Give one: --truth {table.truth}=SPEC.")
    name, dataset, metric = table.metric.split(":")
    try:
        for column in TABLES[name].columns():
            if column.dataset == dataset and re.fullmatch(metric, column.metric):
                truth = TABLES[name].load(column)
                return truth, truth.source
    except DataMissingError as error:
        raise DataMissingError(f"Needs a truth {table.truth}: {error}") from error
    if table.metric_else:
        truth = load_truth(table.metric_else)
        return truth, f"{truth.source}, in place of the benchmark's own"
    raise DataMissingError(f"Needs a truth {table.truth}, {table.metric}. {TABLES[name].more()}".rstrip())


def _arguments(
    table: PublishedTable, space: Space, real: str | Batch | None, scores: Sequence[Path | str]
) -> dict[str, Any]:
    """Arguments of `study` that follow from the table and from what the caller has."""
    ready = [Path(run) for run in scores if table.scores and _protocol_of(run)["space"] == space.name]
    parameters = dict(table.parameters)
    if table.scores == "first":
        have = {name for run in ready for name in _protocol_of(run)["proxies"]}
        wanted = [name for name in parameters["proxies"].split(",") if name not in have]
        parameters["proxies"] = ",".join(wanted)
    size = table.batch_size or IMAGES
    if real is None or len(space.task.input_shape) == 1:
        return {**parameters, "batch_size": table.batch_size, "scores": ready}
    images = load_batch(real, space.task.input_shape) if isinstance(real, str) else real
    if len(images.x) > size:
        labels = None if images.labels is None else images.labels[:size]
        images = make_batch(images.x[:size], f"{images.name}, the first {size}", labels)
    return {**parameters, "batch": images, "scores": ready}


def _protocol_of(run: Path | str) -> dict[str, Any]:
    protocol: dict[str, Any] = read_run(Path(run))["protocol"]
    return protocol


def _protocol(result: StudyResult, truth: str) -> str:
    """How ours were made, in one line."""
    about = result.protocol
    batch = about["batch"]
    images = f"{batch['name']}, {batch['n']} images" if batch else "the space's own made-up batch"
    if batch is None and about["batch_size"]:
        images += f" of {about['batch_size']}"
    ready = [f"{Path(run).name} ({_seen(run)})" for run in about["scores"]]
    images += f"; other scores from {', '.join(ready)}" if ready else ""
    return f"Ours: study {result.name}, {about['archs']['n']:,} architectures; {images}; truth: {truth}."


def _seen(run: str) -> str:
    """What the networks of a run were scored on, and how many there are."""
    batch = _protocol_of(run)["batch"]
    return f"{len(read_archs(Path(run))):,} architectures on {batch['name']}, {batch['n']} images"


def _compared(table: PublishedTable, frame: pl.DataFrame, truth: str) -> Iterator[dict[str, Any]]:
    for figure in table.figures:
        same = find(frame, table.same, figure.row)
        full = find(frame, table.full, figure.row) if table.full else None
        if same is None:
            yield _row(table, figure.row, figure.measure, figure.value, _reason(table, figure.row))
            continue
        ours = _number(same[figure.measure])
        counts: dict[str, Any] = {name: same[name] for name in ("n_defined", "n_total", "coverage") if name in same}
        yield {
            **_row(table, figure.row, figure.measure, figure.value, None),
            "same_protocol": ours,
            "difference": None if ours is None or math.isnan(figure.value) else ours - figure.value,
            "full_coverage": None if full is None else _number(full[figure.measure]),
            **counts,
            "truth": truth,
        }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _reason(table: PublishedTable, row: Mapping[str, str | float]) -> str:
    if row.get("input") == "real":
        return "Needs real images: --real BATCH."
    if "proxy" in row and table.scores:
        made = f"untrained score {table.space} --proxies {row['proxy']} --out RUN"
        return f"Needs scores of {row['proxy']}: `{made}`, then --scores RUN."
    return "There are too few architectures."


def _row(
    table: PublishedTable, row: Mapping[str, str | float], measure: str, value: float, missing: str | None
) -> dict[str, Any]:
    words = ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in row.values())
    empty = dict.fromkeys(_SCHEMA)
    head = {"paper": table.paper, "table": table.name, "row": words, "measure": measure}
    return {**empty, **head, "published": _number(value), "missing": missing}


def _cell(row: dict[str, Any], name: str) -> str:
    """Percentages, counts and ranks with fewer digits than correlations."""
    if name in ("published", "same_protocol", "difference", "full_coverage") and row[name] is not None:
        digits = {"n_defined": 0, "top64_in_top5_count": 0, "mean_seconds": 4}.get(row["measure"], 2)
        return f"{row[name]:+.{digits}f}" if name == "difference" else f"{row[name]:.{digits}f}"
    return cell(row, name)


def _open(out: Path, paper: str) -> None:
    stored = _KIND.begin(out)
    if stored is not None and stored["protocol"]["paper"] != paper:
        raise RunConflictError(f"{out} is not of {paper} but of {stored['protocol']['paper']}. Choose another --out.")
    _KIND.note(out, stored, {"paper": paper})
