"""Watches a forward pass: what every layer reads and gives, for any module, without touching it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class Call(NamedTuple):
    """One layer at work. `x` and `y` stand in the autograd graph; `weight` is the name of its weight, if it has one.

    A convolution or linear layer reads an alias of its own, so that a gradient with respect to `x` is that which comes
    through this layer alone. `running` are the running mean and variance of a batch norm after this pass.
    """

    kind: str
    weight: str | None
    x: Tensor
    y: Tensor
    running: tuple[Tensor, Tensor] | None = None


_KINDS: dict[Any, str] = {
    torch.conv1d: "conv",
    torch.conv2d: "conv",
    torch.conv3d: "conv",
    F.linear: "linear",
    F.batch_norm: "batch_norm",
    F.layer_norm: "layer_norm",
    F.group_norm: "group_norm",
    F.relu: "relu",
    torch.relu: "relu",
    Tensor.relu: "relu",
    F.relu_: "relu",
    torch.relu_: "relu",
    Tensor.relu_: "relu",
    F.relu6: "relu",
    F.gelu: "gelu",
    F.silu: "silu",
    F.hardswish: "hardswish",
    F.leaky_relu: "leaky_relu",
    torch.sigmoid: "sigmoid",
    Tensor.sigmoid: "sigmoid",
    torch.tanh: "tanh",
    Tensor.tanh: "tanh",
}
_RELU6: Any = F.hardtanh  # how torch writes ReLU6
# What works in place is done out of place: what was recorded before must stay as it was.
_OUT_OF_PLACE: dict[Any, Callable[..., Tensor]] = {
    Tensor.__iadd__: torch.add,
    Tensor.add_: torch.add,
    Tensor.__imul__: torch.mul,
    Tensor.mul_: torch.mul,
    Tensor.__isub__: torch.sub,
    Tensor.sub_: torch.sub,
    F.relu_: torch.relu,
    torch.relu_: torch.relu,
    Tensor.relu_: torch.relu,
}


class Tape(TorchFunctionMode):
    """While active, notes every call of a layer in `calls`, in the order of execution."""

    def __init__(self, names: Mapping[int, str], skip: Iterable[str] = (), keep: Iterable[str] | None = None) -> None:
        """`names` has the name of each weight by its identity; layers of the kinds in `skip` give what they read.

        Of all kinds, or those in `keep` alone, calls are noted, which keeps what they read and gave in memory.
        """
        super().__init__()
        self.calls: list[Call] = []
        self._names = names
        self._skip = frozenset(skip)
        self._keep = None if keep is None else frozenset(keep)

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called by torch in place of every one of its functions."""
        given = dict(kwargs or {})
        if given.get("inplace"):
            given["inplace"] = False
        kind = _KINDS.get(func)
        if kind is None and func is _RELU6 and _limits(args, given) == (0.0, 6.0):
            kind = "relu"
        run = _OUT_OF_PLACE.get(func, func)
        if kind is None:
            return run(*args, **given)
        x: Tensor = args[0] if args else given["input"]
        if kind in self._skip:
            return x
        if kind in ("conv", "linear") and x.requires_grad:
            x = x.view_as(x)
            if args:
                args = (x, *args[1:])
            else:
                given["input"] = x
        y = run(*args, **given)
        weight, running = None, None
        if kind == "batch_norm":
            mean, var = _argument(args, given, 1, "running_mean"), _argument(args, given, 2, "running_var")
            weight = _argument(args, given, 3, "weight")
            running = None if mean is None or var is None else (mean, var)
        elif kind in ("conv", "linear"):
            weight = _argument(args, given, 1, "weight")
        elif kind in ("layer_norm", "group_norm"):
            weight = _argument(args, given, 2, "weight")
        if self._keep is None or kind in self._keep:
            self.calls.append(Call(kind, self._names.get(id(weight)), x, y, running))
        return y


def _argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int, name: str) -> Any:
    return args[place] if place < len(args) else kwargs.get(name)


def _limits(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[float, float]:
    return (
        float(kwargs.get("min_val", args[1] if len(args) > 1 else -1.0)),
        float(kwargs.get("max_val", args[2] if len(args) > 2 else 1.0)),
    )
