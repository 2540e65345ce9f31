"""What programs that are sums predict when their weights are learned: of networks that the weights have not seen.

A search over formulas finds, among thousands, the one whose weights suit its labels by chance. Judged by predictions of
each network from weights fitted to all others, a term only pays if it would have helped there.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from untrained.programs.column_fit import RIDGE, terms
from untrained.programs.columns import Floats, Ints, compile_trees
from untrained.programs.tree import Tree

_SMALLEST: Final = 1e-12  # spread of a term, in units of its mean: below it is rounding


class Ridge:
    """Ridge regression of terms on the discovery part, all spaces together, each with a level of its own."""

    def __init__(self, names: Mapping[str, int], columns: Sequence[Floats], target: Floats, starts: Ints) -> None:
        """Nothing is fitted yet.

        Args:
            names: row of `columns` for each terminal.
            columns: of each space's discovery networks, shape (columns, networks).
            target: of all of them, mean 0 in each space and length 1.
            starts: where each space's networks begin in the target, and their number.
        """
        self._names, self._columns, self._target, self._starts = names, columns, target, starts

    def predictions(self, trees: Sequence[Tree], columns: Sequence[Floats] | None, *, workers: int = 1) -> list[Floats]:
        """Values of trees; of sums, with the weights of their terms fitted to the discovery part.

        Discovery networks are predicted without themselves: with H the matrix that makes fitted values of targets, the
        prediction is y - (y - H y) / (1 - diag H). Trees of one term, and sums of which a term is constant or has no
        finite value for some discovery network, are taken as they are written.

        Args:
            trees: of elementwise operators over columns.
            columns: of the networks to predict, for each space (columns, networks); None are the discovery networks.
            workers: threads. Nothing depends on it.

        Returns:
            For each space, shape (trees, networks).
        """
        asked = self._columns if columns is None else columns
        written = compile_trees(trees, self._names)
        found = [written.evaluate(one, workers=workers) for one in asked]
        sums = {i: parts for i, tree in enumerate(trees) if len(parts := [part for _, part in terms(tree)]) > 1}
        number = {part: i for i, part in enumerate(dict.fromkeys([part for parts in sums.values() for part in parts]))}
        if not sums:
            return found
        compiled = compile_trees(list(number), self._names)
        known = [compiled.evaluate(one, workers=workers) for one in self._columns]
        with np.errstate(all="ignore"):
            means = [values.mean(axis=1, keepdims=True) for values in known]
            spread = np.sqrt(np.mean([values.var(axis=1) for values in known], axis=0))[:, None]
            usable = spread[:, 0] > _SMALLEST * np.max([np.abs(mean[:, 0]) for mean in means], axis=0)
            design = np.hstack(
                [(v - mean) / spread / math.sqrt(v.shape[1] * len(known)) for v, mean in zip(known, means, strict=True)]
            )
            new = [compiled.evaluate(one, workers=workers) for one in columns or ()]
            new = [(values - mean) / spread for values, mean in zip(new, means, strict=False)]
        for i, parts in sums.items():
            at = [number[part] for part in parts]
            if not usable[at].all():
                continue
            rows = design[at]
            inverse = np.linalg.inv(rows @ rows.T + RIDGE * np.eye(len(at)))
            weights = inverse @ (rows @ self._target)
            if columns is None:
                leverage = ((inverse @ rows) * rows).sum(axis=0)
                whole = self._target - (self._target - weights @ rows) / (1 - leverage)
                for values, (begin, end) in zip(found, pairwise(self._starts.tolist()), strict=True):
                    values[i] = whole[begin:end]
            else:
                for values, scaled in zip(found, new, strict=True):
                    values[i] = weights @ scaled[at]
        return found
