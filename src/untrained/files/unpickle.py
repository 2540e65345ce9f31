"""Pickle files as plain data: nothing named in the file is imported or called.

Numbers, text, tuples, lists, sets and dicts are read as they are. The classes of an allow-list become inert
`Record`s with an allow-list of attributes; any other global is refused. A hostile file cannot run code. It can
still waste time and memory (about 200 bytes per byte of file, not counting the contents of long texts and byte
strings, hence the size limits), or hash a very deep tuple.
"""

import io
import pickle
import pickletools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Never

from untrained.errors import BadInputError, DataMissingError, UnsafeDataError

MAX_BYTES = 16 << 20
MAX_PROGRAM_BYTES = 16 << 20  # of a file, without the contents of texts and byte strings
_DAMAGED = (  # what unpickling damaged bytes can raise
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    ImportError,
    OverflowError,
    MemoryError,
    RecursionError,
)


class Record:
    """Stands in for an object of an allowed class: attributes (read them with `vars`) and nothing else."""

    origin: ClassVar[str] = ""
    permitted: ClassVar[frozenset[str]] = frozenset()

    def __setstate__(self, state: object) -> None:
        """Take the attributes from the file. Being defined here, it also keeps BUILD from setting anything else."""
        if type(state) is not dict:
            raise UnsafeDataError(f"{self.origin}: its state is of type {type(state).__name__}, expected dict.")
        if not state.keys() <= self.permitted:
            name = next(name for name in state if name not in self.permitted)
            shown = _short(name) if isinstance(name, str) else f"named by a {type(name).__name__}"
            raise UnsafeDataError(f"{self.origin}: the attribute {shown} is not on the list.")
        vars(self).update(state)


Allowed = Mapping[tuple[str, str], frozenset[str] | type[Record]]


