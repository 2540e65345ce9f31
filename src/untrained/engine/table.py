"""Scores as a table: one row for each asked (architecture, proxy), in the order asked, duplicates kept."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from untrained.types import Arch, Score, Status

COLUMNS = {
    "arch": pl.String,
    "proxy": pl.String,
    "value": pl.Float64,  # null unless status is ok
    "status": pl.String,
    "seconds": pl.Float64,
    "detail": pl.String,
}


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores with what they depend on.

    `frame` has the columns of COLUMNS; `protocol` holds everything that may change a score, and of aggregates the size
    and digest of what they were ranked among. Of `n_evaluations`
    distinct ones `n_computed` were not in the store. `seconds` is wall time, `proxy_seconds` the time of each proxy's
    distinct evaluations, all processes added up.
    """

    frame: pl.DataFrame
    space: str
    protocol: Mapping[str, Any]
    n_evaluations: int
    n_computed: int
    seconds: float
    proxy_seconds: Mapping[str, float]
    archs: Mapping[str, Arch]  # by their texts in `frame`

    def __len__(self) -> int:
        return self.frame.height

    def __iter__(self) -> Iterator[Score]:
        for arch, proxy, value, status, seconds, detail in self.frame.iter_rows():
            yield Score(self.archs[arch], proxy, value, Status(status), seconds, detail)

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """Which way is up, for every proxy and aggregate of the protocol."""
        every = {**self.protocol["proxies"], **self.protocol.get("aggregates", {})}
        return {name: about["higher_is_better"] for name, about in every.items()}

    @property
    def proxies(self) -> list[str]:
        """The proxies, in the order asked."""
        return self.frame["proxy"].unique(maintain_order=True).to_list()

    def csv(self) -> str:
        """Comma-separated text with the columns of COLUMNS; the value is empty unless the status is ok."""
        return self.frame.with_columns(pl.col("detail").replace("", None)).write_csv()

    def json(self) -> str:
        """One object: the protocol and the rows."""
        return json.dumps({"space": self.space, "protocol": dict(self.protocol), "scores": self.frame.to_dicts()})
