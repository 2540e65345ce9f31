"""The one form every benchmark's results are brought into: one measured number a row, and what was measured."""

from typing import Literal, NamedTuple, TypeAlias

import polars as pl

Split: TypeAlias = Literal["train", "valid", "test"]


class Row(NamedTuple):
    """One number that training gave.

    `arch` is the text of the space's own form. `split` is None for what has none (parameters), `epochs` for what does
    not depend on training, `seed` for what was not repeated; a benchmark that numbers its repeats instead of giving
    seeds has those numbers here. `value` is None where the source has none, or a number that is not finite.
    """

    arch: str
    dataset: str  # "cifar10", "cifar100", "imagenet16_120", "ptb", "wikitext2"
    split: Split | None
    epochs: int | None  # the epoch after which it was measured
    seed: int | None
    metric: str  # "accuracy", "loss", "seconds", "params", "flops", ...
    unit: str  # "fraction", "nats", "s", "count"
    value: float | None


SCHEMA = pl.Schema(
    {
        "arch": pl.String,
        "dataset": pl.String,
        "split": pl.String,
        "epochs": pl.Int32,
        "seed": pl.Int64,
        "metric": pl.String,
        "unit": pl.String,
        "value": pl.Float64,
    }
)
