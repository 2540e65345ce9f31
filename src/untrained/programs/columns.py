"""Programs over columns: elementwise trees of numbers that every architecture has one of, thousands at a time.

A tree is evaluated as the operators of `untrained.programs.operators` would in float64, for all architectures at once;
equal subtrees of all trees are evaluated once.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from untrained.errors import BadInputError
from untrained.programs.tree import Tree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CHUNK = 4096  # trees compiled at a time: their values are a few megabytes


@dataclass(frozen=True, eq=False)
class Compiled:
    """Trees as a flat list of nodes, arguments first; each distinct subtree is one node.

    Attributes:
        codes: what each node does, shape (nodes,).
        a: node of the first argument, or the place in `used` of a column.
        b: node of the second argument, or -1.
        constants: of nodes that are numbers.
        slots: where values are kept while something reads them; the first ones are columns.
        n_slots: how many of these there are.
        roots: the node of each tree, shape (trees,).
        used: indices of the columns that are read.
    """

    codes: Ints
    a: Ints
    b: Ints
    constants: Floats
    slots: Ints
    n_slots: int
    roots: Ints
    used: Ints

    def __len__(self) -> int:
        return len(self.roots)

    @property
    def n_nodes(self) -> int:
        """Number of distinct subtrees."""
        return len(self.codes)

    def evaluate(self, columns: Floats, *, workers: int = 1) -> Floats:
        """Values of the trees.

        Args:
            columns: shape (columns, rows), float64, C order; NaN where undefined.
            workers: threads. The values do not depend on it.

        Returns:
            Shape (trees, rows).
        """
        from untrained.programs import column_kernels as kernels

        nodes, which = np.unique(self.roots, return_inverse=True)
        result = np.full(self.n_nodes, -1)
        result[nodes] = np.arange(len(nodes))
        n_rows = columns.shape[1]
        out = np.empty((len(nodes), n_rows))

        def work(start: int, stop: int) -> None:
            kernels.run(
                self.codes, self.a, self.b, self.constants, self.slots, self.n_slots, result, columns, self.used,
                start, stop, out,
            )  # fmt: skip

        in_threads(work, n_rows, workers)
        return out if len(nodes) == len(self.roots) and (which[:-1] < which[1:]).all() else out[which.reshape(-1)]

    def totals(self, steps: Mapping[str, float]) -> Floats:
        """Sum of the steps of the operators of each tree, as often as they stand in it; shape (trees,)."""
        from untrained.programs import column_kernels as kernels

        by_code = np.zeros(2 + len(kernels.OPCODES))
        for name, n in steps.items():
            by_code[kernels.OPCODES[name]] = n
        found: Floats = kernels.totals(self.codes, self.a, self.b, by_code)[self.roots]
        return found


def compile_trees(trees: Sequence[Tree], names: Mapping[str, int]) -> Compiled:
    """Trees as one list of nodes.

    Args:
        trees: of elementwise operators over columns and constants.
        names: index of each column.

    Raises:
        BadInputError: an operator that is not elementwise, applied to too many or few arguments, or an unknown column.

    >>> from untrained.programs.tree import call, terminal
    >>> a = terminal("a")
    >>> found = compile_trees([call("exp", a), call("add", call("exp", a), a)], {"a": 0})
    >>> found.n_nodes, found.evaluate(np.array([[0.0, 1.0]])).round(2).tolist()
    (3, [[1.0, 2.72], [1.0, 3.72]])
    """
    from untrained.programs import column_kernels as kernels

    opcodes, n_binary = kernels.OPCODES, kernels.EQUAL
    numbers: dict[Tree, int] = {}
    codes: list[int] = []
    a: list[int] = []
    b: list[int] = []
    constants: list[float] = []
    places: dict[int, int] = {}  # by column

    def number(tree: Tree) -> int:
        found = numbers.get(tree)
        if found is not None:
            return found
        args, head, value = tree.args, tree.head, 0.0
        if args:
            code = opcodes.get(str(head), -1)
            if code < 0 or len(args) != (2 if code <= n_binary else 1):
                raise BadInputError(
                    f"{head} of {len(args)} cannot be applied to columns: expected one of {', '.join(opcodes)}, "
                    "with as many arguments as it has."
                )
            first, second = number(args[0]), number(args[1]) if len(args) == 2 else -1
        elif isinstance(head, str):
            if head not in names:
                raise BadInputError(f"no column is called {head!r}. Columns are those of the bank the program is for.")
            code, first, second = 0, places.setdefault(names[head], len(places)), -1
        else:
            code, first, second, value = 1, -1, -1, head
        found = numbers[tree] = len(codes)
        codes.append(code)
        a.append(first)
        b.append(second)
        constants.append(value)
        return found

    roots = np.array([number(tree) for tree in trees], np.int64)
    nodes = (np.array(codes, np.int64), np.array(a, np.int64), np.array(b, np.int64))
    slots, n_slots = kernels.assign_slots(*nodes, len(places))
    return Compiled(*nodes, np.array(constants), slots, n_slots, roots, np.array(list(places), np.int64))


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels sorted once, to be compared with many programs.

    Attributes:
        order: of the architectures by increasing label, shape (n,).
        ends: for each place in this order the first place with a larger label.
        n_pairs: pairs with different labels.
    """

    order: Ints
    ends: Ints
    n_pairs: int

    @classmethod
    def of(cls, labels: ArrayLike) -> "Labels":
        """Sort labels, shape (n,).

        >>> Labels.of([3.0, 1.0, 1.0]).ends
        array([2, 2, 3])
        """
        values = np.asarray(labels, np.float64)
        order = np.argsort(values, kind="stable")
        ends = np.searchsorted(values[order], values[order], side="right")
        return cls(order, ends, int((len(values) - ends).sum()))

    def taus(self, values: Floats, *, workers: int = 1) -> Floats:
        """Kendall's tau-b of each row of values with the labels.

        tau_b = (C - D) / sqrt((C + D + Tx) (C + D + Ty)), with C/D concordant/discordant pairs and Tx, Ty pairs tied in
        values or labels only. NaN and infinite values are tied and below all others.

        Args:
            values: shape (programs, n).
            workers: threads. The taus do not depend on it.

        Returns:
            Shape (programs,); NaN where all values, or all labels, are tied.

        Source: Kendall 1945, Biometrika 33, 239. Equals `untrained.stats.kendall_tau_b` (tests).

        >>> Labels.of([1.0, 2.0, 3.0]).taus(np.array([[2.0, 4.0, 8.0], [2.0, np.nan, 1.0]])).round(2).tolist()
        [1.0, -0.33]
        """
        from untrained.programs import column_kernels as kernels

        out = np.empty(len(values))

        def work(start: int, stop: int) -> None:
            kernels.taus(values, self.order, self.ends, self.n_pairs, start, stop, out)

        in_threads(work, len(values), workers)
        return out


def in_threads(work: Callable[[int, int], None], n: int, workers: int) -> None:
    """Share out 0..n to threads in contiguous parts; `work` is told where its part starts and stops."""
    if workers <= 1 or n < 2:
        work(0, n)
        return
    bounds = np.linspace(0, n, min(workers, n) + 1).astype(int).tolist()
    with ThreadPoolExecutor(len(bounds) - 1) as threads:
        for done in [threads.submit(work, *bound) for bound in pairwise(bounds)]:
            done.result()
