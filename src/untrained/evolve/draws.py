"""Random numbers one at a time, drawn from NumPy in blocks: a scalar draw costs what a list access costs."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, TypeVar

import numpy as np

from untrained.seeds import seed_for

T = TypeVar("T")

_BLOCK: Final = 2048
_NORMAL: Final = NormalDist()


class Draws:
    """Random choices that depend on a key alone.

    >>> Draws("seed", 0).below(1000) == Draws("seed", 0).below(1000)
    True
    """

    def __init__(self, *key: object) -> None:
        """Begin the numbers of a key of `seeds.seed_for`."""
        self._generator = np.random.default_rng(seed_for("evolve", *key))
        self._block: list[float] = []

    def random(self) -> float:
        """Uniform in [0, 1)."""
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()
        return self._block.pop()

    def below(self, n: int) -> int:
        """Uniform among 0, ..., n - 1."""
        return int(self.random() * n)

    def choice(self, among: Sequence[T]) -> T:
        """One of them, all equally likely."""
        return among[int(self.random() * len(among))]

    def weighted(self, cumulative: Sequence[float]) -> int:
        """An index, with probabilities whose running sums, up to any factor, are given."""
        at = self.random() * cumulative[-1]
        return next((i for i, upto in enumerate(cumulative) if at < upto), len(cumulative) - 1)

    def normal(self) -> float:
        """From N(0, 1)."""
        return _NORMAL.inv_cdf(max(self.random(), 2.0**-54))

    def log_uniform(self, low: float, high: float) -> float:
        """From [low, high), uniform in the logarithm."""
        return low * math.exp(self.random() * math.log(high / low))


def short(value: float) -> float:
    """A number as programs write it when it is drawn: four digits.

    >>> short(0.123456)
    0.1235
    """
    return float(f"{value:.4g}")
