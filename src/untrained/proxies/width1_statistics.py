"""Numbers that say what modes do to images: how responses differ, how far they spread, how large they are.

A response is one number per image: what a network gives whose weights are mean filters, with ReLUs and norms on or off
and a gain (`graphs/modes.py`). Source: the comparison is that of Gracheva 2023, arXiv:2302.04406, eq. 1-3, made there
between two constant weights, here between any two modes; the rest is of this project.

To add a statistic, write a function of `Responses` and enter it in STATISTICS.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from untrained.graphs.modes import Mode, Response


__all__ = [
    "EQUAL",
    "FLAT",
    "NO_MEAN",
    "STATISTICS",
    "VERSION",
    "Column",
    "Responses",
    "Statistic",
    "columns",
    "dispersion",
    "epsilon",
    "evaluate",
    "log_magnitude",
]

VERSION = 1  # raised whenever a statistic changes
FLAT = 1e-6  # of the largest value: what differs by less is the same number up to the rounding of float32
NO_MEAN = 1e-3  # of the standard deviation: a mean below this is too near to the rounding of float32 to be divided by
EQUAL = 3e-6  # an epsilon below this is that of rounding, which is below 1.3e-6 where both modes give the same

Floats = NDArray[np.float64]


class Responses:
    """Responses of several modes on the same images, with what several statistics read of them."""

    def __init__(self, values: Floats, exponents: NDArray[np.int64]) -> None:
        """Response m is `values[m] * 2**exponents[m]`; shapes (modes, images) and (modes,)."""
        self.values = values
        self.exponents = exponents

    @classmethod
    def of(cls, responses: "Sequence[Response]") -> "Responses":
        """Responses in this order."""
        return cls(np.stack([r.values for r in responses]), np.array([r.exponent for r in responses], np.int64))

    @cached_property
    def _reach(self) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        low, high = self.values.min(axis=1), self.values.max(axis=1)
        spread = high - low
        return low, spread, spread <= FLAT * np.maximum(np.abs(low), np.abs(high))

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Which responses are the same for every image, shape (modes,)."""
        return self._reach[2]

    @cached_property
    def normalised(self) -> Floats:
        """(r - min r) / (max r - min r), zeros where a response is constant."""
        low, spread, constant = self._reach
        return (self.values - low[:, None]) / np.where(constant, np.inf, spread)[:, None]


def _epsilons(responses: Responses) -> Floats:
    q = responses.normalised
    kept = q != 0
    sums, numbers = q.sum(axis=1), kept.sum(axis=1)
    a, b = _pairs(len(q))
    both = kept[a] & kept[b]
    difference = (np.abs(q[a] - q[b]) * both).sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean = (sums[a] + sums[b]) / (numbers[a] + numbers[b])
        found: Floats = difference / both.sum(axis=1) / mean  # 0 / 0 where a response is constant or no image is left
    return np.where(found < EQUAL, 0.0, found)


@cache
def _pairs(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(n, 1)


def _dispersions(responses: Responses) -> Floats:
    values = responses.values
    means = values.mean(axis=1)
    deviations = np.sqrt(((values - means[:, None]) ** 2).mean(axis=1))
    defined = np.abs(means) > NO_MEAN * deviations
    found = np.where(responses.constant, 0.0, deviations / np.where(defined, np.abs(means), 1.0))
    found[~defined] = np.nan
    return found


def _log_magnitudes(responses: Responses) -> Floats:
    means = np.abs(responses.values).mean(axis=1)
    means[means == 0] = np.nan
    logs: Floats = np.log(means) + responses.exponents * math.log(2)
    return logs


class Statistic(NamedTuple):
    """A statistic of one mode, or of every two."""

    n_modes: int
    formula: str
    unit: str
    compute: Callable[[Responses], Floats]  # a value for each mode, or for each pair in the order of `combinations`


STATISTICS: Mapping[str, Statistic] = {
    "eps": Statistic(
        2,
        "mean |q_a - q_b| / mean of all q_a and q_b, q = (r - min r) / (max r - min r) with its zeros left out",
        "1",
        _epsilons,
    ),
    "cv": Statistic(1, "standard deviation of r / |mean of r|", "1", _dispersions),
    "logmag": Statistic(1, "natural logarithm of the mean of |r|", "nat", _log_magnitudes),
}


class Column(NamedTuple):
    """One statistic of one mode or pair."""

    statistic: str
    modes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Statistic and modes."""
        return "_".join((self.statistic, *self.modes))


def columns(modes: "Sequence[Mode]") -> list[Column]:
    """What `evaluate` gives for these modes, in its order.

    >>> from untrained.graphs.modes import Mode
    >>> [column.name for column in columns([Mode.parse("relu"), Mode.parse("lin")])]
    ['eps_relu_lin', 'cv_relu', 'cv_lin', 'logmag_relu', 'logmag_lin']
    """
    names = [mode.name for mode in modes]
    return [Column(prefix, chosen) for prefix, s in STATISTICS.items() for chosen in combinations(names, s.n_modes)]


def evaluate(responses: "Sequence[Response]") -> Floats:
    """Every statistic of these responses, NaN where it is undefined, in the order of `columns`."""
    together = Responses.of(responses)
    return np.concatenate([statistic.compute(together) for statistic in STATISTICS.values()])


def epsilon(a: "Response", b: "Response") -> float:
    """How differently two modes order and space the images.

    mean |q_a - q_b| / mean of all q_a and q_b, with q = (r - min r) / (max r - min r), each response's zeros left out
    (so that its least image is in no mean). Powers of two, gains and offsets cancel.

    Returns:
        A number from 0; below EQUAL it is 0, since float32 does not tell. NaN where a response is the same for every
        image, or no image is above both least values.

    >>> from untrained.graphs.modes import Response
    >>> r = np.array([0.0, 1.0, 2.0])
    >>> epsilon(Response(r, 0), Response(r**2, 0))  # q_b = 0, 1/4, 1
    0.18181818181818182
    """
    return float(_epsilons(Responses.of([a, b]))[0])


def dispersion(a: "Response") -> float:
    """Coefficient of variation over the images: standard deviation (of the population) / |mean|.

    Returns:
        A number from 0 to 1 / NO_MEAN; NaN above, since there the mean is zero up to rounding, as behind a norm without
        a ReLU.

    >>> from untrained.graphs.modes import Response
    >>> dispersion(Response(np.array([1.0, 3.0]), 100))
    0.5
    """
    return float(_dispersions(Responses.of([a]))[0])


def log_magnitude(a: "Response") -> float:
    """Natural logarithm of the mean magnitude, powers of two included.

    Returns:
        Any number; NaN where the response is zero.

    >>> from untrained.graphs.modes import Response
    >>> log_magnitude(Response(np.array([1.0, -1.0]), 1000)) == 1000 * math.log(2)
    True
    """
    return float(_log_magnitudes(Responses.of([a]))[0])
