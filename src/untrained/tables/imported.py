"""Tables whose results come from official files: read once into Parquet, then one column at a time.

`<cache>/tables/<source>.parquet` holds the rows of one manifest entry, and `<source>.json` beside it says what they
are: from which file, when and by what they were read, and which numbers there are.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, Final, NamedTuple, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from untrained.errors import BadInputError, DataMissingError, UnknownNameError, UntrainedError
from untrained.files.cache import digests_of, files_folder, known_digest, made, megabytes, parquet_path
from untrained.files.manifest import Entry, find_entry
from untrained.tables.base import TABLES, Table, Truth, TruthColumn
from untrained.tables.sidecar import FORMAT, Imported, open_parquet, publish, query, read_sidecar, undisturbed
from untrained.tables.tidy import Measured, Row, folder_beside, write_parts
from untrained.types import Progress

Steps: TypeAlias = Callable[[str, int, int], None]  # (what is being done, done, in all; 0 where that is not known)

MAX_SEEDS: Final = 10  # with more, single seeds are no columns
_BETTER: Final = {"accuracy": True} | dict.fromkeys(
    ("loss", "error", "perplexity", "ppl", "seconds", "latency", "params", "flops", "energy", "co2eq"), False
)


class ImportedTable(Table):
    """A table fed by entries of the manifest. A subclass names them and reads their files; the rest is here.

    Metrics are named `{split}_{metric}_{epochs}ep` without the parts that do not apply: `test_loss_200ep`, `params`.
    Such a column is the mean over the seeds an architecture has; if there are at most `MAX_SEEDS` of them, each single
    seed is a column too: `test_loss_200ep_seed777`. Where several sources have a column, the first of `sources`
    gives it; sources are never mixed.

    A table that also has columns of its own overrides `columns` and `load`: `(*own, *self.imported_columns())`, and
    `super().load(column)` for those that are not its own.
    """

    sources: tuple[str, ...]
    reader_version: ClassVar[int] = 1  # raise it when `rows` gives other rows for the same file

    @abstractmethod
    def rows(self, source: str, path: Path, progress: Progress | None) -> Iterator[Row]:
        """Read the file or folder of one of `sources`, row by row.

        Raises:
            BadInputError: it is damaged or not what is expected.
            UnsafeDataError: reading it would mean running code from it.
        """

    def higher_is_better(self, metric: str) -> bool:
        """The direction of a metric, by the last of its words that is known; override it for others.

        Raises:
            BadInputError: no word of the metric is known.
        """
        for word in reversed(metric.split("_")):
            if word in _BETTER:
                return _BETTER[word]
        raise BadInputError(f"is more {metric!r} better? Table {self.name} must say so in `higher_is_better`.")

    def columns(self) -> tuple[TruthColumn, ...]:
        """Everything the imported sources have. Reads their sidecars only.

        Raises:
            DataMissingError: none is imported; the message says what to do.
        """
        found = self.imported_columns()
        if not found:
            raise DataMissingError(f"no data of the table {self.name} is on this machine. {self._how_to_import()}")
        return found

    def imported_columns(self) -> tuple[TruthColumn, ...]:
        """Everything the imported sources have; empty if none is imported."""
        return tuple(place.column for place in self._found().values())

    def more(self) -> str:
        """Which sources could be imported and are not, in one sentence."""
        absent = [source for source in self.sources if read_sidecar(source) is None]
        return f"More with `untrained data fetch NAME`, NAME being {' or '.join(absent)}." if absent else ""

    def load(self, column: TruthColumn) -> Truth:
        """Read one column, and nothing else, from the Parquet of the first source that has it."""
        with undisturbed():
            place = self._found().get((column.dataset, column.metric))
            if place is None:
                raise DataMissingError(
                    f"{self.name}:{column.dataset}:{column.metric} is not on this machine. {self._how_to_import()}"
                )
            ours, sidecar = place.column, place.sidecar
            file = open_parquet(sidecar)
        with file:
            rows = query(file, sidecar, place.select)
        arch, value = _mean(rows)
        other = "" if sidecar.file_known else ", not the known file"
        return Truth(
            source=(
                f"{find_entry(sidecar.source).title} ({sidecar.file}, sha256 {sidecar.file_sha256[:12]}{other}): "
                f"{ours.description}"
            ),
            space=self.space,
            arch=arch,
            value=value,
            column=f"{ours.dataset}:{ours.metric}",
            unit=ours.unit,
            higher_is_better=ours.higher_is_better,
            runs=_by_seed(rows, arch, place.measured.seeds) if place.has_runs else None,
        )

    def _found(self) -> "dict[tuple[str, str], _Place]":
        """By dataset and metric: the column, and where its numbers are."""
        found: dict[tuple[str, str], _Place] = {}
        for source in self.sources:
            if (sidecar := read_sidecar(source)) is None:
                continue
            for measured in sidecar.measured:
                for seed in (None, *(measured.seeds if len(measured.seeds) <= MAX_SEEDS else ())):
                    column = self._column(measured, seed)
                    found.setdefault((column.dataset, column.metric), _Place(column, sidecar, measured, seed))
        return found

    def _column(self, measured: Measured, seed: int | None) -> TruthColumn:
        return TruthColumn(
            dataset=measured.dataset,
            metric=metric_name(measured, seed),
            unit="fraction" if measured.unit == "fraction" else "percent" if measured.unit == "percent" else "",
            higher_is_better=self.higher_is_better(measured.metric),
            description=_description(measured, seed),
        )

    def _how_to_import(self) -> str:
        first, *others = (find_entry(source) for source in self.sources)
        size = f" ({megabytes(first.bytes)})" if first.bytes else ""
        also = f" Or another of its sources: {', '.join(entry.name for entry in others)}." if others else ""
        return f"{first.how_to_get(files_folder(first))}{size}.{also}"


class _Place(NamedTuple):
    """A column, and where its numbers are."""

    column: TruthColumn
    sidecar: Imported
    measured: Measured
    seed: int | None

    def select(self, scan: pl.LazyFrame) -> pl.LazyFrame:
        """Architectures, values and seeds, in the order of the source."""
        wanted = {name: getattr(self.measured, name) for name in ("dataset", "split", "epochs", "metric")}
        if self.seed is not None:
            wanted["seed"] = self.seed
        conditions = (pl.col(name).eq_missing(pl.lit(value)) for name, value in wanted.items())
        return scan.filter(*conditions).select("arch", "value", "seed")

    @property
    def has_runs(self) -> bool:
        """Whether this is the mean over seeds few enough to be columns too."""
        return self.seed is None and 1 < len(self.measured.seeds) <= MAX_SEEDS


def import_file(entry: Entry, path: Path, *, any_digest: bool = False, progress: Steps | None = None) -> Imported:
    """Read an official file, or folder, into the Parquet of its entry. Importing again replaces it.

    Args:
        entry: what the file is.
        path: the file, or the folder it was unpacked to.
        any_digest: read it even if its digest is not the one known; the provenance says so.
        progress: told what is being done, and how far.

    Raises:
        DataMissingError: nothing at `path`, or the disk is full.
        BadInputError: its digest is not the known one, or it cannot be read as what it should be.
        UnknownNameError: there is no table here that reads such files.
        UnsafeDataError: reading it would mean running code from it.
    """
    table = table_of(entry)
    sha256, known = _identify(entry, path, any_digest, progress)
    final = parquet_path(entry.name)
    made(final.parent)
    with folder_beside(final) as folder:
        try:
            whole, written = write_parts(table.rows(entry.name, path, _step(progress, "reading")), folder)
        except BadInputError as error:
            about = "" if str(path) in str(error) else f"{path}: "
            raise BadInputError(f"{about}{error}") from None
        for measured in written.measured:
            table.higher_is_better(measured.metric)
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        sidecar = Imported(
            format=FORMAT,
            source=entry.name,
            table=table.name,
            file=path.resolve().name,
            file_bytes=sum(file.stat().st_size for file in files),
            file_sha256=sha256,
            file_known=known,
            imported=datetime.now(UTC).isoformat(timespec="seconds"),
            untrained=version("untrained"),
            reader=table.reader_version,
            rows=written.rows,
            parquet_bytes=whole.stat().st_size,
            parquet_sha256=digests_of(whole)["sha256"],
            measured=written.measured,
        )
        publish(whole, sidecar)
    return sidecar


def table_of(entry: Entry) -> ImportedTable:
    """The table that reads files of this entry.

    Raises:
        UnknownNameError: there is none here.
        BadInputError: the entry is not of a table.
    """
    if entry.kind != "table":
        raise BadInputError(f"{entry.name} is {entry.kind}, not results of training; there is nothing to import.")
    if (
        entry.feeds not in TABLES
        or not isinstance(table := TABLES[entry.feeds], ImportedTable)
        or entry.name not in table.sources
    ):
        raise UnknownNameError(
            f"{entry.name} feeds the table {entry.feeds!r}, which this installation cannot read yet."
        )
    return table


def is_current(source: str) -> bool:
    """Whether a source is imported whole, and by the present version of its table's reader."""
    try:
        with undisturbed():
            sidecar = read_sidecar(source)
            if sidecar is None:
                return False
            with open_parquet(sidecar):
                return sidecar.reader == table_of(find_entry(source)).reader_version
    except UntrainedError:
        return False


