"""Compiled loops of the modes: one call runs one network in one mode.

Unlike `kernels`, nothing here rounds in another program's order, so that a pass costs a fraction. Planes are stored as
(block, height, width, lanes) with the images of a block side by side in lanes, whose number is a multiple of 16: all
loops are whole vectors. They are written as vector instructions on addresses, since the compiler finds no vectors in
loops over many arrays.

The program is a flat list of integers, written by `untrained.graphs.mode_programs` and read here front to back as
*sweeps*, as in `kernels`: a sweep computes a plane row by row as a sum of terms and, while its rows are in cache, the
windows, statistics and means that read it. Which rectifiers and norms are on is decided here, mode by mode.

Exponents. A value is what is stored times a mantissa times 2**exponent. Exponents come from bounds of the values, which
are kept as logarithms, as they pass the range of float64 too. A bound says nothing about how small values are. Where
many windows on small maps may have worn them down since it was last known, the plane is measured. Multiplying by powers
of two rounds nothing, so that results do not depend on exponents, as long as nothing underflows.

All of it is one file, because the compiler's cache on disk is renewed only when the file of `run` changes.
"""

import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

# Words of one record in the program; mode_programs.py writes them in this order. A plane of -1 is a ring of rows.
SWEEP_WORDS = 7  # height, width, plane, n_terms, n_windows, n_statistics, mean (-1: none)
TERM_WORDS = 7  # plane, rectified before, fan_in (0: no weight), multiplicity, norm (-1: none), rectified after, count
# kind, plane, rectified, fan_in (0: no weight), multiplicity, norm, most taps inside, then vertical, horizontal:
# kernel, stride, padding, dilation, out
WINDOW_WORDS = 17
STATISTIC_WORDS = 2  # norm, rectified

CONV, AVG_POOL, AVG_POOL_PADDED, MAX_POOL, RELU6 = 0, 1, 2, 3, 5  # as in kernels

LANES = 16  # images of a block are a multiple of this
EPS = 1e-5  # of batch norm

_WORN = 32.0  # bits after which a plane is measured: squares of half as many bits less are still ordinary numbers

Array = NDArray[Any]
_options: Any = {"cache": True, "nogil": True, "error_model": "numpy"}
_jit = numba.njit(**_options)
# Without reference counts, for functions that allocate nothing: a slice costs two locked increments otherwise.
_leaf = numba.njit(**{**_options, "_nrt": False})


# Vector instructions --------------------------------------------------------------------------------------------------


class _Vectors:
    """Writes instructions on `lanes` numbers at a time."""

    def __init__(self, context: Any, builder: Any, scalar: Any, lanes: int) -> None:
        self.builder, self.lanes, self.size = builder, lanes, scalar.bitwidth // 8
        self.element = context.get_data_type(scalar)
        self.kind = ir.VectorType(self.element, lanes)
        self.double = ir.VectorType(ir.DoubleType(), lanes)
        self.integer = context.get_value_type(types.intp)

    def at(self, address: Any, index: Any) -> Any:
        """The address of an element."""
        return self.builder.add(address, self.builder.mul(index, self.integer(self.size)))

    def load(self, address: Any) -> Any:
        return self.builder.load(self.builder.inttoptr(address, self.kind.as_pointer()), align=self.size)

    def store(self, value: Any, address: Any) -> None:
        self.builder.store(value, self.builder.inttoptr(address, self.kind.as_pointer()), align=self.size)

    def splat(self, scalar: Any) -> Any:
        one = self.builder.insert_element(ir.Constant(self.kind, ir.Undefined), scalar, ir.IntType(32)(0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, one, mask)

    def scalar(self, address: Any, index: int) -> Any:
        """One number of a list, in every lane."""
        place = self.builder.add(address, self.integer(index * self.size))
        return self.splat(self.builder.load(self.builder.inttoptr(place, self.element.as_pointer())))

    def word(self, address: Any, index: Any) -> Any:
        """One whole number of a list."""
        place = self.builder.add(address, self.builder.mul(index, self.integer(8)))
        return self.builder.load(self.builder.inttoptr(place, self.integer.as_pointer()))

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        name = f"llvm.fma.v{self.lanes}f{8 * self.size}"
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(self.kind, [self.kind] * 3), name
        )
        return self.builder.call(function, [a, b, c])

    def larger(self, a: Any, b: Any) -> Any:
        return self.builder.select(self.builder.fcmp_ordered(">", a, b), a, b)

    def smaller(self, a: Any, b: Any) -> Any:
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), a, b)

    def variable(self, value: Any) -> Any:
        place: Any = cgutils.alloca_once_value(self.builder, value)
        return place


def _steps(builder: Any, start: Any, stop: Any, step: int) -> Any:
    return cgutils.for_range_slice(builder, start, stop, start.type(step), start.type)


