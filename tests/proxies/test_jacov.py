import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from golden_cells import BOTH, BOTH_IDS, images, linear_model, score

from untrained.types import Batch


@pytest.mark.parametrize(("cell", "classifier"), BOTH, ids=BOTH_IDS)
def test_golden(cell: dict[str, Any], classifier: bool, golden_model: Callable[..., Any], golden_batch: Batch) -> None:
    value = score("jacov", golden_model(cell["arch"], classifier=classifier), golden_batch)
    assert value == pytest.approx(cell["jacob_cov"], rel=1e-5)


def test_a_linear_network_reacts_alike_to_all_images() -> None:
    model = linear_model(np.random.default_rng(0).normal(size=(3, 6)))
    eigenvalues = np.array([5.0, 0, 0, 0, 0]) + 1e-5
    expected = -sum(math.log(v) + 1 / v for v in eigenvalues)
    assert score("jacov", model, images(5)) == pytest.approx(expected, rel=1e-6)
