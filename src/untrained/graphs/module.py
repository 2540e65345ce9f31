"""Graph -> nn.Module: the full network, one submodule per trainable operation. The only file of `graphs` with torch."""

import numpy as np
from numpy.typing import NDArray

from untrained.errors import GraphError, MissingDependencyError
from untrained.graphs.graph import (
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Crop,
    GlobalAvgPool,
    Graph,
    Identity,
    Input,
    Linear,
    MaxPool,
    Operation,
    ReLU,
    Shape,
    Sum,
    Truncate,
    Zero,
)

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
                layer = _layer(node.operation, graph.nodes[node.inputs[0]].shape)
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


def _layer(operation: Operation, shape: Shape) -> nn.Module | None:
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
        case Linear(out_features, bias):
            return nn.Linear(shape[0], out_features, bias)
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
        case Concat():
            return torch.cat(inputs, dim=1)
        case Truncate(channels):
            return inputs[0][:, :channels]
        case Crop(top, left):
            return inputs[0][:, :, top:, left:]
        case GlobalAvgPool():
            return inputs[0].mean(dim=(2, 3))
        case Input() | _:
            raise GraphError(f"{operation} cannot be run")
