"""What layers and functions of torch are in a Graph, and which of them have no operation there."""

import operator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from untrained.errors import GraphError
from untrained.graphs.graph import (
    GELU,
    BatchNorm,
    Conv,
    Hardswish,
    LeakyReLU,
    Linear,
    Operation,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Tanh,
)

EPS = 1e-5  # of the graph's batch norm

_ACTIVATIONS: dict[type[nn.Module], Operation] = {
    nn.ReLU: ReLU(),
    nn.ReLU6: ReLU6(),
    nn.Hardtanh: ReLU6(),
    nn.LeakyReLU: LeakyReLU(),
    nn.Sigmoid: Sigmoid(),
    nn.Tanh: Tanh(),
    nn.SiLU: SiLU(),
    nn.GELU: GELU(),
    nn.Hardswish: Hardswish(),
}
SAME = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
PLAIN = (*_ACTIVATIONS, *SAME, nn.Flatten, nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.MaxPool2d)


def trainable(layer: nn.Conv2d | nn.BatchNorm2d | nn.Linear, channels: int) -> Operation:
    """The operation of a layer with weights that reads so many channels."""
    reads = {nn.Conv2d: "in_channels", nn.BatchNorm2d: "num_features", nn.Linear: "in_features"}[type(layer)]
    if getattr(layer, reads) != channels:
        raise GraphError(f"reads {getattr(layer, reads)} channels, got {channels}")
    match layer:
        case nn.Linear():
            return Linear(layer.out_features, layer.bias is not None)
        case nn.BatchNorm2d():
            if not layer.affine or not layer.track_running_stats:
                raise GraphError("a batch norm without scale and shift or running statistics has no operation")
            if layer.eps != EPS:
                raise GraphError(f"a batch norm with eps {layer.eps:g} has no operation; {EPS:g} has")
            return BatchNorm()
        case _:
            kernel, stride, dilation = pairs(layer.kernel_size, layer.stride, layer.dilation)
            if layer.padding_mode != "zeros":
                raise GraphError(f"padding mode {layer.padding_mode!r} has no operation; 'zeros' has")
            padding = layer.padding
            if isinstance(padding, str):
                reach = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, kernel, strict=True)]
                if any(size % 2 for size in reach):
                    raise GraphError("padding 'same' of an even window is not the same on both sides")
                padding = (reach[0] // 2, reach[1] // 2)
            bias = layer.bias is not None
            return Conv(layer.out_channels, kernel, stride, pair(padding), dilation, layer.groups, bias)


def activation(layer: nn.Module) -> Operation:
    """The operation of an element-wise function."""
    match layer:
        case nn.LeakyReLU() if layer.negative_slope != 0.01:
            raise GraphError(f"a leaky ReLU with slope {layer.negative_slope:g} has no operation; 0.01 has")
        case nn.GELU() if layer.approximate != "none":
            raise GraphError("the approximate GELU has no operation; the exact one has")
        case nn.ReLU6():
            return ReLU6()
        case nn.Hardtanh() if (layer.min_val, layer.max_val) != (0, 6):
            raise GraphError(f"clipping to {layer.min_val:g} and {layer.max_val:g} has no operation; to 0 and 6 it has")
    return _ACTIVATIONS[type(layer)]


def pair(value: Any) -> tuple[int, int]:
    """(vertical, horizontal), of two numbers or of one for both."""
    first, second = value if isinstance(value, tuple | list) else (value, value)
    return first, second


def pairs(*values: Any) -> list[tuple[int, int]]:
    """Each value as a pair."""
    return [pair(value) for value in values]


# Functions that are layers without weights: the layer, and the names of the arguments behind the tensor.
_POOL = ("kernel_size", "stride", "padding")
AS_LAYER: dict[Any, tuple[type[nn.Module], tuple[str, ...]]] = {
    functional.avg_pool2d: (nn.AvgPool2d, (*_POOL, "ceil_mode", "count_include_pad", "divisor_override")),
    functional.max_pool2d: (nn.MaxPool2d, (*_POOL, "dilation", "ceil_mode", "return_indices")),
    functional.adaptive_avg_pool2d: (nn.AdaptiveAvgPool2d, ("output_size",)),
    functional.leaky_relu: (nn.LeakyReLU, ("negative_slope", "inplace")),
    functional.gelu: (nn.GELU, ()),
    **dict.fromkeys(
        (functional.relu, torch.relu, "relu", functional.relu_, torch.relu_, "relu_"), (nn.ReLU, ("inplace",))
    ),
    functional.relu6: (nn.ReLU6, ("inplace",)),
    functional.silu: (nn.SiLU, ("inplace",)),
    functional.hardswish: (nn.Hardswish, ("inplace",)),
    functional.hardtanh: (nn.Hardtanh, ("min_val", "max_val", "inplace")),
    **dict.fromkeys((functional.sigmoid, torch.sigmoid, "sigmoid"), (nn.Sigmoid, ())),
    **dict.fromkeys((functional.tanh, torch.tanh, "tanh"), (nn.Tanh, ())),
}

# Of numbers, such as the sizes of a tensor.
PYTHON = (operator.add, operator.sub, operator.mul, operator.floordiv, operator.truediv, operator.eq, operator.getitem)
