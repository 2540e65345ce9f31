"""The operators of EZNAS's five published programs, and how a program of layers becomes the score of a network.

None of them writes to what it reads, unlike the authors', whose logarithms do. An operator that has no value for a
layer raises UndefinedLayerError; such layers are left out, as in the authors' program.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from untrained.programs.determinants import log_determinants
from untrained.proxies.base import NoScore
from untrained.proxies.statistics import LayerStatistics
from untrained.types import Status


class UndefinedLayerError(Exception):
    """A program has no value for a layer; the message says why."""


def add(a: Tensor, b: Tensor) -> Tensor:
    """Elementwise sum, broadcasting."""
    ends = zip(reversed(a.shape), reversed(b.shape), strict=False)
    if any(m != n and 1 not in (m, n) for m, n in ends):
        raise UndefinedLayerError(f"no sum of shapes {tuple(a.shape)} and {tuple(b.shape)}")
    return a + b


def log(a: Tensor) -> Tensor:
    """Natural logarithm, of what is not above 0 that of 1."""
    return torch.where(a <= 0, 1, a).log()


def standardise(a: Tensor) -> Tensor:
    """Minus the mean, over the standard deviation (n - 1); NaN becomes 0, so that equal numbers all become 0."""
    if a.numel() < 2:
        return torch.zeros_like(a)
    z = (a - a.mean()) / a.std()
    return torch.where(z.isnan(), 0, z)


def frobenius(a: Tensor) -> Tensor:
    """Root of the sum of squares of all elements, a scalar."""
    norm: Tensor = torch.linalg.vector_norm(a)
    return norm


def logdet(a: Tensor) -> Tensor:
    """Logarithm of the determinant of every map, shape (..., h, h) to (...): -inf where it is 0, 0 where it is less."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise UndefinedLayerError(f"no determinant of maps of shape {tuple(a.shape[-2:])}")
    found = torch.from_numpy(log_determinants(a.detach().reshape(-1, *a.shape[-2:]).contiguous().numpy()))
    return torch.where(found.isnan(), 0, found).reshape(a.shape[:-2])


def kl_div(a: Tensor, b: Tensor) -> Tensor:
    """Divergence of b from the distribution with logarithms a, summed, over the size of the first dimension."""
    return nn.functional.kl_div(a, b, reduction="batchmean")


def is_positive(a: Tensor) -> Tensor:
    """1 where above 0, else 0."""
    return (a > 0).to(a.dtype)


def is_negative(a: Tensor) -> Tensor:
    """1 where below 0, else 0."""
    return (a < 0).to(a.dtype)


def layer_values(program: Callable[[LayerStatistics], Tensor], layers: Iterable[LayerStatistics]) -> list[float]:
    """Mean of all elements of what a program gives, for every layer; those for which it is undefined are left out.

    Raises:
        NoScore: UNDEFINED where no layer has a value, NONFINITE where the program would read infinity or NaN, which
            several operators would hide.
    """
    values, reasons = [], []
    for layer in layers:
        for name, tensor in layer.items():
            if not math.isfinite(float(tensor.sum())) and not bool(tensor.isfinite().all()):
                raise NoScore(Status.NONFINITE, f"{name} of {layer.weight} is not finite")
        try:
            out = program(layer)
        except UndefinedLayerError as undefined:
            reasons.append(f"{layer.weight}: {undefined}")
            continue
        values.append(float(out.sum() / out.numel()))
    if not values:
        raise NoScore(Status.UNDEFINED, f"no layer has a value; {reasons[0]}")
    return values


def network_score(program: Callable[[LayerStatistics], Tensor], layers: Iterable[LayerStatistics]) -> float:
    """Mean over the layers of `layer_values`."""
    values = layer_values(program, layers)
    return sum(values) / len(values)