def load_records(file: Path, allowed: Allowed, *, max_bytes: int = MAX_BYTES) -> object:
    """Read a pickle file without running anything in it.

    Args:
        file: the file.
        allowed: (module, name) of each class that may appear, and the attributes its objects may have; or a `Record`
            of one's own that stands in for the class.
        max_bytes: refuse a larger file.

    Returns:
        Plain containers and values, and a `Record` for each object of an allowed class.

    Raises:
        DataMissingError: no such file.
        UnsafeDataError: the file asks for any other global or attribute; the message names it.
        BadInputError: not a pickle, truncated, damaged or too large.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except FileNotFoundError:
        raise DataMissingError(f"there is no file {file}.") from None
    except OSError as error:
        raise BadInputError(f"{file} cannot be read: {error.strerror}.") from None
    if len(data) > max_bytes:
        raise BadInputError(f"{file} is larger than {max_bytes:,} bytes; it is not the file expected here.")
    return parse_records(data, str(file), allowed)


def parse_records(data: bytes, source: str, allowed: Allowed, *, encoding: str = "ASCII") -> object:
    """Read a pickle that is in memory, as `load_records` does.

    Args:
        data: the pickle.
        source: where it is from, for messages.
        allowed: as for `load_records`.
        encoding: of texts written by Python 2; "latin1" where such texts hold bytes.

    Raises:
        UnsafeDataError: the pickle asks for a global or attribute that is not allowed; the message names it.
        BadInputError: not a pickle, truncated or damaged.

    >>> import pickle
    >>> parse_records(pickle.dumps({"labels": [1, 2]}), "labels.pkl", {})
    {'labels': [1, 2]}
    """
    try:
        _check_opcodes(data)
        return _RecordUnpickler(data, allowed, encoding).load()
    except UnsafeDataError as error:
        raise UnsafeDataError(f"{source} is refused, nothing in it was run: {error}") from None
    except _DAMAGED as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadInputError(f"{source} is not a readable pickle: {reason}") from None


class _RecordUnpickler(pickle.Unpickler):
    """Never calls the inherited `find_class`, which imports."""

    def __init__(self, data: bytes, allowed: Allowed, encoding: str) -> None:
        super().__init__(io.BytesIO(data), encoding=encoding)
        self._records = {
            (module, name): type(name, (base,), {"origin": f"{module}.{name}", "permitted": permitted})
            for (module, name), given in allowed.items()
            for base, permitted in [(given, frozenset()) if isinstance(given, type) else (Record, given)]
        }

    def find_class(self, module: str, name: str) -> type:
        """The record class, made for this file alone."""
        record = self._records.get((module, name))
        if record is None:
            raise UnsafeDataError(f"the global {_short(f'{module}.{name}')} is not on the list.")
        return record

    def persistent_load(self, pid: object) -> Never:
        """Refuse: the object would come from outside the file."""
        raise UnsafeDataError(f"it refers to an object outside itself (a persistent id of type {type(pid).__name__}).")


def _opcodes_of_fixed_size() -> re.Pattern[bytes]:
    """Matches a run of them, arguments included. STOP, LONG_BINPUT and EXT are left to the caller."""
    sizes: dict[int, bytes] = {}
    for op in pickletools.opcodes:
        size = op.arg.n if op.arg else 0
        if size >= 0 and op.name not in {"STOP", "LONG_BINPUT", "EXT1", "EXT2", "EXT4"}:
            sizes[size] = sizes.get(size, b"") + op.code.encode("latin-1")
    parts = [b"[" + re.escape(codes) + b"]" + b".{%d}" % size for size, codes in sizes.items()]
    return re.compile(b"(?>" + b"|".join(parts) + b")*+", re.DOTALL)


_FIXED = _opcodes_of_fixed_size()
_OPCODES = {ord(op.code): op for op in pickletools.opcodes}
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


def _check_opcodes(data: bytes) -> None:
    """Walk the opcodes without executing them, and refuse what `pickle.Unpickler` would obey before asking us.

    EXT can answer from the process-wide `copyreg` cache, without `find_class`. A memo index is an allocation:
    seven bytes can ask for gigabytes, while real picklers number from 0. A length beyond the end is a truncation.
    Only the contents of texts and byte strings cost as much memory as they are long; all else can cost far more.

    Raises:
        UnsafeDataError: EXT.
        ValueError: the rest.
    """
    at = contents = 0
    while True:
        run = _FIXED.match(data, at, contents + MAX_PROGRAM_BYTES + 16)  # no further than the limit needs
        at = run.end() if run else at
        if at - contents > MAX_PROGRAM_BYTES:
            raise ValueError(f"more than {MAX_PROGRAM_BYTES:,} bytes that are neither text nor byte strings")
        if at >= len(data):
            raise ValueError("it ends too early")
        op = _OPCODES.get(data[at])
        if op is None:
            raise ValueError(f"no opcode at byte {at}")
        if op.name == "STOP":
            return
        if op.name.startswith("EXT"):
            raise UnsafeDataError(f"it uses the extension registry (opcode {op.name}).")
        size = op.arg.n if op.arg else 0
        if size in _LENGTH_BYTES:
            start = at + 1 + _LENGTH_BYTES[size]
            length = int.from_bytes(data[at + 1 : start], "little")
            at = start + length
            contents += length if op.name not in {"LONG1", "LONG4"} else 0
        else:
            at = _after_argument(data, at + 1, op, at - contents)


def _after_argument(data: bytes, start: int, op: pickletools.OpcodeInfo, max_index: int) -> int:
    """Where the next opcode is; beyond the end if the data is cut off."""
    size = op.arg.n if op.arg else 0
    if size == pickletools.UP_TO_NEWLINE:
        end = start
        for _ in range(2 if op.name in {"GLOBAL", "INST"} else 1):
            end = data.find(b"\n", end) + 1 or len(data) + 1
        index = int(data[start:end]) if op.name == "PUT" else 0
    else:
        end = start + size
        index = int.from_bytes(data[start:end], "little") if op.name == "LONG_BINPUT" else 0
    if index > max_index:
        raise ValueError(f"memo index {index} out of range at byte {start}")
    return end


def _short(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 80 else shown[:77] + "..."
