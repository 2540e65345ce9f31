"""Pickle streams of any length as plain data, one item of a large dict at a time: nothing in them is imported or run.

The opcodes are interpreted here and not by `pickle`, so that an entry of the outermost dict can be handed over and
forgotten while the rest is still to come, and so that nothing is ever built but None, bool, int, float, str, bytes,
tuple, list and dict. (OrderedDicts become dicts, sets become lists, numpy scalars become numbers.) Whatever else a
stream asks for is refused.

Memory is that of one item, at most about 150 bytes for each of its bytes, and four bytes for each memoised object of
the whole stream, which may refer back to any text before.
"""

import re
import struct
from collections.abc import Callable, Collection, Iterator
from itertools import chain
from typing import Any, NamedTuple, Protocol

from untrained.errors import BadInputError, UnsafeDataError, UntrainedError
from untrained.files.pickle_values import Dtype, Memo, builder_of, check_keys, extend, fill, integer, reduce

MAX_ITEM_BYTES = 4 << 20  # of the pickle, for one item handed over; NATS-Bench's largest are under 2 MB
MAX_BYTES = 16 << 30  # of the pickle as a whole; the largest official file has about 5 GiB
_CHUNK = 1 << 16
_LONGEST_FIXED = 16  # more than two opcodes with arguments of fixed size that are read in one go
_LONGEST_NAME = 512  # of a module and a name in it

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
        except UntrainedError:
            raise
        except _DAMAGED as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise BadInputError(f"it is not a readable pickle: {reason}") from None

    def _fill(self, data: bytes, at: int, need: int, ahead: int = _LONGEST_FIXED) -> bytes:
        """`data` from `at` on: at least `need` bytes of the stream, and `ahead` more unless it ends."""
        self._before += at
        reached = self._before + need
        if reached - self._item_start > self._max_item_bytes:
            raise BadInputError(f"one item is longer than {self._max_item_bytes:,} bytes; it is not the data expected.")
        if reached > self._max_bytes:
            raise BadInputError(f"it is longer than {self._max_bytes:,} bytes; it is not the data expected.")
        parts = [data[at:]]
        missing = need + ahead - len(parts[0])
        while missing > 0 and not self._padding:
            chunk = self._stream.read(max(_CHUNK, missing))
            if not chunk:
                self._padding = _LONGEST_FIXED
                chunk = bytes(_LONGEST_FIXED)
            parts.append(chunk)
            missing -= len(chunk)
        data = b"".join(parts)
        if need > len(data) - self._padding:
            raise ValueError("it ends too early")
        return data


