"""Networks with weights of full rank, for which the original programs' values were measured."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from untrained.batches import make_batch
from untrained.proxies.model import Model
from untrained.types import Batch

torch.set_num_threads(1)  # as the engine does: sums are then added in one order

Golden = Callable[..., Model]


def chirp(shape: tuple[int, ...], phase: float, scale: float) -> Tensor:
    """scale * cos(0.7 i**2 + phase) in C order: unlike those of a wave, no row is a sum of others."""
    i = np.arange(np.prod(shape), dtype=np.float64)
    return torch.from_numpy((scale * np.cos(0.7 * i * i + phase)).reshape(shape).astype(np.float32))


def chirp_weights(module: nn.Module, phase: float = 0.0, scale: float | None = None) -> dict[str, Tensor]:
    """The k-th convolution or linear layer has chirp(shape, 0.3 k + phase, scale), as in the golden files."""
    weights, k = {}, 0
    for name, parameter in module.named_parameters():
        if parameter.ndim < 2:
            weights[name] = torch.full(parameter.shape, float(name.endswith("weight")))
        else:
            shape = tuple(parameter.shape)
            own = 2 / np.sqrt(shape[0] * np.prod(shape[2:]))
            weights[name] = chirp(shape, 0.3 * k + phase, own if scale is None else scale)
            k += 1
    return weights


def chirped(model: Model, dtype: str = "float32", **how: Any) -> Model:
    """The same network with such weights."""
    return Model(model.module, chirp_weights(model.module, **how), dtype=dtype)


def chirp_batch(n: int = 16, size: int = 16) -> Batch:
    """chirp((n, 3, size, size), 0, 1)."""
    return make_batch(chirp((n, 3, size, size), 0, 1).numpy(), "chirp")


def module_model(*layers: nn.Module, dtype: str = "float32") -> Model:
    """Layers in a row, with torch's own weights drawn from a fixed seed."""
    module = nn.Sequential(*layers)
    return Model.of_module(module, init="kaiming_normal_fan_in", dtype=dtype)
