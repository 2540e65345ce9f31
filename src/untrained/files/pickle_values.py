"""What may be built from a pickle, how containers are filled, and what the stream may refer back to."""

import struct
from array import array
from collections.abc import Callable
from typing import Any, NamedTuple

from untrained.errors import BadInputError, UnsafeDataError

_MAX_MEMO = 400_000_000  # objects
_MAX_TEXTS = 64 << 20  # characters of different texts that later items may refer to
_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})


class Builder(NamedTuple):
    """Stands for a class or function named in a stream; calling it is calling ours."""

    build: Callable[..., Any]


class Dtype:
    """A numpy dtype of a single number: `format` is that of `struct`, the byte order unknown before BUILD."""

    __slots__ = ("format",)

    def __init__(self, name: object, *_: object) -> None:
        if type(name) is not str or name not in _FORMATS:
            raise UnsafeDataError("it holds a numpy dtype that is not a plain number.")
        self.format = _FORMATS[name]

    def set_state(self, state: object) -> None:
        """Take the byte order; the rest is for structured types."""
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|") or state[2:5] != (None,) * 3:
            raise UnsafeDataError("it holds a numpy dtype that is not a plain number.")
        self.format = state[1].replace("|", "=") + self.format[-1]


_FORMATS = {"f4": "=f", "f8": "=d", "i1": "=b", "i2": "=h", "i4": "=i", "i8": "=q"} | {
    "u1": "=B", "u2": "=H", "u4": "=I", "u8": "=Q", "b1": "=?"
}  # fmt: skip


def _dict(pairs: object = ()) -> dict[Any, Any]:
    if pairs != ():
        raise UnsafeDataError("it holds an OrderedDict in a form of Python 2.")
    return {}


def _list(elements: object = ()) -> list[Any]:
    if type(elements) is not list:
        raise ValueError("a set of something else than a list")
    return elements


def _scalar(dtype: object, content: object) -> Any:
    if type(dtype) is not Dtype or type(content) is not bytes:
        raise ValueError("a numpy scalar of something else than a dtype and bytes")
    return struct.unpack(dtype.format, content)[0]


def _encode(text: object, encoding: object) -> bytes:
    if type(text) is not str or encoding != "latin1" or len(text) > 16:
        raise UnsafeDataError("it asks to encode more than a number in latin1.")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


_BUILDERS = {
    ("collections", "OrderedDict"): Builder(_dict),
    ("builtins", "set"): Builder(_list),
    ("__builtin__", "set"): Builder(_list),
    ("_codecs", "encode"): Builder(_encode),  # protocol 2 writes bytes as text
    ("__builtin__", "bytes"): Builder(_no_bytes),
    ("numpy", "dtype"): Builder(Dtype),
    ("numpy.core.multiarray", "scalar"): Builder(_scalar),
    ("numpy._core.multiarray", "scalar"): Builder(_scalar),
}


def builder_of(module: str, name: str) -> Builder:
    """What stands for a global.

    Raises:
        UnsafeDataError: it is not on the list.
    """
    found = _BUILDERS.get((module, name))
    if found is None:
        raise UnsafeDataError(f"the global {f'{module}.{name}'[:80]!r} is not on the list.")
    return found


def reduce(builder: object, arguments: object) -> Any:
    """What a call gives.

    Raises:
        UnsafeDataError: of something that is not on the list, or in another way than picklers do.
    """
    if type(builder) is not Builder or type(arguments) is not tuple:
        raise UnsafeDataError("it calls something that is not on the list.")
    return builder.build(*arguments)


def integer(content: bytes) -> int:
    """A signed integer, least significant byte first."""
    if len(content) > 16:
        raise ValueError("an integer of more than 128 bits")
    return int.from_bytes(content, "little", signed=True)


def extend(target: object, values: list[Any]) -> None:
    """Add elements to a list."""
    if type(target) is not list:
        raise ValueError(f"elements are added to a {type(target).__name__}")
    target.extend(values)


def fill(target: object, entries: list[Any]) -> None:
    """Add to a dict what follows one another as key, value, key, value."""
    if type(target) is not dict:
        raise ValueError(f"entries are set in a {type(target).__name__}")
    keys = entries[::2]
    check_keys(keys)
    target.update(zip(keys, entries[1::2], strict=True))


def check_keys(keys: list[Any]) -> None:
    """Refuse all but numbers, texts and tuples of them: hashing a deep tuple could end the process."""
    kinds = set(map(type, keys)) - _SCALARS
    if kinds - {tuple}:
        raise ValueError(f"a dict has a {kinds.pop().__name__} as key")
    if kinds and not {type(part) for key in keys if type(key) is tuple for part in key} <= _SCALARS:
        raise ValueError("a dict has a nested tuple as key")


_KEPT = frozenset({str, Builder, Dtype})


class Memo:
    """What a stream may refer back to: everything of the item being read, and the texts of all items before."""

    def __init__(self) -> None:
        self.recent: list[Any] = []
        self.start = 0  # the index of recent[0]
        self._old = array("I")  # for each older index its number in `_kept`, or 0
        self._kept: list[Any] = [None]
        self._numbers: dict[Any, int] = {None: 0}
        self._size = 0

    def put(self, index: int, value: Any) -> None:
        """Remember `value`; picklers number from 0 without gaps."""
        place = index - self.start
        if not 0 <= place <= len(self.recent):
            raise ValueError(f"memo index {index} out of order")
        self.recent[place : place + 1] = [value]

    def get(self, index: int) -> Any:
        """What was remembered under a number."""
        if index >= self.start:
            return self.recent[index - self.start]
        number = self._old[index]
        if not number:
            raise ValueError("an item refers to a part of an earlier one")
        return self._kept[number]

    def forget(self) -> None:
        """Keep only texts, and what stands for classes."""
        values = [value if type(value) in _KEPT else None for value in self.recent]
        for value in dict.fromkeys(values):
            if value not in self._numbers:
                self._numbers[value] = len(self._kept)
                self._kept.append(value)
                self._size += 100 + (len(value) if type(value) is str else 0)
        self._old.extend(map(self._numbers.__getitem__, values))
        self.start += len(self.recent)
        self.recent.clear()
        if self._size > _MAX_TEXTS or self.start > _MAX_MEMO:
            raise BadInputError("it has too many different texts or objects; it is not the data expected.")
