"""Tensors of networks on disk, under a budget of bytes.

    <folder>/<digest of the protocol>/<network>.safetensors

Files are written under a temporary name and renamed, so that whoever reads sees whole files. Each tensor has its
CRC-32C in the file's metadata, so that a damaged one is measured again, never used. What does not fit into the budget
is measured each time; values are the same either way.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import google_crc32c
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from untrained.evolve.layer_tensors import Array, Index, LayerProtocol, NetworkTensors, measure, network_key
from untrained.spaces import ModuleSpace, Space
from untrained.types import Arch

_ABANDONED: Final = 3600.0  # seconds after which a temporary file is nobody's
_SUFFIX: Final = ".safetensors"
_KEY: Final = "statistics"  # the one entry of the metadata, since several stand in any order


class DamagedError(Exception):
    """A stored tensor is not what was written."""


@dataclass(frozen=True)
class StatisticsCache:
    """Where tensors are kept.

    Attributes:
        folder: made where there is none; None keeps nothing.
        budget: bytes that all files of the folder may have together.
    """

    folder: Path | None
    budget: float = float("inf")

    def get(self, space: Space, arch: Arch, protocol: LayerProtocol) -> NetworkTensors:
        """The tensors of a network: from disk where they are whole, or else measured and, if they fit, kept."""
        path = self._path(space, arch, protocol)
        found = _load(path) if path is not None else None
        return self.measure(space, arch, protocol) if found is None else found

    def measure(self, space: Space, arch: Arch, protocol: LayerProtocol) -> NetworkTensors:
        """The tensors of a network, measured, whatever is on disk; a file that is there is replaced."""
        path = self._path(space, arch, protocol)
        measured = measure(space, arch, protocol)
        if path is not None:
            path.unlink(missing_ok=True)
            self._store(path, measured)
        return measured

    def n_bytes(self) -> int:
        """Bytes of all files."""
        return sum([_size(path) for path in self._files()])

    def sweep(self) -> None:
        """Delete what writers that were killed left behind."""
        for path in self._files():
            if path.name.startswith(".") and time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[Path]:
        return iter(()) if self.folder is None else self.folder.glob(f"*/*{_SUFFIX}*")

    def _path(self, space: Space, arch: Arch, protocol: LayerProtocol) -> Path | None:
        if self.folder is None or isinstance(space, ModuleSpace):  # whose code may be another tomorrow
            return None
        return self.folder / protocol.digest(space) / f"{network_key(space, arch)}{_SUFFIX}"

    def _store(self, path: Path, measured: NetworkTensors) -> None:
        size = sum([array.nbytes for array in measured.tensors.values()])
        if self.n_bytes() + size > self.budget:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        sums = {place: _crc32c(array.tobytes()) for place, array in measured.tensors.items()}
        described = json.dumps({"index": measured.index.dump(), "crc32c": sums})
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            save_file(dict(measured.tensors), temporary, {_KEY: f"{_crc32c(described.encode())} {described}"})
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        if self.n_bytes() > self.budget:  # another process has written in the meantime
            path.unlink(missing_ok=True)


class _Stored(Mapping[str, Array]):
    """Tensors of a file, read and checked when they are asked for."""

    def __init__(self, file: Any, index: Index, sums: Mapping[str, int]) -> None:
        self._file = file
        self._shapes = index.shapes
        self._sums = sums

    def __getitem__(self, place: str) -> Array:
        if place not in self._sums:
            raise KeyError(place)
        try:
            array: Array = self._file.get_tensor(place)
        except (SafetensorError, OSError) as error:
            raise DamagedError(f"{place}: {error}") from error
        if array.dtype != np.float32 or array.shape != self._shapes[place]:
            raise DamagedError(f"{place}: {array.dtype}, shape {array.shape}")
        if _crc32c(array.tobytes()) != self._sums[place]:
            raise DamagedError(f"{place}: its checksum is another")
        array.flags.writeable = False
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._sums)

    def __len__(self) -> int:
        return len(self._sums)


def _load(path: Path) -> NetworkTensors | None:
    """What a file holds; None where there is none, or it is damaged so far that its tensors are not known."""
    try:
        file: Any = safe_open(path, framework="numpy")
        checksum, _, described = (file.metadata() or {})[_KEY].partition(" ")
        if _crc32c(described.encode()) != int(checksum):
            return None
        content = json.loads(described)
        index = Index.load(content["index"])
        sums: dict[str, int] = content["crc32c"]
        if sums.keys() != index.shapes.keys() or not sums.keys() <= set(file.keys()):
            return None
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return NetworkTensors(index, _Stored(file, index, sums))


def _crc32c(content: bytes) -> int:
    return int(google_crc32c.value(content))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # renamed or deleted since it was listed
        return 0
