"""What the user measured: a CSV file with a value for each of some architectures."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from untrained.errors import BadInputError, OutOfSpaceError, UnknownNameError
from untrained.files.csv_rows import listed, number, read_rows, short
from untrained.proxies.predictors import Floats
from untrained.spaces import Space
from untrained.types import Scope

LEAST: Final = 5
COLUMN: Final = "value"


class Label(NamedTuple):
    """One value, and where it stands, for complaints."""

    arch: str
    value: float
    place: str


@dataclass(frozen=True, eq=False)
class Labels:
    """Values of distinct trainable networks, in the order in which they were given.

    Attributes:
        source: for people.
        keys: of the networks.
        archs: of each the text given first.
        values: of each the mean over its architectures, in the user's units.
        higher_is_better: as the user says.
        n_archs: how many architectures were labelled.
    """

    source: str
    keys: tuple[str, ...]
    archs: tuple[str, ...]
    values: Floats
    higher_is_better: bool
    n_archs: int

    @property
    def oriented(self) -> Floats:
        """The values, turned so that higher is better."""
        return self.values if self.higher_is_better else -self.values


def read_labels(path: Path | str, space: Space, *, higher_is_better: bool = True) -> Labels:
    """Read a CSV file, plain or gzipped, with the columns `arch` and `value`; others are ignored.

    Raises:
        DataMissingError: no such file.
        UntrainedError: what `labels_of` refuses, a missing column, or a cell that is no finite number; the message
            names the line.
    """
    path = Path(path)
    header, rows = read_rows(path)
    if COLUMN not in header:
        raise UnknownNameError.among(f"column of {path}", COLUMN, header, f"Its columns are: {listed(header)}.")
    at, value_at = header.index("arch"), header.index(COLUMN)
    found = []
    for line, cells in rows:
        value = number(cells[value_at].strip())
        if value is None or not np.isfinite(value):
            what = short(cells[value_at].strip()) if cells[value_at].strip() else "an empty cell"
            raise BadInputError(
                f"{path}, line {line}, column {COLUMN!r}: {what} is not a finite number. Leave out rows with none."
            )
        found.append(Label(cells[at].strip(), value, f"{path}, line {line}"))
    return labels_of(found, space, source=str(path), higher_is_better=higher_is_better)


def labels_of(found: Iterable[Label], space: Space, *, source: str, higher_is_better: bool = True) -> Labels:
    """Bring values together that are of one network.

    An architecture may be given twice if its values agree. Values of different architectures that are the same
    trainable network (equal `key`) are averaged.

    Raises:
        OutOfSpaceError: a text that is no architecture of the space.
        BadInputError: one architecture with two values, fewer than LEAST distinct networks, or values that are all the
            same.
    """
    given: dict[str, Label] = {}
    for label in found:
        try:
            text = space.format(space.parse(label.arch))
        except OutOfSpaceError as error:
            raise OutOfSpaceError(f"{label.place}: {error}") from None
        known = given.setdefault(text, label)
        if known.value != label.value:
            raise BadInputError(
                f"{label.place}: the architecture of {known.place.rpartition(', ')[2]} again, with {label.value:g} in "
                f"place of {known.value:g}. Give each architecture one value, such as the mean of its trainings."
            )
    groups: dict[str, list[tuple[str, float]]] = {}
    for text, label in given.items():
        groups.setdefault(space.canonical(space.parse(text), Scope.KEY), []).append((text, label.value))
    values = np.array([np.mean([value for _, value in group]) for group in groups.values()])
    if len(groups) < LEAST:
        raise BadInputError(
            f"{source}: labels of {len(groups)} distinct network(s); at least {LEAST} are needed, and 20 to be of use."
        )
    if len(np.unique(values)) < 2:
        raise BadInputError(
            f"{source}: every label is {values[0]:g}. Nothing can be learnt from labels that are equal."
        )
    archs = tuple([group[0][0] for group in groups.values()])
    return Labels(source, tuple(groups), archs, values, higher_is_better, len(given))
