"""Pickle streams of any length as plain data, one item of a large dict at a time: nothing in them is imported or run.

The opcodes are interpreted here and not by `pickle`, so that an entry of the outermost dict can be handed over and
forgotten while the rest is still to come, and so that nothing is ever built but None, bool, int, float, str, bytes,
tuple, list and dict. (OrderedDicts become dicts, sets become lists, numpy scalars become numbers.) Whatever else a
stream asks for is refused.

Memory is that of one item, at most about 100 bytes for each of its bytes, and four bytes for each memoised object of
the whole stream, which may refer back to any text before.
"""

import re
import struct
from array import array
from collections.abc import Callable, Collection, Iterator
from itertools import chain
from typing import Any, NamedTuple, Protocol

from untrained.errors import BadInputError, UnsafeDataError

MAX_ITEM_BYTES = 4 << 20  # of the pickle, for one item handed over; NATS-Bench's largest are under 2 MB
MAX_BYTES = 16 << 30  # of the pickle as a whole; the largest official file has about 5 GiB
_MAX_MEMO = 400_000_000  # objects
_MAX_TEXTS = 64 << 20  # characters of different texts that later items may refer to
_CHUNK = 1 << 18
_LONGEST_FIXED = 16  # more than any opcode with an argument of fixed size

_DAMAGED = (ValueError, LookupError, TypeError, OverflowError, struct.error, MemoryError)


class Readable(Protocol):
    """An open binary file, decompressed or not."""

    def read(self, n: int, /) -> bytes:
        """At most `n` bytes; none at the end."""


class Item(NamedTuple):
    """One entry of the outermost dict, or of a dict under it that is split: the keys that lead to it, and its value."""

    path: tuple[Any, ...]
    value: Any


class PickleStream:
    """Reads pickles that follow one another in a stream.

    >>> import io, pickle
    >>> stream = PickleStream(io.BytesIO(pickle.dumps({"total": 2, "results": {"a": [1.5], "b": [2.5]}})))
    >>> [(item.path, item.value) for item in stream.items(split={"results"})]
    [(('total',), 2), (('results', 'a'), [1.5]), (('results', 'b'), [2.5])]
    """

    def __init__(self, stream: Readable, *, max_item_bytes: int = MAX_ITEM_BYTES, max_bytes: int = MAX_BYTES) -> None:
        """Nothing is read yet.

        Args:
            stream: where to read.
            max_item_bytes: give up on an item that is longer.
            max_bytes: give up on a stream that is longer.
        """
        self._stream = stream
        self._max_item_bytes = max_item_bytes
        self._max_bytes = max_bytes
        self._data = b""  # what was read and not yet used, from `_at` on
        self._at = 0
        self._before = 0  # how much of the stream lies before `_data`
        self._item_start = 0
        self._padding = 0  # zeros behind the end of the stream, so that a cut-off argument is no special case

    def load(self) -> Any:
        """The next pickle, whole.

        Raises:
            BadInputError: damaged or too long.
            UnsafeDataError: it asks for anything but plain data.
        """
        return next(self._guarded(None)).value

    def items(self, split: Collection[str] = ()) -> Iterator[Item]:
        """The entries of the next pickle, which is a dict, as soon as each is complete.

        An entry whose key is in `split` and whose value is a dict is not handed over whole but entry by entry. An
        error can come after some entries.

        Raises:
            BadInputError: damaged, too long, no dict, or an item refers to a part of an earlier one.
            UnsafeDataError: it asks for anything but plain data.
        """
        for item in self._guarded(frozenset(split)):
            if item.path:
                yield item
            elif type(item.value) is not dict:
                raise BadInputError(f"it holds a {type(item.value).__name__}, not a dict.")

    def at_end(self) -> bool:
        """Whether nothing follows the pickles that were read. Reads on, so that checksums at the end are checked."""
        return len(self._data) - self._padding <= self._at and not self._stream.read(1)

    def _guarded(self, split: frozenset[str] | None) -> Iterator[Item]:
        try:
            yield from _Machine(self, split).run()
        except _DAMAGED as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise BadInputError(f"it is not a readable pickle: {reason}") from None

    def _fill(self, data: bytes, at: int, need: int) -> bytes:
        """`data` from `at` on, and at least `need` bytes and one opcode more of the stream, or up to its end."""
        self._before += at
        reached = self._before + need
        if reached - self._item_start > self._max_item_bytes:
            raise BadInputError(f"one item is longer than {self._max_item_bytes:,} bytes; it is not the data expected.")
        if reached > self._max_bytes:
            raise BadInputError(f"it is longer than {self._max_bytes:,} bytes; it is not the data expected.")
        parts = [data[at:]]
        missing = need + _LONGEST_FIXED - len(parts[0])
        while missing > 0 and not self._padding:
            chunk = self._stream.read(max(_CHUNK, missing))
            if not chunk:
                self._padding = missing = _LONGEST_FIXED
                chunk = bytes(_LONGEST_FIXED)
            parts.append(chunk)
            missing -= len(chunk)
        data = b"".join(parts)
        if need > len(data) - self._padding:
            raise ValueError("it ends too early")
        return data


