"""Modes evaluated plainly: node by node, in float64 with an exponent for each plane, so that nothing overflows."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from untrained.graphs.graph import (
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    Graph,
    Identity,
    Input,
    Linear,
    MaxPool,
    Operation,
    ReLU,
    ReLU6,
    Shift,
    Sum,
    Truncate,
    Zero,
)
from untrained.graphs.modes import Mode, switched

EPS = 1e-5
_Plane = tuple[NDArray[np.float64], int]  # values (n, height, width) and their exponent
_Value = list[tuple[_Plane | None, int]]  # planes with multiplicities, None for zeros


def evaluate(graph: Graph, x: NDArray[np.float64], mode: Mode) -> list[_Value]:
    """What every node of the switched network gives."""
    values: list[_Value] = []
    for operation, inputs, shape in switched(graph, mode).nodes:
        values.append(_value(operation, [values[i] for i in inputs], shape, x, mode))
    return values


def mean(value: _Value, n: int) -> _Plane:
    """The mean over channels and positions, one number per image."""
    live = [(plane, float(m)) for plane, m in value if plane is not None]
    total, exponent = _total(live) if live else (np.zeros((n, 1, 1)), 0)
    return total.mean(axis=(1, 2)) / sum(m for _, m in value), exponent


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
                    raise AssertionError(operation)
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
            positions = max([plane[0][0].size for plane, _ in inputs[0] if plane], default=1)
            features = positions * sum(m for _, m in inputs[0])
            summed = [((p[0].mean(axis=(1, 2), keepdims=True), p[1]), m) for p, m in live]
            return [(weighted(summed, features) if live else None, out_features)]
        case _:
            raise AssertionError(operation)


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
