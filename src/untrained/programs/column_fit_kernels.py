"""The compiled loop that fits the constants of one program over columns."""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from untrained.programs.column_kernels import (
    ABS,
    ABS_LOG,
    ADD,
    COLUMN,
    CONSTANT,
    EQUAL,
    EXP,
    GREATER,
    IS_NEGATIVE,
    LESS,
    LOG,
    LOG1P_ABS,
    MAXIMUM,
    MINIMUM,
    MUL,
    NEG,
    ONES_LIKE,
    RECIPROCAL,
    RELU,
    SAFE_DIVIDE,
    SIGMOID,
    SIGN,
    SMALLEST_DIVISOR,
    SQRT_ABS,
    SQUARE,
    SUB,
    TANH,
    ZEROS_LIKE,
)  # fmt: skip

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy")


@_jit
def _value(code: int, a: float, b: float) -> float:
    if code == ADD:
        return a + b
    if code == SUB:
        return a - b
    if code == MUL:
        return a * b
    if code == SAFE_DIVIDE:
        return 0.0 if abs(b) < SMALLEST_DIVISOR else a / b
    if code == MAXIMUM:
        return a if a > b or a != a else b
    if code == MINIMUM:
        return a if a < b or a != a else b
    if code == LESS:
        return 1.0 if a < b else 0.0
    if code == GREATER:
        return 1.0 if a > b else 0.0
    if code == EQUAL:
        return 1.0 if a == b else 0.0
    if code == NEG:
        return -a
    if code == ABS:
        return abs(a)
    if code == SQUARE:
        return a * a
    if code == SQRT_ABS:
        return math.sqrt(abs(a))
    if code == EXP:
        return math.exp(a)
    if code == LOG:
        return math.log(1.0 if a <= 0 else a)
    if code == ABS_LOG:
        return math.log(1.0 if a == 0 else abs(a))
    if code == LOG1P_ABS:
        return math.log1p(abs(a))
    if code == RECIPROCAL:
        return 1.0 / a
    if code == RELU:
        return 0.0 if a <= 0 else a
    if code == SIGN:
        return 1.0 if a > 0 else (-1.0 if a < 0 else 0.0)
    if code == SIGMOID:
        return 1.0 / (1.0 + math.exp(-a))
    if code == TANH:
        return math.tanh(a)
    if code == IS_NEGATIVE:
        return 1.0 if a < 0 else 0.0
    if code == ONES_LIKE:
        return 1.0
    if code == ZEROS_LIKE:
        return 0.0
    return 1.0 if a > 0 else 0.0  # heaviside and is_positive


@_jit
def _slopes(code: int, a: float, b: float, value: float) -> tuple[float, float]:
    """Derivatives by both arguments; 0 where there is none."""
    if code == ADD:
        return 1.0, 1.0
    if code == SUB:
        return 1.0, -1.0
    if code == MUL:
        return b, a
    if code == SAFE_DIVIDE:
        return (0.0, 0.0) if abs(b) < SMALLEST_DIVISOR else (1.0 / b, -value / b)
    if code in (MAXIMUM, MINIMUM):
        return (1.0, 0.0) if value == a else (0.0, 1.0)
    if code == NEG:
        return -1.0, 0.0
    if code == ABS:
        return math.copysign(1.0, a), 0.0
    if code == SQUARE:
        return 2.0 * a, 0.0
    if code == SQRT_ABS:
        return (math.copysign(0.5 / value, a) if value > 0 else 0.0), 0.0
    if code == EXP:
        return value, 0.0
    if code == LOG:
        return (1.0 / a if a > 0 else 0.0), 0.0
    if code == ABS_LOG:
        return (1.0 / a if a != 0 else 0.0), 0.0
    if code == LOG1P_ABS:
        return math.copysign(1.0 / (1.0 + abs(a)), a), 0.0
    if code == RECIPROCAL:
        return -value * value, 0.0
    if code == RELU:
        return (1.0 if a > 0 else 0.0), 0.0
    if code == SIGMOID:
        return value * (1.0 - value), 0.0
    if code == TANH:
        return 1.0 - value * value, 0.0
    return 0.0, 0.0