class _Builder(NamedTuple):
    """Stands for a class or function named in a stream; calling it is calling ours."""

    build: Callable[..., Any]


class _Dtype:
    """A numpy dtype of a single number: `format` is that of `struct`, the byte order unknown before BUILD."""

    __slots__ = ("format",)

    def __init__(self, name: object, align: object = 0, copy: object = 1) -> None:
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
    if type(dtype) is not _Dtype or type(content) is not bytes:
        raise ValueError("a numpy scalar of something else than a dtype and bytes")
    return struct.unpack(dtype.format, content)[0]


def _encode(text: object, encoding: object) -> bytes:
    if type(text) is not str or encoding != "latin1":
        raise UnsafeDataError("it asks for an encoding that is not latin1.")
    return text.encode("latin1")


_BUILDERS = {
    ("collections", "OrderedDict"): _Builder(_dict),
    ("builtins", "set"): _Builder(_list),
    ("__builtin__", "set"): _Builder(_list),
    ("_codecs", "encode"): _Builder(_encode),  # how protocol 2 writes bytes
    ("numpy", "dtype"): _Builder(_Dtype),
    ("numpy.core.multiarray", "scalar"): _Builder(_scalar),
    ("numpy._core.multiarray", "scalar"): _Builder(_scalar),
}


class _Memo:
    """What a stream may refer back to: everything of the item being read, and the texts of all items before."""

    def __init__(self) -> None:
        self.recent: list[Any] = []
        self.start = 0  # the index of recent[0]
        self._old = array("I")  # for each older index its number in `_kept`, or 0
        self._kept: list[Any] = [None]
        self._numbers: dict[Any, int] = {}
        self._size = 0

    def put(self, index: int, value: Any) -> None:
        place = index - self.start
        if not 0 <= place <= len(self.recent):
            raise ValueError(f"memo index {index} out of order")
        self.recent[place : place + 1] = [value]

    def get(self, index: int) -> Any:
        if index >= self.start:
            return self.recent[index - self.start]
        number = self._old[index]
        if not number:
            raise ValueError("an item refers to a part of an earlier one")
        return self._kept[number]

    def forget(self) -> None:
        """Keep only texts, and what stands for classes."""
        numbers, kept, old = self._numbers, self._kept, self._old
        for value in self.recent:
            kind = type(value)
            if kind is not str and kind is not _Builder and kind is not _Dtype:
                old.append(0)
                continue
            number = numbers.get(value)
            if number is None:
                number = numbers[value] = len(kept)
                kept.append(value)
                self._size += 100 + (len(value) if kind is str else 0)
            old.append(number)
        self.start += len(self.recent)
        self.recent.clear()
        if self._size > _MAX_TEXTS or self.start > _MAX_MEMO:
            raise BadInputError("it has too many different texts or objects; it is not the data expected.")


