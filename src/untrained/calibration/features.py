"""A bank's columns as features: ranks within the bank, so that no unit and no outlier matters."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from untrained.engine.bank import Bank
from untrained.errors import BadInputError
from untrained.graphs.counts import is_count
from untrained.proxies.predictors import Floats, Ints, Ranks
from untrained.types import Status

LEAST_DEFINED = 0.5  # of the networks: columns that say less are left out


@dataclass(frozen=True, eq=False)
class Features:
    """What rankers read of the networks of a bank that have statistics at all.

    Attributes:
        keys: of the networks, in the order of the bank.
        archs: the text of the first architecture of each.
        columns: names, in the order of `ranks`; what is constant, or the same as another column, is left out.
        values: shape (networks, columns), NaN where undefined.
        ranks: the distribution of each column.
        matrix: normal scores and indicators, shape (networks, features).
        groups: the kind of statistic of each feature, a number of `kinds`, shape (features,).
        kinds: eps, cv and so on; counts; undefined for indicators.
        without: keys of networks without statistics, with the reason.
    """

    keys: list[str]
    archs: list[str]
    columns: list[str]
    values: Floats
    ranks: Ranks
    matrix: Floats
    groups: Ints
    kinds: list[str]
    without: dict[str, str]


def features_of(bank: Bank) -> Features:
    """The features of a bank.

    Raises:
        BadInputError: fewer than two networks with statistics, or no column that tells them apart.
    """
    usable = bank.frame.filter(pl.col("status") == Status.OK)
    rest = bank.frame.filter(pl.col("status") != Status.OK)
    names = list(bank.columns)
    values = usable.select(pl.col(names).cast(pl.Float64)).to_numpy()
    values = np.where(np.isfinite(values), values, np.nan)  # null is NaN already
    telling = [c for c, column in enumerate(values.T) if _tells(column)]
    kept = list({values[:, c].tobytes(): c for c in reversed(telling)}.values())[::-1]  # of equal ones the first
    if not kept:
        raise BadInputError(
            f"the bank has {len(values)} networks with statistics, and no column that differs among them."
        )
    columns, values = [names[c] for c in kept], values[:, kept]
    ranks = Ranks.of(values)
    kinds = [_kind(name) for name in columns] + ["undefined"] * len(ranks.nulls)
    number = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
    return Features(
        usable["key"].to_list(),
        usable["arch"].to_list(),
        columns,
        values,
        ranks,
        ranks.normal(values),
        np.array([number[kind] for kind in kinds], np.int64),
        list(number),
        dict(rest.select("key", "detail").iter_rows()),
    )


def _tells(column: Floats) -> bool:
    defined = column[~np.isnan(column)]
    return len(defined) >= LEAST_DEFINED * len(column) and len(defined) > 1 and bool((defined != defined[0]).any())


def _kind(name: str) -> str:
    """`eps`, `cv` and so on, those of stages by themselves; `counts`."""
    if is_count(name):
        return "counts"
    return name.partition("_")[0] + ("__stages" if "__stage" in name else "")
