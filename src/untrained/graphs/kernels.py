"""Compiled loops of the width-1 evaluation: one call runs one whole network at one constant.

Planes are stored as (height, width, images) with the images innermost: every loop runs over contiguous images, so
that borders never break the vectors. Nothing here may use fast-math or flush-to-zero: which scores are undefined
depends on float32 underflow, and sums run in one fixed order, so that equal inputs give equal bits everywhere.

The program is a flat list of integers, written by `untrained.graphs.lowering` and read here front to back as *sweeps*.
One sweep computes a plane row by row as a sum of terms and, while its rows are in cache, everything that reads it:
window operations (convolutions and pools), batch-norm statistics of point-wise functions of it, and its mean.

Cuts. Where all images are flat, borders are all that tells pixels apart: out of their reach, rows are equal to the
last bit, and so are columns. Along each axis a plane has the *cut* (first, extra): position `first` is stored once and
stands for `extra` more that follow it. A window operation on a cut plane is the same operation on a smaller plane.

All of it is one file, because the compiler's cache on disk is renewed only when the file of `run` changes.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

# Words of one record in the program; lowering.py writes them in this order. A plane of -1 is the scratch plane.
HEAD_WORDS = 3  # input channels, height, width
# sweep: height, width, plane, n_terms, n_windows, n_statistics, mean (-1: none)
SWEEP_WORDS = 7
# term: plane, rectified before (0 | 1), weighted (0 | 1), multiplicity, norm (-1: none), rectified after, count
TERM_WORDS = 7
# window: kind, plane, rectified, multiplicity, norm, then vertical, horizontal: kernel, stride, padding, dilation, out
WINDOW_WORDS = 15
STATISTIC_WORDS = 4  # norm, rectified, weighted, multiplicity

_SMALL = 1e-30  # planes below it get an exact bound, since they may be about to underflow

CONV, AVG_POOL, AVG_POOL_PADDED, MAX_POOL, STEM, RELU6 = 0, 1, 2, 3, 4, 5

Array = NDArray[Any]
_options: Any = {"cache": True, "nogil": True, "error_model": "numpy"}
_jit = numba.njit(**_options)
# Without reference counts, for functions that allocate nothing: a slice costs two locked increments otherwise.
_leaf = numba.njit(**{**_options, "_nrt": False})


def _emit_fma(_context: Any, a: Any, _b: Any, _c: Any) -> Any:
    def emit(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return a(a, a, a), emit


def _arrays(context: Any, builder: Any, signature: Any, arguments: Any, count: int) -> list[Any]:
    pairs = zip(signature.args[:count], arguments[:count], strict=True)
    return [context.make_array(kind)(context, builder, argument) for kind, argument in pairs]


def _pointer(builder: Any, array: Any, index: Any, vector: Any) -> Any:
    return builder.bitcast(builder.gep(array.data, [index]), vector.as_pointer())


def _emit_sums(lanes: int) -> Any:
    """Add the `times`-fold values and squares of `lanes` images at a time to `sums` and `squares` from `at` on.

    Written in vectors so that the sums stay in registers over a whole row; no order of additions is changed.
    """

    def typed(_context: Any, row: Any, sums: Any, squares: Any, at: Any, first: Any, times: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
            values, *results = _arrays(context, builder, signature, arguments, 3)
            begin, first, times = arguments[3:]
            size = row.dtype.bitwidth // 8
            narrow = ir.VectorType(context.get_data_type(row.dtype), lanes)
            double = ir.VectorType(ir.DoubleType(), lanes)
            places = [_pointer(builder, array, begin, double) for array in results]
            totals = [cgutils.alloca_once_value(builder, builder.load(place, align=8)) for place in places]
            images = builder.extract_value(results[0].shape, 0)
            columns = builder.udiv(builder.extract_value(values.shape, 0), images)
            with cgutils.for_range(builder, columns) as column:
                index = builder.add(builder.mul(column.index, images), begin)
                value = builder.load(_pointer(builder, values, index, narrow), align=size)
                value = builder.fpext(value, double) if size == 4 else value
                square = builder.fmul(value, value)
                repeats = builder.select(builder.icmp_signed("==", column.index, first), times, times.type(1))
                with cgutils.for_range(builder, repeats):
                    for total, summand in zip(totals, (value, square), strict=True):
                        builder.store(builder.fadd(builder.load(total), summand), total)
            for place, total in zip(places, totals, strict=True):
                builder.store(builder.load(total), place, align=8)

        return types.void(row, sums, squares, at, first, times), emit

    return intrinsic(typed)


def _emit_mean9(lanes: int) -> Any:
    """Mean of 3x3 windows at `lanes` positions: columns x, y, z of rows a, b, c, all nine loaded before one is stored.

    Added up in reading order and divided, as torch does: rounding of flat images adds up. Left to LLVM, such a loop is
    scalar, since it gives up proving that ten arrays do not overlap.
    """

    def typed(_context: Any, dst: Any, a: Any, b: Any, c: Any, at: Any, x: Any, y: Any, z: Any, count: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> None:
            result, *rows = _arrays(context, builder, signature, arguments, 4)
            at, *columns, count = arguments[4:]
            size = dst.dtype.bitwidth // 8
            vector = ir.VectorType(context.get_data_type(dst.dtype), lanes)
            starts = [_pointer(builder, row, builder.add(at, column), vector) for row in rows for column in columns]
            total, *values = [builder.load(start, align=size) for start in starts]
            for value in values:
                total = builder.fadd(total, value)
            divisor = ir.Constant(vector, ir.Undefined)
            for lane in range(lanes):
                divisor = builder.insert_element(divisor, count, ir.Constant(ir.IntType(32), lane))
            builder.store(builder.fdiv(total, divisor), _pointer(builder, result, at, vector), align=size)

        return types.void(dst, a, b, c, at, x, y, z, count), emit

    return intrinsic(typed)


_fma: Any = intrinsic(_emit_fma)  # a * b + c rounded once, as in torch's convolutions and norms, on every machine
_mean9_32, _mean9_1 = _emit_mean9(32), _emit_mean9(1)
_sums32, _sums8, _sums1 = _emit_sums(32), _emit_sums(8), _emit_sums(1)


# Point-wise loops. Factors of one are left out: multiplying a subnormal number costs a hundred times a normal one. ----


@_leaf
def _fill(dst: Array, value: Any) -> None:
    """A loop: assigning to a slice would compile the text of its error message, for seconds."""
    for i in range(dst.size):
        dst[i] = value


@_leaf
def _copy(dst: Array, src: Array) -> None:
    for i in range(dst.size):
        dst[i] = src[i]


@_leaf
def _add(dst: Array, src: Array) -> None:
    for i in range(dst.size):
        dst[i] += src[i]


@_leaf
def _add_times(dst: Array, src: Array, count: Any) -> None:
    for i in range(dst.size):
        dst[i] += count * src[i]


@_leaf
def _times(dst: Array, count: Any) -> None:
    for i in range(dst.size):
        dst[i] = count * dst[i]


@_leaf
def _scale(dst: Array, src: Array, floor: Any, weight: Any, multiplicity: Any) -> None:
    for i in range(dst.size):
        dst[i] = multiplicity * (weight * (floor if src[i] < floor else src[i]))


@_leaf
def _copy_norm(dst: Array, src: Array, scale: Any, shift: Any, floor_after: Any) -> None:
    for i in range(dst.size):
        t = _fma(src[i], scale, shift)
        dst[i] = floor_after if t < floor_after else t


@_leaf
def _add_norm(dst: Array, src: Array, scale: Any, shift: Any, floor_after: Any) -> None:
    for i in range(dst.size):
        t = _fma(src[i], scale, shift)
        dst[i] += floor_after if t < floor_after else t


@_leaf
def _copy_scaled_norm(
    dst: Array, src: Array, floor: Any, weight: Any, multiplicity: Any, scale: Any, shift: Any, floor_after: Any
) -> None:
    """Scale * (multiplicity * (weight * max(value, floor))) + shift, at least floor_after; NaN stays NaN."""
    for i in range(dst.size):
        t = floor if src[i] < floor else src[i]
        t = _fma(multiplicity * (weight * t), scale, shift)
        dst[i] = floor_after if t < floor_after else t


@_leaf
def _add_scaled_norm(
    dst: Array, src: Array, floor: Any, weight: Any, multiplicity: Any, scale: Any, shift: Any, floor_after: Any
) -> None:
    for i in range(dst.size):
        t = floor if src[i] < floor else src[i]
        t = _fma(multiplicity * (weight * t), scale, shift)
        dst[i] += floor_after if t < floor_after else t


@_leaf
def _rectify(dst: Array) -> None:
    zero = dst.dtype.type(0.0)
    for i in range(dst.size):
        dst[i] = zero if dst[i] < zero else dst[i]


@_leaf
def _channels(dst: Array, src: Array, floor: Any, weight: Any, channels: int) -> None:
    """The sum over `channels` equal channels of weight * max(src, floor), added up one by one as torch does."""
    for i in range(dst.size):
        dst[i] = weight * (floor if src[i] < floor else src[i])
    left = channels - 1
    while left >= 5:
        for i in range(dst.size):
            t = floor if src[i] < floor else src[i]
            total = _fma(weight, t, _fma(weight, t, _fma(weight, t, dst[i])))
            dst[i] = _fma(weight, t, _fma(weight, t, total))
        left -= 5
    for _ in range(left):
        _add_rectified(dst, src, floor, weight)


# Windows --------------------------------------------------------------------------------------------------------------


@_leaf
def _rows2(dst: Array, a: Array, b: Array, floor: Any, weight: Any) -> None:
    for i in range(dst.size):
        dst[i] = _fma(weight, floor if b[i] < floor else b[i], weight * (floor if a[i] < floor else a[i]))


@_leaf
def _rows3(dst: Array, a: Array, b: Array, c: Array, floor: Any, weight: Any) -> None:
    for i in range(dst.size):
        t = _fma(weight, floor if b[i] < floor else b[i], weight * (floor if a[i] < floor else a[i]))
        dst[i] = _fma(weight, floor if c[i] < floor else c[i], t)


@_leaf
def _add_rectified(dst: Array, a: Array, floor: Any, weight: Any) -> None:
    for i in range(dst.size):
        dst[i] = _fma(weight, floor if a[i] < floor else a[i], dst[i])


@_leaf
def _larger(dst: Array, a: Array) -> None:
    for i in range(dst.size):
        dst[i] = a[i] if a[i] > dst[i] or a[i] != a[i] else dst[i]  # NaN wins, as in torch


@_leaf
def _clamp(dst: Array, src: Array) -> None:
    low, high = dst.dtype.type(0.0), dst.dtype.type(6.0)
    for i in range(dst.size):
        t = low if src[i] < low else src[i]
        dst[i] = high if t > high else t


@_leaf
def _columns3(dst: Array, a: Array, b: Array, c: Array, multiplicity: Any) -> None:
    for i in range(dst.size):
        dst[i] = multiplicity * (a[i] + b[i] + c[i])


@_leaf
def _add_images(dst: Array, a: Array, b: Array, c: Array, weight: Any) -> None:
    for i in range(dst.size):
        dst[i] = _fma(weight, c[i], _fma(weight, b[i], _fma(weight, a[i], dst[i])))


@_leaf
def _stored(position: int, first: int, extra: int) -> int:
    """Where a position is stored along an axis cut at `first` by `extra`."""
    return position if position <= first else max(first, position - extra)


@_leaf
def _taps(at: int, size: int, first: int, extra: int, record: Array, axis: int, taps: Array) -> int:
    """Where the window of output position `at` reads the input; how many positions are inside it."""
    count = 0
    for k in range(record[5 + axis]):
        position = at * record[7 + axis] - record[9 + axis] + k * record[11 + axis]
        if 0 <= position < size:
            taps[count] = _stored(position, first, extra)
            count += 1
    return count


@_jit
def _runs(outputs: int, size: int, first: int, extra: int, record: Array) -> Array:
    """Output columns in runs (start, length, taps, source of each tap) along which every source moves on by one."""
    runs = np.empty((outputs, 3 + record[6]), np.int64)
    n = 0
    for x in range(outputs):
        run = runs[n]
        run[0], run[1], run[2] = x, 1, _taps(x, size, first, extra, record, 1, run[3:])
        joins = n > 0 and runs[n - 1, 2] == run[2]
        if joins:
            for k in range(run[2]):
                joins = joins and run[3 + k] == runs[n - 1, 3 + k] + runs[n - 1, 1]
        if joins:
            runs[n - 1, 1] += 1
        else:
            n += 1
    return runs[:n]


@_leaf
def _window_row(
    space: Array,
    out: int,
    rows: Array,
    n_rows: int,
    length: int,
    n: int,
    runs: Array,
    record: Array,
    w: Any,
    col: Array,
) -> None:
    """One output row of a convolution or maximum, from rows that begin at `rows`; `col` is their vertical reduction."""
    dtype = space.dtype.type
    floor = dtype(0.0) if record[2] else dtype(-np.inf)
    multiplicity = dtype(record[3])
    r0, r1, r2 = rows[0], rows[1], rows[2]
    if record[0] == MAX_POOL:
        _copy(col, space[r0 : r0 + length])
        for k in range(1, n_rows):
            _larger(col, space[rows[k] : rows[k] + length])
    elif n_rows == 3:
        _rows3(col, space[r0 : r0 + length], space[r1 : r1 + length], space[r2 : r2 + length], floor, w)
    elif n_rows == 2:
        _rows2(col, space[r0 : r0 + length], space[r1 : r1 + length], floor, w)
    else:
        _scale(col, space[r0 : r0 + length], floor, w, dtype(1.0))
        for k in range(1, n_rows):
            _add_rectified(col, space[rows[k] : rows[k] + length], floor, w)
    for run in runs:
        size = run[1] * n
        dst = space[out + run[0] * n : out + run[0] * n + size]
        a = run[3] * n
        if record[0] == MAX_POOL:
            _copy(dst, col[a : a + size])
            for k in range(1, run[2]):
                _larger(dst, col[run[3 + k] * n : run[3 + k] * n + size])
        elif run[2] == 3:
            b, c = run[4] * n, run[5] * n
            _columns3(dst, col[a : a + size], col[b : b + size], col[c : c + size], multiplicity)
        else:
            _copy(dst, col[a : a + size])
            for k in range(1, run[2]):
                _add(dst, col[run[3 + k] * n : run[3 + k] * n + size])
            _times(dst, multiplicity)


@_leaf
def _average_row(space: Array, out: int, rows: Array, n_rows: int, n: int, runs: Array, record: Array) -> None:
    """One output row of an average pool without rectification."""
    for run in runs:
        size = run[1] * n
        dst = space[out + run[0] * n : out + run[0] * n + size]
        elements = n_rows * run[2] if record[0] == AVG_POOL else record[5] * record[6]
        count = space.dtype.type(elements)
        if n_rows == 3 and run[2] == 3:
            a, b, c = space[rows[0] :], space[rows[1] :], space[rows[2] :]
            x, y, z = run[3] * n, run[4] * n, run[5] * n
            vectors = size - size % 32
            for at in range(0, vectors, 32):
                _mean9_32(dst, a, b, c, at, x, y, z, count)
            for at in range(vectors, size):
                _mean9_1(dst, a, b, c, at, x, y, z, count)
            continue
        for i in range(n_rows):
            for k in range(run[2]):
                begin = rows[i] + run[3 + k] * n
                if i == 0 and k == 0:
                    _copy(dst, space[begin : begin + size])
                else:
                    _add(dst, space[begin : begin + size])
        for i in range(size):
            dst[i] /= count


@_leaf
def _stem_row(
    space: Array, out: int, rows: Array, n_rows: int, n: int, runs: Array, planes: Array, channels: int, w: Any
) -> None:
    """One output row of a convolution of the images themselves, tap by tap: rows, columns, channels, as torch does."""
    for run in runs:
        for x in range(run[1]):
            begin = out + (run[0] + x) * n
            dst = space[begin : begin + n]
            _fill(dst, space.dtype.type(0.0))
            for i in range(n_rows):
                for k in range(run[2]):
                    at = rows[i] - planes[0] + (run[3 + k] + x) * n
                    if channels == 3:
                        a, b, c = planes[0] + at, planes[1] + at, planes[2] + at
                        _add_images(dst, space[a : a + n], space[b : b + n], space[c : c + n], w)
                        continue
                    for channel in range(channels):
                        a = planes[channel] + at
                        _add_rectified(dst, space[a : a + n], space.dtype.type(-np.inf), w)


# Batch norm -----------------------------------------------------------------------------------------------------------


@_leaf
def _accumulate(row: Array, first: int, extra: int, sums: Array, squares: Array) -> None:
    """Add a row's values and squares, image by image, in float64, every column as often as it stands for."""
    n = sums.size
    for at in range(0, n - n % 32, 32):
        _sums32(row, sums, squares, at, first, extra + 1)
    for at in range(n - n % 32, n - n % 8, 8):
        _sums8(row, sums, squares, at, first, extra + 1)
    for at in range(n - n % 8, n):
        _sums1(row, sums, squares, at, first, extra + 1)


