"""Modes: a network's wiring with mean filters, its ReLUs and norms switched on or off, its gain turned up or down.

Nothing forces a constant-weight network to have tiny weights. Here every convolution is its mean filter times a gain,
so that signals keep their size through any depth, and what a network does with them can be asked part by part.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError, GraphError
from untrained.graphs.graph import (
    GELU,
    AvgPool,
    BatchNorm,
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
    Node,
    Operation,
    Product,
    ReLU,
    ReLU6,
    Shift,
    Sigmoid,
    SiLU,
    Sum,
    Truncate,
    Zero,
)
from untrained.graphs.recurrent import Recurrent
from untrained.types import Batch

EPS = 1e-5  # of batch norm
RECTIFIERS = (ReLU, ReLU6, SiLU, GELU, Hardswish, LeakyReLU)

_SWITCHES = {"full": (True, True), "relu": (True, False), "bnlin": (False, True), "lin": (False, False)}
_FORM = re.compile(r"(full|relu|bnlin|lin)([0-9][0-9.e+-]*)?(_sum)?")


@dataclass(frozen=True, slots=True, order=True)
class Mode:
    """What of a network is on, and what its weights are.

    Every convolution and linear layer has the constant weight gain / fan_in (fan_in: the number of weights of one
    output, in_channels / groups * kernel height * width): its mean filter times the gain. Biases are 0; batch norms use
    the statistics of the batch, scale 1, shift 0.

    Attributes:
        relu: if off, every ReLU (ReLU6, SiLU, GELU, Hardswish, leaky ReLU) is the identity, stem and head included.
        norm: if off, batch norms of the body are the identity; those of stem and head stay, see `switched`.
        gain: above 0, finite.
        mean_filters: if off, every weight is the gain itself.

    Raises:
        BadInputError: a gain that is not a number above 0.

    >>> Mode(norm=False, gain=10).name, Mode.parse("lin0.1").relu
    ('relu10', False)
    """

    relu: bool = True
    norm: bool = True
    gain: float = 1.0
    mean_filters: bool = True

    def __post_init__(self) -> None:
        try:
            gain = float(self.gain)
        except (TypeError, ValueError):
            gain = math.nan
        if not (0 < gain < math.inf):
            raise BadInputError(f"the gain of a mode is a finite number above 0, got {self.gain!r}.")
        object.__setattr__(self, "gain", gain)

    @property
    def name(self) -> str:
        """Which switches are on, then the gain unless it is 1, then `_sum` where weights are the gain itself.

        >>> [Mode(False, False, 0.1).name, Mode(False, True).name, Mode(gain=2.0, mean_filters=False).name]
        ['lin0.1', 'bnlin', 'full2_sum']
        """
        switches = next(name for name, on in _SWITCHES.items() if on == (self.relu, self.norm))
        short = f"{self.gain:g}"
        gain = short if float(short) == self.gain else repr(self.gain)
        return switches + (gain if self.gain != 1 else "") + ("" if self.mean_filters else "_sum")

    @classmethod
    def parse(cls, text: str) -> "Mode":
        """Inverse of `name`.

        Raises:
            BadInputError: another form, or a gain that is not a number above 0.

        >>> Mode.parse("relu10_sum")
        Mode(relu=True, norm=False, gain=10.0, mean_filters=False)
        """
        match = _FORM.fullmatch(text)
        try:
            if match:
                switches, gain, total = match.groups()
                return cls(*_SWITCHES[switches], float(gain or 1), mean_filters=not total)
        except ValueError:
            pass
        raise BadInputError(
            f"unknown mode {text!r}. A mode is one of {', '.join(_SWITCHES)}, then a gain above 0 unless it is 1, then "
            f"_sum if weights are not divided by their number; for example {', '.join(m.name for m in DEFAULT_MODES)}."
        )


DEFAULT_MODES = (
    Mode(),
    Mode(relu=False),
    *[Mode(relu=False, norm=False, gain=gain) for gain in (0.1, 1.0, 3.0, 10.0)],
    *[Mode(norm=False, gain=gain) for gain in (0.1, 1.0, 3.0, 10.0)],
)


class Response(NamedTuple):
    """One number per image: `values * 2**exponent`.

    The exponent is 0 where all values, and their squares, are ordinary float64 numbers; elsewhere it makes the largest
    magnitude lie between 0.5 and 1, so that gains that multiply up over hundreds of layers overflow nothing.
    """

    values: NDArray[np.float64]  # shape (n,), read-only
    exponent: int


def switched(graph: Graph, mode: Mode) -> Graph:
    """The network up to its first output, with what the mode switches off replaced by the identity; gains aside.

    With norms off, two kinds stay. First, those with no norm before them on any path: the stem's, which bring all
    images to one scale. Second, those after the last stage; or, where the graph names no stages, the norm that every
    path to the output goes through with no convolution and no norm after it: the head's. Both are decided on what is
    computed: a path that starts or passes through zeros is no path, and equal expressions are one.
    """
    kept = frozenset[int]() if mode.norm else kept_norms(graph)
    nodes = [
        Node(Identity(), node.inputs, node.shape)
        if (not mode.relu and isinstance(node.operation, RECTIFIERS))
        or (not mode.norm and isinstance(node.operation, BatchNorm) and i not in kept)
        else node
        for i, node in enumerate(graph.nodes)
    ]
    return Graph(tuple(nodes), graph.outputs[:1], graph.stages)


def kept_norms(graph: Graph) -> frozenset[int]:
    """Positions of the norms that stay when norms are off."""
    number: list[int] = []  # of each node: the live expression it is, or -1 for zeros
    expressions: list[tuple[Operation, tuple[int, ...]]] = []
    known: dict[tuple[Operation, tuple[int, ...], tuple[int, ...]], int] = {}
    for operation, inputs, shape in graph.nodes:
        live = tuple([number[i] for i in inputs if number[i] >= 0])
        if isinstance(operation, Zero) or (inputs and not live and not isinstance(operation, Sigmoid)):
            number.append(-1)
        elif isinstance(operation, Identity | Sum) and len(live) == 1:
            number.append(live[0])
        else:
            read = tuple(sorted(live)) if isinstance(operation, Sum | Product) else tuple(number[i] for i in inputs)
            place = known.setdefault((operation, read, shape), len(expressions))
            if place == len(expressions):
                expressions.append((operation, live))
            number.append(place)
    output = number[graph.outputs[0]]
    if output < 0:
        return frozenset()

    needed = {output}
    for place in range(output, -1, -1):
        if place in needed:
            needed.update(expressions[place][1])
    before = [False] * len(expressions)  # whether there is a norm before
    last = number[graph.stages[-1]] if graph.stages else -1
    after = [False] * len(expressions)  # whether it is after the last stage
    final, reach = -1, 0  # the last convolution or norm, and the last reader of anything before it
    for place, (operation, live) in enumerate(expressions):
        if place not in needed:
            continue
        before[place] = any(before[i] or isinstance(expressions[i][0], BatchNorm) for i in live)
        after[place] = any(after[i] or i == last for i in live)
        if isinstance(operation, Conv | BatchNorm):
            final = place
    reach = max([place for place in needed if any(i < final for i in expressions[place][1])], default=0)
    if not graph.stages and final >= 0 and reach <= final:
        after[final] = True
    return frozenset(
        i
        for i, place in enumerate(number)
        if isinstance(graph.nodes[i].operation, BatchNorm) and (place < 0 or after[place] or not before[place])
    )


def respond(
    network: Graph | Recurrent, x: NDArray[Any] | Batch, modes: Sequence[Mode], *, dtype: str = "float32"
) -> dict[Mode, Response]:
    """One number per image for every mode: a feature of the first output (all of them are equal).

    Args:
        network: the network, as written.
        x: images, shape (n, channels, height, width), or a batch of them.
        modes: evaluated together; what one of them gives does not depend on the others.
        dtype: of the evaluation, float32 or float64.

    Returns:
        The response of every mode; zeros where no path leads from the images to the output.

    Raises:
        GraphError: images of another shape than the network's input, or an operation that constant weights do not
            reduce to planes.
    """
    if isinstance(network, Recurrent):
        from untrained.graphs import recurrent_modes  # type: ignore[attr-defined,unused-ignore]

        found: dict[Mode, Response] = recurrent_modes.respond(network, x, modes, dtype)
        return found
    images = _images(network, x)
    output = network.outputs[0]
    return {
        mode: _response(_interpret(switched(network, mode), images, mode)[output], len(images), single=True)
        for mode in modes
    }


def respond_stages(
    network: Graph, x: NDArray[Any] | Batch, modes: Sequence[Mode], *, dtype: str = "float32"
) -> dict[Mode, list[Response]]:
    """For every mode and stage of the network one number per image: the mean over all channels and positions.

    Args and errors are those of `respond`. A network without stages has no responses of stages.
    """
    images = _images(network, x)
    found: dict[Mode, list[Response]] = {}
    for mode in modes:
        values = _interpret(switched(network, mode), images, mode)
        found[mode] = [_response(values[stage], len(images)) for stage in network.stages]
    return found


def _images(network: Graph, x: NDArray[Any] | Batch) -> NDArray[np.float64]:
    images = x.x if isinstance(x, Batch) else x
    if images.shape[1:] != network.input_shape:
        raise GraphError(f"the network reads images of shape {network.input_shape}, got {images.shape[1:]}")
    if not np.isfinite(images).all():
        raise GraphError("images must be finite numbers; some are infinite or NaN")
    return images.astype(np.float64)


# The rest is a plain interpreter ------------------------------------------------------------------------------------

_Plane = tuple[NDArray[np.float64], int]  # values (n, height, width) and their exponent
_Value = list[tuple[_Plane | None, int]]  # planes with multiplicities, None for zeros


def _response(value: _Value, n: int, *, single: bool = False) -> Response:
    live = [(plane, m) for plane, m in value if plane is not None]
    if single and live and len(value) > 1:
        raise GraphError("the output has channels that differ under constant weights; only one plane can be read")
    if not live:
        zeros = np.zeros(n)
        zeros.flags.writeable = False
        return Response(zeros, 0)
    total, exponent = _total([(plane, m / sum(m for _, m in value)) for plane, m in live])
    means = total.mean(axis=(1, 2))
    largest = np.abs(means).max(initial=0.0)
    size = math.frexp(largest)[1] + exponent if largest else 0
    if abs(size) < 400:
        means, exponent = np.ldexp(means, exponent), 0
    else:
        means, exponent = np.ldexp(means, exponent - size), size
    means.flags.writeable = False
    return Response(means, exponent)


def _scaled(values: NDArray[np.float64], exponent: int) -> _Plane:
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0:
        return values, 0
    shift = math.frexp(largest)[1]
    return np.ldexp(values, -shift), exponent + shift


def _total(planes: list[tuple[_Plane, float]]) -> _Plane:
    exponent = max([e for (values, e), _ in planes if values.any()], default=0)
    total = sum([m * np.ldexp(values, max(e - exponent, -2000)) for (values, e), m in planes], start=np.float64(0))
    return _scaled(np.asarray(total), exponent)


def _windows(
    plane: _Plane, window: Conv | AvgPool | MaxPool, size: tuple[int, ...], outside: float
) -> list[NDArray[np.float64]]:
    values, _ = plane
    (kh, kw), (sh, sw), (ph, pw) = window.kernel, window.stride, window.padding
    dh, dw = window.dilation if isinstance(window, Conv) else (1, 1)
    padded = np.pad(values, ((0, 0), (ph, ph), (pw, pw)), constant_values=outside)
    return [
        padded[:, i * dh : i * dh + sh * (size[0] - 1) + 1 : sh, j * dw : j * dw + sw * (size[1] - 1) + 1 : sw]
        for i in range(kh)
        for j in range(kw)
    ]


def _interpret(graph: Graph, x: NDArray[np.float64], mode: Mode) -> list[_Value]:
    values: list[_Value] = []
    for operation, inputs, shape in graph.nodes:
        values.append(_value(operation, [values[i] for i in inputs], shape, x, mode))
    return values


def _value(
    operation: Operation, inputs: list[_Value], shape: tuple[int, ...], x: NDArray[np.float64], mode: Mode
) -> _Value:
    def each(function: Any) -> _Value:
        return [(plane and function(plane), m) for plane, m in inputs[0]]

    def weighted(planes: list[tuple[_Plane, float]], fan_in: int) -> _Plane:
        values, exponent = _total(planes)
        return _scaled(values * (mode.gain / fan_in if mode.mean_filters else mode.gain), exponent)

    match operation:
        case Input():
            return [(_scaled(x[:, channel], 0), 1) for channel in range(x.shape[1])]
        case Identity() | Flatten():
            return inputs[0]
        case Zero():
            return [(None, shape[0])]
        case ReLU():
            return each(lambda p: (np.maximum(p[0], 0.0), p[1]))
        case ReLU6():
            return each(lambda p: _scaled(np.clip(p[0], 0.0, math.ldexp(6.0, -p[1]) if p[1] > 0 else np.inf), p[1]))
        case BatchNorm():
            return each(_normed)
        case Conv(out_channels, kernel):
            taps = math.prod(kernel)

            def convolved(plane: _Plane, fan_in: int) -> _Plane:
                planes = [((tap, plane[1]), 1.0) for tap in _windows(plane, operation, shape[1:], 0.0)]
                return weighted(planes, fan_in)

            channels = sum(m for _, m in inputs[0])
            if operation.groups > 1:
                if not operation.groups == out_channels == channels:
                    raise GraphError(f"constant weights do not reduce {operation} to planes: groups must be 1 or all")
                return each(lambda p: convolved(p, taps))
            live = [(plane, float(m)) for plane, m in inputs[0] if plane is not None]
            return [(convolved(_total(live), channels * taps) if live else None, out_channels)]
        case AvgPool(kernel, _, _, count_padding):

            def averaged(plane: _Plane) -> _Plane:
                total: Any = sum(_windows(plane, operation, shape[1:], 0.0))
                inside: Any = sum(_windows((np.ones_like(plane[0]), 0), operation, shape[1:], 0.0))
                return _scaled(total / (math.prod(kernel) if count_padding else inside), plane[1])

            return each(averaged)
        case MaxPool():
            return each(lambda p: _scaled(np.max(_windows(p, operation, shape[1:], -np.inf), axis=0), p[1]))
        case GlobalAvgPool():
            return each(lambda p: _scaled(p[0].mean(axis=(1, 2), keepdims=True), p[1]))
        case Sum():
            return _aligned(inputs)
        case Concat():
            return _merged([pair for value in inputs for pair in value])
        case Truncate(channels):
            value: _Value = []
            for plane, m in inputs[0]:
                value += [(plane, min(m, channels))] if channels > 0 else []
                channels -= m
            return value
        case Shift(up, left):
            return each(lambda p: (np.pad(p[0], ((0, 0), (0, up), (0, left)))[:, up:, left:], p[1]))
        case Linear(out_features) if len(inputs) == 1:
            live = [(plane, m * float(plane[0][0].size)) for plane, m in inputs[0] if plane is not None]
            features = sum(m * (plane[0][0].size if plane else 1) for plane, m in inputs[0])
            summed = [((p[0].mean(axis=(1, 2), keepdims=True), p[1]), m) for p, m in live]
            return [(weighted(summed, features) if live else None, out_features)]
        case _:
            raise GraphError(f"constant weights do not reduce {operation} to planes")


def _normed(plane: _Plane) -> _Plane:
    values, exponent = plane
    centred = values - values.mean()
    variance = float((centred**2).mean())
    if exponent > 0:
        return _scaled(centred / math.sqrt(variance + math.ldexp(EPS, max(-2 * exponent, -2000))), 0)
    return _scaled(centred / math.sqrt(math.ldexp(variance, max(2 * exponent, -2000)) + EPS), exponent)


def _aligned(inputs: list[_Value]) -> _Value:
    ends = sorted({int(end) for value in inputs for end in np.cumsum([m for _, m in value])})
    result: _Value = []
    start = 0
    for end in ends:
        live = []
        for value in inputs:
            at = start
            for plane, m in value:
                if at < m:
                    live += [(plane, 1.0)] if plane is not None else []
                    break
                at -= m
        result.append((_total(live) if live else None, end - start))
        start = end
    return result


def _merged(value: _Value) -> _Value:
    result: _Value = []
    for plane, m in value:
        if result and result[-1][0] is plane:
            result[-1] = plane, result[-1][1] + m
        else:
            result.append((plane, m))
    return result
