"""A run folder: scores, and what they depend on.

    run.json                    protocol (what may change a score) and calls (how its scores came about)
    archs.parquet               the architectures asked for, in order, each once
    scores/part-000001.parquet  finished evaluations, append-only

`folder` says how files are written.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from untrained.engine.folder import Kind, Parts, read_frame, refuse_other_fields, write_frame
from untrained.engine.worker import Row
from untrained.errors import RunConflictError

_SCORES = "scores"
_KIND = Kind("run", 1, (_SCORES,), ("space", "proxies"))
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
        self._parts = Parts(folder / _SCORES)
        stored = _KIND.begin(folder)
        if stored is not None:
            refuse_other_protocol(folder, stored["protocol"], protocol, "Choose another --out.")
            protocol = {**protocol, "proxies": {**stored["protocol"]["proxies"], **protocol["proxies"]}}
        _KIND.note(folder, stored, protocol, call={"aggregates": dict(aggregates or {})})

    def scores(self) -> dict[tuple[str, str], Row]:
        """Every finished evaluation, by (proxy, key)."""
        return read_rows(self.folder)

    def append(self, rows: Sequence[Row]) -> None:
        """Add finished evaluations as a new part."""
        self._parts.append(pl.DataFrame(rows, schema=_PART_SCHEMA, orient="row"))

    def remember_archs(self, archs: Sequence[str]) -> None:
        """Add architectures to those asked for."""
        path = self.folder / "archs.parquet"
        known = read_archs(self.folder) if path.exists() else []
        every = list(dict.fromkeys([*known, *archs]))
        if len(every) > len(known):
            write_frame(path, pl.DataFrame({"arch": every}, schema=_ARCHS_SCHEMA))


def read_run(folder: Path) -> dict[str, Any]:
    """The content of a run folder's run.json.

    Raises:
        RunConflictError: no run there, or written by another version of the format.
    """
    return _KIND.read(folder)


def read_archs(folder: Path) -> list[str]:
    """The architectures asked for in a run, in order."""
    return read_frame(folder / "archs.parquet", _ARCHS_SCHEMA)["arch"].to_list()


def read_aggregates(run: Mapping[str, Any]) -> dict[str, Any]:
    """What the calls of a run made of its scores, by name; of several the last."""
    return {name: about for call in run["calls"] for name, about in call.get("aggregates", {}).items()}


def read_rows(folder: Path) -> dict[tuple[str, str], Row]:
    """Every finished evaluation of a run, by (proxy, key)."""
    return {(row.proxy, row.key): row for row in map(Row._make, read_parts(folder).iter_rows())}


def read_parts(folder: Path) -> pl.DataFrame:
    """All finished evaluations of a run, one row each."""
    return Parts(folder / _SCORES).read(_PART_SCHEMA)


def refuse_other_protocol(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any], advice: str) -> None:
    """Raise RunConflictError, naming the field, unless scores under `new` and those in `folder` can be mixed."""
    then, now = ({name: value for name, value in fields.items() if name != "proxies"} for fields in (old, new))
    refuse_other_fields(folder, "scores", then, now, advice)
    for proxy, about in new["proxies"].items():
        before = old["proxies"].get(proxy, about)
        if before != about:
            field = next(field for field in about if before.get(field) != about[field])
            change = f"{field} {before.get(field)}, not {about[field]}"
            raise RunConflictError(f"{folder} holds scores of {proxy} {change}. {advice}")
