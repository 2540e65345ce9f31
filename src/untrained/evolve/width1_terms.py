"""Terms that formulas over columns are built of, and the one that a formula lacks most."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from untrained.evolve.draws import Draws, short
from untrained.programs.column_fit import terms, weighted_sum
from untrained.programs.columns import Floats, Ints, compile_trees
from untrained.programs.tree import Tree, call, constant, terminal
from untrained.stats import normal_scores

_UNARY: Final = ("tanh", "relu", "exp", "square", "sigmoid", "log1p_abs")
_BARE: Final = ("abs_log", "sqrt_abs", "reciprocal")
_BINARY: Final = ("mul", "mul", "maximum", "minimum")
_SMALLEST: Final = 0.02  # share of a candidate's variance that no other term explains: below it is a copy
_RIDGE: Final = 0.01

Scales = Mapping[str, tuple[float, float]]


def target_of(labels: ArrayLike) -> Floats:
    """Labels as normal scores, of mean 0 and length 1: what fits look at is their ranks alone.

    >>> target_of([10.0, 30.0, 1000.0]).round(3).tolist()
    [-0.707, 0.0, 0.707]
    """
    found = normal_scores(labels)
    found -= found.mean()
    return found / max(math.sqrt(float(found @ found)), 1e-300)


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
        return call("sub", terminal(name), constant(short(mean + spread * deviation * draws.normal())))

    def scaled() -> Tree:
        at = moved(1.0)
        deviation = scales[str(at.args[0].head)][1]
        sign = 1 if draws.random() < 0.5 else -1
        return call("mul", constant(short(sign / deviation)), at)

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


class Terms:
    """Candidates with their values on the discovery part, evaluated once, and what formulas lack of them."""

    def __init__(
        self, candidates: Sequence[Tree], names: Mapping[str, int], matrix: Floats, target: Floats, starts: Ints
    ) -> None:
        """Evaluate the candidates.

        Args:
            candidates: terms.
            names: row of `matrix` for each terminal.
            matrix: shape (columns, rows).
            target: shape (rows,), of mean 0 in each space and length 1.
            starts: the first row of each space, and the number of rows.
        """
        self._names, self._matrix, self._target, self._starts = names, matrix, target, starts
        values, norms = self._values(candidates)
        usable = np.flatnonzero(norms > 0)
        self.trees = [candidates[i] for i in usable.tolist()]
        self._known, self._norms = values[usable], norms[usable]

    def __len__(self) -> int:
        return len(self.trees)

    def extended(self, tree: Tree | None, among: Ints, *, n_terms: int, max_size: int) -> Tree | None:
        """A sum with further terms, each the one that explains most of what the others leave.

        This is orthogonal matching pursuit; where there is no room, the terms that matter least make way.

        Args:
            tree: taken as a weighted sum; None is an empty one.
            among: numbers of the candidates.
            n_terms: how many are added.
            max_size: operators and leaves of the result.

        Returns:
            The sum, weighted by ridge regression; None where a term has no value or is constant, or no candidate helps.

        Source: Pati, Rezaiifar, Krishnaprasad 1993, Asilomar Conf. Signals Syst. Comput. 27, 40.
        """
        parts = [part for _, part in terms(tree)] if tree is not None else []
        own, own_norms = self._values(parts)
        if not (own_norms > 0).all():
            return None
        values = np.vstack([own, self._known[among]])
        norms = np.concatenate([own_norms, self._norms[among]])
        chosen = list(range(len(parts)))
        basis: list[Floats] = []
        for i in chosen:
            _join(basis, values[i])
        left = values - _projected(values, basis)
        for _ in range(n_terms):
            rest = self._target - _projected(self._target[None], basis)[0]
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
        trees = [*parts, *[self.trees[i] for i in among.tolist()]]
        weights = _ridge(values[chosen], self._target)
        while len(chosen) > 1 and sum(trees[i].size + 3 for i in chosen) - 1 > max_size:
            chosen.pop(int(np.abs(weights).argmin()))
            weights = _ridge(values[chosen], self._target)
        scale = math.sqrt(len(self._target))
        numbers = [short(weight / norms[i] * scale) for weight, i in zip(weights.tolist(), chosen, strict=True)]
        kept = [(number, trees[i]) for number, i in zip(numbers, chosen, strict=True) if number != 0]
        return weighted_sum(kept) if kept else None

    def _values(self, trees: Sequence[Tree]) -> tuple[Floats, Floats]:
        """Values less their mean in each space, of length 1, and their length; 0 where constant or not finite."""
        if not trees:
            return np.empty((0, len(self._target))), np.empty(0)
        values = compile_trees(trees, self._names).evaluate(self._matrix)
        values[~np.isfinite(values).all(axis=1)] = 0.0
        before = np.sqrt((values**2).sum(axis=1))
        for start, stop in zip(self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True):
            values[:, start:stop] -= values[:, start:stop].mean(axis=1, keepdims=True)
        norms = np.sqrt((values**2).sum(axis=1))
        norms[~(norms > 1e-9 * before) | ~np.isfinite(norms)] = 0.0
        values[norms == 0] = 0.0
        return values / np.where(norms > 0, norms, 1.0)[:, None], norms


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
