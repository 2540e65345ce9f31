"""Compiled loops of the width-1 evaluation: one call runs one whole network at one constant.

Planes are stored as (height, width, images) with the images innermost: every loop runs over contiguous images, so
that borders never break the vectors. Nothing here may use fast-math or flush-to-zero: which scores are undefined
depends on float32 underflow, and sums run in one fixed order, so that equal inputs give equal bits everywhere.

The program is a flat list of integers, written by `untrained.graphs.width1` and read here front to back as *sweeps*.
One sweep computes a plane row by row as a sum of terms and, while its rows are in cache, everything that reads it:
window operations (convolutions and pools), batch-norm statistics of point-wise functions of it, and its mean.
"""

from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic

# Words of one record in the program; width1.py writes them in this order.
SWEEP_WORDS = 7  # height, width, plane (-1: scratch), n_terms, n_windows, n_statistics, mean (-1: none)
TERM_WORDS = 6  # plane, rectified before (0 | 1), weighted (0 | 1), multiplicity, norm (-1: none), rectified after
WINDOW_WORDS = (
    16  # kind, plane, rectified, multiplicity, norm, kernel h w, stride h w, padding h w, dilation h w, ho wo
)

CONV, AVG_POOL, AVG_POOL_PADDED, MAX_POOL, STEM = 0, 1, 2, 3, 4

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")


@intrinsic
def _fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """A * b + c rounded once: what torch's convolutions and norms do, and the same on every machine."""
    signature = a(a, a, a)

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return signature, generate


@_jit
def _copy_row(dst, src, count):
    for i in range(dst.size):
        dst[i] = count * src[i]


@_jit
def _add_row(dst, src, count):
    for i in range(dst.size):
        dst[i] += count * src[i]


@_jit
def _point(value, floor, weight, multiplicity, scale, shift, floor_after):
    """Scale * (multiplicity * (weight * max(value, floor))) + shift, at least floor_after; NaN stays NaN."""
    t = floor if value < floor else value
    t = _fma(multiplicity * (weight * t), scale, shift)
    return floor_after if t < floor_after else t


@_jit
def _copy_term(dst, src, count, floor, weight, multiplicity, scale, shift, floor_after):
    for i in range(dst.size):
        dst[i] = count * _point(src[i], floor, weight, multiplicity, scale, shift, floor_after)


@_jit
def _add_term(dst, src, count, floor, weight, multiplicity, scale, shift, floor_after):
    for i in range(dst.size):
        dst[i] += count * _point(src[i], floor, weight, multiplicity, scale, shift, floor_after)


@_jit
def _copy_channels(dst, src, count, floor, weight, channels):
    """Count * the sum over `channels` equal channels of weight * max(src, floor), added up one by one as torch does."""
    for i in range(dst.size):
        t = floor if src[i] < floor else src[i]
        total = weight * t
        for _ in range(1, channels):
            total = _fma(weight, t, total)
        dst[i] = count * total


@_jit
def _add_channels(dst, src, count, floor, weight, channels):
    for i in range(dst.size):
        t = floor if src[i] < floor else src[i]
        total = weight * t
        for _ in range(1, channels):
            total = _fma(weight, t, total)
        dst[i] += count * total