@_jit
def forward(codes: Ints, a: Ints, b: Ints, constants: Floats, columns: Floats, row: int, values: Floats) -> float:
    """Values of all nodes for one row; returns the last."""
    for i in range(len(codes)):
        if codes[i] == COLUMN:
            values[i] = columns[a[i], row]
        elif codes[i] == CONSTANT:
            values[i] = constants[i]
        else:
            values[i] = _value(codes[i], values[a[i]], values[b[i]] if b[i] >= 0 else 0.0)
    last: float = values[len(codes) - 1]
    return last


@_jit
def backward(codes: Ints, a: Ints, b: Ints, moves: NDArray[np.bool_], values: Floats, adjoints: Floats) -> None:
    """Derivatives of the last node by all nodes that move, from their values in one row."""
    n = len(codes)
    for i in range(n - 1):
        adjoints[i] = 0.0
    adjoints[n - 1] = 1.0
    for j in range(n):
        i = n - 1 - j
        if codes[i] > CONSTANT and moves[i]:
            by_a, by_b = _slopes(codes[i], values[a[i]], values[b[i]] if b[i] >= 0 else 0.0, values[i])
            adjoints[a[i]] += adjoints[i] * by_a
            if b[i] >= 0:
                adjoints[b[i]] += adjoints[i] * by_b


@_jit
def _dot(x: Floats, y: Floats) -> float:
    total = 0.0
    for i in range(len(x)):
        total += x[i] * y[i]
    return total


@_jit
def _centre(x: Floats, starts: Ints) -> None:
    """Take its own mean from every group of rows."""
    for g in range(len(starts) - 1):
        group = x[starts[g] : starts[g + 1]]
        total = 0.0
        for i in range(len(group)):
            total += group[i]
        for i in range(len(group)):
            group[i] -= total / len(group)


@_jit
def _correlation(f: Floats, target: Floats, starts: Ints) -> float:
    """Correlation, within groups, with a target of means 0 and length 1; f loses its means. NaN where f is constant."""
    before = _dot(f, f)
    _centre(f, starts)
    square = _dot(f, f)
    if not (square > 1e-18 * before and square < np.inf):
        return np.nan
    found: float = _dot(f, target) / math.sqrt(square)
    return found


@_jit
def _solve(system: Floats, right: Floats) -> bool:
    """Solve a symmetric positive definite system in place (Cholesky); False where it is none."""
    n = len(right)
    for j in range(n):
        pivot = system[j, j] - _dot(system[j, :j], system[j, :j])
        if not pivot > 0:
            return False
        pivot = math.sqrt(pivot)
        system[j, j] = pivot
        for i in range(j + 1, n):
            system[i, j] = (system[i, j] - _dot(system[i, :j], system[j, :j])) / pivot
    for i in range(n):
        right[i] = (right[i] - _dot(system[i, :i], right[:i])) / system[i, i]
    for j in range(n):
        i = n - 1 - j
        for k in range(i + 1, n):
            right[i] -= system[k, i] * right[k]
        right[i] /= system[i, i]
    return True


