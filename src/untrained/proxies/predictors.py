"""Fitted predictors as plain arrays, evaluated with numpy alone: what `ranker.py` reads, what calibration fits.

Every predictor reads the columns of a bank turned into ranks (`Ranks`) and gives one number per architecture, higher is
better. Its arrays are its whole state, so that files of plain data hold it.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Arrays: TypeAlias = Mapping[str, NDArray[np.generic]]

MAX_KNOTS = 257
_ROWS_AT_ONCE = 512  # of architectures in trees: 300 trees of them fit in a processor's cache


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where a value stands among those of a bank: for each column a piecewise linear distribution function.

    Column c has the knots `values[starts[c]:starts[c + 1]]`, increasing, with `shares` between 0 and 1, increasing: the
    share of the bank below, ties and the value itself counted by half. Beyond the ends the share is that of the end.
    `nulls` numbers the columns of which it also matters whether they have a value.
    """

    values: Floats  # shape (knots of all columns,)
    shares: Floats  # likewise
    starts: Ints  # shape (columns + 1,)
    nulls: Ints  # shape (indicators,)

    def __post_init__(self) -> None:
        starts, ends = self.starts[:-1], self.starts[1:]
        _expect(self.values.shape == self.shares.shape and self.values.ndim == 1, "knots and shares go together")
        _expect(len(self.starts) > 1 and self.starts[0] == 0, "knots start at the first column")
        _expect(bool((ends > starts).all()), "every column has knots")
        _expect(self.starts[-1] == len(self.values), "every knot has a column")
        inner = np.ones(len(self.values), bool)
        inner[starts] = False  # the first knot of a column has none before it
        for array, what in ((self.values, "knots"), (self.shares, "shares")):
            _expect(bool(np.isfinite(array).all()), f"{what} are finite")
            _expect(bool((np.diff(array)[inner[1:]] > 0).all()), f"{what} increase")
        _expect(bool(((self.shares > 0) & (self.shares < 1)).all()), "shares lie between 0 and 1")
        _expect(bool(((self.nulls >= 0) & (self.nulls < self.n_columns)).all()), "indicators are of columns")

    @classmethod
    def of(cls, columns: Floats) -> "Ranks":
        """The distribution of each column, at most MAX_KNOTS knots each.

        Args:
            columns: shape (architectures, columns), NaN where undefined; each with some finite value.

        Indicators are made for columns that are sometimes undefined, one for those undefined in the same rows.
        """
        values, shares = zip(*map(_knots, columns.T), strict=True)
        undefined = np.isnan(columns)
        some = np.flatnonzero(undefined.any(axis=0))
        first = {undefined[:, c].tobytes(): c for c in reversed(some.tolist())}  # of equal ones the first
        starts = np.cumsum([0, *map(len, values)])
        return cls(
            np.concatenate(values),
            np.concatenate(shares),
            starts.astype(np.int64),
            np.sort(np.array([*first.values()], np.int64)),
        )

    @property
    def n_columns(self) -> int:
        """Columns read."""
        return len(self.starts) - 1

    def share(self, columns: Floats) -> Floats:
        """The share of the bank below each value, shape (architectures, columns); 1/2 where undefined."""
        return self._interpolated(columns, self.shares, 0.5)

    def normal(self, columns: Floats) -> Floats:
        """Normal scores, 0 where undefined; then 0 or 1 for each indicator, 1 being undefined.

        The score of a value is the normal quantile of its share, interpolated between knots.

        Returns:
            Shape (architectures, columns + indicators).
        """
        quantile = NormalDist().inv_cdf
        scores = np.array([quantile(share) for share in self.shares.tolist()])
        indicators = np.isnan(columns[:, self.nulls]).astype(np.float64)
        return np.hstack([self._interpolated(columns, scores, 0.0), indicators])

    def _interpolated(self, columns: Floats, heights: Floats, undefined: float) -> Floats:
        found = np.empty(columns.shape)
        for c, (start, end) in enumerate(zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True)):
            found[:, c] = np.interp(columns[:, c], self.values[start:end], heights[start:end])
        found[np.isnan(columns)] = undefined
        return found


def _knots(column: Floats) -> tuple[Floats, Floats]:
    defined = column[~np.isnan(column)]
    values, counts = np.unique(defined, return_counts=True)
    shares = (np.cumsum(counts) - counts / 2) / len(defined)
    if len(values) > MAX_KNOTS:  # the distinct values nearest to even shares, both ends among them
        even = np.linspace(shares[0], shares[-1], MAX_KNOTS)
        kept = np.unique(np.clip(np.searchsorted(shares, even), 0, len(values) - 1))
        values, shares = values[kept], shares[kept]
    return values, shares


