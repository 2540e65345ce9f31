"""What a program measures, in plain words."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Final

from untrained.programs.operators import OPERATORS, Operator
from untrained.programs.program import NETWORK, Program
from untrained.programs.tree import Kind, Tree

__all__ = ["LAYER_MEANINGS", "PHRASES", "WEIGHT_MEANINGS", "describe"]

LONGEST: Final = 3  # operators inside each other in one sentence

_MEASURED: Final = {
    "weight_grad": "the gradient of the convolution's weights",
    "in": "the input of the ReLU",
    "in_grad": "the gradient at the ReLU's input",
    "pre": "the input of the convolution",
    "pre_grad": "the gradient at the convolution's input",
    "act": "the output of the batch norm",
    "act_grad": "the gradient at the batch norm's output",
}
_PASSES: Final = {
    "data": "{0}",
    "noise": "{0} on images of noise",
    "perturb": "the change of {0} under a small change of the images",
}
LAYER_MEANINGS: Final[Mapping[str, str]] = {
    "weight": "the convolution's weights",
    "weight_grad_loss": "the gradient of the cross entropy by the weights",
    **{f"{name}_{which}": how.format(what) for name, what in _MEASURED.items() for which, how in _PASSES.items()},
}
"""What is measured on layers; gradients are those of the sum of all logits unless they say otherwise."""

WEIGHT_MEANINGS: Final[Mapping[str, str]] = {
    "weight": "its values",
    "weight_grad_loss": "the gradient of the cross entropy by it",
    "weight_grad_data": "the gradient of the sum of all logits by it",
}
"""What is measured on weights."""

PHRASES: Final[Mapping[str, str]] = {
    "add": "the sum of {0} and {1}",
    "sub": "the difference of {0} and {1}",
    "mul": "the elementwise product of {0} and {1}",
    "safe_divide": "the quotient of {0} by {1} (0 where that is near 0)",
    "less": "whether {0} is below {1} (1 or 0)",
    "greater": "whether {0} is above {1} (1 or 0)",
    "equal": "whether {0} equals {1} (1 or 0)",
    "maximum": "the larger of {0} and {1}",
    "minimum": "the smaller of {0} and {1}",
    "neg": "the negative of {0}",
    "abs": "the magnitude of {0}",
    "square": "the square of {0}",
    "sqrt_abs": "the square root of the magnitude of {0}",
    "log": "the logarithm of {0} (0 where that is not positive)",
    "abs_log": "the logarithm of the magnitude of {0}",
    "log1p_abs": "the logarithm of 1 plus the magnitude of {0}",
    "exp": "the exponential of {0}",
    "relu": "the positive part of {0}",
    "sign": "the sign of {0}",
    "heaviside": "whether {0} is positive (1 or 0)",
    "is_positive": "whether {0} is positive (1 or 0)",
    "is_negative": "whether {0} is negative (1 or 0)",
    "reciprocal": "1 over {0}",
    "sigmoid": "the sigmoid of {0}",
    "tanh": "the hyperbolic tangent of {0}",
    "ones_like": "1 for every element of {0}",
    "zeros_like": "0 for every element of {0}",
    "mean": "the mean of {0}",
    "mean_abs": "the mean magnitude of {0}",
    "nan_mean": "the mean of what is defined of {0}",
    "sum": "the sum over all elements of {0}",
    "min": "the smallest element of {0}",
    "max": "the largest element of {0}",
    "variance": "the variance of {0}",
    "std": "the standard deviation of {0}",
    "frobenius": "the root of the sum of squares of {0}",
    "l1_norm": "the sum of magnitudes of {0}",
    "spectral_norm": "the largest singular value of the rows of {0}",
    "rank": "the rank of the rows of {0}",
    "numel": "the number of elements of {0}",
    "entropy": "the entropy of the magnitudes of {0}",
    "channel_mean": "the mean of every channel of {0}",
    "sample_mean": "the mean of every sample of {0}",
    "hamming": "the share of elements where only one of {0} and {1} is positive",
    "kl_div": "the divergence of {1} from the distribution whose logarithms are {0}",
    "cosine": "the cosine of the angle between {0} and {1}",
    "matmul": "the matrix product of {0} and {1}",
    "outer": "all products of an element of {0} and an element of {1}",
    "transpose": "{0} with its last two dimensions exchanged",
    "gram": "the inner products of the rows of {0}",
    "channel_correlation": "the correlations between channels of {0}",
    "sample_correlation": "the correlations between samples of {0}",
    "det": "the determinant of every map of {0}",
    "logdet": "the logarithm of the determinant of every map of {0} (0 where that is negative)",
    "log_abs_det": "the logarithm of the magnitude of the determinant of every map of {0}",
    "sym_eig_ratio": "the largest over the smallest eigenvalue of the inner products of the rows of {0}",
    "eig_ratio": "the largest over the smallest magnitude of the eigenvalues of every map of {0}",
    "min_eig": "the smallest eigenvalue of every map of {0}",
    "max_eig": "the largest eigenvalue of every map of {0}",
    "eig_entropy": "the entropy of the eigenvalues of every map of {0}",
    "standardise": "{0} rescaled to mean 0 and deviation 1",
    "softmax": "the softmax along the last dimension of {0}",
    "unit_range": "{0} rescaled to the range from 0 to 1, without its smallest elements",
    "add_noise": "{0} with a little fixed noise",
    "normal_like": "fixed noise in the shape of {0}",
    "join": "all elements of {0} and of {1}",
}
"""What each operator makes of its arguments, as a noun."""

_OVER: Final = {
    "mean": "the mean of v over {0}",
    "sum": "the sum of v over {0}",
    "log_sum": "the sum over {0} of the logarithm of 1 plus the magnitude of v, with the sign of v",
    "last": "v of the last of {0}",
}
_UNITS: Final = {
    "layers": ("a layer (ReLU, convolution and batch norm in a row)", "all layers"),
    "weights": ("a weight of a convolution or linear layer", "all weights"),
}


def describe(
    program: Program, meanings: Mapping[str, str] | None = None, operators: Mapping[str, Operator] | None = None
) -> str:
    """What a program measures, in a few sentences.

    Parts that are used twice, or lie deep, get a letter and a sentence of their own.

    Args:
        program: any.
        meanings: nouns for terminals, beside LAYER_MEANINGS or WEIGHT_MEANINGS and before them; others are called by
            their names.
        operators: by name; None for OPERATORS. Those that PHRASES does not know are called by their names.

    Returns:
        One paragraph.

    >>> from untrained.programs.program import parse_program
    >>> print(describe(parse_program("layers_sum(mean_abs(mul(weight, weight_grad_data)))")))
    For a layer (ReLU, convolution and batch norm in a row), let v be the mean magnitude of the elementwise product of \