@_jit
def fit(
    codes: Ints, a: Ints, b: Ints, constants: Floats, free: Ints, to_zero: NDArray[np.bool_], columns: Floats,
    target: Floats, starts: Ints, ridge: float, n_steps: int,
) -> tuple[float, float]:  # fmt: skip
    """Change the free constants of one program so that it correlates with a target: Levenberg and Marquardt's method.

    With c the constants, f the program's values, less their mean in each group of rows (a space), and t the target, of
    mean 0 in each and length 1, it lowers

        min_s |t - s f(c)|^2 + ridge sum_k h_k (c_k - p_k)^2,

    where h_k is the square of the length of the derivative of s f by c_k, at the start, and p_k is 0 or the constant at
    the start. The best s, and its derivative, are known (variable projection, Kaufman's form). Derivatives of f are
    exact, from one pass backwards.

    Args:
        codes: of each node, arguments first, the program last; nodes are not shared.
        a: node of the first argument, or the column.
        b: node of the second argument, or -1.
        constants: of nodes that are constants; changed in place.
        free: nodes of constants that may change.
        to_zero: whether a free constant is drawn to 0, else to where it is.
        columns: shape (columns, rows).
        target: shape (rows,), of mean 0 in each group and length 1.
        starts: the first row of each group, and the number of rows.
        ridge: see above.
        n_steps: steps tried.

    Returns:
        The correlation before the last step, NaN where the program is undefined or constant and nothing was changed;
        and the best s at the end.

    Source: Kaufman 1975, BIT 15, 49.
    """
    n_nodes, n_rows, n_free = len(codes), columns.shape[1], len(free)
    values, adjoints = np.empty(n_nodes), np.empty(n_nodes)
    moves = np.zeros(n_nodes, np.bool_)  # whether a free constant is below
    for k in range(n_free):
        moves[free[k]] = True
    for i in range(n_nodes):
        if codes[i] > CONSTANT:
            moves[i] = moves[a[i]] or (b[i] >= 0 and moves[b[i]])
    f, left = np.empty(n_rows), np.empty(n_rows)
    jacobian, h = np.empty((n_free, n_rows)), np.zeros(n_free)
    normal, system = np.empty((n_free, n_free)), np.empty((n_free, n_free))
    pull, slope, step = np.empty(n_free), np.empty(n_free), np.empty(n_free)
    for k in range(n_free):
        pull[k] = 0.0 if to_zero[k] else constants[free[k]]
    tried, damping, rho, scale = constants.copy(), 1e-2, np.nan, 0.0
    for round_ in range(n_steps):
        for r in range(n_rows):
            f[r] = forward(codes, a, b, constants, columns, r, values)
            backward(codes, a, b, moves, values, adjoints)
            for k in range(n_free):
                jacobian[k, r] = adjoints[free[k]]
        rho = _correlation(f, target, starts)
        if math.isnan(rho):
            return rho, 0.0
        square = _dot(f, f)
        scale = _dot(f, target) / square
        for r in range(n_rows):
            left[r] = target[r] - scale * f[r]
        for k in range(n_free):
            row = jacobian[k]
            _centre(row, starts)
            along = _dot(row, f) / square
            if round_ == 0:
                h[k] = scale * scale * _dot(row, row)
            for r in range(n_rows):
                row[r] = scale * (row[r] - along * f[r])
        penalty = 0.0
        for k in range(n_free):
            away = constants[free[k]] - pull[k]
            penalty += ridge * h[k] * away * away
            slope[k] = _dot(jacobian[k], left) - ridge * h[k] * away
            for m in range(k + 1):
                normal[k, m] = _dot(jacobian[k], jacobian[m])
        loss = 1 - rho * rho + penalty
        gained = 0.0
        for _ in range(4):
            for k in range(n_free):
                step[k] = slope[k]
                for m in range(k + 1):
                    system[k, m] = normal[k, m]
                system[k, k] += (ridge + 1e-9) * h[k] + damping * normal[k, k] + 1e-12
            if _solve(system, step):
                penalty = 0.0
                for k in range(n_free):
                    tried[free[k]] = constants[free[k]] + step[k]
                    penalty += ridge * h[k] * (tried[free[k]] - pull[k]) ** 2
                for r in range(n_rows):
                    f[r] = forward(codes, a, b, tried, columns, r, values)
                gained = loss - (1 - _correlation(f, target, starts) ** 2 + penalty)
                if gained > 0:
                    break
            damping *= 10
        if not gained > 0:
            break
        for k in range(n_free):
            constants[free[k]] = tried[free[k]]
        damping = max(damping / 10, 1e-6)
        if gained < 1e-5:
            break
    return rho, scale
