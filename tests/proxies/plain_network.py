"""A small network written twice: as a module, and as the formulas that oracles follow."""

import importlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from untrained.batches import make_batch
from untrained.types import Batch

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional
Model = importlib.import_module("untrained.proxies.model").Model
SHAPE = (2, 5, 5)
N_CLASSES = 3


def plain_module(*, norm: bool = True, relu: bool = True) -> Any:
    """Convolution 3x3, batch norm, ReLU, convolution 1x1, batch norm, ReLU, mean, linear layer."""
    layers: list[Any] = [nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()]
    layers += [nn.Conv2d(4, 3, 1, bias=False), nn.BatchNorm2d(3), nn.ReLU()]
    kept = [layer for layer in layers if norm or not isinstance(layer, nn.BatchNorm2d)]
    kept = [layer for layer in kept if relu or not isinstance(layer, nn.ReLU)]
    return nn.Sequential(*kept, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, N_CLASSES))


def plain_model(seed: int = 0, dtype: str = "float64", **kwargs: bool) -> Any:
    """The network as a Model with drawn weights."""
    return Model.of_module(plain_module(**kwargs), init="kaiming_normal_fan_in", seed=seed, dtype=dtype, name="plain")


def batch_norm(x: Any) -> Any:
    """(x - mean) / sqrt(variance + eps) of every channel."""
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
    return (x - mean) / (variance + 1e-5) ** 0.5


def plain_forward(weights: dict[str, Any], x: Any) -> tuple[list[Any], Any, Any]:
    """What the two batch norms read, the last feature map, the logits."""
    first = F.conv2d(x, weights["0.weight"], padding=1)
    second = F.conv2d(batch_norm(first).clamp(min=0), weights["3.weight"])
    last = batch_norm(second).clamp(min=0)
    return [first, second], last, last.mean((2, 3)) @ weights["8.weight"].T + weights["8.bias"]


def images(n: int = 6, seed: int = 0) -> NDArray[np.float32]:
    """Images of N(0, 1)."""
    return np.random.default_rng(seed).normal(size=(n, *SHAPE)).astype(np.float32)


def labelled(x: NDArray[Any]) -> Batch:
    """A batch with all classes in turn, backwards."""
    return make_batch(x, "plain", N_CLASSES - 1 - np.arange(len(x)) % N_CLASSES)