def _in_blocks(context: Any, builder: Any, scalar: Any, count: Any, write: Any, widest: int = 32) -> None:
    """Let `write(vectors, index)` write a loop over `widest` numbers at a time, and one over what is left of them."""
    wide = _Vectors(context, builder, scalar, widest)
    whole = builder.and_(count, wide.integer(-widest))
    with _steps(builder, wide.integer(0), whole, widest) as (index, _):
        write(wide, index)
    with _steps(builder, whole, count, LANES) as (index, _):
        write(_Vectors(context, builder, scalar, LANES), index)


def _emit_terms(rectify: bool, clip: bool) -> Any:
    """Write to `dst` the sum over `terms` planes x of max(a * max(x, floor) + b, after).

    `sources` are their addresses; `factors` are floor, a, b, after of each. Without `rectify` there are no floors;
    without `clip` nothing is cut off after, and the first b stands for all.
    """

    def typed(_context: Any, unit: Any, dst: Any, count: Any, terms: Any, sources: Any, factors: Any) -> Any:
        def emit(context: Any, builder: Any, _: Any, arguments: Any) -> None:
            _, dst, count, terms, sources, factors = arguments

            def write(v: _Vectors, index: Any) -> None:
                def term(t: Any, total: Any) -> Any:
                    floor, a, b, after = [v.scalar(v.at(factors, builder.mul(t, v.integer(4))), k) for k in range(4)]
                    x = v.load(v.at(v.word(sources, t), index))
                    x = v.larger(x, floor) if rectify else x
                    if clip:
                        x = v.larger(v.fma(x, a, b), after)
                        return builder.fadd(total, x) if total else x
                    return v.fma(x, a, total or b)

                total = v.variable(term(v.integer(0), None))
                with _steps(builder, v.integer(1), terms, 1) as (t, _):
                    builder.store(term(t, builder.load(total)), total)
                v.store(builder.load(total), v.at(dst, index))

            _in_blocks(context, builder, unit, count, write, 64)

        return types.void(unit, dst, count, terms, sources, factors), emit

    return intrinsic(typed)


def _emit_row3(rectify: bool, largest: bool) -> Any:
    """One row of 3x3 windows at stride 1 and padding 1, from rows a, b, c; at least two columns.

    The sum of max(x, 0) times `inner`, or `edge` in the first and last column; or the largest. Sums of three rows stay
    in registers while the window moves on.
    """

    def typed(
        _context: Any, unit: Any, dst: Any, a: Any, b: Any, c: Any, width: Any, n: Any, inner: Any, edge: Any
    ) -> Any:
        def emit(context: Any, builder: Any, _: Any, arguments: Any) -> None:
            _, dst, a, b, c, width, n, inner, edge = arguments

            def write(v: _Vectors, lane: Any) -> None:
                zero = ir.Constant(v.kind, None)
                join = v.larger if largest else builder.fadd

                def column(x: Any) -> Any:
                    place = builder.add(builder.mul(x, n), lane)
                    values = [v.load(v.at(row, place)) for row in (a, b, c)]
                    if rectify:
                        values = [v.larger(value, zero) for value in values]
                    return join(join(values[0], values[1]), values[2])

                def put(x: Any, value: Any, factor: Any) -> None:
                    value = value if largest else builder.fmul(value, v.splat(factor))
                    v.store(value, v.at(dst, builder.add(builder.mul(x, n), lane)))

                one = v.integer(1)
                last = builder.sub(width, one)
                first, second = column(v.integer(0)), column(one)
                put(v.integer(0), join(first, second), edge)
                pair, right = v.variable(join(first, second)), v.variable(second)
                with _steps(builder, one, last, 1) as (x, _):
                    new = column(builder.add(x, one))
                    put(x, join(builder.load(pair), new), inner)
                    builder.store(join(builder.load(right), new), pair)
                    builder.store(new, right)
                put(last, builder.load(pair), edge)

            _in_blocks(context, builder, unit, n, write)

        return types.void(unit, dst, a, b, c, width, n, inner, edge), emit

    return intrinsic(typed)


def _emit_vertical(largest: bool) -> Any:
    """Write to `dst` the sum, or the largest, of max(x, floor) over `k` rows, whose addresses are in `rows`."""

    def typed(_context: Any, unit: Any, dst: Any, rows: Any, k: Any, count: Any, floor: Any) -> Any:
        def emit(context: Any, builder: Any, _: Any, arguments: Any) -> None:
            _, dst, rows, k, count, floor = arguments

            def write(v: _Vectors, index: Any) -> None:
                low = v.splat(floor)
                join = v.larger if largest else builder.fadd
                total = v.variable(v.larger(v.load(v.at(v.word(rows, v.integer(0)), index)), low))
                with _steps(builder, v.integer(1), k, 1) as (row, _):
                    value = v.larger(v.load(v.at(v.word(rows, row), index)), low)
                    builder.store(join(builder.load(total), value), total)
                v.store(builder.load(total), v.at(dst, index))

            _in_blocks(context, builder, unit, count, write)

        return types.void(unit, dst, rows, k, count, floor), emit

    return intrinsic(typed)


