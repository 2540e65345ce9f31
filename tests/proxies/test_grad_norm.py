import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from untrained.proxies import PROXIES
from untrained.types import Batch

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "classic_proxies_nasbench201.json").read_text())


@pytest.mark.parametrize("cell", GOLDEN["cells"], ids=lambda cell: str(cell["index"]))
def test_golden(cell: dict[str, Any], golden_model: Callable[..., Any], golden_batch: Batch) -> None:
    value = PROXIES["grad_norm"].fn(golden_model(cell["arch"], classifier=False), golden_batch)
    assert value == pytest.approx(cell["grad_norm"], rel=1e-4)
