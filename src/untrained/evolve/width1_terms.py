"""Terms that formulas over columns are built of, and the one that a formula lacks most."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from untrained.evolve.draws import Draws
from untrained.programs.column_fit import terms, weighted_sum
from untrained.programs.columns import Floats, Ints, compile_trees
from untrained.programs.tree import Tree, call, constant, terminal

_UNARY: Final = ("tanh", "relu", "exp", "square", "sigmoid", "log1p_abs")
_BARE: Final = ("abs_log", "sqrt_abs", "reciprocal")
_BINARY: Final = ("mul", "mul", "maximum", "minimum")
_SMALLEST: Final = 0.02  # share of a candidate's variance that no other term explains: below it is a copy
_RIDGE: Final = 0.01

Scales = Mapping[str, tuple[float, float]]


def drawn_terms(draws: Draws, scales: Scales, n: int) -> list[Tree]:
    """Simple terms at random: columns as they are, functions of scaled columns, and pairs of scaled columns.

    Args:
        draws: random numbers.
        scales: mean and standard deviation of each column.
        n: how many, equal ones counted.

    Returns:
        Distinct terms of at most 13 parts.
    """
    names = list(scales)

    def moved(spread: float) -> Tree:
        name = draws.choice(names)
        mean, deviation = scales[name]
        return call("sub", terminal(name), constant(_short(mean + spread * deviation * draws.normal())))

    def scaled() -> Tree:
        at = moved(1.0)
        deviation = scales[str(at.args[0].head)][1]
        sign = 1 if draws.random() < 0.5 else -1
        return call("mul", constant(_short(sign / deviation)), at)

    found: dict[Tree, None] = {}
    for _ in range(n):
        kind = draws.random()
        if kind < 0.15:
            term = terminal(draws.choice(names))
        elif kind < 0.25:
            term = call(draws.choice(_BARE), terminal(draws.choice(names)))
        elif kind < 0.6:
            term = call(draws.choice(_UNARY), scaled())
        elif kind < 0.9:
            operator = draws.choice(_BINARY)
            term = call(operator, moved(0.5), moved(0.5)) if operator == "mul" else call(operator, scaled(), scaled())
        else:
            term = call("tanh", call("add", scaled(), scaled()))
        found[term] = None
    return list(found)


def extended(
    tree: Tree | None,
    candidates: Sequence[Tree],
    evaluate: Callable[[Sequence[Tree]], Floats],
    target: Floats,
    starts: Ints,
    *,
    n_terms: int,
    max_size: int,
) -> Tree | None:
    """A sum with further terms, each the one that explains most of what the others leave (orthogonal matching pursuit).

    Where there is no room, the terms that matter least make way.

    Args:
        tree: taken as a weighted sum; None is an empty one.
        candidates: terms.
        evaluate: gives values of trees, shape (trees, rows).
        target: shape (rows,), of mean 0 in each space.
        starts: the first row of each space, and the number of rows.
        n_terms: how many are added.
        max_size: operators and leaves of the result.

    Returns:
        The sum, weighted by ridge regression; None where the tree has no value in some row, or no candidate helps.

    Source: Pati, Rezaiifar, Krishnaprasad 1993, Asilomar Conf. Signals Syst. Comput. 27, 40.
    """
    parts = [part for _, part in terms(tree)] if tree is not None else []
    every = [*parts, *[term for term in candidates if term not in set(parts)]]
    values = _centred(evaluate(every), starts)
    norms = np.sqrt((values**2).sum(axis=1))
    usable = np.isfinite(norms) & (norms > 1e-12)
    if not usable[: len(parts)].all():
        return None
    values[~usable] = 0.0
    values /= np.where(usable, norms, 1.0)[:, None]
    chosen = list(range(len(parts)))
    basis: list[Floats] = []
    for i in chosen:
        _join(basis, values[i])
    left = values - _projected(values, basis)
    for _ in range(n_terms):
        rest = target - _projected(target[None], basis)[0]
        squares = (left**2).sum(axis=1)
        gains = np.where(squares > _SMALLEST, (left @ rest) ** 2 / np.maximum(squares, _SMALLEST), 0.0)
        best = int(gains.argmax())
        if gains[best] <= 0:
            break
        chosen.append(best)
        _join(basis, values[best])
        left -= np.outer(left @ basis[-1], basis[-1])
    if len(chosen) == len(parts):
        return None
    weights = _ridge(values[chosen], target)
    while len(chosen) > 1 and sum(every[i].size + 3 for i in chosen) - 1 > max_size:
        chosen.pop(int(np.abs(weights).argmin()))
        weights = _ridge(values[chosen], target)
    scale = np.sqrt(len(target))
    numbers = [_short(weight / norms[i] * scale) for weight, i in zip(weights.tolist(), chosen, strict=True)]
    kept = [(number, every[i]) for number, i in zip(numbers, chosen, strict=True) if number != 0]
    return weighted_sum(kept) if kept else None


def evaluator(names: Mapping[str, int], matrix: Floats) -> Callable[[Sequence[Tree]], Floats]:
    """What gives values of trees over a matrix of columns, shape (columns, rows)."""
    return lambda trees: compile_trees(trees, names).evaluate(matrix)


def _centred(values: Floats, starts: Ints) -> Floats:
    out = np.empty_like(values)
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        with np.errstate(all="ignore"):
            out[:, start:stop] = values[:, start:stop] - values[:, start:stop].mean(axis=1, keepdims=True)
    return out


def _join(basis: list[Floats], vector: Floats) -> None:
    """Add the direction of a vector that is orthogonal to all of an orthonormal basis, if there is any."""
    for _ in range(2):
        vector = vector - _projected(vector[None], basis)[0]
    length = float(np.sqrt(vector @ vector))
    if length > 1e-6:
        basis.append(vector / length)


def _projected(values: Floats, basis: Sequence[Floats]) -> Floats:
    if not basis:
        return np.zeros_like(values)
    directions = np.array(basis)
    return np.asarray((values @ directions.T) @ directions, np.float64)


def _ridge(values: Floats, target: Floats) -> Floats:
    gram = values @ values.T + _RIDGE * np.eye(len(values))
    return np.asarray(np.linalg.solve(gram, values @ target), np.float64)


def _short(value: float) -> float:
    return float(f"{value:.4g}")
