"""Compiled loops of recurrent modes: one call runs a whole network over all texts in one mode; nothing overflows.

Layers work in step, as in `recurrent_kernels`: at wave k, layer l does step k - l, and a vector holds the texts of the
first layer, those of the second, and so on. A program is a table of rows (operation, result, a, b) on vectors in the
work space; x, the previous states and constants come first.

Range. A number is m * r^(2 e), with m in the arithmetic's own type and a whole e in float64; r is the `reach`, a power
of two, and 1/r <= |m| < r, but for zeros, whose e is NOTHING. So a product of two m needs one step back into that
range. Every step is a multiplication by a power of two, and as long as no number leaves the range all e are 0 and the
bits are those of the plain arithmetic. Every number has an exponent of its own, since a vector may hold x^(2^35) for
several x: those that are small beside the largest are still huge to a sigmoid. Exponents stop at +-2^1000, beyond what
24 products a step reach in 35 steps.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from untrained.graphs.recurrent_kernels import exponential

ADD, MULTIPLY, TANH, SIGMOID, LEAKY_RELU = range(5)
REACH = {"float32": 2.0**32, "float64": 2.0**256}  # products of three and their rounding errors stay normal
FURTHEST = 2.0**1000
NOTHING = -FURTHEST

Array = NDArray[Any]
_options: Any = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
_leaf: Any = numba.njit(**_options)


@_leaf
def _in_range(m: Any, e: float, reach: Any) -> tuple[Any, float]:
    """The same number with m in range, which one step of r^2 reaches."""
    one = reach / reach
    size = abs(m)
    above, below = size >= reach, size < one / reach
    m *= one / (reach * reach) if above else reach * reach if below else one
    e += 1.0 if above else -1.0 if below else 0.0
    return m, NOTHING if m == 0 else e


@_leaf
def _add(to: Array, to_e: Array, a: Array, a_e: Array, b: Array, b_e: Array, reach: Any) -> None:
    one = reach / reach
    nothing, step = one - one, one / (reach * reach)
    for i in range(to.size):
        e = max(a_e[i], b_e[i])
        below_a, below_b = e - a_e[i], e - b_e[i]
        of_a = one if below_a == 0.0 else step if below_a == 1.0 else nothing
        of_b = one if below_b == 0.0 else step if below_b == 1.0 else nothing
        to[i], to_e[i] = _in_range(a[i] * of_a + b[i] * of_b, e, reach)


@_leaf
def _multiply(to: Array, to_e: Array, a: Array, a_e: Array, b: Array, b_e: Array, reach: Any) -> None:
    for i in range(to.size):
        e = min(max(a_e[i] + b_e[i], -FURTHEST), FURTHEST)
        to[i], to_e[i] = _in_range(a[i] * b[i], e, reach)


@_leaf
def _leaky_relu(to: Array, to_e: Array, a: Array, a_e: Array, reach: Any) -> None:
    slope = to.dtype.type(0.01)
    one = reach / reach
    for i in range(to.size):
        to[i], to_e[i] = _in_range(a[i] * (one if a[i] > 0 else slope), a_e[i], reach)


@_leaf
def _tanh(to: Array, to_e: Array, a: Array, a_e: Array, reach: Any) -> None:
    for i in range(to.size):
        x = np.float64(a[i])
        y = -2.0 * abs(x) if a_e[i] == 0.0 else -708.0
        fraction, _ = exponential(-708.0 if y < -708.0 else y)
        y = -fraction / (fraction + 2.0)
        m = to.dtype.type(-y if x < 0.0 else y)
        tiny = a_e[i] < 0.0  # tanh(x) = x to the last bit
        to[i], to_e[i] = _in_range(a[i] if tiny else m, a_e[i] if tiny else 0.0, reach)


@_leaf
def _sigmoid(to: Array, to_e: Array, a: Array, a_e: Array, reach: Any, furthest: float) -> None:
    for i in range(to.size):
        m = np.float64(a[i])
        x = m if a_e[i] == 0.0 else 0.0 if a_e[i] < 0.0 else m * np.inf
        _, power = exponential(min(max(-x, -furthest), furthest))
        to[i], to_e[i] = _in_range(to.dtype.type(1.0 / (1.0 + power)), 0.0, reach)


@_leaf
def _copy(to: Array, to_e: Array, a: Array, a_e: Array) -> None:
    for i in range(to.size):
        to[i] = a[i]
        to_e[i] = a_e[i]


@_leaf
def run(
    rows: Array,
    outputs: Array,
    words: Array,
    words_e: Array,
    space: Array,
    space_e: Array,
    reach: Any,
    furthest: float,
    series: Array,
    series_e: Array,
) -> None:
    """Fill `series` and `series_e`, shape (steps, texts), with the first state of the last layer at every step.

    Args:
        rows: the program.
        outputs: where it leaves the new states.
        words: what the first layer reads, shape (steps, texts).
        words_e: its exponents.
        space: all vectors of the program and room for the new states, shape (vectors, layers * texts). After x it
            begins with the states before the first word and the constants.
        space_e: its exponents.
        reach: the power of two r, in the type of `space`.
        furthest: sigmoids take numbers beyond this for this.
        series: the result.
        series_e: its exponents.
    """
    steps, n = series.shape
    lanes = space.shape[1]
    layers = lanes // n
    spare = space.shape[0] - outputs.size
    for wave in range(steps + layers - 1):
        step = min(wave, steps - 1)
        _copy(space[0, :n], space_e[0, :n], words[step], words_e[step])
        _copy(space[0, n:], space_e[0, n:], space[1, : lanes - n], space_e[1, : lanes - n])
        for row in rows:
            to, to_e, a, a_e = space[row[1]], space_e[row[1]], space[row[2]], space_e[row[2]]
            if row[0] == ADD:
                _add(to, to_e, a, a_e, space[row[3]], space_e[row[3]], reach)
            elif row[0] == MULTIPLY:
                _multiply(to, to_e, a, a_e, space[row[3]], space_e[row[3]], reach)
            elif row[0] == TANH:
                _tanh(to, to_e, a, a_e, reach)
            elif row[0] == SIGMOID:
                _sigmoid(to, to_e, a, a_e, reach, furthest)
            else:
                _leaky_relu(to, to_e, a, a_e, reach)
        for k in range(outputs.size):
            _copy(space[spare + k], space_e[spare + k], space[outputs[k]], space_e[outputs[k]])
        begun = min(wave + 1, layers) * n  # layers above still wait for their first word
        for k in range(outputs.size):
            new, new_e = space[spare + k, :begun], space_e[spare + k, :begun]
            _copy(space[1 + k, :begun], space_e[1 + k, :begun], new, new_e)
        last = wave - layers + 1
        if last >= 0:
            _copy(series[last], series_e[last], space[1, lanes - n :], space_e[1, lanes - n :])