class _Machine:
    """One pickle being read."""

    def __init__(self, source: PickleStream, split: frozenset[str] | None) -> None:
        self._source = source
        self._split = split  # None: hand over the whole
        self._stack: list[Any] = []
        self._marks: list[int] = []  # where in the stack each mark lies
        self._memo = Memo()

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
            elif (rare := _RARE.get(op)) is not None:
                size, step = rare
                step(self, data[at : at + size] if size else b"")
                at += size
            elif op in _SIZES_OF_LENGTH:
                size = _SIZES_OF_LENGTH[op]
                start = at + size
                end = start + int.from_bytes(data[at:start], "little")
                if end > last:
                    data, start, end, at = source._fill(data, at, end - at), size, end - at, 0
                    last = len(data) - _LONGEST_FIXED
                content, at = data[start:end], end
                push(content.decode() if op in _TEXTS else content if op in _BYTES else integer(content))
            elif op == 0x71:  # BINPUT
                put(data[at], stack[-1])
                at += 1
            elif op == 0x72:  # LONG_BINPUT
                put(int.from_bytes(data[at : at + 4], "little"), stack[-1])
                at += 4
            elif op == 0x28:  # MARK
                if self._split is not None and len(marks) <= 2 and (n := self._complete()):
                    path, entries = self._path(), stack[marks[-1] : marks[-1] + n]
                    del stack[marks[-1] : marks[-1] + n]
                    yield from self._hand_over(path or (), entries)
                    source._item_start = source._before + at
                marks.append(len(stack))
            elif op == 0x75:  # SETITEMS
                path = self._path() if self._split is not None and len(marks) <= 2 else None
                entries = self._marked()
                if path is None:
                    fill(self._top()[-1], entries)
                else:
                    yield from self._hand_over(path, entries)
                    source._item_start = source._before + at
            elif op == 0x2E:  # STOP
                break
            elif op == 0x63:  # GLOBAL
                if data.count(b"\n", at, at + _LONGEST_NAME) < 2:
                    data, at = source._fill(data, at, 1, _LONGEST_NAME), 0
                    last = len(data) - _LONGEST_FIXED
                names = data[at : at + _LONGEST_NAME].split(b"\n", 2)
                if len(names) < 3:
                    raise ValueError("a global without a name")
                at += len(names[0]) + len(names[1]) + 2
                push(builder_of(names[0].decode(), names[1].decode()))
            elif op in _REFUSED:
                raise UnsafeDataError(f"it builds objects (opcode {_REFUSED[op]}).")
            else:
                end_of_data = len(data) - source._padding
                raise ValueError("it ends too early" if at > end_of_data else f"no opcode {op}")
        source._data, source._at = data, at
        if len(stack) != 1 or marks:
            raise ValueError("it does not end with one object")
        root = stack[0]
        if self._split is not None and type(root) is dict:
            yield from self._hand_over((), [part for entry in root.items() for part in entry])
        source._item_start = source._before + at
        yield Item((), root)

    def _path(self) -> tuple[Any, ...] | None:
        """The keys that lead to the dict that the last mark fills, if its entries are to be handed over."""
        stack, marks = self._stack, self._marks
        if not marks or type(stack[0]) is not dict or type(stack[marks[-1] - 1]) is not dict:
            return None
        if marks == [1]:
            return ()
        alone = marks == [3]  # the one entry of the outermost dict
        if alone or (len(marks) == 2 and marks[0] == 1 and marks[1] % 2):
            key = stack[marks[-1] - 2]
            return (key,) if self._splits(key) else None
        return None

    def _complete(self) -> int:
        """How many keys and values behind the last mark are complete although the mark is still open.

        Picklers write a dict empty and fill it with the next opcodes, so an entry is known to be complete if its value
        is a dict with entries (but not 1000, after which there may be more) and something follows; or, in the outermost
        dict, if a dict that is split begins. Should it be part of a tuple after all, the stack will be too short.
        """
        path, stack, start = self._path(), self._stack, self._marks[-1] if self._marks else 0
        if path is None:
            return 0
        size = len(stack) - start
        if not path:
            begins = size % 2 == 0 and size > 2 and self._splits(stack[-2]) and type(stack[-1]) is dict
            return size - 2 if begins else 0
        n = 0
        while n + 2 < size and type(stack[start + n + 1]) is dict and len(stack[start + n + 1]) % 1000:
            n += 2
        return n

    def _splits(self, key: Any) -> bool:
        return type(key) is str and self._split is not None and key in self._split

    def _hand_over(self, path: tuple[Any, ...], entries: list[Any]) -> Iterator[Item]:
        check_keys(entries[::2])
        for key, value in zip(entries[::2], entries[1::2], strict=True):
            if not path and self._splits(key) and type(value) is dict:
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

    def _top(self, n: int = 1) -> list[Any]:
        """The stack, of which `n` objects behind the last mark are needed."""
        if len(self._stack) - n < (self._marks[-1] if self._marks else 0):
            raise ValueError("an object is missing")
        return self._stack

    # The rest: each takes the argument of its opcode.

    def _pop_mark(self, _: bytes) -> None:
        self._marked()

    def _pop(self, _: bytes) -> None:
        self._top().pop()

    def _dup(self, _: bytes) -> None:
        self._stack.append(self._top()[-1])

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
        value = self._top(2).pop()
        extend(self._stack[-1], [value])

    def _appends(self, _: bytes) -> None:
        values = self._marked()
        extend(self._top()[-1], values)

    def _set_item(self, _: bytes) -> None:
        value, key = self._top(3).pop(), self._stack.pop()
        fill(self._stack[-1], [key, value])

    def _tuple(self, _: bytes) -> None:
        self._stack.append(tuple(self._marked()))

    def _global(self, _: bytes) -> None:
        name, module = self._top(2).pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise ValueError("a global whose name is no text")
        self._stack.append(builder_of(module, name))

    def _reduce(self, _: bytes) -> None:
        arguments, builder = self._top(2).pop(), self._stack.pop()
        self._stack.append(reduce(builder, arguments))

    def _build(self, _: bytes) -> None:
        state = self._top(2).pop()
        if type(self._stack[-1]) is not Dtype:
            raise UnsafeDataError(f"it sets the state of a {type(self._stack[-1]).__name__}.")
        self._stack[-1].set_state(state)


def _constant(value: bool | tuple[()] | None) -> Callable[[_Machine, bytes], None]:
    return lambda machine, _: machine._stack.append(value)


def _tuple_of(n: int) -> Callable[[_Machine, bytes], None]:
    def step(machine: _Machine, _: bytes) -> None:
        stack = machine._top(n)
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