@_jit
def _accumulate(row, sums, squares, floor, weight, multiplicity):
    """Add a row's values and squares, image by image, in float64."""
    n = sums.size
    for x in range(row.size // n):
        part = row[x * n : (x + 1) * n]
        for b in range(n):
            t = floor if part[b] < floor else part[b]
            value = np.float64(multiplicity * (weight * t))
            sums[b] += value
            squares[b] += value * value


@_jit
def _rows1(dst, a, floor, weight):
    for i in range(dst.size):
        dst[i] = weight * (floor if a[i] < floor else a[i])


@_jit
def _rows2(dst, a, b, floor, weight):
    for i in range(dst.size):
        dst[i] = _fma(weight, floor if b[i] < floor else b[i], weight * (floor if a[i] < floor else a[i]))


@_jit
def _rows3(dst, a, b, c, floor, weight):
    for i in range(dst.size):
        t = _fma(weight, floor if b[i] < floor else b[i], weight * (floor if a[i] < floor else a[i]))
        dst[i] = _fma(weight, floor if c[i] < floor else c[i], t)


@_jit
def _add_rectified(dst, a, floor, weight):
    for i in range(dst.size):
        dst[i] = _fma(weight, floor if a[i] < floor else a[i], dst[i])


@_jit
def _larger(dst, a):
    for i in range(dst.size):
        dst[i] = a[i] if a[i] > dst[i] or a[i] != a[i] else dst[i]  # NaN wins, as in torch


@_jit
def _columns2(dst, a, b, multiplicity):
    for i in range(dst.size):
        dst[i] = multiplicity * (a[i] + b[i])


@_jit
def _columns3(dst, a, b, c, multiplicity):
    for i in range(dst.size):
        dst[i] = multiplicity * (a[i] + b[i] + c[i])


@_jit
def _window_row(space, source, out, yo, height, width, n, record, weight, column):
    """One output row of a convolution or pool. `column` is scratch for the vertically reduced input row."""
    kind = record[0]
    kh, kw, sh, sw, ph, pw, dh, dw = (
        record[5],
        record[6],
        record[7],
        record[8],
        record[9],
        record[10],
        record[11],
        record[12],
    )
    wo = record[14]
    length = width * n
    floor = space.dtype.type(0.0) if record[2] else space.dtype.type(-np.inf)
    one = space.dtype.type(1.0)
    factor = weight if kind == CONV else one
    top = yo * sh - ph
    first = 0 if top >= 0 else (-top + dh - 1) // dh
    last = min(kh, (height - 1 - top) // dh + 1)
    rows = last - first
    col = column[:length]
    start = source + (top + first * dh) * length
    step = dh * length
    if kind == MAX_POOL:
        col[:] = space[start : start + length]
        for k in range(1, rows):
            _larger(col, space[start + k * step : start + k * step + length])
    elif rows == 3:
        _rows3(
            col,
            space[start : start + length],
            space[start + step : start + step + length],
            space[start + 2 * step : start + 2 * step + length],
            floor,
            factor,
        )
    elif rows == 2:
        _rows2(col, space[start : start + length], space[start + step : start + step + length], floor, factor)
    else:
        _rows1(col, space[start : start + length], floor, factor)
        for k in range(1, rows):
            _add_rectified(col, space[start + k * step : start + k * step + length], floor, factor)

    target = out + yo * wo * n
    multiplicity = space.dtype.type(record[3])
    for xo in range(wo):
        left = xo * sw - pw
        begin = 0 if left >= 0 else (-left + dw - 1) // dw
        end = min(kw, (width - 1 - left) // dw + 1)
        dst = space[target + xo * n : target + (xo + 1) * n]
        a = (left + begin * dw) * n
        stride = dw * n
        columns = end - begin
        if kind == MAX_POOL:
            dst[:] = col[a : a + n]
            for k in range(1, columns):
                _larger(dst, col[a + k * stride : a + k * stride + n])
            continue
        if kind == CONV:
            scale = multiplicity
        elif kind == AVG_POOL:
            scale = one / space.dtype.type(rows * columns)
        else:
            scale = one / space.dtype.type(kh * kw)
        if columns == 3:
            _columns3(
                dst, col[a : a + n], col[a + stride : a + stride + n], col[a + 2 * stride : a + 2 * stride + n], scale
            )
        elif columns == 2:
            _columns2(dst, col[a : a + n], col[a + stride : a + stride + n], scale)
        else:
            _copy_row(dst, col[a : a + n], one)
            for k in range(1, columns):
                _add_row(dst, col[a + k * stride : a + k * stride + n], one)
            _copy_row(dst, dst, scale)


@_jit
def _sum9(dst, s, at, step, row, n, count):
    """Mean of a 3x3 window, added up in reading order and divided, as torch does: rounding of flat images adds up."""
    a = s[at : at + n]
    b = s[at + step : at + step + n]
    c = s[at + 2 * step : at + 2 * step + n]
    d = s[at + row : at + row + n]
    e = s[at + row + step : at + row + step + n]
    f = s[at + row + 2 * step : at + row + 2 * step + n]
    g = s[at + 2 * row : at + 2 * row + n]
    h = s[at + 2 * row + step : at + 2 * row + step + n]
    i = s[at + 2 * row + 2 * step : at + 2 * row + 2 * step + n]
    for k in range(n):
        dst[k] = (a[k] + b[k] + c[k] + d[k] + e[k] + f[k] + g[k] + h[k] + i[k]) / count


@_jit
def _average_row(space, source, out, yo, height, width, n, record):
    """One output row of an average pool without rectification."""
    kh, kw, sh, sw, ph, pw = record[5], record[6], record[7], record[8], record[9], record[10]
    wo = record[14]
    length = width * n
    top = yo * sh - ph
    y0, y1 = max(top, 0), min(top + kh, height)
    for xo in range(wo):
        left = xo * sw - pw
        x0, x1 = max(left, 0), min(left + kw, width)
        dst = space[out + (yo * wo + xo) * n : out + (yo * wo + xo + 1) * n]
        elements = (y1 - y0) * (x1 - x0) if record[0] == AVG_POOL else kh * kw
        count = space.dtype.type(elements)
        at = source + y0 * length + x0 * n
        if y1 - y0 == 3 and x1 - x0 == 3:
            _sum9(dst, space, at, n, length, n, count)
            continue
        dst[:] = space[at : at + n]
        for y in range(y0, y1):
            for x in range(x0, x1):
                if y > y0 or x > x0:
                    at = source + y * length + x * n
                    _add_row(dst, space[at : at + n], space.dtype.type(1.0))
        for k in range(n):
            dst[k] /= count


@_jit
def _stem_row(space, source, out, yo, height, width, n, record, weight):
    """One output row of a convolution of the images themselves, tap by tap: rows, columns, channels, as torch does."""
    channels = record[3]
    kh, kw, sh, sw, ph, pw, dh, dw = (
        record[5],
        record[6],
        record[7],
        record[8],
        record[9],
        record[10],
        record[11],
        record[12],
    )
    wo = record[14]
    for xo in range(wo):
        dst = space[out + (yo * wo + xo) * n : out + (yo * wo + xo + 1) * n]
        dst[:] = space.dtype.type(0.0)
        for i in range(kh):
            y = yo * sh - ph + i * dh
            for j in range(kw):
                x = xo * sw - pw + j * dw
                if 0 <= y < height and 0 <= x < width:
                    for c in range(channels):
                        at = source + ((c * height + y) * width + x) * n
                        src = space[at : at + n]
                        for k in range(n):
                            dst[k] = _fma(weight, src[k], dst[k])


@_jit
def _set_norm(slot, sums, squares, count, weight, eps, scales, shifts, norm_zero):
    """Turn a plane's sums into batch norm's scale and shift: weight / sqrt(var + eps), -mean * scale."""
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
    norm_zero[slot] = total_squares == 0.0


@_jit
def run(program, offsets, n_norms, scratch, space, n, weight, eps, response):
    """Evaluate a network whose every weight is `weight`; fill `response`, a row per mean, a number per image.

    `space` holds all planes (`offsets`: where each begins), the network's input first; `n` is the number of images.
    A plane found to be all zero (underflow) is never computed or read again: every operation maps it to exact zero.
    """
    dtype = space.dtype.type
    scales = np.zeros(n_norms, space.dtype)
    shifts = np.zeros(n_norms, space.dtype)
    norm_zero = np.zeros(n_norms, np.bool_)
    plane_zero = np.zeros(offsets.size, np.bool_)
    sums = np.zeros((n_norms, n), np.float64)
    squares = np.zeros((n_norms, n), np.float64)
    column = np.empty(program[0] * n, space.dtype)
    one, none, zero = dtype(1.0), dtype(-np.inf), dtype(0.0)
    w = dtype(weight)
    pc = 1
    while pc < program.size:
        height, width, plane, n_terms, n_windows, n_statistics, mean = program[pc : pc + SWEEP_WORDS]
        terms = pc + SWEEP_WORDS
        windows = terms + n_terms * (TERM_WORDS + 1)
        statistics = windows + n_windows * WINDOW_WORDS
        pc = statistics + n_statistics * 4
        length = width * n
        base = scratch if plane < 0 else offsets[plane]

        # An input or window plane swept for its readers has no terms of its own.
        all_zero = plane_zero[plane] if n_terms == 0 else True
        for t in range(n_terms):
            at = terms + t * (TERM_WORDS + 1)
            norm = program[at + 4]
            if not (plane_zero[program[at]] or (norm >= 0 and norm_zero[norm])):
                all_zero = False
        if plane >= 0:
            plane_zero[plane] = all_zero
        for k in range(n_windows):
            norm = program[windows + k * WINDOW_WORDS + 4]
            plane_zero[program[windows + k * WINDOW_WORDS + 1]] = all_zero
            if norm >= 0:
                norm_zero[norm] = all_zero
        for k in range(n_statistics):
            norm_zero[program[statistics + k * 4]] = all_zero
        if all_zero:
            if mean >= 0:
                response[mean] = zero
            continue

        ready = np.zeros(n_windows, np.int64)
        for y in range(height):
            row = space[base + y * length : base + (y + 1) * length]
            fresh = True
            for t in range(n_terms):
                at = terms + t * (TERM_WORDS + 1)
                source_plane, rectified, weighted, multiplicity, norm, rectified_after, count = program[
                    at : at + TERM_WORDS + 1
                ]
                if plane_zero[source_plane] or (norm >= 0 and norm_zero[norm]):
                    continue
                begin = offsets[source_plane] + y * length
                src = space[begin : begin + length]
                if weighted and norm < 0 and not rectified_after:
                    floor = zero if rectified else none
                    if fresh:
                        _copy_channels(row, src, dtype(count), floor, w, multiplicity)
                    else:
                        _add_channels(row, src, dtype(count), floor, w, multiplicity)
                elif rectified or weighted or norm >= 0 or rectified_after:
                    floor = zero if rectified else none
                    factor = w if weighted else one
                    scale = scales[norm] if norm >= 0 else one
                    shift = shifts[norm] if norm >= 0 else zero
                    after = zero if rectified_after else none
                    if fresh:
                        _copy_term(row, src, dtype(count), floor, factor, dtype(multiplicity), scale, shift, after)
                    else:
                        _add_term(row, src, dtype(count), floor, factor, dtype(multiplicity), scale, shift, after)
                elif fresh:
                    _copy_row(row, src, dtype(count))
                else:
                    _add_row(row, src, dtype(count))
                fresh = False

            for k in range(n_statistics):
                slot, rectified, weighted, multiplicity = program[statistics + k * 4 : statistics + k * 4 + 4]
                _accumulate(
                    row,
                    sums[slot],
                    squares[slot],
                    zero if rectified else none,
                    w if weighted else one,
                    dtype(multiplicity),
                )
            for k in range(n_windows):
                record = program[windows + k * WINDOW_WORDS : windows + (k + 1) * WINDOW_WORDS]
                out = offsets[record[1]]
                while ready[k] < record[13] and (
                    min(ready[k] * record[7] - record[9] + (record[5] - 1) * record[11], height - 1) <= y
                ):
                    if record[0] == AVG_POOL or record[0] == AVG_POOL_PADDED:
                        _average_row(space, base, out, ready[k], height, width, n, record)
                    elif record[0] == STEM:
                        _stem_row(space, base, out, ready[k], height, width, n, record, w)
                    else:
                        _window_row(space, base, out, ready[k], height, width, n, record, w, column)
                    if record[4] >= 0:
                        begin = out + ready[k] * record[14] * n
                        finished = space[begin : begin + record[14] * n]
                        _accumulate(finished, sums[record[4]], squares[record[4]], none, one, one)
                    ready[k] += 1
            if mean >= 0:
                # Four partial sums of rows, then along the row: the order of torch's mean over an 8x8 map.
                if y == 0:
                    partial = np.zeros((4, length), space.dtype)
                _add_row(partial[y % 4], row, one)
                if y == height - 1:
                    for k in range(1, 4):
                        _add_row(partial[0], partial[k], one)
                    response[mean] = zero
                    for x in range(width):
                        _add_row(response[mean], partial[0, x * n : (x + 1) * n], one)
                    response[mean] /= dtype(height * width)

        for k in range(n_statistics):
            slot = program[statistics + k * 4]
            _set_norm(slot, sums[slot], squares[slot], height * width * n, weight, eps, scales, shifts, norm_zero)
        for k in range(n_windows):
            record = program[windows + k * WINDOW_WORDS : windows + (k + 1) * WINDOW_WORDS]
            slot = record[4]
            if slot >= 0:
                count = record[13] * record[14] * n
                _set_norm(slot, sums[slot], squares[slot], count, weight, eps, scales, shifts, norm_zero)
                plane_zero[record[1]] = norm_zero[slot]
