"""Any CSV file with an `arch` column is a truth table. Every complaint names the file, and the line if there is one."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from untrained.errors import BadInputError, UnknownNameError
from untrained.files.csv_rows import Row, listed, number, read_rows, short
from untrained.tables.base import Truth


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
    header, rows = read_rows(path)
    column = _only_numeric(path, header, rows) if column is None else column
    columns = [column] if column in header else [name.strip() for name in column.split(",")]
    for name in columns:
        if name not in header:
            raise UnknownNameError.among(f"column of {path}", name, header, f"Its columns are: {listed(header)}.")
        if name == "arch":
            raise BadInputError(f"column 'arch' of {path} has the architectures; choose a column with numbers.")
        if columns.count(name) > 1:
            raise BadInputError(f"column {name!r} of {path} is named twice; each training has a column of its own.")
    arch_at = header.index("arch")
    archs = [row.cells[arch_at].strip() for row in rows]
    runs = np.column_stack([_values(path, name, header.index(name), rows) for name in columns])
    known = ~np.isnan(runs)
    if not known.any():
        raise BadInputError(f"column {column!r} of {path} has no value in any row.")
    total, count = np.where(known, runs, 0.0).sum(axis=1), known.sum(axis=1)
    several = len(columns) > 1
    return Truth(
        source=f"mean of columns {listed(columns)} of {path}" if several else f"column {column!r} of {path}",
        space=None,
        arch=tuple(archs),
        value=np.divide(total, count, out=np.full(len(rows), np.nan), where=count > 0),
        column=column,
        unit="",
        higher_is_better=True,
        runs=runs if several else None,
    )


def _values(path: Path, column: str, at: int, rows: Iterable[Row]) -> list[float]:
    values = []
    for row in rows:
        text = row.cells[at].strip()
        value = number(text)
        if value is None or np.isinf(value):
            raise BadInputError(
                f"{path}, line {row.line}, column {column!r}: {short(text)} is not a finite number "
                "(leave the cell empty where the value is missing)."
            )
        values.append(value)
    return values


def _only_numeric(path: Path, header: list[str], rows: list[Row]) -> str:
    """The value column when none was named. A lone other column counts even with bad cells: each gets its own error."""
    others = {name: at for at, name in enumerate(header) if name and name != "arch"}
    if len(others) == 1:
        return next(iter(others))
    numeric = [name for name, at in others.items() if all(number(row.cells[at].strip()) is not None for row in rows)]
    if len(numeric) == 1:
        return numeric[0]
    if numeric:
        raise BadInputError(f"{path} has several numeric columns: {listed(numeric)}; use --column NAME.")
    raise BadInputError(f"{path} has no numeric column beside 'arch'; its columns are: {listed(header)}.")