class Predictor(ABC):
    """One number per architecture from its ranks."""

    kind: ClassVar[str]

    @abstractmethod
    def predict(self, features: Floats) -> Floats:
        """Scores, shape (architectures,), from features, shape (architectures, `n_features`)."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Features read."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything that `from_arrays` needs."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Arrays) -> "Predictor":
        """Inverse of `arrays`.

        Raises:
            BadInputError: arrays that are missing or do not fit together.
        """


@dataclass(frozen=True, eq=False)
class Ridge(Predictor):
    """A weighted sum."""

    kind = "ridge"
    weights: Floats  # shape (features,)
    intercept: float

    def predict(self, features: Floats) -> Floats:
        """Intercept + features . weights."""
        found: Floats = features @ self.weights + self.intercept
        return found

    @property
    def n_features(self) -> int:
        """Weights."""
        return len(self.weights)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Weights and intercept."""
        return {"weights": self.weights, "intercept": np.array(self.intercept)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Ridge":
        """Weights and intercept."""
        return cls(_floats(arrays, "weights", 1), float(_floats(arrays, "intercept", 0)))


@dataclass(frozen=True, eq=False)
class Process(Predictor):
    """The mean of a Gaussian process: a constant and a sum of Matern kernels around the labelled architectures."""

    kind = "process"
    points: Floats  # shape (labels, features), scaled
    scales: Floats  # shape (features,)
    weights: Floats  # shape (labels,)
    mean: float

    def __post_init__(self) -> None:
        _expect(self.points.shape == (len(self.weights), len(self.scales)), "points, weights and scales go together")

    def predict(self, features: Floats) -> Floats:
        """Mean + sum_i weights_i k(scales * features, points_i)."""
        found: Floats = matern(features * self.scales, self.points) @ self.weights + self.mean
        return found

    @property
    def n_features(self) -> int:
        """Scales."""
        return len(self.scales)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Points, scales, weights and mean."""
        return {"points": self.points, "scales": self.scales, "weights": self.weights, "mean": np.array(self.mean)}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Process":
        """Points, scales, weights and mean."""
        points, scales = _floats(arrays, "points", 2), _floats(arrays, "scales", 1)
        return cls(points, scales, _floats(arrays, "weights", 1), float(_floats(arrays, "mean", 0)))


def matern(a: Floats, b: Floats) -> Floats:
    """Matern kernel of smoothness 3/2 and length 1: (1 + sqrt(3) r) exp(-sqrt(3) r), r the distance.

    Source: Rasmussen and Williams 2006, Gaussian Processes for Machine Learning, eq. 4.17.

    >>> matern(np.zeros((1, 2)), np.zeros((3, 2)))
    array([[1., 1., 1.]])
    """
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * (a @ b.T)
    r = np.sqrt(3 * np.maximum(squares, 0.0))
    found: Floats = (1 + r) * np.exp(-r)
    return found


@dataclass(frozen=True, eq=False)
class Trees(Predictor):
    """The mean of regression trees. All trees' nodes stand in one list, children behind their parents.

    A node with `feature` -1 is a leaf. Features are compared in float32, as those who fitted the trees do.
    """

    kind = "trees"
    feature: Ints  # shape (nodes,)
    threshold: Floats  # go left where the feature is at most this
    left: Ints
    right: Ints
    value: Floats
    roots: Ints  # shape (trees,)
    width: int  # features

    def __post_init__(self) -> None:
        n = len(self.feature)
        for array in (self.threshold, self.left, self.right, self.value):
            _expect(array.shape == (n,), "every node has all of feature, threshold, left, right and value")
        inner = np.flatnonzero(self.feature >= 0)
        _expect(bool((self.feature < self.width).all() and (self.feature >= -1).all()), "nodes read given features")
        for child in (self.left[inner], self.right[inner]):  # so that every walk ends
            _expect(bool(((child > inner) & (child < n)).all()), "children stand behind their parents")
        _expect(len(self.roots) > 0, "there are trees")
        _expect(bool(((self.roots >= 0) & (self.roots < n)).all()), "roots are nodes")

    def predict(self, features: Floats) -> Floats:
        """Mean over the trees of the leaf that each row falls into."""
        single = features.astype(np.float32).astype(np.float64)
        pieces = [self._walk(single[i : i + _ROWS_AT_ONCE]) for i in range(0, len(single), _ROWS_AT_ONCE)]
        return np.concatenate(pieces) if pieces else np.empty(0)

    def _walk(self, features: Floats) -> Floats:
        rows = np.tile(np.arange(len(features)), len(self.roots))
        nodes = np.repeat(self.roots, len(features))
        places = np.arange(len(nodes))
        at, row, place = nodes, rows, places
        while True:
            inner = self.feature[at] >= 0
            at, row, place = at[inner], row[inner], place[inner]
            if not len(at):
                break
            goes_left = features[row, self.feature[at]] <= self.threshold[at]
            at = np.where(goes_left, self.left[at], self.right[at])
            nodes[place] = at
        found: Floats = self.value[nodes].reshape(len(self.roots), len(features)).mean(axis=0)
        return found

    @property
    def n_features(self) -> int:
        """Features that nodes may read."""
        return self.width

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All node lists, the roots and the width."""
        return {
            "feature": self.feature,
            "threshold": self.threshold,
            "left": self.left,
            "right": self.right,
            "value": self.value,
            "roots": self.roots,
            "width": np.array(self.width),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Trees":
        """All node lists, the roots and the width."""
        feature, left, right, roots = [_ints(arrays, name, 1) for name in ("feature", "left", "right", "roots")]
        threshold, value = _floats(arrays, "threshold", 1), _floats(arrays, "value", 1)
        return cls(feature, threshold, left, right, value, roots, int(_ints(arrays, "width", 0)))


@dataclass(frozen=True, eq=False)
class Average(Predictor):
    """The mean of several predictors."""

    kind = "average"
    members: tuple[Predictor, ...]

    def __post_init__(self) -> None:
        _expect(len(self.members) > 0, "there is something to average")
        _expect(len({member.n_features for member in self.members}) == 1, "members read the same features")

    def predict(self, features: Floats) -> Floats:
        """Mean over the members."""
        found: Floats = np.mean([member.predict(features) for member in self.members], axis=0)
        return found

    @property
    def n_features(self) -> int:
        """Features of each member."""
        return self.members[0].n_features

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Those of every member under its kind."""
        return {f"{one.kind}.{name}": array for one in self.members for name, array in one.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> "Average":
        """Those of every member under its kind."""
        kinds = dict.fromkeys(name.partition(".")[0] for name in arrays)
        _expect(set(kinds) <= {one.kind for one in _SINGLE}, "members are of known kinds")
        return cls(tuple([_of_kind(kind, _below(arrays, kind)) for kind in kinds]))


_SINGLE: tuple[type[Predictor], ...] = (Ridge, Process, Trees)
LEARNED: tuple[type[Predictor], ...] = (*_SINGLE, Average)


def predictor_of(kind: str, arrays: Arrays) -> Predictor:
    """The predictor of a kind from its arrays.

    Raises:
        BadInputError: an unknown kind, or arrays that are missing or do not fit together.

    >>> predictor_of("ridge", {"weights": np.ones(2), "intercept": np.array(1.0)}).predict(np.ones((1, 2)))
    array([3.])
    """
    if kind == Average.kind:
        return Average.from_arrays(arrays)
    return _of_kind(kind, arrays)


def _of_kind(kind: str, arrays: Arrays) -> Predictor:
    for one in _SINGLE:
        if one.kind == kind:
            return one.from_arrays(arrays)
    known = ", ".join(one.kind for one in LEARNED)
    raise BadInputError(f"unknown kind of ranker {kind!r}. There are {known}.")


def _below(arrays: Arrays, kind: str) -> Arrays:
    return {name.partition(".")[2]: array for name, array in arrays.items() if name.partition(".")[0] == kind}


def log_rank(shares: Floats, weights: Sequence[float], falls: Sequence[bool]) -> Floats:
    """sum_k weights_k log(share_k), with 1 - share_k where column k falls.

    Args:
        shares: shape (architectures, columns), between 0 and 1.
        weights: one per column.
        falls: whether a higher value of the column is worse.

    >>> log_rank(np.array([[0.5, 0.75]]), [1.0, 2.0], [False, True]) == np.log(0.5) + 2 * np.log(0.25)
    array([ True])
    """
    found: Floats = np.log(np.where(falls, 1 - shares, shares)) @ np.asarray(weights, np.float64)
    return found


def _floats(arrays: Arrays, name: str, ndim: int) -> Floats:
    array = arrays.get(name)
    if array is None or array.ndim != ndim or array.dtype != np.float64 or not np.isfinite(array).all():
        raise BadInputError(f"expected finite float64 numbers called {name!r} in {ndim} dimensions.")
    return array.astype(np.float64, copy=False)


def _ints(arrays: Arrays, name: str, ndim: int) -> Ints:
    array = arrays.get(name)
    if array is None or array.ndim != ndim or array.dtype != np.int64:
        raise BadInputError(f"expected int64 numbers called {name!r} in {ndim} dimensions.")
    return array.astype(np.int64, copy=False)


def ranks_of(arrays: Arrays) -> Ranks:
    """Ranks from the arrays values, shares, starts and nulls.

    Raises:
        BadInputError: arrays that are missing or do not fit together.

    >>> one = {"values": np.array([1.0]), "shares": np.array([0.5])}
    >>> ranks_of({**one, "starts": np.array([0, 1]), "nulls": np.array([], np.int64)}).n_columns
    1
    """
    values, shares = (_floats(arrays, name, 1) for name in ("values", "shares"))
    starts, nulls = (_ints(arrays, name, 1) for name in ("starts", "nulls"))
    return Ranks(values, shares, starts, nulls)


def _expect(holds: bool, rule: str) -> None:
    if not holds:
        raise BadInputError(f"the numbers break the rule that {rule}.")
