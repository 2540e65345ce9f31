"""Folders of results that survive anything: whole files only, parts that are only ever added, and where all came from.

Every file is written under a temporary name, flushed to disk and renamed, so that a reader sees whole files only.
"""

import json
import os
import platform
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from untrained.errors import RunConflictError

Schema = Mapping[str, Any]

_PARTS = "part-" + 6 * "[0-9]" + ".parquet"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of folder: one that holds `<name>.json` with a format, a protocol and calls.

    The protocol is what the results depend on; each call that worked on them says when, how and on what it was made.

    Attributes:
        name: of the kind.
        version: of the format.
        parts: folders inside for what is added as it is finished.
        needed: what a protocol has at least.
    """

    name: str
    version: int
    parts: Sequence[str] = ()
    needed: Collection[str] = ()

    def read(self, folder: Path) -> dict[str, Any]:
        """The content of `<name>.json`.

        Raises:
            RunConflictError: no folder of this kind, or written by another version of the format.
        """
        path = folder / f"{self.name}.json"
        content = read_json(path, self.name)
        ours = isinstance(content, dict) and content.get("format") == self.version
        protocol = content.get("protocol") if ours else None
        whole = isinstance(protocol, dict) and set(self.needed) <= protocol.keys()
        if not whole or not isinstance(content.get("calls"), list):
            raise RunConflictError(
                f"{path} is not of format {self.version}, so not of this version of untrained. Choose another --out."
            )
        found: dict[str, Any] = content
        return found

    def begin(self, folder: Path) -> dict[str, Any] | None:
        """What `read` finds, None where the folder is new and was made. Whether to go on with it is for the caller.

        Raises:
            RunConflictError: as `read`, or the folder holds something else.
        """
        stored = self.read(folder) if (folder / f"{self.name}.json").exists() else None
        if stored is None:
            _claim(folder, self.name, self.parts)
        for name in self.parts:
            (folder / name).mkdir(parents=True, exist_ok=True)
        return stored

    def note(
        self,
        folder: Path,
        stored: Mapping[str, Any] | None,
        protocol: Mapping[str, Any],
        *,
        call: Mapping[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Write `<name>.json`: what `begin` found, with this call at the end.

        Args:
            folder: as for `begin`.
            stored: what that found.
            protocol: of all results in the folder from now on.
            call: what else to say of this call.
            more: what else to say of the folder.

        Returns:
            What was written.
        """
        calls = [*(stored["calls"] if stored else []), {**provenance(), **(call or {})}]
        content = {"format": self.version, "protocol": dict(protocol), "calls": calls, **(more or {})}
        write_json(folder / f"{self.name}.json", content)
        return content


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


def _claim(folder: Path, what: str, parts: Sequence[str]) -> None:
    """Make a folder for results of a new kind.

    Raises:
        RunConflictError: it holds something that does not come from a call that was killed before its first file.
    """
    if folder.exists() and not _is_fresh(folder, what, parts):
        raise RunConflictError(f"{folder} exists and is no {what} folder. Choose another --out, or empty it.")
    folder.mkdir(parents=True, exist_ok=True)


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
