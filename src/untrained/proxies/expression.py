"""Programs as proxies: `expr: layers_sum(mean(abs(weight)))` wherever proxies are named.

A program (`programs/program.py`) is parsed, never executed as code. What it may read is in `terminals.py`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from untrained.errors import BadInputError
from untrained.programs.evaluate import Failure, Plan, evaluate
from untrained.programs.program import Program, parse_program, reduce_layers
from untrained.proxies.base import EXPRESSION, BoundProxy, NoScore, Parameter, Proxy
from untrained.proxies.epsinas import check_constants
from untrained.proxies.terminals import (
    LOSS,
    OUTPUTS,
    TERMINALS,
    Array,
    Layer,
    check_finite,
    check_inputs,
    layers_of,
    needs_of,
    scope_of,
    values_of,
)
from untrained.types import Batch, Status

if TYPE_CHECKING:
    from untrained.proxies.model import Model
    from untrained.proxies.network import Network

_VERSION: Final = 1  # raised when the same program gives other numbers
NETWORK: Final = "network"
INITS: Final[Mapping[str, str]] = {"layers": "kaiming_normal_fan_out", "weights": "default"}  # as the published have it


def load_expression(text: str, **parameters: Parameter) -> BoundProxy:
    """A program as a proxy; higher is better.

    Args:
        text: of the program, without `expr:`.
        parameters: of programs that read layers or weights `init`, `seed`, `dtype` and `parts`, see
            docs/full_networks.md, by default as EZNAS and snip have them; of those that read `output_low` or
            `output_high` the constants `low` and `high`, and `dtype`; else none.

    Returns:
        The proxy `expr`, whose text `parse_proxies` reads back.

    Raises:
        BadInputError: the text is no program, reads nothing, or mixes families; the message says where.

    >>> load_expression("mean(abs(weight))", seed=1).text
    'expr(seed=1): layers_mean(mean(abs(weight)))'
    """
    return bind_expression(text, parameters, {})


def bind_expression(
    text: str, given: Mapping[str, Parameter], defaults: Mapping[str, Mapping[str, Parameter]]
) -> BoundProxy:
    """The same with `defaults` of proxies: the constants of `output_low` and `output_high` are those of epsinas."""
    text = text.strip()
    if not text:
        raise BadInputError(f"{EXPRESSION} without a program. Write for example {EXPRESSION}: mean(abs(weight)).")
    made = expression_proxy(read_program(text))
    usual = {k: v for k, v in defaults.get("epsinas", {}).items() if k in made.parameters and "low" in made.parameters}
    return made.bind(**{**usual, **given})


@lru_cache(maxsize=64)
def read_program(text: str) -> Program:
    """A program of TERMINALS.

    Raises:
        BadInputError: it is none; the message says where.
    """
    program = parse_program(text, terminals=TERMINALS)
    if not program.tree.terminals():
        raise BadInputError(f"the program {program.text!r:.80} reads nothing of a network: all would have one score.")
    if unit_of(program) == NETWORK:
        check_inputs(program.tree.terminals())
    return program


def unit_of(program: Program) -> str:
    """What a program is evaluated on: each of the "layers", each of the "weights", or the "network"."""
    return program.over.partition("_")[0]


@dataclass(frozen=True)
class Expression:
    """The function of the proxy."""

    program: Program

    def __call__(self, network: "Network | Model", batch: Batch, **parameters: Any) -> float:
        """The score of a network, of a program of layers that of a model."""
        if unit_of(self.program) == NETWORK:
            return score_network(self.program, network, batch, **parameters)  # type: ignore[arg-type]
        return score_model(self.program, network, batch)  # type: ignore[arg-type]


def expression_proxy(program: Program) -> Proxy:
    """The proxy of a program, which needs what it reads and no more."""
    names, unit = program.tree.terminals(), unit_of(program)
    parameters: dict[str, Parameter] = {}
    if unit != NETWORK:
        parameters = {"init": INITS[unit], "seed": 0, "dtype": "float32", "parts": "live"}
    elif any(name in OUTPUTS for name in names):
        parameters = {"low": 1e-7, "high": 1.0, "dtype": "float32"}
    return Proxy(
        name=EXPRESSION,
        version=_VERSION,
        needs=needs_of(unit, names),
        scope=scope_of(names),
        higher_is_better=True,
        cite="docs/programs.md",
        fn=Expression(program),
        summary=f"The program {program.text}.",
        parameters=parameters,
        check=_check if "low" in parameters else None,
        labels=LOSS in names,
        formula=program.text,
    )


def _check(*, low: float, high: float, dtype: str) -> None:
    check_constants(EXPRESSION, low, high, dtype)


# --- scores


def score_model(program: Program | str, model: "Model", batch: Batch) -> float:
    """The score of a program of layers or weights.

    Args:
        program: or its text.
        model: the network.
        batch: its images.

    Raises:
        NoScore: see `score_layers`; UNSUPPORTED where the network has no such layers.
    """
    program = read_program(program) if isinstance(program, str) else program
    return score_layers(program, layers_of(unit_of(program), model, batch, program.tree.terminals()))


def score_layers(program: Program, layers: Iterable[Layer]) -> float:
    """The score of a program on what was measured on layers.

    Raises:
        NoScore: see `layer_values`; UNDEFINED or NONFINITE where the value of a layer is NaN or infinite.
    """
    values = [_number(reduce_layers(NETWORK, [value])) for value in layer_values(program, layers)]
    return _number(reduce_layers(program.over, values))


def layer_values(program: Program, layers: Iterable[Layer]) -> list[Array]:
    """What a program's tree gives for every layer; those for which it is undefined are left out.

    Raises:
        NoScore: UNDEFINED where no layer has a value; NONFINITE where the program would read infinity or NaN, which
            several operators would hide; OUT_OF_MEMORY or TIMEOUT where a layer's value would be too large or take too
            long.
    """
    plan = Plan([program.tree])
    values, reasons = [], []
    for layer in layers:
        check_finite(layer)
        (found,) = plan.run(layer.values)
        if not isinstance(found, Failure):
            values.append(found)
        elif found.status is Status.UNDEFINED:
            reasons.append(f"{layer.weight}: {found.reason}")
        else:
            raise NoScore(found.status, f"{layer.weight}: {found.reason}")
    if not values:
        raise NoScore(Status.UNDEFINED, f"no layer has a value; {reasons[0] if reasons else 'there are none'}")
    return values


def score_network(
    program: Program,
    network: "Network",
    batch: Batch,
    *,
    low: float = 1e-7,
    high: float = 1.0,
    dtype: str = "float32",
    **inputs: Any,
) -> float:
    """The score of a program of responses or columns; arguments and errors as for `terminals.values_of`."""
    names = program.tree.terminals()
    values = values_of(network, batch, names, constants=(low, high), dtype=dtype, **inputs)
    (found,) = evaluate([program.tree], values)
    if isinstance(found, Failure):
        raise NoScore(found.status, found.reason)
    return _number(reduce_layers(program.over, [found]))


def _number(score: float) -> float:
    """The score, unless it is none: UNDEFINED where it is NaN, NONFINITE where it is infinite."""
    if math.isnan(score):
        raise NoScore(Status.UNDEFINED, "the program's value is not a number, as 0/0 and the mean of nothing are")
    if math.isinf(score):
        raise NoScore(Status.NONFINITE, f"the program's value is {score}")
    return score


__all__ = [
    "Expression",
    "bind_expression",
    "expression_proxy",
    "layer_values",
    "load_expression",
    "read_program",
    "score_layers",
    "score_model",
    "score_network",
    "unit_of",
]
