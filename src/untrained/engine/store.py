"""A run folder: scores that survive anything, and what they depend on.

    run.json                    protocol (what may change a score) and calls (how its scores came about)
    archs.parquet               the architectures asked for, in order, each once
    scores/part-000001.parquet  finished evaluations, append-only

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

from untrained.engine.worker import Row
from untrained.errors import RunConflictError

FORMAT = 1
_PARTS = "part-" + 6 * "[0-9]" + ".parquet"
_ARCHS_SCHEMA = {"arch": pl.String}
_PART_SCHEMA = {
    "key": pl.String,
    "proxy": pl.String,
    "value": pl.Float64,
    "status": pl.String,
    "seconds": pl.Float64,
    "detail": pl.String,
}


class Store:
    """The scores of one protocol in one folder."""

    def __init__(self, folder: Path, protocol: Mapping[str, Any], aggregates: Mapping[str, Any] | None = None) -> None:
        """Open or create `folder`. `aggregates` says what this call makes of the scores; no stored score depends on it.

        Raises:
            RunConflictError: the folder holds scores of another protocol, or something that is no run.
        """
        self.folder = folder
        self._parts = folder / "scores"
        path = folder / "run.json"
        calls: list[Any] = []
        if path.exists():
            run = read_run(folder)
            refuse_other_protocol(folder, run["protocol"], protocol, "Choose another --out.")
            protocol = {**protocol, "proxies": {**run["protocol"]["proxies"], **protocol["proxies"]}}
            calls = run["calls"]
        elif folder.exists() and not _is_fresh(folder):
            raise RunConflictError(f"{folder} exists and is no run folder. Choose another --out, or empty it.")
        self._parts.mkdir(parents=True, exist_ok=True)
        run = {
            "format": FORMAT,
            "protocol": dict(protocol),
            "calls": [*calls, {**_provenance(), "aggregates": dict(aggregates or {})}],
        }
        _write(path, (json.dumps(run, indent=2) + "\n").encode())

    def scores(self) -> dict[tuple[str, str], Row]:
        """Every finished evaluation, by (proxy, key)."""
        return read_rows(self.folder)

    def append(self, rows: Sequence[Row]) -> None:
        """Add finished evaluations as a new part."""
        if not rows:
            return
        numbers = [int(path.stem.partition("-")[2]) for path in self._parts.glob(_PARTS)]
        path = self._parts / f"part-{max(numbers, default=0) + 1:06d}.parquet"
        _write_frame(path, pl.DataFrame(rows, schema=_PART_SCHEMA, orient="row"))

    def remember_archs(self, archs: Sequence[str]) -> None:
        """Add architectures to those asked for."""
        path = self.folder / "archs.parquet"
        known = _read_frame(path, _ARCHS_SCHEMA)["arch"].to_list() if path.exists() else []
        every = list(dict.fromkeys([*known, *archs]))
        if len(every) > len(known):
            _write_frame(path, pl.DataFrame({"arch": every}, schema=_ARCHS_SCHEMA))


def read_run(folder: Path) -> dict[str, Any]:
    """The content of a run folder's run.json.

    Raises:
        RunConflictError: no run there, or written by another version of the format.
    """
    path = folder / "run.json"
    try:
        run: Any = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunConflictError(f"{folder} is no run folder: {path} cannot be read ({error}).") from error
    protocol = run.get("protocol") if isinstance(run, dict) and run.get("format") == FORMAT else None
    if not isinstance(protocol, dict) or not {"space", "proxies"} <= protocol.keys() or "calls" not in run:
        raise RunConflictError(f"{path} is not of format {FORMAT}. Choose another --out.")
    found: dict[str, Any] = run
    return found


def read_archs(folder: Path) -> list[str]:
    """The architectures asked for in a run, in order."""
    return _read_frame(folder / "archs.parquet", _ARCHS_SCHEMA)["arch"].to_list()


def read_aggregates(run: Mapping[str, Any]) -> dict[str, Any]:
    """What the calls of a run made of its scores, by name; of several the last."""
    return {name: about for call in run["calls"] for name, about in call.get("aggregates", {}).items()}


def read_rows(folder: Path) -> dict[tuple[str, str], Row]:
    """Every finished evaluation of a run, by (proxy, key)."""
    return {(row.proxy, row.key): row for row in map(Row._make, read_parts(folder).iter_rows())}


def read_parts(folder: Path) -> pl.DataFrame:
    """All finished evaluations of a run, one row each."""
    frames = [_read_frame(path, _PART_SCHEMA) for path in sorted((folder / "scores").glob(_PARTS))]
    return pl.concat(frames) if frames else pl.DataFrame(schema=_PART_SCHEMA)


def _is_fresh(folder: Path) -> bool:
    """Empty, or left by a run that was killed before its first file."""
    if not folder.is_dir():
        return False
    scores = folder / "scores"
    rest = [path for path in folder.iterdir() if path != scores and not path.name.startswith((".run.json.", ".archs."))]
    return not rest and not (scores.exists() and (not scores.is_dir() or any(scores.iterdir())))


def _read_frame(path: Path, schema: Mapping[str, Any]) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path)
        if dict(frame.schema) != dict(schema):
            raise OSError(f"its columns are {', '.join(frame.columns)}, expected {', '.join(schema)}")
        return frame
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise RunConflictError(f"{path} cannot be read ({reason}). Delete it to compute its scores again.") from error


def _write_frame(path: Path, frame: pl.DataFrame) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    frame.write_parquet(temporary)
    _publish(temporary, path)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    _publish(temporary, path)


def _publish(temporary: Path, path: Path) -> None:
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def refuse_other_protocol(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any], advice: str) -> None:
    """Raise RunConflictError, naming the field, unless scores under `new` and those in `folder` can be mixed."""
    for name in sorted((old.keys() | new.keys()) - {"proxies"}):
        if _identity(old.get(name)) != _identity(new.get(name)):
            raise RunConflictError(f"{folder} holds scores with {name} {old.get(name)}, not {new.get(name)}. {advice}")
    for proxy, now in new["proxies"].items():
        then = old["proxies"].get(proxy, now)
        if then != now:
            field = next(field for field in now if then.get(field) != now[field])
            change = f"{field} {then.get(field)}, not {now[field]}"
            raise RunConflictError(f"{folder} holds scores of {proxy} {change}. {advice}")


def _identity(value: Any) -> Any:
    """What matters of a field: images are the same whatever the file is called that they came from."""
    return {k: v for k, v in value.items() if k != "name"} if isinstance(value, dict) and "digest" in value else value


def _provenance() -> dict[str, Any]:
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