@_leaf
def _set_norm(
    slot: int, sums: Array, squares: Array, count: int, weight: float, eps: float, scales: Array, shifts: Array
) -> float:
    """Turn a plane's sums into batch norm's scale and shift: weight / sqrt(var + eps), -mean * scale.

    Returns a bound of the plane's values: squares of float32 numbers never underflow in float64, those of float64 do.
    """
    total = 0.0
    total_squares = 0.0
    for b in range(sums.size):
        total += sums[b]
        total_squares += squares[b]
    mean = total / count
    variance = max(total_squares / count - mean * mean, 0.0)
    scale = scales.dtype.type(1.0 / np.sqrt(variance + eps)) * scales.dtype.type(weight)
    scales[slot] = scale
    shifts[slot] = -scales.dtype.type(mean) * scale
    return 1.0001 * np.sqrt(total_squares) if scales.itemsize == 4 else np.inf


@_leaf
def _largest(values: Array) -> float:
    largest = values.dtype.type(0.0)
    for i in range(values.size):
        size = abs(values[i])
        largest = size if size > largest or size != size else largest
    return float(largest)


@_leaf
def _scaled_bound(bound: float, factor: float, times: float, least: float) -> float:
    """A bound of what `times` additions of `factor` times a value give, 0 if every product is rounded to zero.

    `least` is the smallest number above zero: products below half of it are zero, and each rounding may add half of it.
    """
    if bound == 0.0 or factor * bound < 0.5 * least:
        return 0.0
    return 1.01 * times * (factor * bound + least)


