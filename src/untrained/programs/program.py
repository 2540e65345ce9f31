"""Programs: a tree, and how a network's score comes from its value."""

import functools
import hashlib
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError
from untrained.programs.kinds import kind_of, shown
from untrained.programs.operators import OPERATORS, Operator
from untrained.programs.text import parse_with_word
from untrained.programs.tree import Kind, Tree

__all__ = ["LAYER_TERMINALS", "OVERS", "WEIGHT_TERMINALS", "Program", "parse_program", "reduce_layers"]

_PASSES = ("data", "noise", "perturb")
LAYER_TERMINALS: Final[Mapping[str, Kind]] = dict.fromkeys(
    [
        "weight",
        *[f"weight_grad_{which}" for which in _PASSES],
        *[f"{what}_{which}" for what in ("in", "in_grad", "pre", "pre_grad", "act", "act_grad") for which in _PASSES],
        "weight_grad_loss",
    ],
    Kind.TENSOR,
)
"""What is measured on every ReLU, convolution and batch norm in a row."""

WEIGHT_TERMINALS: Final[Mapping[str, Kind]] = dict.fromkeys(
    ["weight", "weight_grad_loss", "weight_grad_data"], Kind.TENSOR
)
"""What is measured on every weight of a convolution or linear layer."""

NETWORK: Final = "network"
_REDUCTIONS: Final[Mapping[str, tuple[str, Callable[[list[float]], float]]]] = {
    "mean": ("the mean", lambda values: _sum(values) / len(values)),
    "sum": ("the sum", lambda values: _sum(values)),
    "log_sum": (
        "the sum of sign(v) log(1 + |v|)",
        lambda values: _sum([math.copysign(math.log1p(abs(value)), value) for value in values]),
    ),
    "last": ("the last", lambda values: values[-1]),
}
_UNITS: Final = {
    "layers": "value per element of every ReLU, convolution and batch norm in a row",
    "weights": "value per element of every weight of a convolution or linear layer",
}
OVERS: Final[Mapping[str, str]] = {
    **{
        f"{unit}_{how}": f"{meaning}{' of v, the' if how == 'log_sum' else ' of the'} {of}"
        for unit, of in _UNITS.items()
        for how, (meaning, _) in _REDUCTIONS.items()
    },
    NETWORK: "the value itself, of columns and responses of the network",
}
"""Words that may stand around a program, and what the score is then."""


@dataclass(frozen=True)
class Program:
    """A tree and how a network's score comes from its value.

    Attributes:
        tree: what is computed, of each layer or of the network.
        over: one of OVERS.

    Raises:
        BadInputError: `over` is none of OVERS.

    >>> program = parse_program("mean(abs(weight))")
    >>> program.over, program.text
    ('layers_mean', 'layers_mean(mean(abs(weight)))')
    """

    tree: Tree
    over: str

    def __post_init__(self) -> None:
        if self.over not in OVERS:
            raise BadInputError(f"a program is over one of {', '.join(OVERS)}; got {shown(self.over)}.")

    @property
    def text(self) -> str:
        """How it is written; `parse_program` reads it back. The word is left out where it is `network`."""
        bare = self.over == NETWORK and _usual_over(self.tree) == NETWORK
        return self.tree.text if bare else f"{self.over}({self.tree.text})"

    @property
    def digest(self) -> str:
        """A digest of the text, the same in every process."""
        return hashlib.blake2b(self.text.encode(), digest_size=12).hexdigest()


def parse_program(
    text: str, *, terminals: Mapping[str, Kind] | None = None, operators: Mapping[str, Operator] | None = None
) -> Program:
    """The program that a text says: a tree, with one of OVERS around it or not.

    Without a word a program that reads layer terminals is `layers_mean`, as EZNAS's are (arXiv:2209.07413, section 3),
    and any other is `network`.

    Args:
        text: see `untrained.programs.text.parse`.
        terminals: kinds of the names that may be read; None takes any name and checks no kinds.
        operators: those that may be applied; None for OPERATORS.

    Returns:
        The program; `parse_program(program.text) == program`.

    Raises:
        BadInputError: the text is no program, mixes what is measured on layers with what is measured on networks, or
            gives more than one number for a network.

    >>> parse_program("weights_sum(mean(abs(weight)))").over
    'weights_sum'
    >>> parse_program("add(output_low, 1)").text
    'add(output_low, 1.0)'
    """
    operators = OPERATORS if operators is None else operators
    word, tree = parse_with_word(text, OVERS, terminals=terminals, operators=operators)
    program = Program(tree, word or _usual_over(tree))
    _check_terminals(program)
    if program.over == NETWORK and terminals is not None:
        kind = kind_of(tree, operators, terminals)
        if kind is not Kind.SCALAR:
            raise BadInputError(
                f"program {shown(text)}: a network's score is one number, and this gives a {kind.name.lower()}; "
                "take its mean(...)."
            )
    return program


def reduce_layers(over: str, values: Sequence[NDArray[np.floating[Any]] | float]) -> float:
    """A network's score from the values of its layers, or from the one value of a network.

    The value of layer l is v_l = sum(out_l) / numel(out_l), summed in float64. The score is, over the layers in their
    order: `_mean` the mean of v_l, `_sum` their sum, `_log_sum` the sum of sign(v_l) log(1 + |v_l|), `_last` the last
    v_l; of `network` the one v.

    Source: EZNAS, arXiv:2209.07413, section 3, for the mean; the others are of this project.

    Args:
        over: one of OVERS.
        values: of every layer, of any shape; one for `network`.

    Returns:
        The score. NaN where there is no layer, or a layer's value has no elements.

    >>> reduce_layers("layers_mean", [np.array([1.0, 3.0]), 4.0])
    3.0
    """
    numbers = [_per_element(value) for value in values]
    if over == NETWORK:
        (number,) = numbers
        return number
    if not numbers:
        return math.nan
    return _REDUCTIONS[over.partition("_")[2]][1](numbers)


def _usual_over(tree: Tree) -> str:
    """What a program without a word is over."""
    return "layers_mean" if any(name in LAYER_TERMINALS for name in tree.terminals()) else NETWORK


def _check_terminals(program: Program) -> None:
    """One program reads what is measured on layers, on weights, or on networks."""
    unit = program.over.partition("_")[0]
    measured = {"layers": LAYER_TERMINALS, "weights": WEIGHT_TERMINALS}.get(unit)
    for name in program.tree.terminals():
        if measured is None and name in LAYER_TERMINALS:
            others = f"layers_mean(...) takes layers, {NETWORK}(...) columns and responses"
            raise BadInputError(f"program {shown(program.text)}: {name} is measured on layers, not networks; {others}.")
        if measured is not None and name not in measured:
            raise BadInputError(
                f"program {shown(program.text)}: {shown(name)} is not measured on {unit}; "
                f"{program.over}(...) reads {', '.join(measured)}."
            )


def _sum(values: list[float]) -> float:
    """From left to right; Python's own sum rounds otherwise from 3.12 on."""
    return functools.reduce(operator.add, values, 0.0)


def _per_element(value: NDArray[np.floating[Any]] | float) -> float:
    if isinstance(value, float):
        return value
    array = np.asarray(value)
    if array.size == 0:
        return math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        return float(array.sum(dtype=np.float64)) / array.size
