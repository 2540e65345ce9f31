"""What the authors of the two papers published: `published.toml`, read."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from untrained.errors import UnknownNameError

_TURNED = ("spearman", "kendall")  # change their sign with the direction of the truth, and so do those in the top 10 %


@dataclass(frozen=True)
class Figure:
    """One published figure: `row` says of what, by the names of the study's columns."""

    row: Mapping[str, str | float]
    measure: str
    value: float


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper, and which study makes it again; the head of `published.toml` says what the fields mean."""

    paper: str
    name: str
    source: str
    protocol: str
    study: str
    space: str
    truth: str
    by: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]
    same: Mapping[str, str]
    full: Mapping[str, str]
    parameters: Mapping[str, Any]
    metric: str = ""
    metric_else: str = ""
    truth_else: str = ""
    scores: str = ""
    batch_size: int | None = None
    lower_is_better: bool = False

    @property
    def figures(self) -> list[Figure]:
        """Every figure, turned so that agreement is positive; NaN where the authors published none."""
        found = []
        for row in self.rows:
            of = dict(zip(self.by, row, strict=False))
            for measure, value in zip(self.columns, row[len(self.by) :], strict=True):
                turned = self.lower_is_better and measure.startswith(_TURNED)
                found.append(Figure(of, measure, -float(value) if turned else float(value)))
        return found


@cache
def published_tables(paper: str) -> tuple[PublishedTable, ...]:
    """The tables of a paper, `epsinas` or `eznas`.

    Raises:
        UnknownNameError: another paper.

    >>> [table.name for table in published_tables("epsinas")][:2]
    ['NAS-Bench-201, CIFAR-10', 'NAS-Bench-201, CIFAR-100']
    """
    content = tomllib.loads(Path(__file__).with_name("published.toml").read_text(encoding="utf-8"))
    papers = list(dict.fromkeys(table["paper"] for table in content["table"]))
    if paper not in papers:
        raise UnknownNameError.among("paper", paper, papers, f"There are: {', '.join(papers)}.")
    return tuple([_table(table) for table in content["table"] if table["paper"] == paper])


def _table(read: Mapping[str, Any]) -> PublishedTable:
    several = ("by", "columns")
    about: dict[str, Any] = {name: tuple(value) if name in several else value for name, value in read.items()}
    parameters = {name: _frozen(value) for name, value in read["parameters"].items()}
    rows = tuple([tuple(row) for row in read["rows"]])
    return PublishedTable(**{"full": {}, **about, "rows": rows, "parameters": parameters})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def find(frame: pl.DataFrame, like: Mapping[str, Any], row: Mapping[str, str | float]) -> dict[str, Any] | None:
    """The row of a study's table that has these values; None where there is none."""
    found = frame.filter(*[pl.col(name) == value for name, value in {**like, **row}.items()])
    return found.row(0, named=True) if found.height else None


def beside(study: str, space: str, frame: pl.DataFrame, measures: Sequence[str]) -> dict[int, dict[str, float]]:
    """Published figures for rows of a study's table, by the number of the row.

    >>> frame = pl.DataFrame({"subset": ["first_5000"], "undefined": ["omit"], "input": ["normal"]})
    >>> beside("inputs", "nasbench201", frame, ["spearman"])
    {0: {'spearman': 0.54}}
    """
    found: dict[int, dict[str, float]] = {}
    numbered = frame.with_row_index("row_number")
    for table in published_tables("epsinas"):
        if (table.study, table.space) == (study, space) and {*table.same, *table.by} <= set(frame.columns):
            for figure in table.figures:
                at = find(numbered, table.same, figure.row)
                if at is not None and figure.measure in measures and not math.isnan(figure.value):
                    found.setdefault(at["row_number"], {})[figure.measure] = figure.value
    return found
