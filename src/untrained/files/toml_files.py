"""Small TOML files of the project's own: written from plain values, read with suspicion."""

import hashlib
import json
import math
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from untrained.errors import BadInputError, DataMissingError

_MAX_BYTES: Final = 1 << 24


def read_toml(path: Path, what: str, how_to_make: str) -> dict[str, Any]:
    """The content of a file.

    Args:
        path: of the file.
        what: it should be, for messages: "ranker".
        how_to_make: such a file, a sentence.

    Raises:
        DataMissingError: no such file.
        BadInputError: it is not TOML, or cannot be read.
    """
    raw = read_bytes(path, _MAX_BYTES, what, how_to_make)
    try:
        return tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInputError(f"{path} is no {what}: not TOML ({error}).") from None


def read_bytes(path: Path, limit: int, what: str, how_to_make: str) -> bytes:
    """All of a file of at most `limit` bytes; arguments and errors are those of `read_toml`."""
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except FileNotFoundError:
        raise DataMissingError(f"there is no file {path}. {how_to_make}") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise BadInputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(raw) > limit:
        raise BadInputError(f"{path} is larger than {limit >> 20} MiB: no {what}.")
    return raw


def identity(content: Mapping[str, Any], *, without: Collection[str]) -> str:
    """A digest of what a file says, but for some of its tables."""
    matters = {name: value for name, value in content.items() if name not in without}
    return digest(json.dumps(matters, sort_keys=True, default=str).encode())


def digest(raw: bytes) -> str:
    """32 hexadecimal digits that stand for some bytes."""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def text_of(table: Mapping[str, Any], name: str) -> str:
    """A text of a table.

    Raises:
        KeyError: there is none.
        BadInputError: it is something else.
    """
    return str(of_type(str, table[name], name))


def of_type(kind: Any, value: Any, what: str) -> Any:
    """The value, if it is of a type; a truth value is no number.

    Raises:
        BadInputError: it is not.
    """
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadInputError(f"{what} is {value!r:.60}, of the wrong type.")
    return value


def toml(content: Mapping[str, Any]) -> str:
    """Plain values as TOML: texts, numbers, booleans, lists, and mappings of them. What is None is left out.

    >>> print(toml({"a": 1, "b": {"c": [0.5, "x"]}}), end="")
    a = 1
    <BLANKLINE>
    [b]
    c = [0.5, "x"]
    """
    tables = {name: value for name, value in content.items() if isinstance(value, Mapping)}
    lines = [f"{_key(k)} = {_value(v)}" for k, v in content.items() if k not in tables and v is not None]
    for name, table in tables.items():
        lines += ["", f"[{_key(name)}]", *[f"{_key(k)} = {_value(v)}" for k, v in table.items() if v is not None]]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, str):  # JSON's escapes are TOML's, but for one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _key(name: str) -> str:
    plain = name.replace("_", "").replace("-", "")
    return name if plain.isascii() and plain.isalnum() else _value(name)
