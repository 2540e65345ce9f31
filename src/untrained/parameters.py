"""Names with parameters, as text says them: `name(parameter=value,...)`."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from untrained.errors import BadInputError

Value: TypeAlias = bool | int | float | str


def split_list(text: str) -> list[str]:
    """Split at commas outside parentheses.

    >>> split_list("epsinas(low=1e-4,high=1),params")
    ['epsinas(low=1e-4,high=1)', 'params']
    """
    items, level, start = [], 0, 0
    for i, character in enumerate(text):
        level += (character == "(") - (character == ")")
        if character == "," and level == 0:
            items.append(text[start:i])
            start = i + 1
    items.append(text[start:])
    return [item for item in items if item.strip()]


def split_call(text: str) -> tuple[str, str] | None:
    """The name and what stands in its parentheses; None for text of another form.

    >>> split_call(" epsinas (low=1e-4)"), split_call("params"), split_call("a b")
    (('epsinas', 'low=1e-4'), ('params', ''), None)
    """
    match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*", text)
    return None if match is None else (match[1], match[2] or "")


def read_parameters(owner: str, text: str) -> dict[str, float | str]:
    """What `name=value,...` says: numbers, and words that are none.

    Raises:
        BadInputError: another form, or a name twice; the message begins with `owner`.

    >>> read_parameters("proxy p", "low=1e-4, init=default")
    {'low': 0.0001, 'init': 'default'}
    """
    parameters: dict[str, float | str] = {}
    for assignment in filter(str.strip, text.split(",")):
        parameter, equals, value = (part.strip() for part in assignment.partition("="))
        if not equals or not value:
            raise BadInputError(f"{owner}: cannot read parameter {assignment.strip()!r}. Write name=value.")
        if parameter in parameters:
            raise BadInputError(f"{owner}: parameter {parameter} is given twice.")
        try:
            parameters[parameter] = float(value)
        except ValueError:
            parameters[parameter] = value
    return parameters


def refuse_unknown(owner: str, given: Iterable[str], parameters: Mapping[str, Any]) -> None:
    """Raise BadInputError, naming those there are, unless all that is given is among `parameters`."""
    for name in given:
        if name not in parameters:
            known = listed(parameters) or "none"
            raise BadInputError(f"{owner} has no parameter {name!r}. Parameters and defaults: {known}.")


def as_kind(owner: str, name: str, value: Any, default: Value) -> Value:
    """A value as its default is: text may say true and false, and whole numbers may come as floats.

    Raises:
        BadInputError: it is of another kind.

    >>> as_kind("searcher s", "pool", 64.0, 10), as_kind("searcher s", "move", "true", False)
    (64, True)
    """
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    found: Value | None = None
    if isinstance(default, bool):
        found, kind = {"true": True, "false": False}.get(str(value).lower()), "true or false"
    elif isinstance(default, int):
        found, kind = (int(value) if number and float(value).is_integer() else None), "a whole number"
    elif isinstance(default, float):
        found, kind = (float(value) if number else None), "a number"
    else:
        found, kind = (value if isinstance(value, str) else None), "a word"
    if found is None:
        raise BadInputError(f"{owner}: parameter {name} is {kind}, got {value!r}.")
    return found


def called(name: str, parameters: Mapping[str, Value], defaults: Mapping[str, Value]) -> str:
    """The name, with the parameters that differ from their defaults.

    >>> called("epsinas", {"low": 1e-4, "high": 1.0}, {"low": 1e-7, "high": 1.0})
    'epsinas(low=0.0001)'
    """
    changed = [f"{key}={_short(value)}" for key, value in parameters.items() if value != defaults[key]]
    return f"{name}({','.join(changed)})" if changed else name


def listed(parameters: Mapping[str, Any]) -> str:
    """Every parameter with its default, for people."""
    return ", ".join([f"{name}={shown(default)}" for name, default in parameters.items()])


def shown(value: Any) -> str:
    """A value as it may be written: true and false in lower case, several values with commas between."""
    if isinstance(value, tuple):
        return ",".join(map(shown, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _short(value: Value) -> str:
    """Numbers to the last digit, whole ones without a point."""
    return shown(value) if isinstance(value, bool | str) else repr(float(value)).removesuffix(".0")
