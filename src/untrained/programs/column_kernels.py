"""Compiled loops for programs over columns: the machine that evaluates them, and Kendall's tau-b of what comes out.

Rows are architectures. A tile of rows of every value in use stays in the cache while the whole list of nodes passes, so
that each distinct subtree of all programs is evaluated once per row. Rows and programs are independent of each other:
no result depends on tiles or threads.
"""

import math
from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

TILE: Final = 128  # rows at a time: a value is then a kilobyte
COLUMN, CONSTANT = 0, 1
OPCODES: Final = {
    name: 2 + i
    for i, name in enumerate(
        (
            "add", "sub", "mul", "safe_divide", "maximum", "minimum", "less", "greater", "equal",
            "neg", "abs", "square", "sqrt_abs", "exp", "log", "abs_log", "log1p_abs", "reciprocal",
            "relu", "sign", "heaviside", "sigmoid", "tanh", "is_positive", "is_negative",
            "ones_like", "zeros_like",
        )
    )
}  # fmt: skip
# The compiler takes constants from names, not from dictionaries.
ADD, SUB, MUL, SAFE_DIVIDE, MAXIMUM, MINIMUM, LESS, GREATER, EQUAL = range(2, 11)
NEG, ABS, SQUARE, SQRT_ABS, EXP, LOG, ABS_LOG, LOG1P_ABS, RECIPROCAL = range(11, 20)
RELU, SIGN, HEAVISIDE, SIGMOID, TANH, IS_POSITIVE, IS_NEGATIVE, ONES_LIKE, ZEROS_LIKE = range(20, 29)
SMALLEST_DIVISOR: Final = 1e-12  # safe_divide gives 0 for smaller ones

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_options: Any = {"cache": True, "nogil": True, "error_model": "numpy"}
_jit = numba.njit(**_options)
# Without reference counts, for functions that allocate nothing.
_leaf = numba.njit(**{**_options, "_nrt": False})


@_leaf
def _binary(code: int, a: Floats, b: Floats, out: Floats) -> None:
    n = len(out)
    if code == ADD:
        for r in range(n):
            out[r] = a[r] + b[r]
    elif code == SUB:
        for r in range(n):
            out[r] = a[r] - b[r]
    elif code == MUL:
        for r in range(n):
            out[r] = a[r] * b[r]
    elif code == SAFE_DIVIDE:
        for r in range(n):
            out[r] = 0.0 if abs(b[r]) < SMALLEST_DIVISOR else a[r] / b[r]
    elif code == MAXIMUM:
        for r in range(n):
            out[r] = a[r] if a[r] > b[r] or a[r] != a[r] else b[r]
    elif code == MINIMUM:
        for r in range(n):
            out[r] = a[r] if a[r] < b[r] or a[r] != a[r] else b[r]
    elif code == LESS:
        for r in range(n):
            out[r] = 1.0 if a[r] < b[r] else 0.0
    elif code == GREATER:
        for r in range(n):
            out[r] = 1.0 if a[r] > b[r] else 0.0
    elif code == EQUAL:
        for r in range(n):
            out[r] = 1.0 if a[r] == b[r] else 0.0


@_leaf
def _unary(code: int, a: Floats, out: Floats) -> None:
    n = len(out)
    if code == NEG:
        for r in range(n):
            out[r] = -a[r]
    elif code == ABS:
        for r in range(n):
            out[r] = abs(a[r])
    elif code == SQUARE:
        for r in range(n):
            out[r] = a[r] * a[r]
    elif code == SQRT_ABS:
        for r in range(n):
            out[r] = math.sqrt(abs(a[r]))
    elif code == EXP:
        for r in range(n):
            out[r] = math.exp(a[r])
    elif code == LOG:
        for r in range(n):
            out[r] = math.log(1.0 if a[r] <= 0 else a[r])
    elif code == ABS_LOG:
        for r in range(n):
            out[r] = math.log(1.0 if a[r] == 0 else abs(a[r]))
    elif code == LOG1P_ABS:
        for r in range(n):
            out[r] = math.log1p(abs(a[r]))
    elif code == RECIPROCAL:
        for r in range(n):
            out[r] = 1.0 / a[r]
    elif code == RELU:
        for r in range(n):
            out[r] = 0.0 if a[r] <= 0 else a[r]
    elif code == SIGN:
        for r in range(n):
            out[r] = 1.0 if a[r] > 0 else (-1.0 if a[r] < 0 else 0.0)
    elif code == SIGMOID:
        for r in range(n):
            out[r] = 1.0 / (1.0 + math.exp(-a[r]))
    elif code == TANH:
        for r in range(n):
            out[r] = math.tanh(a[r])
    elif code in (HEAVISIDE, IS_POSITIVE):
        for r in range(n):
            out[r] = 1.0 if a[r] > 0 else 0.0
    elif code == IS_NEGATIVE:
        for r in range(n):
            out[r] = 1.0 if a[r] < 0 else 0.0
    elif code in (ONES_LIKE, ZEROS_LIKE):
        for r in range(n):
            out[r] = 1.0 if code == ONES_LIKE else 0.0


