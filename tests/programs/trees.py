"""Random trees of the operators that exist."""

from collections.abc import Sequence

from hypothesis import strategies as st

from untrained.programs.operators import OPERATORS
from untrained.programs.tree import Tree, call, constant, terminal

NAMES = ("weight", "act_data", "act_grad_data", "eps_relu0.1_bnlin__normal", "output_low", "_x", "e5")
CONSTANTS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 1e-3]), st.floats(allow_nan=False, allow_infinity=False)
)


def trees(
    operators: Sequence[str] | None = None, names: Sequence[str] = NAMES, *, max_parts: int = 14
) -> st.SearchStrategy[Tree]:
    """Trees of these operators (all there are) and terminals, from leaves up: arguments are the last trees."""
    chosen = sorted(OPERATORS) if operators is None else list(operators)
    leaves = st.one_of(st.sampled_from(names).map(terminal), CONSTANTS.map(constant))
    steps = st.lists(st.one_of(leaves, st.sampled_from(chosen), st.sampled_from(chosen)), max_size=max_parts)
    return st.builds(_built, leaves, steps)


def _built(first: Tree, steps: list[Tree | str]) -> Tree:
    stack = [first]
    for step in steps:
        if isinstance(step, Tree):
            stack.append(step)
        else:
            arity = OPERATORS[step].arity
            args = [stack.pop() if len(stack) > 1 else stack[0] for _ in range(arity)]
            stack.append(call(step, *args))
    return max(stack, key=lambda tree: tree.size)
