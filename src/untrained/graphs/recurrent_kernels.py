"""Compiled loops of the recurrent evaluation: one call runs a whole network over all texts at one constant.

Layers work in step, each one word behind the one below, so that every operation is one vector over layers and texts:
at wave k, layer l does step k - l. Vectors are `LANES` numbers long, or a multiple: the texts of the first layer, those
of the second, and so on. What a layer computes before its first and after its last step is never read.

A program is a table of rows (operation, result, a, b, c), written by `untrained.graphs.recurrence`; results and
operands are vectors in the work space, where x and the previous states come first. Nothing here may use fast-math:
scores depend on float32 rounding and underflow.

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

LANES = 96  # three layers of 32 texts
_VECTOR = 16
BLOCK = 192

# DOT has two results, either -1 if not wanted: on top of the bias, and, in the place of b, from zero on.
DOT, ADD, MULTIPLY, BLEND, TANH, SIGMOID, LEAKY_RELU, ZERO = range(8)

Array = NDArray[Any]
# Without reference counts, since nothing here allocates: a slice costs two locked increments otherwise.
_options: Any = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
_leaf: Any = numba.njit(**_options)


def _emit_products(
    _context: Any, source: Any, at: Any, stride: Any, weight: Any, count: Any, sums: Any, place: Any
) -> Any:
    """Add `count` products of the weight and values, `stride` apart, to LANES sums, one after the other.

    Written in vectors so that the sums stay in registers.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        _, at, stride, weight, count, _, place = arguments
        values, totals = [context.make_array(signature.args[i])(context, builder, arguments[i]).data for i in (0, 5)]
        vector = ir.VectorType(context.get_data_type(source.dtype), _VECTOR)
        size = source.dtype.bitwidth // 8
        kind = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{_VECTOR}f{8 * size}")
        factor = ir.Constant(vector, ir.Undefined)
        for lane in range(_VECTOR):
            factor = builder.insert_element(factor, weight, ir.Constant(ir.IntType(32), lane))

        def pointer(data: Any, index: Any, part: int) -> Any:
            return builder.bitcast(builder.gep(data, [builder.add(index, index.type(part))]), vector.as_pointer())

        parts = range(0, LANES, _VECTOR)
        ends = [pointer(totals, place, part) for part in parts]
        sums = [cgutils.alloca_once_value(builder, builder.load(end, align=size)) for end in ends]
        with cgutils.for_range(builder, count) as step:
            index = builder.add(at, builder.mul(step.index, stride))
            for part, total in zip(parts, sums, strict=True):
                value = builder.load(pointer(values, index, part), align=size)
                builder.store(builder.call(fma, (value, factor, builder.load(total))), total)
        for end, total in zip(ends, sums, strict=True):
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


@_leaf
def exponential(x: float) -> tuple[float, float]:
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


@_leaf
def _fill(to: Array, value: Any) -> None:
    for i in range(to.size):
        to[i] = value


@_leaf
def _copy(to: Array, a: Array) -> None:
    for i in range(to.size):
        to[i] = a[i]


@_leaf
def _add(to: Array, a: Array, b: Array) -> None:
    for i in range(to.size):
        to[i] = a[i] + b[i]


@_leaf
def _multiply(to: Array, a: Array, b: Array) -> None:
    for i in range(to.size):
        to[i] = a[i] * b[i]


@_leaf
def _blend(to: Array, gate: Array, one: Array, other: Array) -> None:
    unit = to.dtype.type(1)
    for i in range(to.size):
        to[i] = gate[i] * one[i] + (unit - gate[i]) * other[i]


@_leaf
def _leaky_relu(to: Array, a: Array) -> None:
    zero, slope = to.dtype.type(0), to.dtype.type(0.01)
    for i in range(to.size):
        to[i] = a[i] if a[i] > zero else a[i] * slope


@_leaf
def _tanh(to: Array, a: Array) -> None:
    for i in range(to.size):
        x = np.float64(a[i])
        y = -2.0 * abs(x)
        e, _ = exponential(-708.0 if y < -708.0 else y)
        y = -e / (e + 2.0)
        to[i] = -y if x < 0.0 else y


@_leaf
def _sigmoid(to: Array, a: Array) -> None:
    kind = to.dtype.type
    for i in range(to.size):
        x = -np.float64(a[i])
        y = -708.0 if x < -708.0 else x
        _, e = exponential(708.0 if y > 708.0 else y)
        to[i] = kind(1) / (kind(1) + kind(e))  # rounded at each step, as in torch


