"""Batch norm for second derivatives: torch's own takes them in dozens of small steps, which outweigh all else."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_BACKWARD: Any = torch.ops.aten.native_batch_norm_backward.default


class TwiceDifferentiable(TorchFunctionMode):
    """While active, batch norms over a batch give the same numbers, and second derivatives for what they read.

    Derivatives with respect to their own weight and bias are first ones only: the second ones leave these out.
    """

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called by torch in place of every one of its functions."""
        if func is F.batch_norm:
            return _batch_norm(*args, **dict(kwargs or {}))
        return func(*args, **dict(kwargs or {}))


def _batch_norm(
    input: Tensor,  # noqa: A002 - torch's name
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    affine = [parameter for parameter in (weight, bias) if parameter is not None]
    if not training or not all(parameter.is_leaf for parameter in affine):
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    y: Tensor = _Normalise.apply(input, running_mean, running_var, weight, bias, momentum, eps)  # type: ignore[no-untyped-call]
    return y


class _Normalise(Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        momentum: float,
        eps: float,
    ) -> Tensor:
        y, mean, r = torch.native_batch_norm(x, weight, bias, running_mean, running_var, True, momentum, eps)
        ctx.save_for_backward(x, weight, mean, r)
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight, mean, r = ctx.saved_tensors
        dx, dw, db = _Backward.apply(dy, x, weight, mean, r, ctx.eps)  # type: ignore[no-untyped-call]
        return dx, None, None, dw, db, None, None


class _Backward(Function):
    """dx = w r (dy - mean(dy) - z mean(dy z)), with z = (x - mean(x)) r, r = 1 / sqrt(var(x) + eps)."""

    @staticmethod
    def forward(ctx: Any, dy: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, r: Tensor, eps: float) -> Any:
        dx, dw, db = _BACKWARD(dy, x, weight, None, None, mean, r, True, eps, [True] * 3)
        ctx.save_for_backward(dy, x, weight, mean, r, dw, db)
        ctx.eps = eps
        ctx.set_materialize_grads(False)
        return dx, dw if weight is not None else None, db if weight is not None else None

    @staticmethod
    def backward(ctx: Any, v: Tensor | None, *_of_weight_and_bias: Any) -> Any:
        """Gradients of <v, dx> with respect to dy, which is dx with v in place of dy, and to x."""
        if v is None:
            return (None,) * 6
        dy, x, weight, mean, r, dw, db = ctx.saved_tensors
        n = x.numel() / len(mean)
        g_dy, vz, vs = _BACKWARD(v, x, weight, None, None, mean, r, True, ctx.eps, [True] * 3)
        v1, v2, c1, c2 = vs / n, vz / n, db / n, dw / n  # means of v, v z, dy, dy z
        q = (v * dy).sum([d for d in range(x.ndim) if d != 1]) / n
        scale = r * r if weight is None else weight.detach() * r * r
        of_z = scale * (3 * v2 * c2 - q + v1 * c1) * r
        constant = scale * (v1 * c2 + c1 * v2) - of_z * mean
        wide = [-1 if d == 1 else 1 for d in range(x.ndim)]
        g_x = torch.addcmul(constant.view(wide), x, of_z.view(wide))
        g_x.addcmul_(v, (-scale * c2).view(wide)).addcmul_(dy, (-scale * v2).view(wide))
        return g_dy, g_x, None, None, None, None
