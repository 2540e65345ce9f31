"""Equal programs, written once: identities of operators that hold for every bit of the value.

What is guaranteed: a tree and its simplification have the same value, bit for bit, in float32 and in float64, zeros,
infinities and NaN included, signs of zeros too; only which NaN it is may differ. So an identity of real numbers is used
only if floating-point numbers obey it: x + 0 is not x where x is -0, (a + b) + c is not a + (b + c), x - x is not 0
where x is infinite. RULES are tested one by one, and whole trees with the evaluator.

Where a program fails (an undefined determinant, a value too large), its simplification may still have a value: what is
left out cannot fail.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import product
from typing import Final, NamedTuple

import numpy as np

from untrained.programs.operators import OPERATORS, Operator, TooLargeError, UndefinedError
from untrained.programs.text import parse
from untrained.programs.tree import Tree, call, constant

COMMUTATIVE: Final = ("add", "mul", "equal")
"""Their arguments are put in order: constants last, otherwise by text."""

# f(-x) is f(x), and so f(|x|) is
_EVEN = ("abs", "square", "sqrt_abs", "log1p_abs", "abs_log", "frobenius", "mean_abs", "l1_norm")
# never below 0, nor -0; NaN where they are
_NOT_NEGATIVE = (
    "abs", "square", "sqrt_abs", "log1p_abs", "exp", "relu", "sigmoid", "heaviside", "is_positive", "is_negative",
    "ones_like", "zeros_like", "frobenius", "mean_abs", "l1_norm", "variance", "std", "numel",
)  # fmt: skip
_COMPARISONS = ("less", "greater", "equal")  # 0 or 1
# one number for any array, and never -0, which sums turn into 0
_NUMBERS = ("sum", "mean_abs", "l1_norm", "frobenius", "variance", "std", "numel")
# the same shape, element by element
_ELEMENTWISE = (
    "neg", "abs", "square", "sqrt_abs", "log1p_abs", "abs_log", "log", "exp", "relu", "sigmoid", "tanh", "sign",
    "heaviside", "is_positive", "is_negative", "reciprocal", "ones_like", "zeros_like",
)  # fmt: skip

Rule = tuple[str, str]


def _family(left: str, right: str, *names: Iterable[str]) -> Iterator[Rule]:
    """A rule for every choice of operators for {0}, {1}."""
    return ((left.format(*chosen), right.format(*chosen)) for chosen in product(*names))


RULES: Final[tuple[Rule, ...]] = (
    # inverse pairs
    ("neg(neg(x))", "x"),
    ("transpose(transpose(x))", "x"),
    # neutral elements; constants of commutative operators stand last
    ("mul(x, 1.0)", "x"),
    ("add(x, -0.0)", "x"),
    ("sub(x, 0.0)", "x"),
    ("safe_divide(x, 1.0)", "x"),
    ("maximum(x, x)", "x"),
    ("minimum(x, x)", "x"),
    # signs
    ("mul(x, -1.0)", "neg(x)"),
    ("mul(neg(x), neg(y))", "mul(x, y)"),
    ("safe_divide(neg(x), neg(y))", "safe_divide(x, y)"),
    ("add(x, neg(y))", "sub(x, y)"),
    ("add(neg(x), y)", "sub(y, x)"),
    ("sub(x, neg(y))", "add(x, y)"),
    ("is_positive(neg(x))", "is_negative(x)"),
    ("is_negative(neg(x))", "is_positive(x)"),
    *_family("{0}(neg(x))", "{0}(x)", (*_EVEN, "variance", "std")),
    *_family("{0}(abs(x))", "{0}(x)", _EVEN),
    *_family("{1}({0}(x))", "{0}(x)", _NOT_NEGATIVE, ("abs", "relu")),
    *_family("{1}({0}(x, y))", "{0}(x, y)", _COMPARISONS, ("abs", "relu")),
    # what is 0 or 1, or -1, 0 or 1
    ("sign(sign(x))", "sign(x)"),
    *_family(
        "{1}({0}(x))", "{0}(x)", ("heaviside", "is_positive", "is_negative"), ("sign", "heaviside", "is_positive")
    ),
    *_family("{1}({0}(x, y))", "{0}(x, y)", _COMPARISONS, ("sign", "heaviside", "is_positive")),
    *_family("square({0}(x))", "{0}(x)", ("heaviside", "is_positive", "is_negative")),
    *_family("{1}({0}(x))", "{1}(x)", ("sign", "relu"), ("is_positive", "heaviside")),
    ("is_negative(sign(x))", "is_negative(x)"),
    # the same written shorter
    ("mul(x, x)", "square(x)"),
    ("greater(x, y)", "less(y, x)"),
    ("mean(abs(x))", "mean_abs(x)"),
    ("sum(abs(x))", "l1_norm(x)"),
    # shapes alone
    *_family("{1}({0}(x))", "{1}(x)", _ELEMENTWISE, ("ones_like", "zeros_like", "numel")),
    ("numel(transpose(x))", "numel(x)"),
    # one number stays one number
    *_family("{1}({0}(x))", "{0}(x)", (*_NUMBERS, "mean", "min", "max"), ("min", "max")),
    *_family("{1}({0}(x))", "{0}(x)", _NUMBERS, ("mean", "sum")),
)
"""Left and right sides over any subtrees x and y; tested for every pair of arrays that hypothesis thinks of."""


class _Pattern(NamedTuple):
    left: Tree
    right: Tree
    needs: frozenset[str]


def simplify(tree: Tree, operators: Mapping[str, Operator] | None = None, done: dict[Tree, Tree] | None = None) -> Tree:
    """The tree with RULES applied wherever they fit, constants folded and arguments in order.

    Constants are folded by the operator's own function, and only where float32 and float64 agree: the folded number,
    rounded to float32, is what float32 gives.

    Args:
        tree: any tree.
        operators: those that may stand in the result where they did not before; None for OPERATORS.
        done: what trees are simplified to, read and added to; for callers with many trees of common parts, all
            with the same operators.

    Returns:
        A tree of the same value (see above), that is no larger; simplifying it again changes nothing.

    >>> from untrained.programs.text import parse
    >>> simplify(parse("mean(abs(mul(add(1, 2), neg(neg(weight)))))")).text
    'mean_abs(mul(weight, 3.0))'
    """
    operators = OPERATORS if operators is None else operators
    patterns = _patterns()
    done = {} if done is None else done
    todo = [tree]
    while todo:
        part = todo[-1]
        missing = [arg for arg in part.args if arg not in done]
        if missing:
            todo.extend(missing)
            continue
        todo.pop()
        if part not in done:
            args = tuple([done[arg] for arg in part.args])
            done[part] = _at_root(Tree(part.head, args, True), operators, patterns) if args else part
    return done[tree]


def _at_root(tree: Tree, operators: Mapping[str, Operator], patterns: Mapping[str, list[_Pattern]]) -> Tree:
    """Simplify a tree whose arguments are simple."""
    while tree.args:
        new = _folded(_in_order(tree), operators)
        for left, right, needs in patterns.get(str(new.head), ()):
            found = _match(left, new)
            if found is not None and needs.issubset(operators):
                new = _filled(right, found)
                break
        if new is tree:
            break
        tree = new
    return tree


def _in_order(tree: Tree) -> Tree:
    if tree.head not in COMMUTATIVE:
        return tree
    return call(str(tree.head), *sorted(tree.args, key=lambda arg: (arg.is_constant, arg.text)))


def _folded(tree: Tree, operators: Mapping[str, Operator]) -> Tree:
    """The number that an operator gives of numbers, where float32 and float64 have one text for it."""
    operator = operators.get(str(tree.head))
    if operator is None or not all(arg.is_constant for arg in tree.args):
        return tree
    with np.errstate(all="ignore"):
        try:
            wide, narrow = (
                np.asarray(operator.fn(*[np.array(arg.head, dtype) for arg in tree.args]))
                for dtype in (np.float64, np.float32)
            )
        except (UndefinedError, TooLargeError):
            return tree
        same = wide.ndim == narrow.ndim == 0 and np.isfinite(wide) and np.isfinite(narrow)
        if not same or np.float32(wide).tobytes() != np.float32(narrow).tobytes():
            return tree
    return constant(float(wide))


def _match(pattern: Tree, tree: Tree) -> dict[Tree, Tree] | None:
    """What x and y of a pattern are in a tree; None where it does not fit."""
    for wanted, given in zip(pattern.args, tree.args, strict=False):
        if wanted.args and wanted.head != given.head:  # nearly always, so it is looked at first
            return None
    found: dict[Tree, Tree] = {}
    todo = [(pattern, tree)]
    while todo:
        wanted, given = todo.pop()
        if wanted.is_terminal:
            if found.setdefault(wanted, given) is not given:
                return None
        elif not wanted.args:
            if wanted is not given:
                return None
        elif wanted.head != given.head or len(wanted.args) != len(given.args):
            return None
        else:
            todo.extend(zip(wanted.args, given.args, strict=True))
    return found


def _filled(pattern: Tree, found: Mapping[Tree, Tree]) -> Tree:
    if pattern in found:
        return found[pattern]
    return call(str(pattern.head), *[_filled(arg, found) for arg in pattern.args]) if pattern.args else pattern


@cache
def _patterns() -> Mapping[str, list[_Pattern]]:
    """RULES as trees, by the outermost operator of the left side."""
    found: dict[str, list[_Pattern]] = {}
    for left, right in dict.fromkeys(RULES):
        sides = parse(left), parse(right)
        heads = [{str(part.head) for part in side.walk() if part.is_call} for side in sides]
        found.setdefault(str(sides[0].head), []).append(_Pattern(*sides, frozenset(heads[1] - heads[0])))
    return found