@_leaf
def _products_of(a: Array, counts: Array, weight: Any, sums: Array) -> None:
    """Sums of equal products: as many as the first number of `counts` says, then so many more, and so on."""
    for start in range(0, a.size, LANES):
        for k in range(counts.size):
            part = sums[k, start : start + LANES]
            if k:
                _copy(part, sums[k - 1, start : start + LANES])
            else:
                _fill(part, 0)
            _products(a, start, 0, weight, counts[k], part, 0)


@_leaf
def _add_up(to: Array, start: Any, block: Array, blocks: int, rest: Array) -> None:
    """The start, so many times a block, and the rest, added up one after the other."""
    if blocks == 3:  # the published sizes in one loop each
        for i in range(to.size):
            to[i] = start + block[i] + block[i] + block[i] + rest[i]
    elif blocks == 2:
        for i in range(to.size):
            to[i] = start + block[i] + block[i] + rest[i]
    else:
        _fill(to, start)
        for _ in range(blocks):
            _add(to, to, block)
        _add(to, to, rest)


@_leaf
def run(
    rows: Array,
    outputs: Array,
    counts: Array,
    parts: Array,
    words: Array,
    weight: Any,
    space: Array,
    sums: Array,
    series: Array,
) -> None:
    """Fill `series`, shape (steps, texts), with the first state of the last layer at every step.

    Args:
        rows: the program.
        outputs: where it leaves the new states.
        counts: of products to add up before sums are kept: those of the rests of dot products, then of a block.
        parts: of dot products with x (0) and with states (1) in each layer: number of blocks, and which count the rest.
        words: dot products of the embedded words, on top of the bias and from zero on, shape (2, steps, texts).
        weight: the constant.
        space: room for all vectors of the program and the new states, shape (vectors, lanes).
        sums: room for sums, shape (counts, lanes).
        series: the result.
    """
    steps, n = series.shape
    layers = parts.shape[1]
    spare = space.shape[0] - outputs.size
    zero = space.dtype.type(0)
    _fill(space[0], weight)
    for k in range(outputs.size):
        _fill(space[1 + k], weight)
    for wave in range(steps + layers - 1):
        _copy(space[0, n : layers * n], space[1, : layers * n - n])
        for row in rows:
            to, a = space[row[1]], space[row[2]]
            if row[0] == DOT:
                _products_of(a, counts, weight, sums)
                kind = 1 if row[2] else 0
                for form in range(2):
                    if row[1 + 2 * form] < 0:
                        continue
                    to = space[row[1 + 2 * form]]
                    if kind == 0:
                        _copy(to[:n], words[form, min(wave, steps - 1)])
                    for layer in range(1 - kind, layers):
                        first, end = layer * n, layer * n + n
                        block, rest = sums[counts.size - 1, first:end], sums[parts[kind, layer, 1], first:end]
                        _add_up(to[first:end], zero if form else weight, block, parts[kind, layer, 0], rest)
            elif row[0] == ADD:
                _add(to, a, space[row[3]])
            elif row[0] == MULTIPLY:
                _multiply(to, a, space[row[3]])
            elif row[0] == BLEND:
                _blend(to, a, space[row[3]], space[row[4]])
            elif row[0] == TANH:
                _tanh(to, a)
            elif row[0] == SIGMOID:
                _sigmoid(to, a)
            elif row[0] == LEAKY_RELU:
                _leaky_relu(to, a)
            else:
                _fill(to, 0)
        for k in range(outputs.size):
            _copy(space[spare + k], space[outputs[k]])
        begun = min(wave + 1, layers) * n  # layers above still wait for their first word
        for k in range(outputs.size):
            _copy(space[1 + k, :begun], space[spare + k, :begun])
        if wave >= layers - 1:
            _copy(series[wave - layers + 1], space[1, layers * n - n : layers * n])


@_leaf
def word_dots(table: Array, weight: Any, block: Array, dots: Array) -> None:
    """Dot products of words: `table` is the embedding, shape (size, words), `dots` has shape (2, words).

    A whole number of LANES words; `block` is room for LANES numbers.
    """
    size, n = table.shape
    flat = table.reshape(table.size)
    _fill(dots[0], weight)
    _fill(dots[1], 0)
    for first in range(0, size, BLOCK):
        for start in range(0, n, LANES):
            _fill(block, 0)
            _products(flat, first * n + start, n, weight, min(BLOCK, size - first), block, 0)
            for form in range(2):
                _add(dots[form, start : start + LANES], dots[form, start : start + LANES], block)
