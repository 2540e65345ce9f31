"""From what the user typed to a `Truth`: a CSV file, or the name of a table's column."""

from collections.abc import Collection
from pathlib import Path

from untrained.errors import BadInputError, DataMissingError, UnknownNameError
from untrained.tables.base import TABLES, Truth, listed
from untrained.tables.csv_file import read_csv


def load_truth(spec: str, column: str | None = None) -> Truth:
    """Read trained values from a CSV file or a table.

    Args:
        spec: the path of an existing file, or of any `.csv` or `.csv.gz`; otherwise `table:dataset:metric`,
            for instance `nasbench201:cifar10:test_acc`.
        column: which column of a CSV file, or several with commas between that hold separate trainings; None if it has
            only one numeric column beside `arch`.

    Raises:
        BadInputError: `spec` has neither form, `column` is given for a table, or the data is damaged.
        UnknownNameError: no such table, dataset, metric or CSV column.
        DataMissingError: no such file, or the table's data is not on this machine.
        UnsafeDataError: reading the data would mean running code from it.
    """
    if spec.lower().endswith((".csv", ".csv.gz")) or _exists(spec):
        return read_csv(Path(spec), column)
    name, *rest = spec.split(":")
    if rest and name not in TABLES:
        raise UnknownNameError.among("table", name, TABLES, f"Tables: {', '.join(TABLES)}; or give a .csv file.")
    if len(rest) != 2:
        has = _columns([name] if name in TABLES else list(TABLES))
        raise BadInputError(f"{spec!r} is neither a .csv or .csv.gz file nor TABLE:DATASET:METRIC. {has}")
    if column is not None:
        raise BadInputError(
            f"{spec!r} names its metric itself; a column ({column!r}) can be chosen for CSV files only."
        )
    return TABLES[name].read(rest[0], rest[1])


def _columns(names: Collection[str]) -> str:
    """What the tables of these names have, without single seeds, and how to get what they could have."""
    columns, missing = [], []
    for name in names:
        try:
            found = TABLES[name].columns()
        except DataMissingError as error:
            missing.append(f"{name}: {error}")
        else:
            whole = (f"{name}:{column.dataset}:{column.metric}" for column in found if "_seed" not in column.metric)
            columns.append(listed(whole, most=100 if len(names) == 1 else 5))
    has = [f"Tables have: {', '.join(columns)}."] if columns else []
    return " ".join(has + missing)


def _exists(spec: str) -> bool:
    try:
        return bool(spec) and Path(spec).exists()
    except OSError:  # a name longer than the system allows
        return False
