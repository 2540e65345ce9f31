"""Programs over columns as weighted sums: weights fitted by ridge regression, and what to add or leave out next.

A formula found by crossover and mutation alone spends most of its search on weights. Those of a sum have a best value
that is computed at once, and so does what a further summand would explain: this is orthogonal matching pursuit (Pati,
Rezaiifar and Krishnaprasad 1993) on the columns, their products and their logarithms, with a ridge penalty.

What is fitted are the normal scores of the labels' ranks within each space; a constant for each space is free, since
only ranks within a space matter.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from untrained.programs.columns import compile_trees
from untrained.programs.tree import Tree, call, constant, terminal
from untrained.stats.ranks import midranks

Floats = NDArray[np.float64]
_DIGITS: Final = 5  # of weights
_PRODUCTS: Final = 2048  # pairs of factors that are tried
_AMONG: Final = 4  # best summands, of which one is drawn
_SMALLEST: Final = 1e-12  # spread of a summand


def summands(tree: Tree) -> list[Tree]:
    """What a tree is a weighted sum of, each once and without its weight; constants are left out.

    >>> from untrained.programs.text import parse
    >>> [part.text for part in summands(parse("add(mul(2.0, a), sub(neg(mul(a, b)), mul(3.0, a)))"))]
    ['a', 'mul(a, b)']
    """
    found: dict[Tree, None] = {}
    todo = [tree]
    while todo:
        one = todo.pop()
        if one.head in ("add", "sub", "neg") and one.is_call:
            todo.extend(reversed(one.args))
        elif one.head == "mul" and one.is_call and any(arg.is_constant for arg in one.args):
            todo.extend(reversed([arg for arg in one.args if not arg.is_constant]))
        elif not one.is_constant:
            found[one] = None
    return list(found)


def weighted_sum(weights: Sequence[float], parts: Sequence[Tree]) -> Tree:
    """The tree of a weighted sum, as flat as it can be; weights are rounded to five digits.

    >>> weighted_sum([2.0, -1.0, 0.5], [terminal(name) for name in "abc"]).text
    'add(add(mul(2.0, a), mul(-1.0, b)), mul(0.5, c))'
    """
    trees = [
        call("mul", constant(float(f"{weight:.{_DIGITS}g}")), part) for weight, part in zip(weights, parts, strict=True)
    ]
    while len(trees) > 1:
        trees = [call("add", *trees[i : i + 2]) if len(trees[i : i + 2]) == 2 else trees[i]
                 for i in range(0, len(trees), 2)]  # fmt: skip
    return trees[0]


class Sums:
    """Fits weighted sums to the labels of one part of the networks."""

    def __init__(
        self, names: Sequence[str], columns: Sequence[Floats], labels: Sequence[Floats], *, ridge: float = 3.0
    ) -> None:
        """Prepare the candidates.

        Args:
            names: of the columns.
            columns: for each space, shape (columns, networks).
            labels: for each space, shape (networks,), higher is better.
            ridge: penalty of the squared weights of standardised summands, in networks.
        """
        self._index = {name: i for i, name in enumerate(names)}
        self._columns = [np.ascontiguousarray(one) for one in columns]
        self._target = np.concatenate([_normal_scores(one) / np.sqrt(len(one)) for one in labels])
        self._ridge = ridge * len(labels) / len(self._target)
        self._leaves = [terminal(name) for name in names]
        self._leaves += [call("log1p_abs", leaf) for leaf in self._leaves]

    def refitted(self, tree: Tree) -> Tree | None:
        """The same summands with fitted weights; None where a summand has no finite values or all are constant."""
        parts = summands(tree)
        values = self._values(parts)
        kept = [i for i, column in enumerate(values.T) if column.any()]
        if not kept:
            return None
        return self._fitted([parts[i] for i in kept], values[:, kept])

    def grown(self, tree: Tree, rng: np.random.Generator) -> Tree | None:
        """One summand more: a column, its logarithm, a product of two of these, or of one and a summand.

        Of the four that explain most of what is left, one is drawn.
        """
        parts = summands(tree)
        values = self._values(parts)
        if not values.any(axis=0).all():
            return None
        factors = self._leaves + [part for part in parts if part not in set(self._leaves)]
        pairs = rng.integers(0, len(factors), (_PRODUCTS, 2))
        candidates = list(
            dict.fromkeys(self._leaves + [call("mul", factors[i], factors[j]) for i, j in np.sort(pairs).tolist()])
        )
        tried = self._values(candidates)
        residual = self._target - values @ self._weights(values) if parts else self._target
        gain = np.abs(residual @ tried)
        gain[[i for i, one in enumerate(candidates) if one in set(parts)]] = 0.0
        order = np.argsort(-gain, kind="stable")[:_AMONG]
        chosen = int(order[rng.integers(len(order))])
        if gain[chosen] == 0:
            return None
        return self._fitted([*parts, candidates[chosen]], np.column_stack([values, tried[:, chosen]]))

    def pruned(self, tree: Tree) -> Tree | None:
        """The summand left out whose loss costs least; None where there is but one."""
        parts = summands(tree)
        values = self._values(parts)
        if len(parts) < 2 or not values.any(axis=0).all():
            return None
        inverse = np.linalg.inv(values.T @ values + self._ridge * np.eye(len(parts)))
        cost = self._weights(values) ** 2 / np.diag(inverse)
        rest = np.delete(np.arange(len(parts)), int(np.argmin(cost)))
        return self._fitted([parts[i] for i in rest], values[:, rest])

    def _fitted(self, parts: Sequence[Tree], values: Floats) -> Tree:
        """The sum with weights of the summands as they are, not standardised."""
        return weighted_sum((self._weights(values) / self._spread(self._centred(parts))).tolist(), parts)

    def _weights(self, values: Floats) -> Floats:
        gram = values.T @ values + self._ridge * np.eye(values.shape[1])
        found: Floats = np.linalg.solve(gram, values.T @ self._target)
        return found

    def _values(self, trees: Sequence[Tree]) -> Floats:
        """Standardised values, shape (networks, trees); 0 for trees that are constant, or not finite everywhere."""
        centred = self._centred(trees)
        spread = self._spread(centred)
        with np.errstate(all="ignore"):
            values = np.concatenate([one / np.sqrt(one.shape[1]) for one in centred], axis=1) / spread[:, None]
        values[~(np.isfinite(values).all(axis=1) & np.isfinite(spread) & (spread > _SMALLEST))] = 0.0
        found: Floats = np.ascontiguousarray(values.T)
        return found

    def _centred(self, trees: Sequence[Tree]) -> list[Floats]:
        compiled = compile_trees(trees, self._index)
        found = []
        for columns in self._columns:
            values = compiled.evaluate(columns)
            with np.errstate(all="ignore"):
                mean = values.mean(axis=1, keepdims=True)
                centred = values - mean
                centred[np.abs(centred).max(axis=1) <= 1e-9 * np.abs(mean[:, 0])] = 0.0  # rounding alone
            found.append(centred)
        return found

    def _spread(self, centred: Sequence[Floats]) -> Floats:
        """Standard deviation within spaces, each space counting alike."""
        with np.errstate(all="ignore"):
            found: Floats = np.sqrt(np.mean([(one**2).mean(axis=1) for one in centred], axis=0))
        return found


def _normal_scores(labels: Floats) -> Floats:
    """Quantiles of the normal distribution at the labels' ranks, of mean 0."""
    quantile = NormalDist().inv_cdf
    scores = np.array([quantile(share) for share in (midranks(labels) / (len(labels) + 1)).tolist()])
    found: Floats = scores - scores.mean()
    return found
