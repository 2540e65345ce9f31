"""The operations of NDS cells: what each name adds to a graph.

Source: pycls (facebookresearch), models/nas/operations.py, which follows DARTS (arXiv:1806.09055). Every batch norm is
affine. An operation keeps height and width at stride 1 and halves them at stride 2, as it does on the two inputs of a
reduction cell.
"""

from collections.abc import Callable

from untrained.graphs.graph import GraphBuilder

Operation = Callable[[GraphBuilder, int, int], int]  # (graph, node to read, stride) -> node


def relu_conv_bn(b: GraphBuilder, x: int, channels: int) -> int:
    """ReLU, 1x1 convolution, batch norm."""
    return b.batch_norm(b.conv(b.relu(x), channels, kernel=1))


def factorized_reduce(b: GraphBuilder, x: int, channels: int) -> int:
    """ReLU; 1x1 convolutions of the even positions and of the odd ones, side by side; batch norm.

    The channels must be even. A map of odd size has no last odd position; zeros take its place.
    """
    x = b.relu(x)
    halves = [b.conv(half, channels // 2, kernel=1, stride=2) for half in (x, b.shift(x, up=1, left=1))]
    return b.batch_norm(b.concat(halves))


def _skip(b: GraphBuilder, x: int, stride: int) -> int:
    return b.identity(x) if stride == 1 else factorized_reduce(b, x, b.shape(x)[0])


def _max_pool(kernel: int) -> Operation:
    return lambda b, x, stride: b.max_pool(x, kernel=kernel, stride=stride, padding=kernel // 2)


def _conv(kernel: int) -> Operation:
    return lambda b, x, stride: b.batch_norm(b.conv(b.relu(x), b.shape(x)[0], kernel=kernel, stride=stride))


def _row_and_column(kernel: int) -> Operation:
    """A convolution along rows, then one along columns, with nothing between."""

    def add(b: GraphBuilder, x: int, stride: int) -> int:
        channels = b.shape(x)[0]
        x = b.conv(b.relu(x), channels, kernel=(1, kernel), stride=(1, stride))
        return b.batch_norm(b.conv(x, channels, kernel=(kernel, 1), stride=(stride, 1)))

    return add


def _depthwise(kernel: int, *, dilation: int = 1, times: int = 1) -> Operation:
    """ReLU, depthwise convolution, 1x1 convolution, batch norm; the stride is that of the first time."""

    def add(b: GraphBuilder, x: int, stride: int) -> int:
        channels = b.shape(x)[0]
        for step in (stride, 1)[:times]:
            x = b.conv(b.relu(x), channels, kernel=kernel, stride=step, dilation=dilation, groups=channels)
            x = b.batch_norm(b.conv(x, channels, kernel=1))
        return x

    return add


OPERATIONS: dict[str, Operation] = {
    "none": lambda b, x, stride: b.zero(x, stride=stride),
    "skip_connect": _skip,
    "avg_pool_3x3": lambda b, x, stride: b.avg_pool(x, kernel=3, stride=stride, padding=1),
    "max_pool_3x3": _max_pool(3),
    "max_pool_5x5": _max_pool(5),
    "max_pool_7x7": _max_pool(7),
    "conv_1x1": _conv(1),
    "conv_3x3": _conv(3),
    "conv_3x1_1x3": _row_and_column(3),
    "conv_7x1_1x7": _row_and_column(7),
    "sep_conv_3x3": _depthwise(3, times=2),
    "sep_conv_5x5": _depthwise(5, times=2),
    "sep_conv_7x7": _depthwise(7, times=2),
    "dil_conv_3x3": _depthwise(3, dilation=2),
    "dil_conv_5x5": _depthwise(5, dilation=2),
    "dil_sep_conv_3x3": _depthwise(3, dilation=2, times=2),
}
