from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from golden_cells import BOTH, BOTH_IDS, images, linear_model, score, softmax_gradient

from untrained.types import Batch


@pytest.mark.parametrize(("cell", "classifier"), BOTH, ids=BOTH_IDS)
def test_golden(cell: dict[str, Any], classifier: bool, golden_model: Callable[..., Any], golden_batch: Batch) -> None:
    value = score("snip", golden_model(cell["arch"], classifier=classifier), golden_batch)
    assert value == pytest.approx(cell["snip"], rel=1e-5)


def test_equals_the_formula_of_two_linear_layers() -> None:
    rng = np.random.default_rng(1)
    batch, first, second = images(7), rng.normal(size=(4, 6)), rng.normal(size=(3, 4))
    x, labels = batch.x.reshape(7, 6).astype(np.float64), batch.labels
    assert labels is not None
    d = softmax_gradient(x @ first.T @ second.T, labels)
    expected = np.abs(second * (d.T @ x @ first.T)).sum() + np.abs(first * ((d @ second).T @ x)).sum()
    assert score("snip", linear_model(first, second), batch) == pytest.approx(expected, rel=1e-12)
