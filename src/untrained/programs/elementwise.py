"""Operators that go element by element, with NumPy's broadcasting.

Where nothing is said of NaN, it stays NaN. What the program of EZNAS registers treats NaN as torch does.
"""

from functools import partial
from typing import Any

import numpy as np

from untrained.programs.operator import Array, operator
from untrained.programs.rules import broadcast, per_element, same, widest

_one = partial(operator, arity=1, kind=widest, shape=same, elementwise=True)
_two = partial(operator, arity=2, kind=widest, elementwise=True)
SMALLEST_DIVISOR = 1e-12


def _floats(found: Any, *like: Array) -> Any:
    """Truth values as 0 and 1 of the arguments' type."""
    return found.astype(np.result_type(*like))


# --- registered in EZNAS's program


@_two(
    shape=broadcast("sum"),
    cost=per_element(0.5),
    origin="registered",
    latex=r"\left({0} + {1}\right)",
    python="({0} + {1})",
)
def add(a: Array, b: Array) -> Any:
    """Sum."""
    return a + b


@_two(
    shape=broadcast("product"), cost=per_element(0.5), origin="registered", latex=r"{0} \odot {1}", python="({0} * {1})"
)
def mul(a: Array, b: Array) -> Any:
    """Product of elements."""
    return a * b


@_two(
    shape=broadcast("comparison"),
    cost=per_element(0.7),
    origin="registered",
    latex=r"\left[{0} < {1}\right]",
    python="np.where({0} < {1}, 1.0, 0.0)",
)
def less(a: Array, b: Array) -> Any:
    """1 where the first is below the second, else 0; 0 for NaN."""
    return _floats(np.less(a, b), a, b)


@_two(
    shape=broadcast("comparison"),
    cost=per_element(0.7),
    origin="registered",
    latex=r"\left[{0} > {1}\right]",
    python="np.where({0} > {1}, 1.0, 0.0)",
)
def greater(a: Array, b: Array) -> Any:
    """1 where the first is above the second, else 0; 0 for NaN."""
    return _floats(np.greater(a, b), a, b)


@_two(
    shape=broadcast("comparison"),
    cost=per_element(0.7),
    origin="registered",
    latex=r"\left[{0} = {1}\right]",
    python="np.where({0} == {1}, 1.0, 0.0)",
)
def equal(a: Array, b: Array) -> Any:
    """1 where both are equal, else 0; 0 for NaN."""
    return _floats(np.equal(a, b), a, b)


@_one(
    cost=per_element(2.5),
    origin="registered",
    latex=r"\log^{{+}}\left({0}\right)",
    python="np.log(np.where({0} <= 0, 1, {0}))",
)
def log(a: Array) -> Any:
    """Natural logarithm, 0 where the argument is not above 0."""
    return np.log(np.maximum(a, 0) + np.less_equal(a, 0))  # exactly a, or 1: much faster than np.where


@_one(
    cost=per_element(2.0),
    origin="registered",
    latex=r"\log\left|{0}\right|",
    python="np.log(np.abs(np.where({0} == 0, 1, {0})))",
)
def abs_log(a: Array) -> Any:
    """Natural logarithm of the magnitude, 0 where the argument is 0."""
    return np.log(np.abs(a) + np.equal(a, 0))


@_one(cost=per_element(0.4), origin="registered", latex=r"\left|{0}\right|", python="np.abs({0})")
def abs_(a: Array) -> Any:
    """Magnitude."""
    return np.abs(a)


@_one(cost=per_element(0.4), origin="registered", latex=r"\left({0}\right)^{{2}}", python="np.square({0})")
def square(a: Array) -> Any:
    """Square."""
    return np.square(a)


@_one(cost=per_element(0.7), origin="registered", latex=r"\exp\left({0}\right)", python="np.exp({0})")
def exp(a: Array) -> Any:
    """Exponential; infinite where it overflows."""
    return np.exp(a)


@_one(cost=per_element(1.0), origin="registered", latex=r"\mathrm{{relu}}\left({0}\right)", python="np.maximum({0}, 0)")
def relu(a: Array) -> Any:
    """The argument where above 0, else 0."""
    return np.maximum(a, 0)


@_one(
    cost=per_element(1.5),
    origin="registered",
    latex=r"\mathrm{{sign}}\left({0}\right)",
    python="np.nan_to_num(np.sign({0}))",
)
def sign(a: Array) -> Any:
    """-1, 0 or 1; 0 for NaN."""
    return _floats(np.greater(a, 0), a) - np.less(a, 0)


