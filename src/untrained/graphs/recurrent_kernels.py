"""Compiled loops of the recurrent evaluation: one call runs all layers and steps of one network at one constant.

Values are vectors over texts, a whole number of `LANES` of them. A program is a table of rows (operation, result, a, b,
c), written by `untrained.graphs.recurrence`; results and operands are places in the work space, where x and the
previous states come first. Nothing here may use fast-math: scores depend on float32 rounding and underflow.

Rounding. A linear layer adds up hundreds of equal products. It does so as the published program on AVX2 machines: block
by block of `BLOCK` inputs, each block from zero on with fused multiply-adds, the first vector's blocks on top of the
bias. So a dot product needs the sum of a whole block and that of the last, shorter one, which is a part of the former.
Exponentials are computed in float64 with additions and products alone, so that they are the same on every machine.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

LANES = 32
BLOCK = 192

# DOT has two results, on top of the bias and from zero on, either -1 if not wanted: (result, source, plain result).
DOT, ADD, MULTIPLY, BLEND, TANH, SIGMOID, LEAKY_RELU, ZERO = range(8)

Array = NDArray[Any]
_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy")


def _emit_products(
    _context: Any, source: Any, at: Any, stride: Any, weight: Any, count: Any, sums: Any, place: Any
) -> Any:
    """Add `count` products of the weight and values, `stride` apart, to the sums of LANES texts, one after the other.

    Written in vectors so that the sums stay in registers.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        _, at, stride, weight, count, _, place = arguments
        values, totals = [context.make_array(signature.args[i])(context, builder, arguments[i]).data for i in (0, 5)]
        vector = ir.VectorType(context.get_data_type(source.dtype), LANES)
        size = source.dtype.bitwidth // 8
        kind = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f{8 * size}")
        factor = ir.Constant(vector, ir.Undefined)
        for lane in range(LANES):
            factor = builder.insert_element(factor, weight, ir.Constant(ir.IntType(32), lane))
        end = builder.bitcast(builder.gep(totals, [place]), vector.as_pointer())
        total = cgutils.alloca_once_value(builder, builder.load(end, align=size))
        with cgutils.for_range(builder, count) as step:
            index = builder.add(at, builder.mul(step.index, stride))
            value = builder.load(builder.bitcast(builder.gep(values, [index]), vector.as_pointer()), align=size)
            builder.store(builder.call(fma, (value, factor, builder.load(total))), total)
        builder.store(builder.load(total), end, align=size)

    return types.void(source, at, stride, weight, count, sums, place), emit


def _emit_power_of_two(_context: Any, exponent: Any) -> Any:
    """2^k for a whole float64 k from -1022 to 1023."""

    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        integer, double = ir.IntType(64), ir.DoubleType()
        bits = builder.bitcast(builder.fadd(arguments[0], double(1.5 * 2**52)), integer)  # the last bits are those of k
        return builder.bitcast(builder.add(builder.shl(bits, integer(52)), integer(1023 << 52)), double)

    return exponent(exponent), emit


_products: Any = intrinsic(_emit_products)
_power_of_two: Any = intrinsic(_emit_power_of_two)