def _emit_horizontal(largest: bool) -> Any:
    """Write one output column: the sum of `k` columns, `step` elements apart, times `factor`; or their largest."""

    def typed(_context: Any, unit: Any, dst: Any, src: Any, k: Any, step: Any, n: Any, factor: Any) -> Any:
        def emit(context: Any, builder: Any, _: Any, arguments: Any) -> None:
            _, dst, src, k, step, n, factor = arguments

            def write(v: _Vectors, lane: Any) -> None:
                join = v.larger if largest else builder.fadd
                total = v.variable(v.load(v.at(src, lane)))
                with _steps(builder, v.integer(1), k, 1) as (tap, _):
                    value = v.load(v.at(src, builder.add(builder.mul(tap, step), lane)))
                    builder.store(join(builder.load(total), value), total)
                value = builder.load(total)
                v.store(value if largest else builder.fmul(value, v.splat(factor)), v.at(dst, lane))

            _in_blocks(context, builder, unit, n, write)

        return types.void(unit, dst, src, k, step, n, factor), emit

    return intrinsic(typed)


def _emit_moments(_context: Any, unit: Any, row: Any, width: Any, n: Any, floor: Any, pilot: Any, sums: Any) -> Any:
    """Add to `sums`, float64, of shape (2, n), the sums of d and d * d over a row, where d = max(x, floor) - pilot."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> None:
        _, row, width, n, floor, pilot, sums = arguments

        def write(v: _Vectors, lane: Any) -> None:
            low, middle = v.splat(floor), v.splat(pilot)
            totals = [v.variable(ir.Constant(v.kind, None)) for _ in range(2)]
            with _steps(builder, v.integer(0), width, 1) as (x, _):
                value = v.larger(v.load(v.at(row, builder.add(builder.mul(x, n), lane))), low)
                value = builder.fsub(value, middle)
                builder.store(builder.fadd(builder.load(totals[0]), value), totals[0])
                builder.store(v.fma(value, value, builder.load(totals[1])), totals[1])
            for k, total in enumerate(totals):
                index = builder.add(builder.mul(n, v.integer(k)), lane)
                place = builder.inttoptr(builder.add(sums, builder.mul(index, v.integer(8))), v.double.as_pointer())
                value = builder.load(total)
                value = builder.fpext(value, v.double) if v.size == 4 else value
                builder.store(builder.fadd(builder.load(place, align=8), value), place, align=8)

        _in_blocks(context, builder, unit, n, write)

    return types.void(unit, row, width, n, floor, pilot, sums), emit


def _emit_clamp(_context: Any, unit: Any, dst: Any, src: Any, count: Any, factor: Any, ceiling: Any) -> Any:
    """Write min(max(factor * x, 0), ceiling)."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> None:
        _, dst, src, count, factor, ceiling = arguments

        def write(v: _Vectors, index: Any) -> None:
            value = builder.fmul(v.load(v.at(src, index)), v.splat(factor))
            v.store(v.smaller(v.larger(value, ir.Constant(v.kind, None)), v.splat(ceiling)), v.at(dst, index))

        _in_blocks(context, builder, unit, count, write)

    return types.void(unit, dst, src, count, factor, ceiling), emit


def _emit_extremes(_context: Any, unit: Any, row: Any, width: Any, n: Any, largest: Any) -> Any:
    """Raise `largest`, of n numbers, to the magnitudes of a row."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> None:
        _, row, width, n, largest = arguments

        def write(v: _Vectors, lane: Any) -> None:
            most = v.variable(v.load(v.at(largest, lane)))
            with _steps(builder, v.integer(0), width, 1) as (x, _):
                value = v.load(v.at(row, builder.add(builder.mul(x, n), lane)))
                value = v.larger(value, builder.fsub(ir.Constant(v.kind, None), value))
                builder.store(v.larger(value, builder.load(most)), most)
            v.store(builder.load(most), v.at(largest, lane))

        _in_blocks(context, builder, unit, n, write)

    return types.void(unit, row, width, n, largest), emit


def _emit_fill(_context: Any, unit: Any, dst: Any, count: Any, number: Any) -> Any:
    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> None:
        _, dst, count, number = arguments
        _in_blocks(context, builder, unit, count, lambda v, index: v.store(v.splat(number), v.at(dst, index)))

    return types.void(unit, dst, count, number), emit


def _emit_read(_context: Any, unit: Any, src: Any) -> Any:
    """The number at an address."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[1], context.get_data_type(unit).as_pointer()))

    return unit(unit, src), emit


