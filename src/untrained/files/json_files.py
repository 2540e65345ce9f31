"""JSON files of a folder or of a zip archive, read piece by piece within limits; nothing is ever written or unpacked.

What an archive claims is checked before anything is read, and no more than that is read. Names in an archive choose
what is read and stand in messages; they are never used as paths. (`ijson` reads a long list piece by piece too, but not
one with NaN in it, which Python's own `json` writes.)
"""

import contextlib
import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final, NamedTuple

from untrained.errors import BadInputError, DataMissingError

MAX_FILES: Final = 200_000
_MAX_CONTENTS: Final = 32 << 20  # bytes of an archive's list of contents
_MAX_RATIO: Final = 100  # bytes unpacked per byte of the archive; logs of numbers have 2 to 10
_MAX_ENTRY: Final = 1 << 24  # characters
_PACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may take memory without bound
_PIECE: Final = 1 << 20
_WHITE: Final = re.compile(r"[ \t\n\r]*")
_DAMAGED: Final = (  # what reading a damaged archive or file can raise
    OSError,
    EOFError,
    ValueError,
    LookupError,
    RuntimeError,
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class JsonFile(NamedTuple):
    """One file: its name without folders, how messages call it, its size, and how to open it."""

    name: str
    place: str
    size: int
    open: Callable[[], IO[bytes]]


@contextlib.contextmanager
def json_files(path: Path) -> Iterator[list[JsonFile]]:
    """The `.json` files directly in a folder, or anywhere in a zip archive, or the one file given; sorted by name.

    Raises:
        DataMissingError: nothing is there.
        BadInputError: neither a folder nor a file; or a damaged archive, or one that claims to unpack to far more.
    """
    if not path.exists():
        raise DataMissingError(f"there is no file or folder {path}.")
    with contextlib.ExitStack() as stack:
        with _readable(str(path)):
            if path.is_dir():
                found = [_single(file) for file in path.iterdir() if file.suffix == ".json" and file.is_file()]
            elif not path.is_file():
                raise BadInputError(f"{path} is neither a file nor a folder.")
            elif _begins_with(path, b"PK"):
                found = _members(path, stack.enter_context(zipfile.ZipFile(stack.enter_context(_Bounded(path)))))
            else:
                found = [_single(path)]
            if len(found) > MAX_FILES:
                raise BadInputError(f"{path} has {len(found):,} .json files; at most {MAX_FILES:,} are read.")
        yield sorted(found, key=lambda file: (file.name, file.place))


def read_json(file: JsonFile, *, max_bytes: int) -> object:
    """The content of a small file.

    Raises:
        BadInputError: larger than `max_bytes`, damaged, or not JSON.
    """
    with _readable(file.place), file.open() as stream:
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise BadInputError(f"{file.place} has more than {max_bytes:,} bytes.")
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # ValueError: bad UTF-8, bad JSON, an integer of too many digits
        raise BadInputError(f"{file.place} is not JSON: {_one_line(error)}.") from None


def read_entries(file: JsonFile) -> Iterator[object]:
    """The objects of a JSON list, or of the lists in an object of lists, one after the other.

    Memory is bounded by the largest entry, not by the file.

    Raises:
        BadInputError: damaged, or not of this form; the message has the number of the entry, from 1.
    """
    with _readable(file.place), file.open() as stream:
        text = _Text(io.TextIOWrapper(stream, encoding="utf-8", newline=""), file.place)
        if text.next() == "{":
            yield from text.sequence("{}", text.named_entries)
        else:
            yield from text.sequence("[]", text.entry)
        text.end()


def finite(name: str, value: object) -> float | None:
    """A JSON number as a float; None for null and for what is not finite.

    Raises:
        BadInputError: not a number, or too large for a float.

    >>> finite("loss", 5), finite("loss", float("nan")), finite("loss", None)
    (5.0, None, None)
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInputError(f"'{name}' is of type {type(value).__name__}; expected a number.")
    try:
        number = float(value)
    except OverflowError:
        raise BadInputError(f"'{name}' is too large.") from None
    return number if math.isfinite(number) else None


class _Text:
    """JSON text of which a part is in memory, from the next character on."""

    def __init__(self, stream: IO[str], place: str) -> None:
        self._stream = stream
        self._place = place
        self._part = ""
        self._at = 0
        self._n_entries = 0
        self._decoder = json.JSONDecoder()

    def next(self) -> str:
        """The next character that is not white space, "" at the end. It is not consumed."""
        while True:
            white = _WHITE.match(self._part, self._at)
            self._at = white.end() if white else self._at
            if self._at < len(self._part):
                return self._part[self._at]
            if not self._more():
                return ""

    def sequence(self, brackets: str, item: Callable[[], Iterator[object]]) -> Iterator[object]:
        """Items between brackets, separated by commas."""
        self._take(brackets[0])
        if self.next() != brackets[1]:
            yield from item()
            while self.next() == ",":
                self._take(",")
                yield from item()
        self._take(brackets[1])

    def named_entries(self) -> Iterator[object]:
        """A name, and a list of entries."""
        self._value('"')
        self._take(":")
        yield from self.sequence("[]", self.entry)

    def entry(self) -> Iterator[object]:
        """One object."""
        value = self._value("{")
        self._n_entries += 1
        yield value

    def end(self) -> None:
        """Nothing but white space may follow."""
        if self.next():
            raise self._wrong(f"expected nothing more, found {self.next()!r}")

    def _take(self, character: str) -> None:
        found = self.next()
        if found != character:
            raise self._wrong(f"expected {character!r}, found {found!r}" if found else "the file ends too early")
        self._at += 1

    def _value(self, first: str) -> object:
        """A string or an object: what ends with a character of its own, so that a part of it is never taken for it."""
        self._take(first)
        self._at -= 1
        while True:
            try:
                value, self._at = self._decoder.raw_decode(self._part, self._at)
            except json.JSONDecodeError as error:  # wrong, or there is more of it
                held = len(self._part) - self._at
                if held > _MAX_ENTRY:
                    raise self._wrong(f"no end within {_MAX_ENTRY:,} characters") from None
                if not self._more(held):
                    raise self._wrong(_one_line(error)) from None
            except (ValueError, RecursionError) as error:  # an integer of too many digits; nested too deeply
                raise self._wrong(_one_line(error)) from None
            else:
                return value

    def _more(self, at_least: int = 0) -> bool:
        """Get a further part; as much as there is already, so that reading a long entry takes linear time."""
        part = self._stream.read(max(at_least, _PIECE))
        self._part = self._part[self._at :] + part
        self._at = 0
        return bool(part)

    def _wrong(self, what: str) -> BadInputError:
        return BadInputError(f"{self._place}, entry {self._n_entries + 1:,}: {what}.")


class _Bounded(io.FileIO):
    """`zipfile` reads an archive's list of contents in one piece: this bounds it."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_CONTENTS:
            raise BadInputError(f"its list of contents has {size:,} bytes; at most {_MAX_CONTENTS:,} are read.")
        return super().read(-1 if size is None else size)


@contextlib.contextmanager
def _readable(place: str) -> Iterator[None]:
    """Turn whatever reading can raise into one line."""
    try:
        yield
    except BadInputError as error:
        raise BadInputError(str(error) if place in str(error) else f"{place}: {error}") from None
    except UnicodeDecodeError:
        raise BadInputError(f"{place} is not UTF-8 text.") from None
    except _DAMAGED as error:
        raise BadInputError(f"{place} is damaged or cannot be read: {_one_line(error)}.") from None


def _single(path: Path) -> JsonFile:
    return JsonFile(path.name, str(path), path.stat().st_size, lambda: path.open("rb"))


def _begins_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(magic)) == magic


def _members(path: Path, archive: zipfile.ZipFile) -> list[JsonFile]:
    """The JSON files of an archive, none of which unpacks to far more than its size."""
    contents = archive.infolist()
    size, unpacked = path.stat().st_size, sum(member.file_size for member in contents)
    if unpacked > _MAX_RATIO * size:
        raise BadInputError(f"{path} is refused: {size:,} bytes that claim to unpack to {unpacked:,}.")
    return [
        _member(path, archive, member)
        for member in contents
        if member.filename.endswith(".json") and not PurePosixPath(member.filename).name.startswith(".")
    ]


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> JsonFile:
    name = PurePosixPath(member.filename).name
    place = f"{path}, {member.filename!r}"
    if member.compress_type not in _PACKED or member.flag_bits & 1:
        raise BadInputError(f"{place} is packed in a way that is not read; expected deflated and not encrypted.")
    return JsonFile(name, place, member.file_size, lambda: archive.open(member))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
