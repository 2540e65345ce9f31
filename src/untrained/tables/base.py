"""What a table is: architectures as text, one trained value each, and words for where the value comes from."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError, UnknownNameError
from untrained.registry import Registry

Unit: TypeAlias = Literal["fraction", "percent", ""]


@dataclass(frozen=True, slots=True)
class TruthColumn:
    """One thing a table knows. `metric` carries split, epoch and seed where they vary: `valid_acc_12ep_seed777`."""

    dataset: str
    metric: str
    unit: Unit
    higher_is_better: bool
    description: str


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Trained values, row by row as the source has them: one architecture may have several rows.

    `arch` is the literature's text, `value` a read-only float64 array of the same length, NaN where missing.
    `space` is None where the source does not say (a CSV). `source` is for people: what, and from where. Where `value`
    is the mean over several trainings, `runs` has these one by one, shape (rows, trainings), NaN where missing.

    Raises:
        BadInputError: lengths differ, or a value is infinite.

    >>> truth = Truth("two cells", None, ("a", "b"), np.array([0.9, np.nan]), "test_acc", "fraction", True)
    >>> len(truth), int(np.isfinite(truth.value).sum())
    (2, 1)
    """

    source: str
    space: str | None
    arch: tuple[str, ...] = field(repr=False)
    value: NDArray[np.float64] = field(repr=False)
    column: str
    unit: Unit
    higher_is_better: bool
    runs: NDArray[np.float64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        value = np.array(self.value, dtype=np.float64)
        if self.runs is not None:
            runs = np.array(self.runs, dtype=np.float64)
            if runs.ndim != 2 or len(runs) != len(self.arch):
                raise BadInputError(f"{self.source}: {len(self.arch)} architectures, but runs of shape {runs.shape}.")
            runs.setflags(write=False)
            object.__setattr__(self, "runs", runs)
        if value.shape != (len(self.arch),):
            raise BadInputError(f"{self.source}: {len(self.arch)} architectures, but values of shape {value.shape}.")
        if np.isinf(value).any():
            row = int(np.flatnonzero(np.isinf(value))[0])
            raise BadInputError(f"{self.source}: the value of {self.arch[row]!r} is infinite; use NaN for missing.")
        value.setflags(write=False)
        object.__setattr__(self, "value", value)

    def __len__(self) -> int:
        return len(self.arch)


class Table(ABC):
    """A benchmark's trained results. Subclasses are final, cheap to make, and read their file only in `load`."""

    name: str
    space: str

    @abstractmethod
    def columns(self) -> tuple[TruthColumn, ...]:
        """Everything the table knows. Does not read the data.

        Raises:
            DataMissingError: that depends on data which is not on this machine; the message says how to get it.
        """

    @abstractmethod
    def load(self, column: TruthColumn) -> Truth:
        """Read one of `columns()`.

        Raises:
            DataMissingError: the data is not on this machine; the message says how to get it.
            BadInputError: the data is damaged or not what the table expects.
            UnsafeDataError: reading the data would mean running code from it.
        """

    def more(self) -> str:
        """How to get columns that the table could have and are not on this machine, in one sentence, or nothing."""
        return ""

    @final
    def read(self, dataset: str, metric: str) -> Truth:
        """Find a column by name and read it.

        Raises:
            UnknownNameError: the table has no such dataset or metric.
            DataMissingError: the table's data is not on this machine.
        """
        datasets = list(dict.fromkeys(column.dataset for column in self.columns()))
        if dataset not in datasets:
            has = f"{self.name} has: {listed(datasets)}. {self.more()}".rstrip()
            raise UnknownNameError.among(f"{self.name} dataset", dataset, datasets, has)
        metrics = {column.metric: column for column in self.columns() if column.dataset == dataset}
        if metric not in metrics:
            has = f"{self.name}:{dataset} has: {listed(metrics)}. {self.more()}".rstrip()
            raise UnknownNameError.among(f"{self.name}:{dataset} metric", metric, metrics, has)
        return self.load(metrics[metric])


TABLES: Registry[Table] = Registry("table", "untrained.tables", "TABLE", command=False)


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names with commas, no more than `most`.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