def _emit_itemsize(_context: Any, unit: Any) -> Any:
    return types.intp(unit), lambda _context, _builder, _signature, _: ir.Constant(ir.IntType(64), unit.bitwidth // 8)


def _emit_address(_context: Any, array: Any) -> Any:
    """Where the elements of an array begin."""

    def emit(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        data = context.make_array(array)(context, builder, arguments[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), emit


_moments: Any = intrinsic(_emit_moments)
_extremes: Any = intrinsic(_emit_extremes)
_clamp: Any = intrinsic(_emit_clamp)
_fill: Any = intrinsic(_emit_fill)
_read: Any = intrinsic(_emit_read)
_itemsize: Any = intrinsic(_emit_itemsize)
_address: Any = intrinsic(_emit_address)
_terms, _terms_relu, _terms_clip = _emit_terms(False, False), _emit_terms(True, False), _emit_terms(True, True)
_box3, _box3_relu, _max3 = _emit_row3(False, False), _emit_row3(True, False), _emit_row3(False, True)
_rows_sum, _rows_max = _emit_vertical(False), _emit_vertical(True)
_columns_sum, _columns_max = _emit_horizontal(False), _emit_horizontal(True)


# Rows -----------------------------------------------------------------------------------------------------------------


@_leaf
def _inside(at: int, size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many taps of the window of output position `at` are inside."""
    count = 0
    for k in range(kernel):
        position = at * stride - padding + k * dilation
        count += 1 if 0 <= position < size else 0
    return count


@_leaf
def _window_row(
    unit: Any,
    dst: int,
    record: Array,
    rows: Array,
    n_rows: int,
    width: int,
    n: int,
    relu: bool,
    factor: float,
    column: int,
    empty: int,
) -> None:
    """One output row of a window operation.

    `rows` are the addresses of the `n_rows` rows inside, `column` that of a row of scratch, `empty` that of zeros.
    """
    dtype = type(unit)
    kind, columns, stride, padding, dilation, out = record[0], record[8], record[10], record[12], record[14], record[16]
    floor = dtype(0.0) if relu else dtype(-np.inf)
    largest = kind == MAX_POOL
    if _is_3x3(record) and width > 1:
        a, b, c = rows[0], rows[1] if n_rows > 1 else rows[0], rows[2] if n_rows > 2 else rows[0]
        if largest:
            _max3(unit, dst, a, b, c, width, n, dtype(1.0), dtype(1.0))
            return
        b = b if n_rows > 1 else empty
        c = c if n_rows > 2 else empty
        inner, edge = dtype(factor), dtype(factor)
        if kind == AVG_POOL:
            inner, edge = dtype(1.0 / (3 * n_rows)), dtype(1.0 / (2 * n_rows))
        if relu:
            _box3_relu(unit, dst, a, b, c, width, n, inner, edge)
        else:
            _box3(unit, dst, a, b, c, width, n, inner, edge)
        return
    size = n * _itemsize(unit)
    left = max(padding, 0)
    right = max((out - 1) * stride + (columns - 1) * dilation - padding + 1 - width, 0)
    outside = dtype(-np.inf) if largest else dtype(0.0)
    _fill(unit, column, left * n, outside)
    _fill(unit, column + (left + width) * size, right * n, outside)
    if largest:
        _rows_max(unit, column + left * size, _address(rows), n_rows, width * n, floor)
    else:
        _rows_sum(unit, column + left * size, _address(rows), n_rows, width * n, floor)
    for x in range(out):
        src = column + (left + x * stride - padding) * size
        if largest:
            _columns_max(unit, dst + x * size, src, columns, dilation * n, n, dtype(1.0))
        else:
            if kind == AVG_POOL:
                factor = 1.0 / (n_rows * _inside(x, width, columns, stride, padding, dilation))
            _columns_sum(unit, dst + x * size, src, columns, dilation * n, n, dtype(factor))


@_leaf
def _is_3x3(record: Array) -> bool:
    """Whether a window is 3x3 at stride 1, padding 1 and dilation 1."""
    plain = record[7] == 3 and record[8] == 3
    for k in range(9, 15):
        plain = plain and record[k] == 1
    return bool(plain)


# Bounds, exponents and factors ----------------------------------------------------------------------------------------


@_leaf
def _power(mantissa: float, exponent: int) -> float:
    """Mantissa * 2**exponent; what leaves float64's range becomes 0 or infinity."""
    return math.ldexp(mantissa, min(max(exponent, -4000), 4000))


@_leaf
def _ceiling(bound: float) -> int:
    """The exponent of a plane, from the logarithm of a bound of its values."""
    return 0 if bound == -np.inf else math.ceil(bound)


@_leaf
def _normal(variance: float, log_scale: float) -> float:
    """The logarithm of the factor that batch norm multiplies stored values by, which stand for 2**log_scale times more.

    Their mean deviation becomes 1: 1 / sqrt(variance + EPS * 2**(-2 * log_scale)).
    """
    least = 0.5 * math.log2(EPS) - log_scale  # of the root of what eps adds
    if least > 0.0:
        return -least - 0.5 * math.log2(variance * 2.0 ** (-2.0 * least) + 1.0)
    return -0.5 * math.log2(variance + 2.0 ** (2.0 * least))


@_leaf
def _normed(norm: int, live: Array) -> bool:
    return norm >= 0 and live[norm]


@_leaf
def _foresee(
    words: Array,
    pc: int,
    relu: bool,
    live: Array,
    gain: float,
    gain_exponent: int,
    mean_filters: bool,
    factors: Array,
    exponents: Array,
    mantissas: Array,
    bounds: Array,
    worn: Array,
    norms: Array,
    places: Array,
    floors: Array,
) -> bool:
    """Choose exponents for what one sweep writes, and the factors of its records, which go to their place in `factors`.

    A sum of one term that is not normalised is never computed: its plane is a view of the other, whose mantissa it
    takes along and, in `floors`, whether readers rectify it. `factors` says at the sweep whether there is one.
    Returns whether something later has to know of all images first what this sweep finds.
    """
    plane, n_terms, n_windows, n_statistics = words[pc + 2], words[pc + 3], words[pc + 4], words[pc + 5]
    waits = False
    view = n_terms == 1 and not _normed(words[pc + SWEEP_WORDS + 4], live)
    factors[pc] = 1.0 if view else 0.0
    pc += SWEEP_WORDS
    first = pc
    if n_terms > 0:
        most, wear = -np.inf, 0.0
        for _ in range(n_terms):
            src, fan_in, multiplicity, norm = words[pc], words[pc + 2], words[pc + 3], words[pc + 4]
            count = words[pc + 6]
            weight = gain * multiplicity / (fan_in if mean_filters else 1) if fan_in > 0 else 1.0
            shift = gain_exponent if fan_in > 0 else 0
            log = math.log2(weight) + shift
            if _normed(norm, live):
                to_stored = math.log2(mantissas[src]) + exponents[src]
                scale = _normal(norms[norm, 1], log + to_stored) if norms[norm, 1] > 0.0 else -np.inf
                bound = min(0.5 * math.log2(norms[norm, 2]), bounds[src] - to_stored + 1.0 + scale)
                if scale > -np.inf:  # how large normalised values are is known
                    wear = max(wear, bound - scale - 0.5 * math.log2(norms[norm, 1]))
                bound += math.log2(count)
                factors[pc + 1] = scale
            else:
                bound = bounds[src] + log + math.log2(count)
                wear = max(wear, worn[src])
            factors[pc] = bound
            most = max(most, bound)
            pc += TERM_WORDS
        total = 0.0
        if most > -np.inf:
            for t in range(n_terms):
                total += 2.0 ** (factors[first + t * TERM_WORDS] - most)
            most += math.log2(total)
        bounds[plane], worn[plane], exponents[plane], mantissas[plane] = most, wear, _ceiling(most), 1.0
        floors[plane] = False
        pc = first
        for _ in range(n_terms):
            src, rectified, fan_in, multiplicity = words[pc], words[pc + 1], words[pc + 2], words[pc + 3]
            norm, after, count = words[pc + 4], words[pc + 5], words[pc + 6]
            weight = gain * multiplicity / (fan_in if mean_filters else 1) if fan_in > 0 else 1.0
            shift = gain_exponent if fan_in > 0 else 0
            b = 0.0
            if _normed(norm, live):
                a = count * 2.0 ** (factors[pc + 1] - exponents[plane])
                b = -norms[norm, 0] * a
            else:
                a = _power(count * weight * mantissas[src], shift + exponents[src] - exponents[plane])
            if view:
                mantissas[plane], shift = math.frexp(count * weight * mantissas[src])
                exponents[plane] = exponents[src] + (gain_exponent if fan_in > 0 else 0) + shift
                places[plane], floors[plane] = places[src], floors[src] or (relu and (rectified != 0 or after != 0))
            factors[pc] = 0.0 if floors[src] or (relu and rectified) else -np.inf
            factors[pc + 1], factors[pc + 2] = a, b
            factors[pc + 3] = 0.0 if relu and after else -np.inf
            pc += TERM_WORDS
    bound, exponent, mantissa, wear = bounds[plane], exponents[plane], mantissas[plane], worn[plane]
    for _ in range(n_windows):
        kind, out, fan_in, multiplicity = words[pc], words[pc + 1], words[pc + 3], words[pc + 4]
        norm, inside = words[pc + 5], words[pc + 6]
        bounds[out], exponents[out], mantissas[out], worn[out] = bound, exponent, mantissa, wear
        floors[out] = kind == MAX_POOL and floors[plane]  # the largest of rectified values is the largest, rectified
        if kind == CONV:
            weight = gain * multiplicity / (fan_in if mean_filters else 1) * mantissa
            bounds[out] = bound + math.log2(weight * inside / mantissa) + gain_exponent
            exponents[out], mantissas[out] = _ceiling(bounds[out]), 1.0
            factors[pc] = _power(weight, gain_exponent + exponent - exponents[out])
            # A small map loses up to a bit to its borders, a large one next to nothing.
            worn[out] = wear + (1.0 if min(words[pc + 15], words[pc + 16]) <= 8 else 0.25)
        elif kind == RELU6:
            bounds[out] = min(bound, math.log2(6.0)) if relu else bound
            exponents[out], mantissas[out] = _ceiling(bounds[out]), 1.0
            factors[pc] = _power(mantissa, min(exponent - exponents[out], 100))
            factors[pc + 1] = _power(6.0, -exponents[out]) if relu else np.inf
        else:
            factors[pc] = 1.0 / (words[pc + 7] * words[pc + 8]) if kind == AVG_POOL_PADDED else 1.0
        waits = waits or _normed(norm, live) or worn[out] > _WORN
        pc += WINDOW_WORDS
    for _ in range(n_statistics):
        waits = waits or live[words[pc]]
        pc += STATISTIC_WORDS
    return waits


# The program ----------------------------------------------------------------------------------------------------------


@_leaf
def _table(pc: int, n_terms: int, factors: Array, table: Array) -> int:
    """Write down floor, a, b, after of a sweep's terms; returns which kind of terms they are.

    0: sums of products, 1: with floors before, 2: with floors after too. The first b stands for all where it can.
    """
    kind = 0
    for t in range(n_terms):
        at = pc + t * TERM_WORDS
        if factors[at + 3] > -np.inf:
            kind = 2
        elif factors[at] > -np.inf:
            kind = max(kind, 1)
        for k in range(4):
            table[t, k] = factors[at + k]
        if abs(factors[at + 1]) < 2.0**-100:  # nothing beside the others; numbers near underflow are slow
            table[t, 1] = 0.0
    if kind < 2:
        for t in range(1, n_terms):
            table[0, 2] += table[t, 2]
    return kind


@_leaf
def _pilot(unit: Any, row: int, width: int, n: int, real: int, floor: Any, sums: Array) -> Any:
    """The mean of a row, to be taken off before squaring: what is left of squares is then not rounded away."""
    first = _read(unit, row)
    first = floor if first < floor else first
    sums[:] = 0.0
    _moments(unit, row, width, n, floor, first, _address(sums))
    total = 0.0
    for lane in range(real):
        total += sums[lane]
    sums[:] = 0.0
    return type(unit)(first + total / (width * real))


@_leaf
def _moments_of(
    unit: Any, row: int, width: int, n: int, real: int, floor: Any, first: bool, sums: Array, total: Array
) -> None:
    """Add a row to `sums`; `total` is pilot, sum, sum of squares of one statistic."""
    if first:
        total[0] = _pilot(unit, row, width, n, real, floor, sums)
    _moments(unit, row, width, n, floor, type(unit)(total[0]), _address(sums))


@_leaf
def _reduce(sums: Array, n: int, real: int, total: Array) -> None:
    for lane in range(real):
        total[1] += sums[lane]
        total[2] += sums[n + lane]


@_leaf
def _sweep(
    unit: Any,
    words: Array,
    pc: int,
    block: int,
    n: int,
    real: int,
    relu: bool,
    live: Array,
    factors: Array,
    places: Array,
    floors: Array,
    scratch: Array,
    rows: Array,
    table: Array,
    sums: Array,
    totals: Array,
    ready: Array,
    response: Array,
) -> int:
    """Run one sweep on one block of images; returns where the next one begins.

    `scratch` are the addresses of a ring of rows, of a row with room at both sides, and of a row of zeros.
    """
    dtype = type(unit)
    none = dtype(-np.inf)
    height, width, plane, n_terms = words[pc], words[pc + 1], words[pc + 2], words[pc + 3]
    n_windows, n_statistics, mean = words[pc + 4], words[pc + 5], words[pc + 6]
    terms = pc + SWEEP_WORDS
    windows = terms + n_terms * TERM_WORDS
    statistics = windows + n_windows * WINDOW_WORDS
    end = statistics + n_statistics * STATISTIC_WORDS
    length = width * n
    size = length * _itemsize(unit)
    view = factors[pc] > 0.0
    own = False  # whether everything that reads the sweep rectifies it
    base, ring = scratch[0], 1
    if view:
        own = floors[words[terms]] or (relu and (words[terms + 1] != 0 or words[terms + 5] != 0))
        base, ring = places[words[terms]] + block * height * size, height
    elif plane >= 0:
        own = floors[plane]
        base, ring = places[plane] + block * height * size, height
    for k in range(n_windows):
        at = windows + k * WINDOW_WORDS
        ready[k] = 0
        if plane < 0 and not view:
            ring = max(ring, (words[at + 7] - 1) * words[at + 13] + 1)
        sums[k] = 0.0
    for k in range(n_windows, n_windows + n_statistics + 1):
        sums[k] = 0.0
    kind = _table(terms, n_terms, factors, table)
    n_summed = 0 if view else n_terms
    sources, taps = rows[0], rows[1]

    for y in range(height):
        row = base + y % ring * size
        for t in range(n_summed):
            sources[t] = places[words[terms + t * TERM_WORDS]] + (block * height + y) * size
        if n_summed > 0:
            if kind == 0:
                _terms(unit, row, length, n_terms, _address(sources), _address(table))
            elif kind == 1:
                _terms_relu(unit, row, length, n_terms, _address(sources), _address(table))
            else:
                _terms_clip(unit, row, length, n_terms, _address(sources), _address(table))
        for k in range(n_statistics):
            at = statistics + k * STATISTIC_WORDS
            slot = words[at]
            if live[slot]:
                floor = dtype(0.0) if own or (relu and words[at + 1]) else none
                first = y == 0 and block == 0
                _moments_of(unit, row, width, n, real, floor, first, sums[n_windows + k], totals[slot])
        for k in range(n_windows):
            at = windows + k * WINDOW_WORDS
            record = words[at : at + WINDOW_WORDS]
            out_size = record[16] * n * _itemsize(unit)
            slot = record[5]
            while ready[k] < record[15]:
                first_row = ready[k] * record[9] - record[11]
                last_row = min(first_row + (record[7] - 1) * record[13], height - 1)
                if last_row > y:
                    break
                n_rows = np.int64(0)
                for i in range(record[7]):
                    position = first_row + i * record[13]
                    if 0 <= position < height:
                        taps[n_rows] = base + position % ring * size
                        n_rows += 1
                dst = places[record[1]] + (block * record[15] + ready[k]) * out_size
                if record[0] == RELU6:
                    ceiling = dtype(factors[at + 1])
                    if relu:
                        _clamp(unit, dst, row, length, dtype(factors[at]), ceiling)
                    else:
                        _columns_sum(unit, dst, row, 1, 0, length, dtype(factors[at]))
                else:
                    rectified = record[0] != MAX_POOL and (own or (relu and record[2] != 0))
                    _window_row(
                        unit, dst, record, taps, n_rows, width, n, rectified, factors[at], scratch[1], scratch[2]
                    )
                if slot >= 0 and live[slot]:
                    first = ready[k] == 0 and block == 0
                    _moments_of(unit, dst, record[16], n, real, none, first, sums[k], totals[slot])
                ready[k] += 1
        if mean >= 0:
            floor = dtype(0.0) if own else none
            _moments(unit, row, width, n, floor, dtype(0.0), _address(sums[n_windows + n_statistics]))

    for k in range(n_statistics):
        slot = words[statistics + k * STATISTIC_WORDS]
        if live[slot]:
            _reduce(sums[n_windows + k], n, real, totals[slot])
    for k in range(n_windows):
        slot = words[windows + k * WINDOW_WORDS + 5]
        if slot >= 0 and live[slot]:
            _reduce(sums[k], n, real, totals[slot])
    if mean >= 0:
        for lane in range(n):
            response[mean, block * n + lane] = sums[n_windows + n_statistics, lane] / (height * width)
    return int(end)


@_leaf
def _conclude(
    unit: Any,
    words: Array,
    pc: int,
    blocks: int,
    n: int,
    images: int,
    live: Array,
    places: Array,
    scratch: Array,
    totals: Array,
    norms: Array,
    exponents: Array,
    mantissas: Array,
    bounds: Array,
    worn: Array,
) -> None:
    """After all images: from sums to means and variances; and planes that may be worn are measured."""
    height, width, n_terms = words[pc], words[pc + 1], words[pc + 3]
    n_windows, n_statistics = words[pc + 4], words[pc + 5]
    at = pc + SWEEP_WORDS + n_terms * TERM_WORDS
    for _ in range(n_windows):
        plane, slot, rows, columns = words[at + 1], words[at + 5], words[at + 15], words[at + 16]
        if slot >= 0 and live[slot]:
            _set_norm(totals[slot], rows * columns * images, norms[slot])
        if worn[plane] > _WORN:
            row = scratch[1]
            _fill(unit, row, n, type(unit)(0.0))
            _extremes(unit, places[plane], blocks * rows * columns, n, row)
            most = 0.0
            for lane in range(n):
                most = max(most, float(_read(unit, row + lane * _itemsize(unit))))
            bounds[plane] = math.log2(most * mantissas[plane]) + exponents[plane] if most > 0.0 else -np.inf
            worn[plane] = 0.0
        at += WINDOW_WORDS
    for _ in range(n_statistics):
        if live[words[at]]:
            _set_norm(totals[words[at]], height * width * images, norms[words[at]])
        at += STATISTIC_WORDS


@_leaf
def _set_norm(total: Array, count: int, norm: Array) -> None:
    mean = total[1] / count
    norm[0], norm[1], norm[2] = total[0] + mean, max(total[2] / count - mean * mean, 0.0), count
    total[:] = 0.0


@_jit
def run(
    unit: Any,
    words: Array,
    addresses: Array,
    scratch: Array,
    most_terms: int,
    most_records: int,
    most_rows: int,
    blocks: int,
    n: int,
    images: int,
    switches: Array,
    gains: Array,
    given: Array,
    given_norms: Array,
    live: Array,
    response: Array,
    scales: Array,
) -> None:
    """Run a network in several modes, one after the other.

    Args:
        unit: a number of the dtype of the planes.
        words: the program.
        addresses: where each plane begins, those given first; and a last one for sums that are not stored.
        scratch: the addresses of a ring of rows, of a row with room at both sides, and of a row of zeros.
        most_terms: of a sweep.
        most_records: windows and statistics of a sweep.
        most_rows: that a window reaches over.
        blocks: of images.
        n: images of a block, a multiple of LANES; what is behind the last image is a copy of it.
        images: how many are real.
        switches: for each mode, whether rectifiers are on and whether weights are divided by their number.
        gains: for each mode, mantissa and exponent.
        given: for each given plane exponent, logarithm of a bound, and the fan-in of the weights it is without, or 0.
        given_norms: for each norm mean, variance and count of what it normalises, where that is a given plane.
        live: for each mode and norm, whether it is on.
        response: filled: for each mode and mean, a number for each image ...
        scales: ... times 2 to this power, times this number.
    """
    n_planes = addresses.size
    factors = np.empty(words.size)
    exponents, mantissas = np.zeros(n_planes, np.int64), np.ones(n_planes)
    bounds, worn = np.empty(n_planes), np.empty(n_planes)
    places, floors = addresses.copy(), np.zeros(n_planes, np.bool_)
    table = np.empty((most_terms, 4), np.dtype(type(unit)))
    rows = np.empty((2, max(most_rows, most_terms)), np.int64)
    sums = np.empty((most_records + 1, 2 * n))
    totals = np.zeros((live.shape[1], 3))
    ready = np.empty(most_records, np.int64)
    for mode in range(live.shape[0]):
        relu, mean_filters = switches[mode, 0], switches[mode, 1]
        gain, gain_exponent = gains[mode, 0], int(gains[mode, 1])
        norms = given_norms.copy()
        places[:] = addresses
        floors[:] = False
        worn[:] = 0.0
        mantissas[:] = 1.0
        for k in range(len(given)):
            exponents[k], bounds[k] = int(given[k, 0]), given[k, 1]
            if given[k, 2] > 0.0:
                mantissas[k] = gain / (given[k, 2] if mean_filters else 1.0)
                exponents[k] += gain_exponent
                bounds[k] += math.log2(mantissas[k]) + gain_exponent
        pc = start = np.int64(0)  # of a type, not the number 0, which would be a type of its own
        while pc < words.size:
            waits = _foresee(
                words,
                pc,
                relu,
                live[mode],
                gain,
                gain_exponent,
                mean_filters,
                factors,
                exponents,
                mantissas,
                bounds,
                worn,
                norms,
                places,
                floors,
            )
            plane, n_terms, n_windows = words[pc + 2], words[pc + 3], words[pc + 4]
            n_statistics, mean = words[pc + 5], words[pc + 6]
            if mean >= 0:
                scales[mode, mean, 0], scales[mode, mean, 1] = exponents[plane], mantissas[plane]
            last = pc
            pc += SWEEP_WORDS + n_terms * TERM_WORDS + n_windows * WINDOW_WORDS + n_statistics * STATISTIC_WORDS
            if not waits and pc < words.size:
                continue
            for block in range(blocks):
                at = start
                while at < pc:
                    at = _sweep(
                        unit,
                        words,
                        at,
                        block,
                        n,
                        min(n, images - block * n),
                        relu,
                        live[mode],
                        factors,
                        places,
                        floors,
                        scratch,
                        rows,
                        table,
                        sums,
                        totals,
                        ready,
                        response[mode],
                    )
            _conclude(
                unit,
                words,
                last,
                blocks,
                n,
                images,
                live[mode],
                places,
                scratch,
                totals,
                norms,
                exponents,
                mantissas,
                bounds,
                worn,
            )
            start = pc