the convolution's weights and the gradient of the convolution's weights. The score is the sum of v over all layers.
    >>> print(describe(parse_program("add(square(a), square(a))"), {"a": "the depth"}))
    Let A be the square of the depth. The score is the sum of A and A.
    """
    operators = OPERATORS if operators is None else operators
    measured = WEIGHT_MEANINGS if program.over.startswith("weights_") else LAYER_MEANINGS
    sentences, phrase = _phrases(program.tree, {**measured, **(meanings or {})})
    if program.over == NETWORK:
        return " ".join([*sentences, f"The score is {phrase}."])
    unit, _, how = program.over.partition("_")
    one, every = _UNITS[unit]
    value = phrase if _is_number(program.tree, operators) else f"the mean over all elements of {phrase}"
    sentences.append(f"Let v be {value}.")
    first = f"For {one}, {sentences[0][0].lower()}{sentences[0][1:]}"
    return " ".join([first, *sentences[1:], f"The score is {_OVER[how].format(every)}."])


def _phrases(tree: Tree, meanings: Mapping[str, str]) -> tuple[list[str], str]:
    """Sentences that define letters, and a noun for the tree in terms of these."""
    order = _in_order(tree)
    uses = Counter([arg for part in order for arg in part.args])
    letters = _letters()
    sentences: list[str] = []
    nouns: dict[Tree, str] = {}
    heights: dict[Tree, int] = {}

    def define(part: Tree) -> None:
        letter = next(letters)
        sentences.append(f"Let {letter} be {nouns[part]}.")
        nouns[part], heights[part] = letter, 0

    for part in order:
        if not part.is_call:
            number = repr(part.head).removesuffix(".0")
            nouns[part] = number if part.is_constant else meanings.get(str(part.head), str(part.head))
            heights[part] = 0
            continue
        for arg in part.args:
            if heights[arg] >= LONGEST:
                define(arg)
        name = str(part.head)
        several = " and ".join([f"{{{i}}}" for i in range(len(part.args))])
        nouns[part] = PHRASES.get(name, f"{name} of {several}").format(*[nouns[arg] for arg in part.args])
        heights[part] = 1 + max([heights[arg] for arg in part.args])
        if uses[part] > 1:
            define(part)
    return sentences, nouns[tree]


def _in_order(tree: Tree) -> list[Tree]:
    """All distinct subtrees, arguments from left to right before what is applied to them."""
    found, todo = [], [tree]
    while todo:
        part = todo.pop()
        found.append(part)
        todo.extend(part.args)
    return list(dict.fromkeys(reversed(found)))


def _letters() -> Iterator[str]:
    """A to Z, then A1 to Z1 and so on."""
    for i in count():
        for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
            yield f"{letter}{i or ''}"


def _is_number(tree: Tree, operators: Mapping[str, Operator]) -> bool:
    """Whether it gives one number, whatever it is applied to."""
    operator = operators.get(str(tree.head)) if tree.is_call else None
    return tree.is_constant or (operator is not None and operator.kind(*[Kind.TENSOR] * operator.arity) is Kind.SCALAR)
