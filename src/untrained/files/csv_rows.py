"""Rows of a CSV file with a header, each with its line. Complaints name the file, and the line if there is one."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from untrained.errors import BadInputError, DataMissingError

MAX_BYTES = 1 << 29  # of text, after decompression
_GZIP_MAGIC = b"\x1f\x8b"


class Row(NamedTuple):
    """The cells of one row, and the line it ends on, as an editor counts."""

    line: int
    cells: list[str]


def read_rows(path: Path) -> tuple[list[str], list[Row]]:
    """Header and rows, all of the header's length, of a comma-separated UTF-8 file, plain or gzipped.

    Blank lines are skipped; names of columns have no spaces around them.

    Raises:
        DataMissingError: no such file.
        BadInputError: not readable as such a file, no column `arch`, or no rows; the message names the line.
    """
    header, rows = _parse(path, _text(path))
    if "arch" not in header:
        raise BadInputError(f"{path} has no column 'arch'; its columns are: {listed(header)}.")
    if not rows:
        raise BadInputError(f"{path} has a header but no rows.")
    at = header.index("arch")
    for row in rows:
        if not row.cells[at].strip():
            raise BadInputError(f"{path}, line {row.line}: the 'arch' cell is empty.")
    return header, rows


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


def _parse(path: Path, text: str) -> tuple[list[str], list[Row]]:
    """Header and rows, all of the header's length. Blank lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [Row(reader.line_num, cells) for cells in reader if cells]
    except csv.Error as error:
        raise BadInputError(f"{path}, line {reader.line_num}: not CSV ({error}).") from None
    if not rows:
        raise BadInputError(f"{path} is empty; expected a header with a column 'arch', then rows.")
    header = [name.strip() for name in rows.pop(0).cells]
    for name in header:
        if name and header.count(name) > 1:
            raise BadInputError(f"{path} has two columns named {short(name)}.")
    for row in rows:
        if len(row.cells) != len(header):
            raise BadInputError(
                f"{path}, line {row.line}: {len(row.cells)} fields, but the header has {len(header)} "
                "(a field with commas needs double quotes)."
            )
    return header, rows


def number(text: str) -> float | None:
    """The number, NaN for an empty cell, None for anything else.

    >>> number("0.5"), number(""), number("1_000"), number("good")
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


def short(text: str) -> str:
    """The text in quotes, at most 60 characters of it."""
    return repr(text if len(text) <= 60 else text[:60] + "...")


def listed(names: Iterable[str]) -> str:
    """Names in quotes, at most twelve.

    >>> listed(["arch", "test_acc"])
    "'arch', 'test_acc'"
    """
    quoted = [short(name) for name in names]
    return ", ".join(quoted[:12]) + (f" and {len(quoted) - 12} more" if len(quoted) > 12 else "")
