"""Folders of results that survive anything: whole files only, parts that are only ever added, and where all came from.

Every file is written under a temporary name, flushed to disk and renamed, so that a reader sees whole files only.
"""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from untrained.errors import RunConflictError

Schema = Mapping[str, Any]

_PARTS = "part-" + 6 * "[0-9]" + ".parquet"


class Parts:
    """Frames in a folder, one file for each append."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, frame: pl.DataFrame) -> None:
        """Add rows as a new part."""
        if frame.is_empty():
            return
        numbers = [int(path.stem.partition("-")[2]) for path in self.folder.glob(_PARTS)]
        write_frame(self.folder / f"part-{max(numbers, default=0) + 1:06d}.parquet", frame)

    def read(self, schema: Schema, *, more: pl.DataType | None = None) -> pl.DataFrame:
        """All rows; see `read_frame`. Where parts have different columns, what one does not have is null."""
        frames = [read_frame(path, schema, more=more) for path in sorted(self.folder.glob(_PARTS))]
        how: Any = "vertical" if more is None else "diagonal"
        return pl.concat(frames, how=how) if frames else pl.DataFrame(schema=schema)


def read_frame(path: Path, schema: Schema, *, more: pl.DataType | None = None) -> pl.DataFrame:
    """A table with exactly these columns; with `more`, followed by any of that type.

    Raises:
        RunConflictError: the file cannot be read, or holds something else.
    """
    try:
        frame = pl.read_parquet(path)
        rest = frame.columns[len(schema) :] if more is not None else []
        if list(frame.schema.items()) != [*schema.items(), *[(name, more) for name in rest]]:
            raise OSError(f"its columns are {', '.join(frame.columns)}, expected {', '.join(schema)}")
        return frame
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise RunConflictError(f"{path} cannot be read ({reason}). Delete it to have it computed again.") from error


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file, which makes its folder what it is.

    Raises:
        RunConflictError: it is not there or cannot be read.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunConflictError(f"{path.parent} is no {what} folder: {path} cannot be read ({error}).") from error


def write_frame(path: Path, frame: pl.DataFrame) -> None:
    """Write a table, whole or not at all."""
    temporary = _temporary(path)
    frame.write_parquet(temporary)
    _publish(temporary, path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    temporary = _temporary(path)
    temporary.write_bytes(content)
    _publish(temporary, path)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _publish(temporary: Path, path: Path) -> None:
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def claim(folder: Path, what: str, parts: Sequence[str]) -> None:
    """Make a folder, with folders for parts, for results of a new kind.

    Raises:
        RunConflictError: it holds something that does not come from a call that was killed before its first file.
    """
    if folder.exists() and not _is_fresh(folder, what, parts):
        raise RunConflictError(f"{folder} exists and is no {what} folder. Choose another --out, or empty it.")
    make(folder, parts)


def make(folder: Path, parts: Sequence[str]) -> None:
    """Make the folders for parts, as far as there are none."""
    for name in parts:
        (folder / name).mkdir(parents=True, exist_ok=True)


def _is_fresh(folder: Path, what: str, parts: Sequence[str]) -> bool:
    if not folder.is_dir():
        return False
    for path in folder.iterdir():
        if path.name in parts:
            if not path.is_dir() or any(path.iterdir()):
                return False
        elif not path.name.startswith((f".{what}.json.", ".archs.")):
            return False
    return True


def refuse_other_fields(folder: Path, what: str, old: Schema, new: Schema, advice: str) -> None:
    """Raise RunConflictError, naming the field, unless what was stored under `old` can be mixed with `new`."""
    for name in sorted(old.keys() | new.keys()):
        if _identity(old.get(name)) != _identity(new.get(name)):
            raise RunConflictError(f"{folder} holds {what} with {name} {old.get(name)}, not {new.get(name)}. {advice}")


def _identity(value: Any) -> Any:
    """What matters of a field: images are the same whatever the file is called that they came from."""
    return {k: v for k, v in value.items() if k != "name"} if isinstance(value, dict) and "digest" in value else value


def provenance() -> dict[str, Any]:
    """When, how and on what this call was made."""
    versions: dict[str, str | None] = {}
    for package in ("untrained", "numpy", "numba", "polars", "torch"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": sys.argv,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": versions,
    }
