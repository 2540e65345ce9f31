"""Logarithms of the determinants of many small matrices, with the same bits on every machine.

EZNAS's program `darts` takes determinants of matrices of -1, 0 and 1. Many are singular, and then rounding decides
between exactly 0, just above and just below, for which the program has quite different values. Libraries round
differently by version and processor (with or without fused multiplication and addition); this is LAPACK's elimination
in its plain order, each product rounded before it is subtracted, which gives the authors' values in all layers of our
golden file, where the library of a newer processor differs in one layer of four. It is also faster for many small ones.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray


def log_determinants(maps: NDArray[np.floating]) -> NDArray[np.floating]:
    """Logarithm of every determinant: -inf where it is 0, NaN where it is below.

    Args:
        maps: shape (matrices, n, n), C-contiguous, float32 or float64.

    Returns:
        Shape (matrices,), of the same type.

    >>> found = log_determinants(np.array([[[2.0, 0], [0, 1]], [[1, 1], [1, 1]], [[0, 1], [1, 0]]]))
    >>> [round(float(logarithm), 3) for logarithm in found]
    [0.693, -inf, nan]
    """
    out = np.empty(len(maps), maps.dtype)
    _eliminate(maps, out)
    return out


def _each(maps: NDArray[Any], out: NDArray[Any]) -> None:
    """Gaussian elimination of every transposed matrix, with row pivoting; rows are updated whole, for speed."""
    n = maps.shape[1]
    rows = np.empty((n, n), maps.dtype)
    one = maps.dtype.type(1)
    for m in range(maps.shape[0]):
        for i in range(n):
            for j in range(n):
                rows[i, j] = maps[m, j, i]
        negative = False
        total = maps.dtype.type(0)
        for k in range(n):
            pivot, largest = k, abs(rows[k, k])
            for i in range(k + 1, n):
                size = abs(rows[i, k])
                if size > largest:
                    pivot, largest = i, size
            if largest == 0:
                negative = False
                total = maps.dtype.type(-np.inf)
                break
            if pivot != k:
                negative = not negative
                for j in range(n):
                    rows[k, j], rows[pivot, j] = rows[pivot, j], rows[k, j]
            if rows[k, k] < 0:
                negative = not negative
            total += np.log(largest)
            reciprocal = one / rows[k, k]
            for i in range(k + 1, n):
                factor = rows[i, k] * reciprocal
                for j in range(n):
                    rows[i, j] -= factor * rows[k, j]
        out[m] = np.nan if negative else total


_compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")
_eliminate: Callable[[NDArray[Any], NDArray[Any]], None] = _compiled(_each)
