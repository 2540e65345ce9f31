"""Width-1 modes of recurrent networks: mean filters, and activations and gates switched on and off.

A network keeps its wiring. Every linear layer has its mean filter times the mode's gain: with k vectors to read, the
weight gain / (k in_features) for each of them, and bias 0 (without mean filters every weight is the gain itself). Words
are embedded by `recurrence.embedding`, all states are START before the first word. Then all units of a layer are equal
at all times, and a linear layer is

    gain * (v_1 + ... + v_k) / k        v_i the one number in all units of the i-th vector read; of a word, the mean of
                                        its embedding (without mean filters gain * (n_1 v_1 + ... + n_k v_k), n_i sizes)

so that sizes do not matter, and the response is one number for each step and text: the first state of the last layer.

A mode's two switches mean for a recurrent cell what follows. Its *gates* are the first operand a of a blend
a * b + (1 - a) * c, whatever computes it, and the sigmoids among the operands of a product. That is a matter of who
reads: a sigmoid may be a gate for one reader and an activation for another.

- `relu`, the activations. On: tanh x, 1 / (1 + exp(-x)) and leaky ReLU as they are. Off: their tangents at zero,
  x, 1/2 + x/4 and x.
- `norm`, the gates. On: they work as written, with the activation that gives them, also where `relu` is off. Off: they
  stand half open, at 1/2, the value of a sigmoid at zero: a blend is (b + c) / 2, and a gate in a product a factor 1/2.

The four names are those of images: `full` is the cell as written; `relu` has activations but no gates; `bnlin` has
gates between linearised activations; `lin` has neither. There the response is an affine function of the embedded words,
unless some product reads two operands that are no gates. Such products are products in every mode.

All of this is about the live cell in its simplest form (`canonical.width1_cell`), so equal functions under constant
weights have equal responses, to the last bit. Where no word reaches the output the response is zeros; with `norm` off
that includes cells whose words come in through gates alone.

START is the mean of what words are embedded as, 1/2: states begin as if words of no meaning had been read. They cannot
begin at 0, or a product of states would be 0 for ever.

Products of states grow or shrink like x^(2^35) in 35 steps, so numbers carry exponents; see `recurrent_mode_kernels`.
Sigmoids below 2^-768 (in float32, 2^-96) are taken for that; nothing else is rounded but in the last place.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import frexp, log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from untrained.errors import GraphError
from untrained.graphs import recurrent_mode_kernels as kernels
from untrained.graphs.canonical import width1_cell
from untrained.graphs.graph import (
    Blend,
    Graph,
    Identity,
    LeakyReLU,
    Linear,
    Operation,
    Product,
    Sigmoid,
    Sum,
    Tanh,
    Zero,
)
from untrained.graphs.modes import Mode, Response
from untrained.graphs.recurrence import embedding, in_order
from untrained.graphs.recurrent import Recurrent
from untrained.types import Batch, Embedding

START = 0.5

_ORDINARY = 400  # powers of two that need no exponent beside them, nor do their squares

_ACTIVATIONS = {Tanh: kernels.TANH, Sigmoid: kernels.SIGMOID, LeakyReLU: kernels.LEAKY_RELU}
_CONSTANTS = (0.0, 0.25, 0.5, 1.0, -1.0)

Array = NDArray[Any]


class Program(NamedTuple):
    """A switched cell as operations on numbers; see `recurrent_mode_kernels` for the rows.

    Vectors are x, the previous states, the factors of linear layers, the constants, results. The factors are, for each
    of `arities`, that of x and that of all else.
    """

    rows: NDArray[np.int64]
    outputs: NDArray[np.int64]  # where the new states are; a state that is never read stays where it was
    arities: tuple[int, ...]  # how many vectors linear layers read
    n_values: int
    connected: bool  # whether the first state depends on x


def respond(network: Recurrent, batch: Batch, modes: Sequence[Mode], dtype: str = "float64") -> dict[Mode, Response]:
    """The response in every mode: one number per step and text, in this order.

    Zeros where no word reaches the output. Values of one mode do not depend on the other modes, nor a text's values on
    the other texts, but for the common exponent: it is 0 where the largest magnitude is between 2^-400 and 2^400, and
    elsewhere what makes that lie between 1/2 and 1.

    Args:
        network: the network; sizes matter only without mean filters.
        batch: texts, shape (n, steps), of the network's words.
        modes: any number of them.
        dtype: of the evaluation, float32 or float64.

    Raises:
        GraphError: texts of another length than the network's; the cell has operations that constant weights do not
            reduce to numbers; an unknown dtype.

    >>> from untrained.batches import load_batch
    >>> from untrained.graphs.graph import GraphBuilder
    >>> b = GraphBuilder((4,), (6,))
    >>> rnn = Recurrent(b.build([b.tanh(b.linear(b.inputs, 6))]), (4, 6, 4), vocabulary=10, steps=3)
    >>> texts = load_batch("random_tokens", (3,), 2, vocabulary=10)
    >>> found = respond(rnn, texts, [Mode(), Mode(relu=False, norm=False)])
    >>> for mode, (values, exponent) in found.items():
    ...     print(mode.name, (values * 2.0**exponent).round(2).tolist())
    full [0.43, 0.41, 0.41, 0.39, 0.42, 0.4]
    lin [0.47, 0.45, 0.48, 0.45, 0.52, 0.47]
    """
    if batch.x.ndim != 2 or batch.x.shape[1] != network.steps:
        raise GraphError(f"the network reads texts of {network.steps} steps, got shape {batch.x.shape}")
    if dtype not in kernels.REACH:
        raise GraphError(f"modes are evaluated in {' or '.join(kernels.REACH)}, got {dtype!r}")
    cell = in_order(*width1_cell(network.cell))
    programs = {switches: _program(cell, *switches) for switches in dict.fromkeys([(m.relu, m.norm) for m in modes])}
    words = _means(network.vocabulary, network.sizes[0], batch.embedding)[batch.x.T]
    return {mode: _run(programs[mode.relu, mode.norm], network.sizes, words, mode, dtype) for mode in modes}


def _program(cell: Graph, relu: bool, norm: bool) -> Program:
    """The program of a cell, from `in_order`, with its switches; what the first state never depends on left out."""
    nodes, n_inputs = cell.nodes, cell.n_inputs
    arities = sorted({len(node.inputs) for node in nodes if type(node.operation) is Linear})
    factors = {(k, i): n_inputs + 2 * place + i for place, k in enumerate(arities) for i in range(2)}
    n_first = n_inputs + len(factors)
    zero, quarter, half, one, minus = range(n_first, n_first + len(_CONSTANTS))
    known: dict[tuple[int, ...], int] = {}

    def put(kind: int, *operands: int) -> int:
        return known.setdefault((kind, *operands), minus + 1 + len(known))

    def chain(kind: int, operands: list[int]) -> int:
        total = operands[0]
        for operand in operands[1:]:
            total = put(kind, total, operand)
        return total

    def activation(operation: Operation, x: int) -> int:
        if relu:
            return put(_ACTIVATIONS[type(operation)], x)
        return put(kernels.ADD, half, put(kernels.MULTIPLY, x, quarter)) if type(operation) is Sigmoid else x

    def gate(node: int) -> int:
        if not norm:
            return half
        operation, inputs, _ = nodes[node]
        kind = _ACTIVATIONS.get(type(operation))
        return places[node] if kind is None else put(kind, places[inputs[0]])

    places = list(range(n_inputs))
    for operation, inputs, _ in nodes[n_inputs:]:
        read = [places[i] for i in inputs]
        match operation:
            case Linear():
                weights = [factors[len(inputs), i > 0] for i in inputs]
                terms = [put(kernels.MULTIPLY, *term) for term in zip(read, weights, strict=True)]
                places.append(chain(kernels.ADD, terms))
            case Sum():
                places.append(chain(kernels.ADD, read))
            case Product():
                gated = [type(nodes[i].operation) is Sigmoid for i in inputs]
                operands = [gate(i) if is_gate else places[i] for i, is_gate in zip(inputs, gated, strict=True)]
                places.append(chain(kernels.MULTIPLY, operands))
            case Blend():
                a = gate(inputs[0])
                rest = put(kernels.ADD, one, put(kernels.MULTIPLY, a, minus)) if norm else half
                parts = [put(kernels.MULTIPLY, a, read[1]), put(kernels.MULTIPLY, rest, read[2])]
                places.append(chain(kernels.ADD, parts))
            case Tanh() | Sigmoid() | LeakyReLU():
                places.append(activation(operation, read[0]))
            case Identity():
                places.append(read[0])
            case Zero():
                places.append(zero)
            case _:
                raise GraphError(f"constant weights do not reduce {operation} in a recurrent cell to numbers")
    return _live(known, [places[o] for o in cell.outputs], tuple(arities), minus + 1)


def _live(known: dict[tuple[int, ...], int], outputs: list[int], arities: tuple[int, ...], n_first: int) -> Program:
    """What the first state depends on, now or in later steps; results are numbered without gaps."""
    live = {outputs[0]}
    size = 0
    while len(live) > size:
        size = len(live)
        for (_, *operands), result in reversed(known.items()):
            if result in live:
                live.update(operands)
        live.update([output for state, output in enumerate(outputs) if 1 + state in live])
    place = {i: i for i in range(n_first)}
    rows: list[list[int]] = []
    for (kind, *operands), result in known.items():
        if result in live:
            place[result] = n_first + len(rows)
            read = [place[i] for i in operands]
            rows.append([kind, place[result], read[0], read[-1]])
    new_states = [place[output] if output in live else 1 + state for state, output in enumerate(outputs)]
    return Program(
        np.array(rows, np.int64).reshape(-1, 4), np.array(new_states), arities, n_first + len(rows), 0 in live
    )


def _run(program: Program, sizes: tuple[int, ...], words: NDArray[np.float64], mode: Mode, dtype: str) -> Response:
    steps, n = words.shape
    if not (program.connected and words.size):
        return _response(np.zeros(words.size), np.zeros(words.size), 0)
    reach = kernels.REACH[dtype]
    bits = frexp(reach)[1] - 1
    n_states, layers = len(program.outputs), len(sizes) - 1
    space = np.zeros((program.n_values + n_states, layers, n), dtype)
    exponents = np.full(space.shape, kernels.NOTHING)
    gain, power = frexp(mode.gain)
    shares = [[[1 / k] * layers] * 2 if mode.mean_filters else [sizes[:-1], sizes[1:]] for k in program.arities]
    factors = gain * np.reshape(shares, (-1, layers, 1))
    first = np.full((n_states, layers, 1), START)
    constants = np.broadcast_to(np.reshape(_CONSTANTS, (-1, 1, 1)), (len(_CONSTANTS), layers, 1))
    stop = 1
    for values, scale in ((first, 0), (factors, power), (constants, 0)):
        start, stop = stop, stop + len(values)
        space[start:stop], exponents[start:stop] = _in_range(values, scale, bits)
    series, series_e = np.empty((steps, n), dtype), np.empty((steps, n))
    words, words_e = _in_range(words, 0, bits)
    kernels.run(
        program.rows,
        program.outputs,
        words.astype(dtype),
        words_e,
        space.reshape(len(space), -1),
        exponents.reshape(len(space), -1),
        space.dtype.type(reach),
        3 * bits * log(2),
        series,
        series_e,
    )
    return _response(series.ravel(), series_e.ravel(), 2 * bits)


def _in_range(values: NDArray[np.float64], power: int, bits: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What values * 2^power are as numbers in range, the reach being 2^bits, and their exponents."""
    fractions, powers = np.frexp(values)
    powers = powers + power
    exponents = (powers - 1 + bits) // (2 * bits)
    in_range: NDArray[np.float64] = np.ldexp(fractions, powers - 2 * bits * exponents)
    return in_range, np.where(values == 0, kernels.NOTHING, exponents)


def _response(series: Array, exponents: NDArray[np.float64], bits: int) -> Response:
    """What series * 2^(bits * exponents) is with one exponent for all, 0 where that does."""
    fractions, powers = np.frexp(series.astype(np.float64))
    top = exponents.max(initial=kernels.NOTHING)
    below = np.maximum(exponents - top, -4096)  # beyond that all is zero
    powers = powers + (bits * below).astype(np.int64)
    largest = int(powers[fractions != 0].max()) if fractions.any() else 0
    exponent = int(top) * bits + largest if fractions.any() else 0
    shift = 0 if abs(exponent) < _ORDINARY else exponent
    values = np.ldexp(fractions, powers + (exponent - shift - largest))
    values.flags.writeable = False
    return Response(values, shift)


@lru_cache(maxsize=4)
def _means(vocabulary: int, size: int, law: Embedding) -> NDArray[np.float64]:
    """The mean of each word's embedding. Sums are exact of numbers between 0 and 1: up to 2^29 fractions of 24 bits."""
    means: NDArray[np.float64] = embedding(vocabulary, size, law).sum(axis=1, dtype=np.float64) / size
    return means
