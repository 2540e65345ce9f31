"""What a page is made of: plain values, which the template turns into HTML. All text in them is text, never HTML."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from markupsafe import Markup

from untrained.stats import Interval


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what it says.
        sort: what sorting compares: a number, NaN coming last in either direction, or else the text.
        below: a second line, such as an interval.
        mark: a drawing instead of the text.
    """

    text: str
    sort: float | None = None
    below: str = ""
    mark: Markup | None = None

    @property
    def key(self) -> str:
        """For the script: a number, or nothing where there is none."""
        return "" if self.sort is None or math.isnan(self.sort) else repr(float(self.sort))


@dataclass(frozen=True)
class Column:
    """The head of a column; `about` says more than fits there."""

    title: str
    numeric: bool = True
    about: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under heads, sortable; `groups` are heads over several columns: (text, how many)."""

    kind: ClassVar[str] = "table"
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Picture:
    """A drawing with a legend: names and classes of its series."""

    kind: ClassVar[str] = "picture"
    title: str
    drawing: Markup
    legend: tuple[tuple[str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Image:
    """A picture from a file, as a data: address."""

    kind: ClassVar[str] = "image"
    title: str
    address: str


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and what it is; `folded` ones are shown when asked for."""

    kind: ClassVar[str] = "facts"
    title: str
    rows: tuple[tuple[str, str], ...]
    folded: bool = False


@dataclass(frozen=True)
class Code:
    """Text that is shown as it stands."""

    kind: ClassVar[str] = "code"
    title: str
    text: str


Block: TypeAlias = Table | Picture | Image | Facts | Code


@dataclass(frozen=True)
class Section:
    """A heading, some sentences, and what belongs to it."""

    title: str
    sentences: tuple[str, ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Part:
    """All of a page that comes from one folder.

    Attributes:
        title: what it is.
        folder: where it was read.
        sentences: what was run, in plain words.
        sections: the rest, most important first.
        before: how many sections come before what can be explored, if that follows in this part.
    """

    title: str
    folder: str
    sentences: tuple[str, ...]
    sections: tuple[Section, ...]
    before: int = 1

    @property
    def label(self) -> str:
        """The title, and which folder's, for a list of several."""
        name = Path(self.folder).name
        return f"{self.title} ({name})" if name else self.title


def number(value: float | None, digits: int = 3, unit: str = "") -> Cell:
    """A number with so many digits after the point, or a dash.

    >>> number(0.12345).text, number(None).text
    ('0.123', '–')
    """
    if value is None or math.isnan(value):
        return Cell("–", math.nan)
    return Cell(f"{value:.{digits}f}{unit}".replace("-", "−"), value)


def general(value: float | None, digits: int = 4) -> Cell:
    """A number of any size with so many significant digits, or a dash."""
    if value is None or math.isnan(value):
        return Cell("–", math.nan)
    return Cell(f"{value:.{digits}g}".replace("-", "−"), value)


def count(value: int) -> Cell:
    """A whole number."""
    return Cell(f"{value:,}", value)


def share(value: float) -> Cell:
    """A fraction, in percent. Nothing short of everything is called 100%."""
    shown = f"{math.floor(value * 1000) / 10 if 0.999 < value < 1 else value * 100:.1f}%"
    return Cell(shown, value)


def interval(found: Interval, digits: int = 3) -> Cell:
    """A value with its interval below."""
    cell = number(found.value, digits)
    if math.isnan(found.value) or math.isnan(found.low):
        return cell
    low, high = (number(end, digits).text for end in (found.low, found.high))
    return Cell(cell.text, cell.sort, f"{low} to {high}")


def stored_interval(found: Mapping[str, Any]) -> Interval:
    """An interval of a JSON file."""
    return Interval(*[math.nan if found[name] is None else float(found[name]) for name in ("value", "low", "high")])


def protocol_facts(protocol: Mapping[str, Any], skip: Iterable[str] = ()) -> Facts:
    """What results depend on, a line for each thing."""
    left = [(name, _plain(value)) for name, value in protocol.items() if name not in set(skip)]
    return Facts("Protocol", tuple([(name.replace("_", " "), text) for name, text in left]))


def provenance_facts(calls: Sequence[Mapping[str, Any]]) -> Facts:
    """How results came about, a line for each call."""
    rows: list[tuple[str, str]] = []
    for call in calls:
        versions = ", ".join(f"{name} {version}" for name, version in call.get("versions", {}).items() if version)
        command = " ".join(["untrained", *[str(word) for word in call.get("argv", [])[1:]]])
        parts = command, f"Python {call.get('python', '?')}", str(call.get("machine", "?")), versions
        rows.append((str(call.get("started", "?")).replace("+00:00", " UTC").replace("T", " "), "; ".join(parts)))
    return Facts("Provenance", tuple(rows), folded=True)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items() if inner is not None)
    if isinstance(value, list | tuple):
        return "; ".join([_plain(inner) for inner in value]) if value and isinstance(value[0], Mapping) else (
            ", ".join([_plain(inner) for inner in value])
        )  # fmt: skip
    return str(value)
