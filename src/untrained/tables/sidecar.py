"""The Parquet of an imported source, and the sidecar that says what it is: written as a pair and read as a pair."""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import polars as pl

from untrained.errors import BadInputError, DataMissingError
from untrained.files.cache import cache_folder, digests_of, locked, parquet_path
from untrained.tables.tidy import Measured
from untrained.types import Progress

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Imported:
    """What the sidecar says of an imported source."""

    format: int
    source: str
    table: str
    file: str
    file_bytes: int
    file_sha256: str
    file_known: bool  # its digest is the known one, or none is known
    imported: str
    untrained: str
    reader: int
    rows: int
    parquet_bytes: int
    parquet_sha256: str
    measured: tuple[Measured, ...]


def read_sidecar(source: str) -> Imported | None:
    """What is imported of a source; None if nothing.

    Raises:
        BadInputError: the sidecar is damaged, or of another version of the format.
    """
    path = parquet_path(source).with_suffix(".json")
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, expected {FORMAT}")
        measured = (Measured(**{**one, "seeds": tuple(one["seeds"])}) for one in content["measured"])
        return Imported(**{**content, "measured": tuple(measured)})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BadInputError(f"{path} cannot be read ({reason}). Import {source} again.") from None


def publish(parquet: Path, sidecar: Imported) -> None:
    """Put a finished Parquet and its sidecar in place. Of two who do so at once, the pair of one remains."""
    final = parquet_path(sidecar.source)
    described = parquet.with_name("sidecar.json")
    described.write_text(json.dumps(asdict(sidecar), indent=1) + "\n", encoding="utf-8")
    with locked(_lock(), wait=True):
        parquet.replace(final)
        described.replace(final.with_suffix(".json"))


def undisturbed() -> AbstractContextManager[bool]:
    """As long as it lasts, nobody publishes."""
    return locked(_lock(), wait=True, shared=True)


def open_parquet(sidecar: Imported) -> BinaryIO:
    """Open the Parquet that a sidecar describes, both `undisturbed`; then it can be read without haste.

    Raises:
        DataMissingError: it is not there.
        BadInputError: it has not the size it should have.
    """
    path = parquet_path(sidecar.source)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise DataMissingError(f"there is no file {path}. Import {sidecar.source} again.") from None
    if os.fstat(file.fileno()).st_size != sidecar.parquet_bytes:
        file.close()
        raise BadInputError(f"{path} is not the file its sidecar describes. Import {sidecar.source} again.")
    return file


def query(file: BinaryIO, sidecar: Imported, ask: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
    """Ask something of an opened Parquet. By its path, polars would open it several times, perhaps another each time.

    Raises:
        BadInputError: it is damaged.
    """
    try:
        return ask(pl.scan_parquet(file)).collect()
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).splitlines()[0]
        path = parquet_path(sidecar.source)
        raise BadInputError(f"{path} cannot be read ({reason}). Import {sidecar.source} again.") from None


def check_import(source: str, progress: Progress | None = None) -> Imported:
    """Compare the Parquet of an imported source with its sidecar: size, digest, number of rows.

    Raises:
        DataMissingError: it is not imported.
        BadInputError: they differ.
    """
    with undisturbed():
        sidecar = read_sidecar(source)
        if sidecar is None:
            raise DataMissingError(f"{source} is not imported. Run: untrained data fetch {source}")
        path = parquet_path(source)
        with open_parquet(sidecar) as file:
            digest = digests_of(path, progress=progress)["sha256"]
            if digest != sidecar.parquet_sha256:
                raise BadInputError(
                    f"{path} has sha256 {digest}; its sidecar says {sidecar.parquet_sha256}. Import {source} again."
                )
            rows = query(file, sidecar, lambda scan: scan.select(pl.len())).item()
    if rows != sidecar.rows:
        raise BadInputError(f"{path} has {rows:,} rows; its sidecar says {sidecar.rows:,}. Import {source} again.")
    return sidecar


def _lock() -> Path:
    return cache_folder() / "tables" / ".lock"