@_jit
def assign_slots(codes: Ints, a: Ints, b: Ints, n_columns: int) -> tuple[Ints, int]:
    """Where each node's value stands: a column where it stands itself, others in slots used again after the last use.

    Args:
        codes: of each node, arguments before what they are arguments of.
        a: first argument, or the column.
        b: second argument, or -1.
        n_columns: slots taken by columns.

    Returns:
        The slot of each node, and the number of slots.
    """
    n = len(codes)
    last = np.arange(n)
    for i in range(n):
        if codes[i] > CONSTANT:
            last[a[i]] = i
            if b[i] >= 0:
                last[b[i]] = i
    slots = np.empty(n, np.int64)
    free = np.empty(n, np.int64)
    n_free, n_slots = 0, n_columns
    for i in range(n):
        if codes[i] == COLUMN:
            slots[i] = a[i]
            continue
        if n_free:
            n_free -= 1
            slots[i] = free[n_free]
        else:
            slots[i] = n_slots
            n_slots += 1
        # Freed after the result has its slot: loops over arrays that may overlap would not become vectors.
        if codes[i] > CONSTANT:
            if last[a[i]] == i and codes[a[i]] != COLUMN:
                free[n_free] = slots[a[i]]
                n_free += 1
            if b[i] >= 0 and b[i] != a[i] and last[b[i]] == i and codes[b[i]] != COLUMN:
                free[n_free] = slots[b[i]]
                n_free += 1
        if last[i] == i:  # a root that nothing reads
            free[n_free] = slots[i]
            n_free += 1
    return slots, n_slots


@_jit
def totals(codes: Ints, a: Ints, b: Ints, steps: Floats) -> Floats:
    """Sum of what each node and all below it cost, by code; shared ones as often as they are read."""
    found = np.empty(len(codes))
    for i in range(len(codes)):
        found[i] = steps[codes[i]]
        if codes[i] > CONSTANT:
            found[i] += found[a[i]]
            if b[i] >= 0:
                found[i] += found[b[i]]
    return found


@_jit
def run(
    codes: Ints, a: Ints, b: Ints, constants: Floats, slots: Ints, n_slots: int, result: Ints, columns: Floats,
    used: Ints, start: int, stop: int, out: Floats,
) -> None:  # fmt: skip
    """Evaluate all nodes on the rows from start to stop.

    Args:
        codes: of each node.
        a: node of the first argument, or the slot of the column.
        b: node of the second argument, or -1.
        constants: of nodes that are constants.
        slots: of `assign_slots`.
        n_slots: of `assign_slots`.
        result: row of `out` that a node's value goes to, or -1.
        columns: shape (columns, rows).
        used: which of them the first slots hold.
        start: first row.
        stop: row after the last.
        out: shape (programs, rows).
    """
    memory = np.empty((n_slots, TILE))
    for first in range(start, stop, TILE):
        n = min(TILE, stop - first)
        for c in range(len(used)):
            memory[c, :n] = columns[used[c], first : first + n]
        for i in range(len(codes)):
            code = codes[i]
            value = memory[slots[i], :n]
            if code == CONSTANT:
                value[:] = constants[i]
            elif code > CONSTANT:
                if b[i] >= 0:
                    _binary(code, memory[slots[a[i]], :n], memory[slots[b[i]], :n], value)
                else:
                    _unary(code, memory[slots[a[i]], :n], value)
            if result[i] >= 0:
                out[result[i], first : first + n] = value


@_leaf
def _pairs(x: Floats, ends: Ints) -> tuple[int, int]:
    """Pairs in order less pairs out of order, both of different labels, and all tied pairs."""
    n = len(x)
    above = 0
    tied = 0
    for i in range(n):
        xi = x[i]
        same = x[i + 1 : ends[i]]  # loops over whole slices become vectors
        for j in range(len(same)):
            tied += 1 if same[j] == xi else 0
        larger = x[ends[i] :]
        greater = 0
        equal = 0
        for j in range(len(larger)):
            greater += 1 if larger[j] > xi else 0
            equal += 1 if larger[j] == xi else 0
        above += 2 * greater + equal - len(larger)
        tied += equal
    return above, tied


@_jit
def taus(values: Floats, order: Ints, ends: Ints, y_pairs: int, start: int, stop: int, out: Floats) -> None:
    """Kendall's tau-b of rows of `values` with labels; NaN where all values are tied or undefined.

    Undefined values (NaN or infinite) are tied and below all others.

    Args:
        values: shape (programs, rows).
        order: of the rows by increasing label.
        ends: for each place in this order, the first place with a larger label.
        y_pairs: pairs with different labels.
        start: first program.
        stop: program after the last.
        out: shape (programs,).
    """
    n = len(order)
    x = np.empty(n)
    for p in range(start, stop):
        for i in range(n):
            value = values[p, order[i]]
            x[i] = value if abs(value) < np.inf else -np.inf
        s, tied = _pairs(x, ends)
        x_pairs = n * (n - 1) // 2 - tied
        if x_pairs == 0 or y_pairs == 0:
            out[p] = np.nan
        elif s == x_pairs and s == y_pairs:
            out[p] = 1.0
        elif -s == x_pairs and -s == y_pairs:
            out[p] = -1.0
        else:
            out[p] = s / (math.sqrt(x_pairs) * math.sqrt(y_pairs))
