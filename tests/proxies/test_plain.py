from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from golden_cells import BOTH, BOTH_IDS, images, linear_model, score, softmax_gradient
from torch import nn

from untrained.proxies.model import Model
from untrained.types import Batch


@pytest.mark.parametrize(("cell", "classifier"), BOTH, ids=BOTH_IDS)
def test_golden(cell: dict[str, Any], classifier: bool, golden_model: Callable[..., Any], golden_batch: Batch) -> None:
    value = score("plain", golden_model(cell["arch"], classifier=classifier), golden_batch)
    rounding = 1e-6 * cell["snip"]  # terms of both signs cancel: snip is their sum without signs
    assert value == pytest.approx(cell["plain"], rel=1e-5, abs=rounding)


def test_equals_the_formula_of_a_linear_layer() -> None:
    batch, w = images(7), np.random.default_rng(1).normal(size=(3, 6))
    x, labels = batch.x.reshape(7, 6).astype(np.float64), batch.labels
    assert labels is not None
    expected = (w * (softmax_gradient(x @ w.T, labels).T @ x)).sum()
    assert score("plain", linear_model(w), batch) == pytest.approx(expected, rel=1e-12)


def test_a_convolution_before_a_batch_norm_adds_nothing() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, eps=1e-12), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )
    batch = images(6, (3, 4, 4))
    model = Model.of_module(module, dtype="float64")
    last = model.weights["4.weight"].detach()
    of_last = float((last * model.trace(batch).grads["4.weight"]).sum())
    assert abs(of_last) > 1e-3
    assert score("plain", model, batch) == pytest.approx(of_last, rel=1e-8)