@_jit
def _exponential(x: float) -> tuple[float, float]:
    """(exp(x) - 1, exp(x)) for |x| <= 708, within two units in the last place."""
    k = np.floor(x * 1.4426950408889634 + 0.5)
    r = (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10  # ln 2 in two parts, the first exact times k
    p = r * (1 / 6227020800) + 1 / 479001600  # Taylor: |r| is at most ln(2) / 2, and what is left out 4e-18
    p = ((p * r + 1 / 39916800) * r + 1 / 3628800) * r + 1 / 362880
    p = ((p * r + 1 / 40320) * r + 1 / 5040) * r + 1 / 720
    p = (((p * r + 1 / 120) * r + 1 / 24) * r + 1 / 6) * r + 1 / 2
    q = r + r * r * p
    scale = _power_of_two(k)
    return scale * q + (scale - 1.0), scale * q + scale


@_jit
def _tanh(space: Array, result: int, a: int, n: int) -> None:
    for i in range(n):
        x = np.float64(space[a + i])
        y = -2.0 * abs(x)
        e, _ = _exponential(-708.0 if y < -708.0 else y)
        y = -e / (e + 2.0)
        space[result + i] = -y if x < 0.0 else y


@_jit
def _sigmoid(space: Array, result: int, a: int, n: int) -> None:
    kind = space.dtype.type
    for i in range(n):
        y = -np.float64(space[a + i])
        y = -708.0 if y < -708.0 else y
        _, e = _exponential(708.0 if y > 708.0 else y)
        space[result + i] = kind(1) / (kind(1) + kind(e))  # rounded at each step, as in torch


@_jit
def _dot(space: Array, row: Array, n: int, size: int, weight: Any, block: Array) -> None:
    """Dot products of `size` units that all have the value of one."""
    rest = size % BLOCK
    for start in range(0, n, LANES):
        for i in range(2 * LANES):
            block[i] = 0
        _products(space, row[2] * n + start, 0, weight, rest, block, 0)
        for i in range(LANES):
            block[LANES + i] = block[i]
        if size >= BLOCK:
            _products(space, row[2] * n + start, 0, weight, BLOCK - rest, block, LANES)
        for form in range(2):
            at = row[1 + 2 * form] * n + start
            if at >= start:
                for i in range(LANES):
                    space[at + i] = weight * (1 - form)
                for _ in range(size // BLOCK):
                    for i in range(LANES):
                        space[at + i] += block[LANES + i]
                for i in range(LANES):
                    space[at + i] += block[i]


@_jit
def word_dots(table: Array, weight: Any, block: Array, dots: Array) -> None:
    """Dot products of words: `table` is the embedding, shape (size, words), `dots` has shape (2, words).

    A whole number of LANES words; `block` is scratch of as many numbers.
    """
    size, n = table.shape
    for i in range(n):
        dots[0, i] = weight
        dots[1, i] = 0
    for first in range(0, size, BLOCK):
        for start in range(0, n, LANES):
            for i in range(LANES):
                block[i] = 0
            _products(table, first * n + start, n, weight, min(BLOCK, size - first), block, 0)
            for form in range(2):
                for i in range(LANES):
                    dots[form, start + i] += block[i]


@_jit
def run(rows: Array, outputs: Array, sizes: Array, first: Array, weight: Any, space: Array, series: Array) -> None:
    """Fill `series`, shape (steps, texts), with the first state of the last layer at every step.

    `first`, shape (2, steps, texts), has the dot products of the embedded words, on top of the bias and from zero on.
    `space` has room for all vectors of the program and for the new states.
    """
    steps, n = series.shape
    kind = space.dtype.type
    block = np.empty(2 * LANES, space.dtype)
    spare = space.size - outputs.size * n
    for layer in range(sizes.size - 1):
        for i in range(outputs.size * n):
            space[n + i] = weight
        for t in range(steps):
            if layer:
                for i in range(n):
                    space[i] = series[t, i]
            for k in range(rows.shape[0]):
                row = rows[k]
                result, a, b, c = row[1] * n, row[2] * n, row[3] * n, row[4] * n
                match_x = row[2] == 0
                if row[0] == DOT and layer == 0 and match_x:
                    for form in range(2):
                        at = row[1 + 2 * form] * n
                        if at >= 0:
                            for i in range(n):
                                space[at + i] = first[form, t, i]
                elif row[0] == DOT:
                    _dot(space, row, n, sizes[layer] if match_x else sizes[layer + 1], weight, block)
                elif row[0] == ADD:
                    for i in range(n):
                        space[result + i] = space[a + i] + space[b + i]
                elif row[0] == MULTIPLY:
                    for i in range(n):
                        space[result + i] = space[a + i] * space[b + i]
                elif row[0] == BLEND:
                    for i in range(n):
                        gate = space[a + i]
                        space[result + i] = gate * space[b + i] + (kind(1) - gate) * space[c + i]
                elif row[0] == TANH:
                    _tanh(space, result, a, n)
                elif row[0] == SIGMOID:
                    _sigmoid(space, result, a, n)
                elif row[0] == LEAKY_RELU:
                    for i in range(n):
                        x = space[a + i]
                        space[result + i] = x if x > 0 else x * kind(0.01)
                else:
                    for i in range(n):
                        space[result + i] = 0
            for k in range(outputs.size):
                for i in range(n):
                    space[spare + k * n + i] = space[outputs[k] * n + i]
            for i in range(outputs.size * n):
                space[n + i] = space[spare + i]
            for i in range(n):
                series[t, i] = space[n + i]
