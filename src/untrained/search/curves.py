"""How searches went: the best so far by evaluation, over rounds."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl

from untrained.search.base import Floats
from untrained.search.nsga2 import hypervolume

CURVES: Final = {
    "curve": pl.String(),
    "step": pl.Int32(),
    "n": pl.Int32(),
    "mean": pl.Float64(),
    "q25": pl.Float64(),
    "median": pl.Float64(),
    "q75": pl.Float64(),
}
"""Columns of curves: after `step` evaluations `n` rounds have a value, and these are its mean and quartiles."""


def by_round(evaluations: pl.DataFrame, values: Floats, rounds: int, budget: int) -> Floats:
    """One number of each evaluation as a table of shape (rounds, budget, ...), NaN where nothing was evaluated."""
    table = np.full((rounds, budget, *values.shape[1:]), np.nan)
    table[evaluations["round"].to_numpy(), evaluations["step"].to_numpy()] = values
    return table


def best_so_far(values: Floats) -> Floats:
    """The largest up to each step, shape (rounds, budget); NaN before the first that is a number.

    >>> best_so_far(np.array([[np.nan, 2.0, 1.0, 3.0]])).tolist()
    [[nan, 2.0, 2.0, 3.0]]
    """
    found: Floats = np.fmax.accumulate(values, axis=1)
    return found


def of_best_so_far(values: Floats, others: Floats) -> Floats:
    """What stands in `others` where `values` has its first largest up to each step; both of shape (rounds, budget).

    >>> of_best_so_far(np.array([[1.0, 3.0, 2.0]]), np.array([[10.0, 20.0, 30.0]])).tolist()
    [[10.0, 20.0, 20.0]]
    """
    found = np.full_like(values, np.nan)
    best = np.full(len(values), -np.inf)
    held = np.full(len(values), np.nan)
    for step in range(values.shape[1]):
        better = values[:, step] > best
        best = np.where(better, values[:, step], best)
        held = np.where(better, others[:, step], held)
        found[:, step] = held
    return found


def volume_so_far(points: Floats, reference: Floats) -> Floats:
    """Hypervolume of what was found up to each step, shape (rounds, budget), of points (rounds, budget, objectives)."""
    found = np.zeros(points.shape[:2])
    for r, steps in enumerate(points):
        front = np.zeros((0, len(reference)))
        volume = 0.0
        for step, point in enumerate(steps):
            if not np.isnan(point).any() and not (front >= point).all(axis=1).any():
                front = np.vstack([front[~(front <= point).all(axis=1)], point])
                volume = hypervolume(front, reference)
            found[r, step] = volume
    return found


def summary(curves: Mapping[str, Floats]) -> pl.DataFrame:
    """Mean and quartiles over rounds of tables of shape (rounds, budget), with the columns of CURVES."""
    frames = []
    for name, table in curves.items():
        known = ~np.isnan(table)
        n = known.sum(axis=0)
        some = n > 0
        statistics = np.full((4, table.shape[1]), np.nan)
        if some.any():
            statistics[0, some] = np.nanmean(table[:, some], axis=0)
            statistics[1:, some] = np.nanquantile(table[:, some], [0.25, 0.5, 0.75], axis=0)
        columns = {
            "curve": [name] * table.shape[1],
            "step": np.arange(1, table.shape[1] + 1),
            "n": n,
            **dict(zip(("mean", "q25", "median", "q75"), statistics, strict=True)),
        }
        frames.append(pl.DataFrame(columns, schema=CURVES, nan_to_null=True, strict=False))
    return pl.concat(frames)
