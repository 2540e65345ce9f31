"""Constant-weight evaluation of recurrent networks: one number for each unit of a layer, text and step.

With every weight and bias equal to w, and all states w at the beginning, all units of a layer are equal at all times:
a state is one number for each text, a linear layer reading m units of value h and a bias is w m h + w. So a cell of 600
units is a handful of operations on numbers. The response is the one of the full network up to float32 rounding (the
score that uses it: arXiv:2302.04406).

Rounding matters here more than elsewhere. With w = 1e-5, a sigmoid of many small numbers is 1/2 and a few units in the
last place of float32: outputs then take a handful of values, and scores depend on how sums are rounded; see
`recurrent_kernels`, whose rounding is that of the published program. `lower` writes operands whose order does not
matter in an order of their own, so that equal functions give equal bits; the published program takes them as they are
written, as `write` does.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from untrained.errors import GraphError
from untrained.graphs import recurrent_kernels as kernels
from untrained.graphs.canonical import width1_cell
from untrained.graphs.graph import (
    Blend,
    Graph,
    Identity,
    LeakyReLU,
    Linear,
    Node,
    Product,
    Sigmoid,
    Sum,
    Tanh,
    Zero,
)
from untrained.graphs.order import commutes
from untrained.graphs.recurrent import Recurrent
from untrained.types import Batch, Embedding

_EMBEDDING_SEED = 21  # of the published program
PUBLISHED = Embedding()  # and of its embedding

_UNARY = {Tanh: kernels.TANH, Sigmoid: kernels.SIGMOID, LeakyReLU: kernels.LEAKY_RELU}


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A recurrent network as operations on numbers; see `recurrent_kernels` for the rows."""

    rows: NDArray[np.int64]
    outputs: NDArray[np.int64]  # where the new states are
    n_values: int
    sizes: tuple[int, ...]
    vocabulary: int
    steps: int
    connected: bool  # whether anything reads x


def lower(network: Recurrent) -> Recurrence:
    """The program of the network's live part, equal for networks that are one function under constant weights.

    Raises:
        GraphError: the cell has operations that constant weights do not reduce to numbers.
    """
    return _program(network, in_order(*width1_cell(network.cell)))


def write(network: Recurrent) -> Recurrence:
    """The program of the network as it is written, operands in the order in which its cell has them."""
    return _program(network, network.cell)


def _program(network: Recurrent, cell: Graph) -> Recurrence:
    nodes, n_inputs = cell.nodes, cell.n_inputs
    rows: list[list[int]] = []
    known: dict[tuple[int, ...], int] = {}
    dots: dict[int, list[int]] = {}
    n_values = n_inputs

    def new() -> int:
        nonlocal n_values
        n_values += 1
        return n_values - 1

    def put(*row: int) -> int:
        if row not in known:
            known[row] = new()
            rows.append([row[0], known[row], *row[1:], *[0] * (4 - len(row))])
        return known[row]

    def dot(source: int, form: int) -> int:
        if source not in dots:
            dots[source] = [kernels.DOT, -1, source, -1, 0]
            rows.append(dots[source])
        row = dots[source]
        if row[form] < 0:
            row[form] = new()
        return row[form]

    def chain(kind: int, operands: list[int]) -> int:
        total = operands[0]
        for operand in operands[1:]:
            total = put(kind, total, operand)
        return total

    places: list[int] = list(range(n_inputs))
    for operation, inputs, _ in nodes[n_inputs:]:
        read = [places[i] for i in inputs]
        match operation:
            case Linear(_, bias):
                forms = [1 if bias else 3, *[3] * (len(read) - 1)]
                places.append(chain(kernels.ADD, [dot(a, form) for a, form in zip(read, forms, strict=True)]))
            case Sum():
                places.append(chain(kernels.ADD, read))
            case Product():
                places.append(chain(kernels.MULTIPLY, read))
            case Blend():
                places.append(put(kernels.BLEND, *read))
            case Tanh() | Sigmoid() | LeakyReLU():
                places.append(put(_UNARY[type(operation)], *read))
            case Identity():
                places.append(read[0])
            case Zero():
                places.append(put(kernels.ZERO))
            case _:
                raise GraphError(f"constant weights do not reduce {operation} in a recurrent cell to numbers")
    return Recurrence(
        np.array(rows, np.int64).reshape(-1, 5),
        np.array([places[o] for o in cell.outputs], np.int64),
        n_values,
        network.sizes,
        network.vocabulary,
        network.steps,
        0 in dots,
    )