class _Machine:
    """One pickle being read."""

    def __init__(self, source: PickleStream, split: frozenset[str] | None) -> None:
        self._source = source
        self._split = split  # None: hand over the whole
        self._stack: list[Any] = []
        self._marks: list[int] = []  # where in the stack each mark lies
        self._memo = _Memo()

    def run(self) -> Iterator[Item]:
        """Interpret up to STOP. Common opcodes are inline, since there are tens of thousands in an item."""
        source, memo, stack, marks = self._source, self._memo, self._stack, self._marks
        push, put, remember, recent = stack.append, memo.put, memo.recent.append, memo.recent
        double, index_at = struct.Struct(">d").unpack_from, struct.Struct("<I").unpack_from
        data, at = source._data, source._at
        last = len(data) - _LONGEST_FIXED
        while True:
            if at > last:
                data, at = source._fill(data, at, 1), 0
                last = len(data) - _LONGEST_FIXED
            op = data[at]
            at += 1
            if op == 0x8C and (end := at + 1 + data[at]) <= last:  # SHORT_BINUNICODE
                text = data[at + 1 : end].decode()
                push(text)
                at = end
                if data[at] == 0x94:  # MEMOIZE
                    remember(text)
                    at += 1
                    if data[at] == 0x47:  # BINFLOAT
                        push(double(data, at + 1)[0])
                        at += 9
            elif op == 0x47:  # BINFLOAT
                push(double(data, at)[0])
                at += 8
            elif op == 0x4B:  # BININT1
                if data[at + 1] == 0x47 and (pairs := _NUMBER_PAIRS.match(data, at - 1)):
                    stack.extend(chain.from_iterable(struct.iter_unpack(">xBxd", pairs[0])))
                    at = pairs.end()
                else:
                    push(data[at])
                    at += 1
            elif op == 0x94:  # MEMOIZE
                remember(stack[-1])
            elif op in _SIZES_OF_LENGTH:
                size = _SIZES_OF_LENGTH[op]
                start = at + size
                end = start + int.from_bytes(data[at:start], "little")
                if end > last:
                    data, start, end, at = source._fill(data, at, end - at), size, end - at, 0
                    last = len(data) - _LONGEST_FIXED
                content, at = data[start:end], end
                push(content.decode() if op in _TEXTS else content if op in _BYTES else _integer(content))
            elif op == 0x68:  # BINGET
                push(memo.get(data[at]))
                at += 1
            elif op == 0x6A:  # LONG_BINGET
                index = index_at(data, at)[0] - memo.start
                push(recent[index] if index >= 0 else memo.get(index + memo.start))
                at += 4
                if data[at] == 0x47:  # BINFLOAT
                    push(double(data, at + 1)[0])
                    at += 9
            elif op == 0x71:  # BINPUT
                put(data[at], stack[-1])
                at += 1
            elif op == 0x72:  # LONG_BINPUT
                put(int.from_bytes(data[at : at + 4], "little"), stack[-1])
                at += 4
            elif op == 0x28:  # MARK
                if self._split is not None and len(marks) <= 2 and (path := self._path()) is not None:
                    complete = marks[-1] + (len(stack) - marks[-1] - 1) // 2 * 2
                    if complete > marks[-1]:
                        yield from self._hand_over(path, stack[marks[-1] : complete])
                        del stack[marks[-1] : complete]
                        source._item_start = source._before + at
                marks.append(len(stack))
            elif op == 0x75:  # SETITEMS
                path = self._path() if self._split is not None and len(marks) <= 2 else None
                entries = self._marked()
                if path is None:
                    _set(stack[-1], entries)
                else:
                    yield from self._hand_over(path, entries)
                    source._item_start = source._before + at
            elif op == 0x2E:  # STOP
                break
            elif op == 0x63:  # GLOBAL
                data, at = source._fill(data, at, 1), 0
                last = len(data) - _LONGEST_FIXED
                module, name, *_ = data[at : at + 512].split(b"\n", 2) + [b""]
                if not name or len(module) + len(name) + 2 > 512:
                    raise ValueError("a global without a name")
                at += len(module) + len(name) + 2
                push(_builder(module.decode(), name.decode()))
            elif op in _RARE:
                size, step = _RARE[op]
                step(self, data[at : at + size])
                at += size
            elif op in _REFUSED:
                raise UnsafeDataError(f"it builds objects (opcode {_REFUSED[op]}).")
            else:
                end_of_data = len(data) - source._padding
                raise ValueError("it ends too early" if at > end_of_data else f"no opcode {op}")
        source._data, source._at = data, at
        (root,) = stack
        if self._split is not None and type(root) is dict:
            yield from self._hand_over((), [part for entry in root.items() for part in entry])
        source._item_start = source._before + at
        yield Item((), root)

    def _path(self) -> tuple[Any, ...] | None:
        """The keys that lead to the dict that the last mark fills, if its entries are to be handed over."""
        stack, marks = self._stack, self._marks
        if not marks or marks[0] != 1 or type(stack[0]) is not dict or type(stack[marks[-1] - 1]) is not dict:
            return None
        if len(marks) == 1:
            return ()
        key = stack[marks[1] - 2]
        even = (marks[1] - marks[0]) % 2 == 0
        return (key,) if even and type(key) is str and self._split and key in self._split else None

    def _hand_over(self, path: tuple[Any, ...], entries: list[Any]) -> Iterator[Item]:
        for key, value in zip(entries[::2], entries[1::2], strict=True):
            if not path and type(key) is str and self._split and key in self._split and type(value) is dict:
                yield from (Item((key, inner), content) for inner, content in value.items())
                value.clear()
            else:
                yield Item((*path, key), value)
        entries.clear()
        self._memo.forget()

    def _marked(self) -> list[Any]:
        start = self._marks.pop()
        entries = self._stack[start:]
        del self._stack[start:]
        return entries

    # The rest: each takes the argument of its opcode.

    def _pop_mark(self, _: bytes) -> None:
        self._marked()

    def _pop(self, _: bytes) -> None:
        self._stack.pop()

    def _dup(self, _: bytes) -> None:
        self._stack.append(self._stack[-1])

    def _proto(self, argument: bytes) -> None:
        if argument[0] > 5:
            raise ValueError(f"protocol {argument[0]} is not known")

    def _frame(self, _: bytes) -> None:
        pass

    def _int(self, argument: bytes) -> None:
        self._stack.append(int.from_bytes(argument, "little", signed=len(argument) == 4))

    def _new_list(self, _: bytes) -> None:
        self._stack.append([])

    def _new_dict(self, _: bytes) -> None:
        self._stack.append({})

    def _append(self, _: bytes) -> None:
        value = self._stack.pop()
        _extend(self._stack[-1], [value])

    def _appends(self, _: bytes) -> None:
        values = self._marked()
        _extend(self._stack[-1], values)

    def _set_item(self, _: bytes) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        _set(self._stack[-1], [key, value])

    def _tuple(self, _: bytes) -> None:
        self._stack.append(tuple(self._marked()))

    def _global(self, _: bytes) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise ValueError("a global whose name is no text")
        self._stack.append(_builder(module, name))

    def _reduce(self, _: bytes) -> None:
        arguments, builder = self._stack.pop(), self._stack.pop()
        if type(builder) is not _Builder or type(arguments) is not tuple:
            raise UnsafeDataError("it calls something that is not on the list.")
        self._stack.append(builder.build(*arguments))

    def _build(self, _: bytes) -> None:
        state = self._stack.pop()
        if type(self._stack[-1]) is not _Dtype:
            raise UnsafeDataError(f"it sets the state of a {type(self._stack[-1]).__name__}.")
        self._stack[-1].set_state(state)


