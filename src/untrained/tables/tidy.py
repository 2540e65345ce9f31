"""The one form every benchmark's results are brought into: one measured number a row, and what was measured."""

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import polars as pl

from untrained.errors import BadInputError, DataMissingError

Split: TypeAlias = Literal["train", "valid", "test"]

PART_ROWS: Final = 500_000  # rows in memory at a time
_ROW_GROUP: Final = 1 << 17
_STALE_SECONDS: Final = 24 * 3600


class Row(NamedTuple):
    """One number that training gave.

    `arch` is the text of the space's own form. `split` is None for what has none (parameters), `epochs` for what does
    not depend on training, `seed` for what was not repeated; a benchmark that numbers its repeats instead of giving
    seeds has those numbers here. `value` is None where the source has none, or a number that is not finite.
    """

    arch: str
    dataset: str  # "cifar10", "cifar100", "imagenet16_120", "ptb", "wikitext2"
    split: Split | None
    epochs: int | None  # the epoch after which it was measured
    seed: int | None
    metric: str  # "accuracy", "loss", "seconds", "params", "flops", ...
    unit: str  # "fraction", "nats", "s", "count"
    value: float | None


SCHEMA = pl.Schema(
    {
        "arch": pl.String,
        "dataset": pl.String,
        "split": pl.String,
        "epochs": pl.Int32,
        "seed": pl.Int64,
        "metric": pl.String,
        "unit": pl.String,
        "value": pl.Float64,
    }
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind of number among the rows: what was measured, under which seeds, how often, and how often in vain."""

    dataset: str
    split: str | None
    epochs: int | None
    metric: str
    unit: str
    seeds: tuple[int, ...]
    rows: int
    missing: int  # rows without a value


@dataclass(frozen=True, slots=True)
class Written:
    """What `write_parts` wrote."""

    rows: int
    measured: tuple[Measured, ...]


@contextlib.contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A temporary folder on the file system of `path`, removed at the end however it comes.

    What an earlier writer of `path` left that was killed is removed too, after a day.
    """
    for old in path.parent.glob(f".{path.name}.*"):
        with contextlib.suppress(FileNotFoundError):  # its writer may just have finished
            if time.time() - old.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield folder
    except (OSError, pl.exceptions.PolarsError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
            raise DataMissingError(
                f"the disk of {path.parent} is full; nothing was kept. Make room, or set UNTRAINED_CACHE to a folder "
                "on another disk."
            ) from None
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_parts(rows: Iterable[Row], folder: Path) -> tuple[Path, Written]:
    """Write rows in parts into an empty folder, and join them there to one Parquet file, in order.

    No more than `PART_ROWS` rows are in memory. A value that is not finite becomes null. The file is on the disk when
    this returns: with a folder from `folder_beside` it can be renamed to its place, so that what is there is whole at
    any moment, and nothing is left on a failure.

    Raises:
        BadInputError: there are no rows; a row has an empty arch, dataset, metric or unit, a colon in dataset or
            metric, an unknown split, a fraction not between 0 and 1, or a field of the wrong type; or two rows give
            one kind of number in different units.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     row = Row("a", "cifar10", "test", 200, 777, "accuracy", "fraction", float("nan"))
    ...     file, written = write_parts([row, row._replace(seed=888, value=0.5)], Path(folder))
    >>> written.rows, written.measured[0].seeds, written.measured[0].missing
    (2, (777, 888), 1)
    """
    tally = _Tally()
    parts: list[Path] = []
    remaining = iter(rows)
    while batch := list(itertools.islice(remaining, PART_ROWS)):
        frame = _frame(batch, tally.rows)
        tally.add(frame)
        parts.append(folder / f"{len(parts):06d}.parquet")
        frame.write_parquet(parts[-1], row_group_size=_ROW_GROUP)
    if not parts:
        raise BadInputError("the file has no results; is it the one expected?")
    whole = folder / "whole.parquet"
    pl.scan_parquet(parts).sink_parquet(whole, compression="zstd", row_group_size=_ROW_GROUP)
    with whole.open("rb") as file:
        os.fsync(file.fileno())
    return whole, tally.written()


class _Tally:
    """What the frames seen so far hold."""

    def __init__(self) -> None:
        self.rows = 0
        self._found: dict[tuple[str, str | None, int | None, str], _Count] = {}

    def add(self, frame: pl.DataFrame) -> None:
        self.rows += len(frame)
        counts = frame.group_by("dataset", "split", "epochs", "metric", "unit", "seed", maintain_order=True).agg(
            pl.len(), pl.col("value").null_count().alias("missing")
        )
        for dataset, split, epochs, metric, unit, seed, rows, missing in counts.iter_rows():
            count = self._found.setdefault((dataset, split, epochs, metric), _Count(unit))
            if count.unit != unit:
                what = f"{dataset}, split {split}, epochs {epochs}, {metric}"
                raise BadInputError(f"{what} is given both in {count.unit!r} and in {unit!r}.")
            count.seeds.update([] if seed is None else [seed])
            count.rows += rows
            count.missing += missing

    def written(self) -> Written:
        measured = (
            Measured(*kind, count.unit, tuple(sorted(count.seeds)), count.rows, count.missing)
            for kind, count in self._found.items()
        )
        return Written(self.rows, tuple(measured))


@dataclass(slots=True)
class _Count:
    unit: str
    seeds: set[int] = field(default_factory=set)
    rows: int = 0
    missing: int = 0


def _frame(batch: list[Row], n_before: int) -> pl.DataFrame:
    """The rows as a checked frame. `n_before` rows came before, for messages."""
    try:
        # column by column: from whole rows, polars would turn an epoch of 1.5 into 1 without a word
        columns = dict(zip(SCHEMA, zip(*batch, strict=True), strict=True))
        frame = pl.DataFrame(columns, schema=SCHEMA)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        rows = f"rows {n_before + 1:,} to {n_before + len(batch):,}"
        raise BadInputError(f"{rows} do not fit {Row._fields}: {str(error).splitlines()[0]}") from None
    frame = frame.with_columns(pl.when(pl.col("value").is_finite()).then("value").alias("value"))
    named = pl.all_horizontal(pl.col(name).str.len_bytes() > 0 for name in ("arch", "dataset", "metric", "unit"))
    spelt = ~pl.any_horizontal(pl.col(name).str.contains(":", literal=True) for name in ("dataset", "metric"))
    split = pl.col("split").is_in(["train", "valid", "test"]).fill_null(True)
    ranged = (pl.col("unit") != "fraction") | pl.col("value").is_between(0, 1).fill_null(True)
    sound = frame.select((named & spelt & split & ranged).fill_null(False).alias("sound"))["sound"]
    if not sound.all():
        at = int((~sound).arg_max() or 0)
        raise BadInputError(f"row {n_before + at + 1:,} is not sound: {batch[at]!r:.300}")
    return frame