def in_order(cell: Graph, digests: list[bytes]) -> Graph:
    """The cell with operands that may change places in an order of their own: x, the deepest, the others, by digest."""
    order: list[tuple[bool, int, bytes]] = []
    nodes = []
    for node, digest in zip(cell.nodes, digests, strict=True):
        operation, inputs, shape = node
        order.append((bool(order), min([order[i][1] for i in inputs]) - 1 if inputs else 0, digest))
        if len(inputs) > 1 and commutes(operation):
            node = Node(operation, tuple(sorted(inputs, key=order.__getitem__)), shape)
        nodes.append(node)
    return Graph(tuple(nodes), cell.outputs)


def respond(program: Recurrence, batch: Batch, weight: float, dtype: str = "float32") -> NDArray[Any]:
    """One number per step and text, in this order: the first state of the last layer, all weights and biases `weight`.

    Words are embedded as `embedding` says, by the batch's law; states begin at `weight`.

    Args:
        program: from `lower` or `write`.
        batch: texts, shape (n, steps), of the network's words.
        weight: the constant.
        dtype: of the evaluation, float32 or float64.

    Raises:
        GraphError: texts of another length than the network's.
    """
    if batch.x.ndim != 2 or batch.x.shape[1] != program.steps:
        raise GraphError(f"the network reads texts of {program.steps} steps, got shape {batch.x.shape}")
    n = len(batch.x)
    words = _word_dots(batch, weight, dtype, program.sizes[0], program.vocabulary)
    counts, parts = _blocks(program.sizes)
    lanes = -(-parts.shape[1] * n // kernels.LANES) * kernels.LANES
    space = np.zeros((program.n_values + len(program.outputs), lanes), dtype)
    sums = np.empty((len(counts), lanes), dtype)
    series = np.empty((program.steps, n), dtype)
    constant = space.dtype.type(weight)
    kernels.run(program.rows, program.outputs, counts, parts, words, constant, space, sums, series)
    return series.ravel()


@lru_cache(maxsize=64)
def _blocks(sizes: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How the dot products of all layers are added up: `counts` and `parts` of `recurrent_kernels.run`."""
    blocks, rests = np.divmod(sizes, kernels.BLOCK)
    stops = np.union1d(rests, kernels.BLOCK)
    parts = np.stack([blocks, np.searchsorted(stops, rests)], axis=1)
    return np.diff(stops, prepend=0), np.stack([parts[:-1], parts[1:]])


@lru_cache(maxsize=4)
def embedding(vocabulary: int, size: int, law: Embedding = PUBLISHED) -> NDArray[np.float32]:
    """The words as vectors, shape (vocabulary, size), the same for all networks; by default uniform between 0 and 1.

    These are the numbers that PyTorch's generator gives for seed 21: the Mersenne twister's last 24 bits as fractions,
    stretched to the interval. Normal numbers are made of them as PyTorch makes them, by Box and Muller's formula in
    blocks of 16, for tables of a multiple of 16 numbers, up to the last bits of its logarithms and cosines.
    """
    n = vocabulary * size
    bits = np.random.RandomState(_EMBEDDING_SEED).randint(0, 2**32, -(-n // 16) * 16, dtype=np.uint32)
    fractions = (bits & 0xFFFFFF) * 2.0**-24
    numbers: NDArray[Any] = fractions
    if law.law == "normal":
        first, second = np.split(fractions.reshape(-1, 16), 2, axis=1)
        radius, angle = np.sqrt(-2 * np.log(1 - first)), 2 * np.pi * second
        normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        numbers = law.first + law.second * normal.ravel()
    else:
        low, high = (float(np.float32(end)) for end in (law.first, law.second))
        numbers = fractions * float(np.float32(high - low)) + low  # in float64, as one fused operation of float32 would
    table = numbers[:n].astype(np.float32).reshape(vocabulary, size)
    table.flags.writeable = False
    return table


_known: dict[tuple[object, ...], NDArray[Any]] = {}


def _word_dots(batch: Batch, weight: float, dtype: str, size: int, vocabulary: int) -> NDArray[Any]:
    """Dot products of a batch's words, shape (2, steps, texts), remembered: whole spaces are evaluated on one batch."""
    key = (batch.digest, weight, dtype, size, vocabulary)
    if key not in _known:
        lanes = kernels.LANES
        table = np.zeros((size, -(-vocabulary // lanes) * lanes), dtype)
        table[:, :vocabulary] = embedding(vocabulary, size, batch.embedding).T
        dots = np.empty((2, table.shape[1]), dtype)
        kernels.word_dots(table, table.dtype.type(weight), np.empty(lanes, dtype), dots)
        if len(_known) >= 8:
            _known.clear()
        _known[key] = np.ascontiguousarray(dots[:, batch.x.T])
    return _known[key]
