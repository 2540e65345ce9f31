from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from golden_cells import LOGITS, images, linear_model, score

from untrained.types import Batch


@pytest.mark.parametrize("cell", LOGITS, ids=lambda cell: str(cell["index"]))
def test_golden(cell: dict[str, Any], golden_model: Callable[..., Any], golden_batch: Batch) -> None:
    assert score("l2_norm", golden_model(cell["arch"]), golden_batch) == pytest.approx(cell["l2_norm"], rel=1e-6)


def test_adds_the_norms_of_layers() -> None:
    model = linear_model(np.full((2, 6), 2.0), np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert score("l2_norm", model, images(2)) == pytest.approx(48**0.5 + 5, rel=1e-12)
