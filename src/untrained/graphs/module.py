"""Graph -> nn.Module: the full network, one submodule per trainable operation. The only file of `graphs` with torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from untrained.errors import GraphError, MissingDependencyError
from untrained.graphs.graph import (
    GELU,
    AvgPool,
    BatchNorm,
    Blend,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    Graph,
    Hardswish,
    Identity,
    Input,
    LeakyReLU,
    Linear,
    MaxPool,
    Operation,
    Product,
    ReLU,
    ReLU6,
    Shape,
    Shift,
    Sigmoid,
    SiLU,
    Sum,
    Tanh,
    Truncate,
    Zero,
)
from untrained.graphs.modes import Mode, switched
from untrained.graphs.recurrence import PUBLISHED, embedding
from untrained.graphs.recurrent import Recurrent
from untrained.types import Embedding

try:
    import torch
    from torch import Tensor, nn
except ModuleNotFoundError as error:
    raise MissingDependencyError.of("torch", "torch", "building full networks") from error


class GraphModule(nn.Module):
    """Runs a graph node by node; `forward` returns all its outputs. Layers are named by their node: `node7`.

    >>> from untrained.graphs.graph import GraphBuilder
    >>> b = GraphBuilder((3, 8, 8))
    >>> module = GraphModule(b.build([b.linear(b.global_avg_pool(b.conv(b.input, 4, kernel=3)), 2)]))
    >>> [tuple(out.shape) for out in module(torch.zeros(5, 3, 8, 8))]
    [(5, 2)]
    """

    def __init__(self, graph: Graph) -> None:
        """The network as written, dead parts included; pass a simplified graph for the live part alone."""
        super().__init__()
        self.graph = graph
        self._last_use = {source: i for i, node in enumerate(graph.nodes) for source in node.inputs}
        for i, node in enumerate(graph.nodes):
            if node.inputs:
                layer = _layer(node.operation, [graph.nodes[source].shape for source in node.inputs])
                if layer is not None:
                    self.add_module(f"node{i}", layer)

    def forward(self, *xs: Tensor) -> tuple[Tensor, ...]:
        """Outputs for inputs of shape (n, channels, height, width): the images, or all that a cell reads."""
        nodes = self.graph.nodes
        layers = self._modules
        values = dict(enumerate(xs))
        for i, node in enumerate(nodes[len(xs) :], start=len(xs)):
            inputs = [values[source] for source in node.inputs]
            layer = layers.get(f"node{i}")
            values[i] = layer(*inputs) if layer is not None else _apply(node.operation, inputs, node.shape)
            for source in node.inputs:
                if self._last_use[source] == i and source not in self.graph.outputs:
                    values.pop(source, None)
        return tuple(values[output] for output in self.graph.outputs)


class LinearSum(nn.Module):
    """Dense layer on several vectors: the sum of what a layer gives for each, of which the first alone has a bias."""

    def __init__(self, in_features: Sequence[int], out_features: int, bias: bool) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            [nn.Linear(size, out_features, bias=bias and i == 0) for i, size in enumerate(in_features)]
        )

    def forward(self, *xs: Tensor) -> Tensor:
        """The layer's output, shape (n, out_features), for as many vectors as it reads."""
        first, *others = [part(x) for part, x in zip(self.parts, xs, strict=True)]
        total: Tensor = sum(others, start=first)
        return total


class RecurrentModule(nn.Module):
    """Runs a recurrent network over texts; `cells` are its layers, `decoder` has the weights of `embedding`.

    >>> from untrained.graphs.graph import GraphBuilder
    >>> b = GraphBuilder((4,), (6,))
    >>> module = RecurrentModule(Recurrent(b.build([b.tanh(b.linear(b.inputs, 6))]), (4, 6, 4), 10, 3))
    >>> [tuple(out.shape) for out in module(torch.zeros(5, 3, dtype=torch.int64))]
    [(3, 5, 4), (3, 5, 10)]
    """

    def __init__(self, network: Recurrent) -> None:
        """The network as written, parts that no output depends on included."""
        super().__init__()
        self.network = network
        self.embedding = nn.Embedding(network.vocabulary, network.sizes[0])
        self.cells = nn.ModuleList([GraphModule(cell) for cell in network.layers()])
        self.decoder = nn.Linear(network.sizes[-1], network.vocabulary)
        self.decoder.weight = self.embedding.weight

    def forward(self, words: Tensor, start: float = 0.0) -> tuple[Tensor, Tensor]:
        """First states of the last layer, shape (steps, n, units), and what the decoder makes of them.

        Args:
            words: texts, shape (n, steps), int64.
            start: the value of all states before the first word.
        """
        series = self.embedding(words.T)
        for cell, units in zip(self.cells, self.network.sizes[1:], strict=True):
            states = [series.new_full((len(words), units), start)] * len(self.network.cell.outputs)
            outputs = []
            for x in series:
                states = cell(x, *states)
                outputs.append(states[0])
            series = torch.stack(outputs)
        return series, self.decoder(series)


