"""Any CSV file with an `arch` column is a truth table. Every complaint names the file, and the line if there is one."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from untrained.errors import BadInputError, DataMissingError, UnknownNameError
from untrained.tables.base import Truth

MAX_BYTES = 1 << 29  # of text, after decompression
_GZIP_MAGIC = b"\x1f\x8b"


class _Row(NamedTuple):
    line: int  # the line the row ends on, as an editor counts
    cells: list[str]


def read_csv(path: Path, column: str | None = None) -> Truth:
    """Read a comma-separated UTF-8 file with a header, plain or gzipped, as a truth table.

    It needs a column `arch`; the values are those of `column`, or of the only other numeric column. Several columns,
    with commas between, are separate trainings: the value is their mean, of those that a row has. An empty cell or
    "nan" is a missing value. Rows of the same architecture are all kept. Higher is taken as better.

    Raises:
        DataMissingError: no such file.
        UnknownNameError: no such column.
        BadInputError: not readable as such a file, or a value that is not a finite number; the message names the line.
    """
    header, rows = _parse(path, _text(path))
    if "arch" not in header:
        raise BadInputError(f"{path} has no column 'arch'; its columns are: {_listed(header)}.")
    if not rows:
        raise BadInputError(f"{path} has a header but no rows.")
    column = _only_numeric(path, header, rows) if column is None else column
    columns = [column] if column in header else [name.strip() for name in column.split(",")]
    for name in columns:
        if name not in header:
            raise UnknownNameError.among(f"column of {path}", name, header, f"Its columns are: {_listed(header)}.")
        if name == "arch":
            raise BadInputError(f"column 'arch' of {path} has the architectures; choose a column with numbers.")
        if columns.count(name) > 1:
            raise BadInputError(f"column {name!r} of {path} is named twice; each training has a column of its own.")
    arch_at = header.index("arch")
    archs = [row.cells[arch_at].strip() for row in rows]
    for arch, row in zip(archs, rows, strict=True):
        if not arch:
            raise BadInputError(f"{path}, line {row.line}: the 'arch' cell is empty.")
    runs = np.column_stack([_values(path, name, header.index(name), rows) for name in columns])
    known = ~np.isnan(runs)
    if not known.any():
        raise BadInputError(f"column {column!r} of {path} has no value in any row.")
    total, count = np.where(known, runs, 0.0).sum(axis=1), known.sum(axis=1)
    several = len(columns) > 1
    return Truth(
        source=f"mean of columns {_listed(columns)} of {path}" if several else f"column {column!r} of {path}",
        space=None,
        arch=tuple(archs),
        value=np.divide(total, count, out=np.full(len(rows), np.nan), where=count > 0),
        column=column,
        unit="",
        higher_is_better=True,
        runs=runs if several else None,
    )


def _values(path: Path, column: str, at: int, rows: Iterable[_Row]) -> list[float]:
    values = []
    for row in rows:
        text = row.cells[at].strip()
        value = _number(text)
        if value is None or np.isinf(value):
            raise BadInputError(
                f"{path}, line {row.line}, column {column!r}: {_short(text)} is not a finite number "
                "(leave the cell empty where the value is missing)."
            )
        values.append(value)
    return values


def _text(path: Path) -> str:
    """The whole file, decompressed and decoded."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        with gzip.open(path) if packed else path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise DataMissingError(f"there is no file {path}.") from None
    except IsADirectoryError:
        raise BadInputError(f"{path} is a directory; expected a .csv or .csv.gz file.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInputError(f"{path} is damaged: {error}") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise BadInputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(data) > MAX_BYTES:
        raise BadInputError(
            f"{path} has more than {MAX_BYTES >> 20} MiB of text; keep only 'arch' and the columns you need."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInputError(f"{path}, line {line}: not UTF-8 text; expected a .csv or .csv.gz file.") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise BadInputError(f"{path}, line {line}: a null character; expected a text file.")
    return text


def _parse(path: Path, text: str) -> tuple[list[str], list[_Row]]:
    """Header and rows, all of the header's length. Blank lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [_Row(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise BadInputError(f"{path}, line {reader.line_num}: not CSV ({error}).") from None
    if not rows:
        raise BadInputError(f"{path} is empty; expected a header with a column 'arch', then rows.")
    header = [name.strip() for name in rows.pop(0).cells]
    for name in header:
        if name and header.count(name) > 1:
            raise BadInputError(f"{path} has two columns named {_short(name)}.")
    for row in rows:
        if len(row.cells) != len(header):
            raise BadInputError(
                f"{path}, line {row.line}: {len(row.cells)} fields, but the header has {len(header)} "
                "(a field with commas needs double quotes)."
            )
    return header, rows


def _only_numeric(path: Path, header: list[str], rows: list[_Row]) -> str:
    """The value column when none was named. A lone other column counts even with bad cells: each gets its own error."""
    others = {name: at for at, name in enumerate(header) if name and name != "arch"}
    if len(others) == 1:
        return next(iter(others))
    numeric = [name for name, at in others.items() if all(_number(row.cells[at].strip()) is not None for row in rows)]
    if len(numeric) == 1:
        return numeric[0]
    if numeric:
        raise BadInputError(f"{path} has several numeric columns: {_listed(numeric)}; use --column NAME.")
    raise BadInputError(f"{path} has no numeric column beside 'arch'; its columns are: {_listed(header)}.")


def _number(text: str) -> float | None:
    """The number, NaN for an empty cell, None for anything else.

    >>> _number("0.5"), _number(""), _number("1_000"), _number("good")
    (0.5, nan, None, None)
    """
    if not text:
        return float("nan")
    if "_" in text:  # Python reads it, no other program does
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")


def _listed(names: Iterable[str]) -> str:
    """Names in quotes, at most twelve.

    >>> _listed(["arch", "test_acc"])
    "'arch', 'test_acc'"
    """
    quoted = [_short(name) for name in names]
    return ", ".join(quoted[:12]) + (f" and {len(quoted) - 12} more" if len(quoted) > 12 else "")
