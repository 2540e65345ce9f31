from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from golden_cells import BOTH, BOTH_IDS, images, linear_model, score, softmax_gradient

from untrained.types import Batch


@pytest.mark.parametrize(("cell", "classifier"), BOTH, ids=BOTH_IDS)
def test_golden(cell: dict[str, Any], classifier: bool, golden_model: Callable[..., Any], golden_batch: Batch) -> None:
    value = score("grad_norm", golden_model(cell["arch"], classifier=classifier), golden_batch)
    assert value == pytest.approx(cell["grad_norm"], rel=1e-5)


def test_equals_the_formula_of_a_linear_layer() -> None:
    batch, w = images(7), np.random.default_rng(1).normal(size=(3, 6))
    x, labels = batch.x.reshape(7, 6).astype(np.float64), batch.labels
    assert labels is not None
    expected = np.linalg.norm(softmax_gradient(x @ w.T, labels).T @ x)
    assert score("grad_norm", linear_model(w), batch) == pytest.approx(expected, rel=1e-12)