def _constant(value: bool | tuple[()] | None) -> Callable[[_Machine, bytes], None]:
    return lambda machine, _: machine._stack.append(value)


def _tuple_of(n: int) -> Callable[[_Machine, bytes], None]:
    def step(machine: _Machine, _: bytes) -> None:
        stack = machine._stack
        if len(stack) < n:
            raise ValueError("a tuple of nothing")
        stack[-n:] = [tuple(stack[-n:])]

    return step


_NUMBER_PAIRS = re.compile(rb"(?:K.G.{8})++", re.DOTALL)  # small integers with floats: the epochs of a curve
_TEXTS = frozenset({0x8C, 0x58, 0x8D})
_BYTES = frozenset({0x43, 0x42, 0x8E})
_SIZES_OF_LENGTH = {0x8C: 1, 0x58: 4, 0x8D: 8, 0x43: 1, 0x42: 4, 0x8E: 8, 0x8A: 1}  # of texts, bytes, LONG1
_RARE: dict[int, tuple[int, Callable[[_Machine, bytes], None]]] = {
    0x4D: (2, _Machine._int),
    0x4A: (4, _Machine._int),
    0x4E: (0, _constant(None)),
    0x88: (0, _constant(True)),
    0x89: (0, _constant(False)),
    0x29: (0, _constant(())),
    0x85: (0, _tuple_of(1)),
    0x86: (0, _tuple_of(2)),
    0x87: (0, _tuple_of(3)),
    0x74: (0, _Machine._tuple),
    0x5D: (0, _Machine._new_list),
    0x8F: (0, _Machine._new_list),  # EMPTY_SET
    0x7D: (0, _Machine._new_dict),
    0x61: (0, _Machine._append),
    0x65: (0, _Machine._appends),
    0x90: (0, _Machine._appends),  # ADDITEMS
    0x73: (0, _Machine._set_item),
    0x93: (0, _Machine._global),
    0x52: (0, _Machine._reduce),
    0x62: (0, _Machine._build),
    0x30: (0, _Machine._pop),
    0x31: (0, _Machine._pop_mark),
    0x32: (0, _Machine._dup),
    0x80: (1, _Machine._proto),
    0x95: (8, _Machine._frame),
}
_REFUSED = {
    0x69: "INST", 0x6F: "OBJ", 0x81: "NEWOBJ", 0x92: "NEWOBJ_EX", 0x50: "PERSID", 0x51: "BINPERSID",
    0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", 0x97: "NEXT_BUFFER", 0x98: "READONLY_BUFFER", 0x91: "FROZENSET",
}  # fmt: skip
_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})


def _builder(module: str, name: str) -> _Builder:
    builder = _BUILDERS.get((module, name))
    if builder is None:
        raise UnsafeDataError(f"the global {f'{module}.{name}'[:80]!r} is not on the list.")
    return builder


def _integer(content: bytes) -> int:
    if len(content) > 16:
        raise ValueError("an integer of more than 128 bits")
    return int.from_bytes(content, "little", signed=True)


def _extend(target: object, values: list[Any]) -> None:
    if type(target) is not list:
        raise ValueError(f"elements are added to a {type(target).__name__}")
    target.extend(values)


def _set(target: object, entries: list[Any]) -> None:
    """Fill a dict. Keys are numbers, texts and tuples of them: hashing a deep tuple could end the process."""
    if type(target) is not dict:
        raise ValueError(f"entries are set in a {type(target).__name__}")
    keys = entries[::2]
    kinds = set(map(type, keys)) - _SCALARS
    if kinds - {tuple}:
        raise ValueError(f"a dict has a {kinds.pop().__name__} as key")
    if kinds and not {type(part) for key in keys if type(key) is tuple for part in key} <= _SCALARS:
        raise ValueError("a dict has a nested tuple as key")
    target.update(zip(keys, entries[1::2], strict=True))