def metric_name(measured: Measured, seed: int | None = None) -> str:
    """The name of a column.

    >>> metric_name(Measured("cifar10", "test", 200, "accuracy", "fraction", (777,), 15625, 0), 777)
    'test_accuracy_200ep_seed777'
    >>> metric_name(Measured("cifar10", None, None, "params", "count", (), 15625, 0))
    'params'
    """
    parts = (
        measured.split,
        measured.metric,
        None if measured.epochs is None else f"{measured.epochs}ep",
        None if seed is None else f"seed{seed}",
    )
    return "_".join(part for part in parts if part is not None)


def _description(measured: Measured, seed: int | None) -> str:
    """For instance: test accuracy after 200 epochs, mean over the seeds each architecture has (of 3)."""
    words = [*([measured.split] if measured.split else []), measured.metric.replace("_", " ")]
    if measured.unit not in ("fraction", "count"):
        words.append(f"in {measured.unit}")
    if measured.epochs is not None:
        words.append(f"after {measured.epochs} epoch{'' if measured.epochs == 1 else 's'}")
    if seed is not None:
        return f"{' '.join(words)}, seed {seed}"
    over = f", mean over the runs each architecture has (seeds: {len(measured.seeds)})" if measured.seeds else ""
    return " ".join(words) + over