def set_constant(module: nn.Module, weight: float) -> None:
    """Set every weight of convolutions, batch norms and linear layers to `weight`, every bias to 0."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
                layer.weight.fill_(weight)
                if layer.bias is not None:
                    layer.bias.zero_()


def respond(graph: Graph, x: NDArray[np.floating], weight: float) -> NDArray[np.floating]:
    """First output of the full network in train mode with all weights `weight`: what width1.respond equals.

    Args:
        graph: the network.
        x: images, shape (n, channels, height, width), float32 or float64.
        weight: the constant.

    Returns:
        The first output, shape (n, features): every feature is the width-1 response.
    """
    inputs = torch.from_numpy(np.array(x))  # a copy: batches are frozen, torch has no frozen tensors
    module = GraphModule(graph).to(inputs.dtype).train()
    set_constant(module, weight)
    with torch.no_grad():
        out: NDArray[np.floating] = module(inputs)[0].numpy()
    return out


def respond_mode(graph: Graph, x: NDArray[np.floating], mode: Mode) -> NDArray[np.floating]:
    """First output of the full network in a mode: what modes.respond equals, up to overflow.

    Args:
        graph: the network.
        x: images, shape (n, channels, height, width), float32 or float64.
        mode: which parts are on; every weight is gain / fan_in, or the gain itself.

    Returns:
        The first output, shape (n, features): every feature is the width-1 response.
    """
    inputs = torch.from_numpy(np.array(x))
    module = GraphModule(switched(graph, mode)).to(inputs.dtype).train()
    set_constant(module, mode.gain)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.fill_(1.0)
            elif isinstance(layer, nn.Conv2d | nn.Linear) and mode.mean_filters:
                layer.weight.fill_(mode.gain / layer.weight[0].numel())
        out: NDArray[np.floating] = module(inputs)[0].numpy()
    return out


def respond_recurrent(
    network: Recurrent, x: NDArray[np.int64], weight: float, dtype: str, law: Embedding = PUBLISHED
) -> NDArray[np.floating]:
    """States of the full network with all weights and biases of its cells `weight`: what recurrence.respond equals.

    Args:
        network: the network.
        x: texts, shape (n, steps).
        weight: the constant, also of all states before the first word.
        dtype: float32 or float64.
        law: of the embedding.

    Returns:
        The first states of the last layer, shape (steps * n, units): every unit is the constant-weight response.
    """
    module = RecurrentModule(network).to(getattr(torch, dtype)).eval()
    with torch.no_grad():
        for parameter in module.cells.parameters():
            parameter.fill_(weight)
        module.embedding.weight.copy_(torch.from_numpy(embedding(network.vocabulary, network.sizes[0], law).copy()))
        series, _ = module(torch.from_numpy(np.array(x)), weight)
        out: NDArray[np.floating] = series.flatten(0, 1).numpy()
    return out


def _layer(operation: Operation, shapes: list[Shape]) -> nn.Module | None:
    shape = shapes[0]
    match operation:
        case Conv(out_channels, kernel, stride, padding, dilation, groups, bias):
            return nn.Conv2d(shape[0], out_channels, kernel, stride, padding, dilation, groups, bias)
        case BatchNorm():
            return nn.BatchNorm2d(shape[0])
        case ReLU():
            return nn.ReLU()
        case AvgPool(kernel, stride, padding, count_padding):
            return nn.AvgPool2d(kernel, stride, padding, count_include_pad=count_padding)
        case MaxPool(kernel, stride, padding):
            return nn.MaxPool2d(kernel, stride, padding)
        case Linear(out_features, bias) if len(shapes) == 1:
            return nn.Linear(shape[0], out_features, bias)
        case Linear(out_features, bias):
            return LinearSum([features for (features,) in shapes], out_features, bias)
        case _:
            return None


def _apply(operation: Operation, inputs: list[Tensor], shape: Shape) -> Tensor:
    match operation:
        case Identity():
            return inputs[0]
        case Zero():
            return inputs[0].new_zeros((len(inputs[0]), *shape))
        case Sum():
            return sum(inputs[1:], start=inputs[0])
        case Product():
            return torch.stack(inputs).prod(dim=0)
        case Blend():
            gate, one, other = inputs
            return gate * one + (1 - gate) * other
        case ReLU6():
            return nn.functional.relu6(inputs[0])
        case SiLU():
            return nn.functional.silu(inputs[0])
        case GELU():
            return nn.functional.gelu(inputs[0])
        case Hardswish():
            return nn.functional.hardswish(inputs[0])
        case LeakyReLU():
            return nn.functional.leaky_relu(inputs[0])
        case Sigmoid():
            return inputs[0].sigmoid()
        case Tanh():
            return inputs[0].tanh()
        case Concat():
            return torch.cat(inputs, dim=1)
        case Truncate(channels):
            return inputs[0][:, :channels]
        case Shift(up, left):
            return nn.functional.pad(inputs[0], (0, left, 0, up))[:, :, up:, left:]
        case GlobalAvgPool():
            return inputs[0].mean(dim=(2, 3))
        case Flatten():
            return inputs[0].flatten(1)
        case Input() | _:
            raise GraphError(f"{operation} cannot be run")
