"""A bank folder: statistics and counts as they were computed, and the table made of them.

    bank.json                       protocol (what may change a number) and calls (how the numbers came about)
    functions/part-000001.parquet   statistics of finished functions by width1_key, append-only
    networks/part-000001.parquet    counts of finished networks by key, append-only
    bank.parquet                    one row for each distinct network, written when all of a call are finished
    columns.json                    what the columns of bank.parquet mean
    archs.parquet                   every architecture of finished calls with its keys, in order

`folder` says how files are written.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from untrained.engine.bank_rows import FUNCTION_SCHEMA, NETWORK_SCHEMA, Found, function_frame, network_frame
from untrained.engine.folder import Kind, Parts, read_frame, refuse_other_fields, write_frame, write_json

ARCHS_SCHEMA = {"arch": pl.String, "key": pl.String, "width1_key": pl.String}
_PARTS = ("functions", "networks")
_KIND = Kind("bank", 1, _PARTS, ("space", "task", "modes", "inputs", "stages"))


class BankStore:
    """What one protocol gave, in one folder."""

    def __init__(self, folder: Path, protocol: Mapping[str, Any]) -> None:
        """Open or create `folder`.

        Raises:
            RunConflictError: the folder holds a bank of another protocol, or something that is no bank.
        """
        self.folder = folder
        self._functions, self._networks = (Parts(folder / name) for name in _PARTS)
        stored = _KIND.begin(folder)
        if stored is not None:
            refuse_other_fields(folder, "a bank", stored["protocol"], protocol, "Choose another --out.")
        self.manifest = _KIND.note(folder, stored, protocol)

    def functions(self) -> pl.DataFrame:
        """Finished functions."""
        return self._functions.read(FUNCTION_SCHEMA, more=pl.Float64()).unique("width1_key", keep="first")

    def networks(self) -> pl.DataFrame:
        """Finished networks."""
        return self._networks.read(NETWORK_SCHEMA, more=pl.Float64()).unique("key", keep="first")

    def archs(self) -> pl.DataFrame:
        """Architectures of calls that were finished."""
        path = self.folder / "archs.parquet"
        return read_frame(path, ARCHS_SCHEMA) if path.exists() else pl.DataFrame(schema=ARCHS_SCHEMA)

    def append(self, chunks: Sequence[Found]) -> None:
        """Add what workers found."""
        self._functions.append(function_frame([row for found in chunks for row in found.functions]))
        self._networks.append(network_frame([row for found in chunks for row in found.networks]))

    def finish(self, frame: pl.DataFrame, columns: Mapping[str, Any], archs: pl.DataFrame) -> None:
        """Write the table of all that was asked for."""
        write_json(self.folder / "columns.json", columns)
        write_frame(self.folder / "bank.parquet", frame)
        write_frame(self.folder / "archs.parquet", archs)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The content of a bank folder's bank.json.

    Raises:
        RunConflictError: no bank there, or written by another version of the format.
    """
    return _KIND.read(folder)