def _identify(entry: Entry, path: Path, any_digest: bool, progress: Steps | None) -> tuple[str, bool]:
    """The sha256 of what is at `path`, and whether it is one of the entry's files as far as digests are known."""
    forms = [file for file in entry.files if file.name == path.name] or list(entry.files)
    expected = [known_digest(entry, file) for file in forms] if path.is_file() else [None]
    algorithms = {"sha256", *(digest.partition(":")[0] for digest in expected if digest)}
    digests = digests_of(path, sorted(algorithms), _step(progress, "checking"))
    found = {f"{algorithm}:{digest}" for algorithm, digest in digests.items()}
    known = None in expected or not found.isdisjoint(expected)
    if not known and not any_digest:
        raise BadInputError(
            f"{path} is not the file known as {entry.name}: expected {' or '.join(map(str, expected))}, got "
            f"{', '.join(sorted(found))}. Download it again, or read it all the same with --any-digest."
        )
    return digests["sha256"], known


def _step(progress: Steps | None, what: str) -> Progress | None:
    return None if progress is None else lambda done, total: progress(what, done, total)


def _mean(rows: pl.DataFrame) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Each architecture once, in the order of its first row, with the mean of its values; NaN where it has none.

    Values are added in the order of the rows, so the mean has the same bits on every machine.
    """
    place: dict[str, int] = {}
    at = np.array([place.setdefault(arch, len(place)) for arch in rows["arch"]], dtype=np.int64)
    value = rows["value"].to_numpy()
    known = ~np.isnan(value)
    total = np.bincount(at, np.where(known, value, 0.0), len(place))
    count = np.bincount(at, known, len(place))
    return tuple(place), np.divide(total, count, out=np.full(len(place), np.nan), where=count > 0)


def _by_seed(rows: pl.DataFrame, archs: tuple[str, ...], seeds: tuple[int, ...]) -> NDArray[np.float64]:
    """The value of each architecture under each seed, shape (archs, seeds), NaN where it has none.

    Of several values under one seed the last stands.
    """
    place = {arch: at for at, arch in enumerate(archs)}
    column = {seed: at for at, seed in enumerate(seeds)}
    runs = np.full((len(archs), len(seeds)), np.nan)
    seeded = rows.filter(pl.col("seed").is_not_null())
    at = np.array([place[arch] for arch in seeded["arch"]], dtype=np.int64)
    runs[at, np.array([column[seed] for seed in seeded["seed"]], dtype=np.int64)] = seeded["value"].to_numpy()
    return runs