@_leaf
def _signed_bounds(
    up: float, down: float, rectified: int, weighted: int, times: int, weight: float, least: float
) -> Any:
    """Bounds above and below zero of a plane that is rectified, then `times` added up with a weight, each if asked."""
    if rectified:
        down = 0.0
    if weighted:
        up, down = _scaled_bound(up, abs(weight), times, least), _scaled_bound(down, abs(weight), times, least)
        if weight < 0.0:
            up, down = down, up
    return up, down


@_jit
def _foresee(
    program: Array, n_planes: int, n_norms: int, extremes: Array, weight: float, eps: float, least: float
) -> Any:
    """What can be said before anything is computed: bounds of all planes and norms, and which of them are needed.

    Variances are at least zero, so that a norm multiplies by at most weight / sqrt(eps). What is bound to be zero needs
    nothing, and neither does what only such planes read. `extremes` are the batch's largest numbers above and below 0.
    """
    up, down = np.zeros(n_planes), np.zeros(n_planes)
    up[: program[0]], down[: program[0]] = extremes[0], extremes[1]
    norms = np.zeros(n_norms)
    steepest = abs(weight) / np.sqrt(eps)
    starts = np.empty(program.size // SWEEP_WORDS + 1, np.int64)
    n_sweeps = 0
    pc = HEAD_WORDS
    while pc < program.size:
        starts[n_sweeps] = pc
        n_sweeps += 1
        plane, n_terms, n_windows, n_statistics = program[pc + 2], program[pc + 3], program[pc + 4], program[pc + 5]
        pc += SWEEP_WORDS
        above, below = (up[plane], down[plane]) if n_terms == 0 else (0.0, 0.0)
        for _ in range(n_terms):
            source, rectified, weighted, times, norm, rectified_after, count = program[pc : pc + TERM_WORDS]
            pc += TERM_WORDS
            if norm >= 0:
                a, b = norms[norm], norms[norm]
            else:
                a, b = _signed_bounds(up[source], down[source], rectified, weighted, times, weight, least)
            if a > 0.0:
                above += 1.01 * (count * a + least)
            if b > 0.0 and not rectified_after:
                below += 1.01 * (count * b + least)
        up[plane], down[plane] = above, below
        for _ in range(n_windows):
            record = program[pc : pc + WINDOW_WORDS]
            pc += WINDOW_WORDS
            weighted = 1 if record[0] == CONV or record[0] == STEM else 0
            times = record[3] * record[5] * record[6]
            a, b = _signed_bounds(above, below, record[2], weighted, times, weight, least)
            up[record[1]], down[record[1]] = a, b
            if record[4] >= 0:
                norms[record[4]] = _scaled_bound(a + b, steepest, 1.0, least)
        for _ in range(n_statistics):
            norm, rectified, weighted, times = program[pc : pc + STATISTIC_WORDS]
            pc += STATISTIC_WORDS
            a, b = _signed_bounds(above, below, rectified, weighted, times, weight, least)
            norms[norm] = _scaled_bound(a + b, steepest, 1.0, least)

    bounds = np.maximum(up, down)
    planes_needed, norms_needed = np.zeros(n_planes, np.bool_), np.zeros(n_norms, np.bool_)
    for k in range(n_sweeps - 1, -1, -1):
        pc = starts[k]
        plane, n_terms, n_windows, n_statistics, mean = program[pc + 2 : pc + SWEEP_WORDS]
        pc += SWEEP_WORDS
        first_term = pc
        pc += n_terms * TERM_WORDS
        needed = mean >= 0 or (n_terms > 0 and plane >= 0 and planes_needed[plane])
        for _ in range(n_windows):
            needed = needed or planes_needed[program[pc + 1]]
            pc += WINDOW_WORDS
        for _ in range(n_statistics):
            needed = needed or norms_needed[program[pc]]
            pc += STATISTIC_WORDS
        if needed and n_terms == 0:
            planes_needed[plane] = True
        for t in range(first_term, first_term + n_terms * TERM_WORDS if needed else first_term, TERM_WORDS):
            source, norm = program[t], program[t + 4]
            if norm >= 0 and norms[norm] > 0.0:
                planes_needed[source] = norms_needed[norm] = True
            elif norm < 0:
                reads = _scaled_bound(bounds[source], abs(weight), 1.0, least) if program[t + 2] else bounds[source]
                planes_needed[source] = planes_needed[source] or reads > 0.0
    return bounds, norms, planes_needed, norms_needed


# The program ----------------------------------------------------------------------------------------------------------


@_leaf
def _add_term(
    row: Array, src: Array, fresh: bool, term: Array, w: Any, scale: Any, shift: Any, temporary: Array
) -> None:
    """Add one term to a row, or write it if it is the first; `temporary` is at least as long as the row."""
    dtype = row.dtype.type
    rectified, weighted, multiplicity, norm, rectified_after, count = term[1:TERM_WORDS]
    one, none, zero = dtype(1.0), dtype(-np.inf), dtype(0.0)
    floor, after = zero if rectified else none, zero if rectified_after else none
    if count == 1 and norm >= 0 and not rectified and not weighted:
        if fresh:
            _copy_norm(row, src, scale, shift, after)
        else:
            _add_norm(row, src, scale, shift, after)
        return
    if count == 1 and norm >= 0 and weighted:
        if fresh:
            _copy_scaled_norm(row, src, floor, w, dtype(multiplicity), scale, shift, after)
        else:
            _add_scaled_norm(row, src, floor, w, dtype(multiplicity), scale, shift, after)
        return
    value = src
    if norm >= 0 or rectified or weighted or rectified_after:
        value = row if fresh else temporary[: row.size]
        if norm >= 0:
            factor = w if weighted else one
            _copy_scaled_norm(value, src, floor, factor, dtype(multiplicity), scale, shift, after)
        elif weighted and not rectified_after:
            _channels(value, src, floor, w, multiplicity)
        elif weighted:
            _copy_scaled_norm(value, src, floor, w, dtype(multiplicity), one, zero, after)
        else:
            _copy(value, src)
            _rectify(value)
    elif fresh:
        _copy(row, src)
    if fresh:
        if count > 1:
            _times(row, dtype(count))
    elif count > 1:
        _add_times(row, value, dtype(count))
    else:
        _add(row, value)


@_jit
def run(
    program: Array,
    offsets: Array,
    n_norms: int,
    flat: bool,
    space: Array,
    n: int,
    extremes: Array,
    weight: float,
    eps: float,
    response: Array,
) -> None:
    """Evaluate a network whose every weight is `weight`; fill `response`, a row per mean, a number per image.

    `space` holds all planes (`offsets`: where each begins), the network's input first and scratch last; `n` is the
    number of images, `extremes` how far their values reach above and below zero. If they are `flat`, their planes are
    one pixel.
    Of every plane a bound is kept. One that is all zero, or that the weight makes so, is never computed or read again:
    underflow is exact, and computing with numbers that are about to underflow is a hundred times slower.
    """
    dtype = space.dtype.type
    scales = np.zeros(n_norms, space.dtype)
    shifts = np.zeros(n_norms, space.dtype)
    least = 2.0**-149 if space.itemsize == 4 else 2.0**-1074
    gain = abs(weight)
    foreseen = _foresee(program, offsets.size, n_norms, extremes, weight, eps, least)
    bounds, norm_bounds, planes_needed, norms_needed = foreseen  # of planes, the scratch plane last
    cuts = np.zeros((offsets.size, 4), np.int64)  # vertical first, extra, horizontal first, extra
    if flat:
        for channel in range(program[0]):
            cuts[channel, 1], cuts[channel, 3] = program[1] - 1, program[2] - 1
    zero, w = dtype(0.0), dtype(weight)
    pc = HEAD_WORDS
    while pc < program.size:
        sweep = program[pc : pc + SWEEP_WORDS]
        plane, n_terms, n_windows, n_statistics, mean = sweep[2:SWEEP_WORDS]
        pc += SWEEP_WORDS
        terms = program[pc : pc + n_terms * TERM_WORDS].reshape(n_terms, TERM_WORDS)
        pc += terms.size
        windows = program[pc : pc + n_windows * WINDOW_WORDS].reshape(n_windows, WINDOW_WORDS)
        pc += windows.size
        statistics = program[pc : pc + n_statistics * STATISTIC_WORDS].reshape(n_statistics, STATISTIC_WORDS)
        pc += statistics.size

        # An input or window plane swept for its readers has no terms of its own.
        bound = bounds[plane] if n_terms == 0 else 0.0
        live = np.empty(n_terms, np.bool_)
        for t in range(n_terms):
            _, _, weighted, multiplicity, norm, _, count = terms[t]
            part = norm_bounds[norm] if norm >= 0 else bounds[terms[t, 0]]
            if weighted and norm < 0:
                part = _scaled_bound(part, gain, multiplicity, least)
            live[t] = part != 0.0
            if live[t]:
                bound += 1.01 * (count * part + least)
        if plane >= 0:  # what was foreseen knows signs, and what is foreseen zero is not computed
            bound = min(bound, bounds[plane])
        bounds[plane] = bound
        idle = n_terms == 0 or plane < 0 or not planes_needed[plane]  # until something is found that reads this sweep
        for record in windows:
            after = bound
            if record[0] == CONV or record[0] == STEM:
                after = _scaled_bound(bound, gain, record[3] * record[5] * record[6], least)
            bounds[record[1]] = min(bounds[record[1]], after)
            if after == 0.0 and record[4] >= 0:
                norm_bounds[record[4]] = 0.0
            idle = idle and (bounds[record[1]] == 0.0 or not planes_needed[record[1]])
        for record in statistics:
            after = _scaled_bound(bound, gain, record[3], least) if record[2] else bound
            if after == 0.0:
                norm_bounds[record[0]] = 0.0
            idle = idle and (norm_bounds[record[0]] == 0.0 or not norms_needed[record[0]])
        if bound == 0.0 and mean >= 0:
            _fill(response[mean], zero)
        if bound == 0.0 or (idle and mean < 0):
            continue

        cut = cuts[plane]
        if n_terms > 0:
            for axis in range(2):
                first, end = 0, sweep[axis]
                for t in range(n_terms):
                    if live[t]:
                        other = cuts[terms[t, 0], 2 * axis : 2 * axis + 2]
                        first, end = max(first, other[0]), min(end, other[0] + other[1] + 1)
                extra = 0 if mean >= 0 else max(end - first - 1, 0)
                cut[2 * axis], cut[2 * axis + 1] = first if extra > 0 else 0, extra
        height, width = sweep[0] - cut[1], sweep[1] - cut[3]
        length = width * n
        base, ring = offsets[plane], height
        all_runs = [np.empty((0, 0), np.int64) for _ in range(0)]
        if plane < 0:
            ring = 1
            for record in windows:
                ring = max(ring, (record[5] - 1) * record[11] + 1)
        reach = 3
        for record in windows:
            reach = max(reach, record[5])
            out = cuts[record[1]]
            for axis in range(2):
                stride, padding, span = record[7 + axis], record[9 + axis], (record[5 + axis] - 1) * record[11 + axis]
                first = max((cut[2 * axis] + padding + stride - 1) // stride, 0)
                end = (cut[2 * axis] + cut[2 * axis + 1] - span + padding) // stride + 1
                extra = max(end - first - 1, 0) if cut[2 * axis + 1] > 0 else 0
                out[2 * axis], out[2 * axis + 1] = first if extra > 0 else 0, extra
            all_runs.append(
                _runs(record[14] - out[3], sweep[1] - record[8] * out[3], cut[2], cut[3] - record[8] * out[3], record)
            )
        taps = np.empty(reach, np.int64)
        temporary = np.empty(length, space.dtype)
        sums = np.zeros((n_windows + n_statistics, 2, n), np.float64)
        partial = np.zeros((4, length if mean >= 0 else 0), space.dtype)
        ready = np.zeros(n_windows, np.int64)  # how many rows are written; of windows not needed, none ever will be
        for k in range(n_windows):
            if bounds[windows[k, 1]] == 0.0 or not planes_needed[windows[k, 1]]:
                ready[k] = windows[k, 13]

        for y in range(height):
            row = space[base + y % ring * length : base + y % ring * length + length]
            fresh = True
            for t in range(n_terms):
                if not live[t]:
                    continue
                term = terms[t]
                other = cuts[term[0]]
                extra = other[3] - cut[3]
                line = (sweep[1] - other[3]) * n
                begin = offsets[term[0]] + _stored(y, other[0], other[1] - cut[1]) * line
                scale = scales[term[4]] if term[4] >= 0 else zero
                shift = shifts[term[4]] if term[4] >= 0 else zero
                left = (other[2] + 1) * n if extra > 0 else line
                for k in range(extra + 2 if extra > 0 else 1):
                    if k == 0:
                        to, at, size = 0, 0, left
                    elif k <= extra:
                        to, at, size = left + (k - 1) * n, left - n, n
                    else:
                        to, at, size = left + extra * n, left, line - left
                    src = space[begin + at : begin + at + size]
                    _add_term(row[to : to + size], src, fresh, term, w, scale, shift, temporary)
                fresh = False

            for k in range(n_statistics):
                slot, rectified, weighted, multiplicity = statistics[k]
                if norm_bounds[slot] == 0.0 or not norms_needed[slot]:
                    continue
                values = row
                if rectified or weighted:
                    values = temporary
                    floor = zero if rectified else dtype(-np.inf)
                    _scale(values, row, floor, w if weighted else dtype(1.0), dtype(multiplicity))
                for _ in range(cut[1] + 1 if y == cut[0] else 1):
                    _accumulate(values, cut[2], cut[3], sums[n_windows + k, 0], sums[n_windows + k, 1])
            for k in range(n_windows):
                record = windows[k]
                out = cuts[record[1]]
                extra = cut[1] - record[7] * out[1]
                rows, columns = record[13] - out[1], record[14] - out[3]
                while ready[k] < rows:
                    n_rows = _taps(ready[k], height + extra, cut[0], extra, record, 0, taps)
                    if taps[n_rows - 1] > y:
                        break
                    for i in range(n_rows):
                        taps[i] = base + taps[i] % ring * length
                    begin = offsets[record[1]] + ready[k] * columns * n
                    if record[0] == AVG_POOL or record[0] == AVG_POOL_PADDED:
                        _average_row(space, begin, taps, n_rows, n, all_runs[k], record)
                    elif record[0] == RELU6:
                        _clamp(space[begin : begin + length], row)
                    elif record[0] == STEM:
                        _stem_row(space, begin, taps, n_rows, n, all_runs[k], offsets, record[3], w)
                    else:
                        _window_row(space, begin, taps, n_rows, length, n, all_runs[k], record, w, temporary)
                    if record[4] >= 0:
                        finished = space[begin : begin + columns * n]
                        for _ in range(out[1] + 1 if ready[k] == out[0] else 1):
                            _accumulate(finished, out[2], out[3], sums[k, 0], sums[k, 1])
                    ready[k] += 1
            if mean >= 0:
                # Four partial sums of rows, then along the row: the order of torch's mean over an 8x8 map.
                _add(partial[y % 4], row)
                if y == height - 1:
                    for k in range(1, 4):
                        _add(partial[0], partial[k])
                    _fill(response[mean], zero)
                    for x in range(width):
                        _add(response[mean], partial[0, x * n : (x + 1) * n])
                    for b in range(n):
                        response[mean, b] /= dtype(height * width)

        for k in range(n_statistics):
            slot = statistics[k, 0]
            if norm_bounds[slot] != 0.0 and norms_needed[slot]:
                total = sums[n_windows + k]
                count = sweep[0] * sweep[1] * n
                after = _set_norm(slot, total[0], total[1], count, weight, eps, scales, shifts)
                if statistics[k, 2]:
                    after = min(after, _scaled_bound(bound, gain, statistics[k, 3], least))
                norm_bounds[slot] = min(norm_bounds[slot], _scaled_bound(after, abs(scales[slot]), 2.0, least))
        for k in range(n_windows):
            record = windows[k]
            slot = record[4]
            if slot >= 0 and norm_bounds[slot] != 0.0 and planes_needed[record[1]]:
                count = record[13] * record[14] * n
                after = _set_norm(slot, sums[k, 0], sums[k, 1], count, weight, eps, scales, shifts)
                if after < _SMALL:
                    out = cuts[record[1]]
                    size = (record[13] - out[1]) * (record[14] - out[3]) * n
                    after = _largest(space[offsets[record[1]] : offsets[record[1]] + size])
                bounds[record[1]] = min(bounds[record[1]], after)
                norm_bounds[slot] = min(norm_bounds[slot], _scaled_bound(after, abs(scales[slot]), 2.0, least))