@_one(cost=per_element(0.6), origin="registered", latex=r"H\left({0}\right)", python="np.where({0} > 0, 1.0, 0.0)")
def heaviside(a: Array) -> Any:
    """1 where above 0, else 0; 0 for NaN."""
    return _floats(np.greater(a, 0), a)


@_one(cost=per_element(0.5), origin="registered", latex=r"\frac{{1}}{{{0}}}", python="(1 / {0})")
def reciprocal(a: Array) -> Any:
    """1 over the argument; infinite for 0."""
    return np.reciprocal(a)


@_one(cost=per_element(2.2), origin="registered", latex=r"\sigma\left({0}\right)", python="(1 / (1 + np.exp(-{0})))")
def sigmoid(a: Array) -> Any:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-a))


@_one(cost=per_element(0.3), origin="registered", latex=r"\mathbf{{1}}\left({0}\right)", python="np.ones_like({0})")
def ones_like(a: Array) -> Any:
    """1 for every element, NaN too."""
    return np.ones_like(a)


@_one(cost=per_element(0.3), origin="registered", latex=r"\mathbf{{0}}\left({0}\right)", python="np.zeros_like({0})")
def zeros_like(a: Array) -> Any:
    """0 for every element, NaN too."""
    return np.zeros_like(a)


@_one(cost=per_element(0.6), origin="registered", latex=r"\left[{0} > 0\right]", python="np.where({0} > 0, 1.0, 0.0)")
def is_positive(a: Array) -> Any:
    """1 where above 0, else 0; 0 for NaN."""
    return _floats(np.greater(a, 0), a)


@_one(cost=per_element(0.6), origin="registered", latex=r"\left[{0} < 0\right]", python="np.where({0} < 0, 1.0, 0.0)")
def is_negative(a: Array) -> Any:
    """1 where below 0, else 0; 0 for NaN."""
    return _floats(np.less(a, 0), a)


# --- unregistered there


@_two(
    shape=broadcast("difference"),
    cost=per_element(0.5),
    origin="unregistered",
    latex=r"\left({0} - {1}\right)",
    python="({0} - {1})",
)
def sub(a: Array, b: Array) -> Any:
    """Difference."""
    return a - b


# --- own


@_one(cost=per_element(0.4), latex=r"\left(-{0}\right)", python="(-{0})")
def neg(a: Array) -> Any:
    """The negative."""
    return np.negative(a)


@_one(cost=per_element(0.8), latex=r"\sqrt{{\left|{0}\right|}}", python="np.sqrt(np.abs({0}))")
def sqrt_abs(a: Array) -> Any:
    """Square root of the magnitude."""
    return np.sqrt(np.abs(a))


@_one(cost=per_element(1.5), latex=r"\log\left(1 + \left|{0}\right|\right)", python="np.log1p(np.abs({0}))")
def log1p_abs(a: Array) -> Any:
    """Natural logarithm of 1 + the magnitude."""
    return np.log1p(np.abs(a))


@_two(
    shape=broadcast("quotient"),
    cost=per_element(2.0),
    latex=r"\frac{{{0}}}{{{1}}}",
    python="np.where(np.abs({1}) < 1e-12, 0, {0} / np.where(np.abs({1}) < 1e-12, 1, {1}))",
)
def safe_divide(a: Array, b: Array) -> Any:
    """Quotient, 0 where the divisor is within 1e-12 of 0."""
    small = np.abs(b) < SMALLEST_DIVISOR
    quotient = a / b
    return np.where(small, quotient.dtype.type(0), quotient) if small.any() else quotient


@_one(cost=per_element(0.7), latex=r"\tanh\left({0}\right)", python="np.tanh({0})")
def tanh(a: Array) -> Any:
    """Hyperbolic tangent."""
    return np.tanh(a)


@_two(
    shape=broadcast("maximum"), cost=per_element(1.0), latex=r"\max\left({0}, {1}\right)", python="np.maximum({0}, {1})"
)
def maximum(a: Array, b: Array) -> Any:
    """The larger of both; NaN where either is."""
    return np.maximum(a, b)


@_two(
    shape=broadcast("minimum"), cost=per_element(1.0), latex=r"\min\left({0}, {1}\right)", python="np.minimum({0}, {1})"
)
def minimum(a: Array, b: Array) -> Any:
    """The smaller of both; NaN where either is."""
    return np.minimum(a, b)
