"""Runs a network whose numbers do not fit in a float64: each activation is a tensor near 1 times a power of two."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

_LAYERS: frozenset[Any] = frozenset(
    {
        torch.conv1d,
        torch.conv2d,
        torch.conv3d,
        torch.conv_transpose1d,
        torch.conv_transpose2d,
        torch.conv_transpose3d,
        F.linear,
    }
)
_SUMS: frozenset[Any] = frozenset(
    {torch.add, torch.sub, Tensor.add, Tensor.sub, Tensor.__add__, Tensor.__radd__, Tensor.__sub__}
)
_LISTS: frozenset[Any] = frozenset({torch.cat, torch.concat, torch.stack})
# f(c x) = c f(x) for c > 0, with x the first argument and the only one that is an activation
_HOMOGENEOUS: frozenset[Any] = frozenset(
    {
        *(torch.relu, Tensor.relu, F.relu, F.leaky_relu),
        *(F.max_pool1d, F.max_pool2d, torch.max_pool1d, torch.max_pool2d, F.adaptive_max_pool2d),
        *(F.avg_pool1d, F.avg_pool2d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d),
        *(torch.mean, Tensor.mean, torch.sum, Tensor.sum, F.pad, F.dropout, F.dropout2d),
        *(torch.flatten, Tensor.flatten, torch.reshape, Tensor.reshape, Tensor.view, Tensor.view_as, Tensor.contiguous),
        *(torch.permute, Tensor.permute, torch.transpose, Tensor.transpose, torch.squeeze, Tensor.squeeze),
        *(torch.unsqueeze, Tensor.unsqueeze, Tensor.__getitem__, Tensor.expand, Tensor.clone, torch.clone),
        *(torch.chunk, Tensor.chunk, torch.split, Tensor.split, torch.narrow, Tensor.narrow),
    }
)
_NAMES = ("input", "weight", "bias")  # of what a layer reads first
_TOO_LARGE = 64  # exponents within which a tensor is left as it is


class Scaled(TorchFunctionMode):
    """While active, the value of a tensor is what it holds times 2 ** `exponent`.

    Convolutions, sums, pooling, ReLU and what only moves numbers work on scaled tensors; products, norms and whatever
    else is run on true values. Scaling is by powers of two, so that what is computed is rounded as it always is.
    Gradients are those of the tensors as held.
    """

    def __init__(self) -> None:
        super().__init__()
        self._exponents: Any = WeakTensorKeyDictionary()

    def exponent(self, x: Tensor) -> int:
        """The power of two that `x` is to be multiplied by."""
        return int(self._exponents.get(x, 0))

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called by torch in place of every one of its functions."""
        given = dict(kwargs or {})
        if func in _LAYERS:
            return self._layer(func, *args, **given)
        if not any(self.exponent(x) for x in _tensors([args, given])):
            return func(*args, **given)
        if func in _HOMOGENEOUS or getattr(func, "__name__", "") == "__get__":
            e = self.exponent(next(_tensors([args, given])))
            return self._with(e, func(*args, **given))
        if func in _LISTS or (func in _SUMS and len(args) == 2 and not given):
            first = args[0] if func in _LISTS else args
            if all(isinstance(x, Tensor) for x in first):
                e = self._common(first)
                parts = [_shift(x, self.exponent(x) - e) for x in first]
                result = func(parts, *args[1:], **given) if func in _LISTS else func(*parts)
                return self._with(e, result)
        return func(*_mapped(self._true, list(args)), **_mapped(self._true, given))

    def _layer(self, func: Any, *args: Any, **given: Any) -> Any:
        """A convolution or linear layer: scaled again if what it gives is far from 1."""
        named = {**dict(zip(_NAMES, args, strict=False)), **given}
        x, weight, bias = [named.pop(name, None) for name in _NAMES]
        e = self.exponent(x)
        if bias is not None and e:
            if not bias.any():
                bias = None
            elif e > 0:
                bias = _shift(bias, -e)
            else:
                x, e = self._true(x), 0
        y = func(x, weight, bias, *args[len(_NAMES) :], **named)
        largest = float(y.detach().abs().max()) if y.numel() else 0.0
        if not 0 < largest < math.inf:
            return self._with(e, y)
        change = math.frexp(largest)[1]
        if abs(change) <= _TOO_LARGE:
            return self._with(e, y)
        return self._with(e + change, _shift(y, -change))

    def _common(self, parts: Sequence[Tensor]) -> int:
        """The largest exponent of tensors to be added; those that are 0 do not count."""
        exponents = {self.exponent(x) for x in parts}
        if len(exponents) > 1:
            exponents = {self.exponent(x) for x in parts if x.detach().any()} or {0}
        return max(exponents)

    def _true(self, x: Tensor) -> Tensor:
        return _shift(x, self.exponent(x))

    def _with(self, e: int, result: Any) -> Any:
        if e:
            for y in _tensors(result):
                self._exponents[y] = e
        return result


def _shift(x: Tensor, e: int) -> Tensor:
    """X * 2 ** e, in steps that are themselves numbers."""
    while e:
        step = max(-1000, min(1000, e))
        x, e = x * 2.0**step, e - step
    return x


def _tensors(value: Any) -> Any:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _mapped(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_mapped(change, part) for part in value)
    if isinstance(value, dict):
        return {name: _mapped(change, part) for name, part in value.items()}
    return value
