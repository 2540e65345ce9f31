"""Recurrent networks in full size in one mode, in plain torch: what `recurrent_modes.respond` equals."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from untrained.graphs.graph import Blend, Graph, LeakyReLU, Linear, Product, Sigmoid, Sum, Tanh
from untrained.graphs.modes import Mode
from untrained.graphs.recurrence import embedding
from untrained.graphs.recurrent import Recurrent
from untrained.graphs.recurrent_modes import START

ACTIVATIONS: dict[type, Any] = {
    Tanh: (torch.tanh, lambda x: x),
    Sigmoid: (torch.sigmoid, lambda x: 0.5 + x / 4),
    LeakyReLU: (torch.nn.functional.leaky_relu, lambda x: x),
}


def respond_recurrent_mode(network: Recurrent, x: NDArray[np.int64], mode: Mode) -> NDArray[np.float64]:
    """First states of the last layer, shape (steps * n, units), in float64: every unit is the response.

    The cell is run as it is written, with all its weight matrices, one node after the other.
    """
    table = torch.from_numpy(embedding(network.vocabulary, network.sizes[0]).astype(np.float64))
    series = list(table[torch.from_numpy(x.T.copy())])
    for cell, units in zip(network.layers(), network.sizes[1:], strict=True):
        states = [torch.full((len(x), units), START, dtype=torch.float64)] * len(cell.outputs)
        outputs = []
        for word in series:
            states = step(cell, [word, *states], mode)
            outputs.append(states[0])
        series = outputs
    return torch.cat(series).numpy()


def step(cell: Graph, inputs: list[torch.Tensor], mode: Mode) -> list[torch.Tensor]:
    activations, gates = list(inputs), list(inputs)  # what a node gives to those who read it as the one or the other
    half = torch.full_like(inputs[1], 0.5)
    for operation, sources, _ in cell.nodes[len(inputs) :]:
        read = [activations[i] for i in sources]
        kind = type(operation)
        if kind in ACTIVATIONS:
            written, tangent = ACTIVATIONS[kind]
            y, gate = (written if mode.relu else tangent)(read[0]), written(read[0])
        else:
            if kind is Linear:
                y = sum(torch.nn.functional.linear(v, weight(v.shape[1], half.shape[1], len(read), mode)) for v in read)
            elif kind is Sum:
                y = sum(read)
            elif kind is Product:
                y = torch.ones_like(half)
                for i in sources:
                    y = y * (gates[i] if type(cell.nodes[i].operation) is Sigmoid else activations[i])
            elif kind is Blend:
                a = gates[sources[0]] if mode.norm else half
                y = a * read[1] + (1 - a) * read[2]
            gate = y
        activations.append(y)
        gates.append(gate if mode.norm else half)
    return [activations[o] for o in cell.outputs]


def weight(size: int, units: int, arity: int, mode: Mode) -> torch.Tensor:
    return torch.full((units, size), mode.gain / (arity * size if mode.mean_filters else 1), dtype=torch.float64)
