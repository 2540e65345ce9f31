"""Better numbers in programs over columns: weights of their terms, and the constants inside, fitted to labels."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from untrained.programs.columns import Floats, Ints
from untrained.programs.tree import Tree, call, constant

RIDGE = 0.02
N_STEPS = 12


def terms(tree: Tree) -> list[tuple[float, Tree]]:
    """A tree as a weighted sum, up to a constant that changes no ranking; a term that stands twice is one.

    >>> from untrained.programs.tree import terminal
    >>> a, b = terminal("a"), terminal("b")
    >>> terms(call("sub", call("mul", constant(2.0), call("add", a, b)), call("add", call("exp", b), constant(7.0))))
    [(2.0, <a>), (2.0, <b>), (-1.0, <exp(b)>)]
    """
    found: dict[Tree, float] = {}
    todo = [(1.0, tree)]
    while todo:
        weight, part = todo.pop()
        if part.head == "add" and part.args:
            todo += [(weight, part.args[1]), (weight, part.args[0])]
        elif part.head == "sub" and part.args:
            todo += [(-weight, part.args[1]), (weight, part.args[0])]
        elif part.head == "neg" and part.args:
            todo.append((-weight, part.args[0]))
        elif part.head == "mul" and part.args and any(arg.is_constant for arg in part.args):
            number, other = part.args if part.args[0].is_constant else part.args[::-1]
            todo.append((weight * float(number.head), other))
        elif not part.is_constant:
            found[part] = found.get(part, 0.0) + weight
    return [(weight, part) for part, weight in found.items() if weight != 0 and math.isfinite(weight)]


def weighted_sum(parts: Sequence[tuple[float, Tree]]) -> Tree:
    """The tree that adds up weighted terms, as shallow as it can be.

    Raises:
        ValueError: there are none.

    >>> from untrained.programs.tree import terminal
    >>> weighted_sum([(2.0, terminal("a")), (-1.0, terminal("b")), (1.0, terminal("c"))]).text
    'add(add(mul(2.0, a), mul(-1.0, b)), mul(1.0, c))'
    """
    level = [call("mul", constant(weight), part) for weight, part in parts]
    if not level:
        raise ValueError("a sum needs terms")
    while len(level) > 1:
        level = [call("add", *level[i : i + 2]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
    return level[0]


def fit_tree(
    tree: Tree,
    names: Mapping[str, int],
    columns: Floats,
    target: Floats,
    *,
    starts: Ints | None = None,
    max_size: int,
    ridge: float = RIDGE,
) -> Tree:
    """A tree with its terms weighted, and the constants inside them moved, so that it follows a target.

    The tree is taken as a sum of terms, each of which gets a weight, as long as it does not grow over `max_size`. See
    `column_fit_kernels.fit` for what is minimised: weights are drawn to 0, the constants inside to where they are.

    Args:
        tree: of elementwise operators.
        names: row of `columns` for each terminal.
        columns: shape (columns, rows).
        target: shape (rows,), of mean 0 in each space and length 1.
        starts: the first row of each space, and the number of rows: only order within a space counts. None: one space.
        max_size: operators and leaves of the result.
        ridge: share of the target's variance that a doubling of a term costs.

    Returns:
        The changed tree; the tree itself where it is undefined somewhere, constant, or cannot be weighted.
    """
    from untrained.programs import column_fit_kernels
    from untrained.programs import column_kernels as kernels

    parts = terms(tree)
    sums = len(parts) > 1 and sum(part.size + 3 for _, part in parts) - 1 <= max_size
    whole = weighted_sum(parts) if sums else tree
    nodes: list[tuple[int, int, int, float]] = []
    places: list[int] = []  # of constants, in the order in which they are written

    def add(part: Tree) -> int:
        if part.args:
            below = [add(arg) for arg in part.args]
            nodes.append((kernels.OPCODES[str(part.head)], below[0], below[1] if len(below) > 1 else -1, 0.0))
        elif isinstance(part.head, str):
            nodes.append((kernels.COLUMN, names[part.head], -1, 0.0))
        else:
            places.append(len(nodes))
            nodes.append((kernels.CONSTANT, -1, -1, part.head))
        return len(nodes) - 1

    add(whole)
    if not places:
        return tree
    codes, a, b = (np.array([node[i] for node in nodes], np.int64) for i in range(3))
    constants = np.array([node[3] for node in nodes])
    free = np.array(places, np.int64)
    weights = np.zeros(len(places), np.bool_)
    if sums:
        at = 0
        for _, part in parts:  # each term is written as its weight and then itself
            weights[at] = True
            at += 1 + sum(inner.is_constant for inner in part.walk())
    bounds = np.array([0, columns.shape[1]]) if starts is None else starts
    rho, scale = column_fit_kernels.fit(codes, a, b, constants, free, weights, columns, target, bounds, ridge, N_STEPS)
    if math.isnan(rho):
        return tree
    constants[free[weights]] *= scale * math.sqrt(columns.shape[1])  # in units of normal scores
    numbers = iter([float(f"{value:.4g}") for value in constants[free].tolist()])

    def written(part: Tree) -> Tree:
        if part.args:
            return Tree(part.head, tuple([written(arg) for arg in part.args]), True)
        return part if isinstance(part.head, str) else constant(next(numbers))

    if not sums:
        return written(whole)
    fitted = [(next(numbers), written(part)) for _, part in parts]
    return weighted_sum([(weight, part) for weight, part in fitted if weight != 0] or [(1.0, tree)])
