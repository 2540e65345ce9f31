"""Values of the original programs for cells of NAS-Bench-201, and small networks with values known by formula."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from untrained.batches import make_batch
from untrained.proxies import PROXIES
from untrained.proxies.model import Model
from untrained.types import Batch


def cells(file: str) -> list[dict[str, Any]]:
    """The cells of a file of tests/golden, each with its values."""
    found: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "golden" / file).read_text())["cells"]
    return found


FEATURES = cells("classic_proxies_nasbench201.json")
LOGITS = cells("classic_proxies_logits.json")
BOTH = [(cell, classifier) for classifier, found in ((False, FEATURES), (True, LOGITS)) for cell in found]
BOTH_IDS = [f"{cell['index']}-{'logits' if classifier else 'features'}" for cell, classifier in BOTH]


def score(name: str, model: object, batch: Batch, **parameters: float | str) -> float:
    """A proxy of the registry on a model."""
    with Model.one_thread():
        value = PROXIES[name].fn(model, batch, **parameters)
    assert isinstance(value, float)
    return value


class Flat(nn.Sequential):
    """Layers that read images as rows of numbers."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(x.flatten(1))
        return out


def linear_model(*weights: NDArray[np.float64]) -> Model:
    """Linear layers without biases, one after the other, in float64."""
    module = Flat(*[nn.Linear(w.shape[1], w.shape[0], bias=False, dtype=torch.float64) for w in weights])
    return Model(module, {f"{i}.weight": torch.from_numpy(w) for i, w in enumerate(weights)}, dtype="float64")


def images(n: int, shape: Sequence[int] = (1, 2, 3), *, seed: int = 0, n_classes: int = 3) -> Batch:
    """Random images with classes in turn."""
    x = np.random.default_rng(seed).normal(size=(n, *shape))
    return make_batch(x, f"random {seed}", np.arange(n) % n_classes)


def softmax_gradient(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Gradient of the mean cross entropy with respect to logits."""
    e = np.exp(logits - logits.max(1, keepdims=True))
    p: NDArray[np.float64] = e / e.sum(1, keepdims=True)
    p[np.arange(len(p)), labels] -= 1
    return p / len(p)
