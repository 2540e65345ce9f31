"""A few cells with made-up accuracies: what a small study is run on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from untrained.spaces.nasbench201 import SPACE
from untrained.studies import StudyResult, study
from untrained.tables import Truth

ARCHS = tuple(SPACE.format(arch) for arch in SPACE.official_order()[4980:5020])  # on both sides of the first 5,000


@pytest.fixture(scope="session")
def truth() -> Truth:
    """Accuracies drawn at random, two of them missing."""
    values = np.random.default_rng(0).uniform(10, 95, len(ARCHS))
    values[[3, 30]] = np.nan
    return Truth("drawn at random", "nasbench201", ARCHS, values, "accuracy", "", True)


@pytest.fixture(scope="session")
def small(truth: Truth) -> Callable[..., StudyResult]:
    """A study of these cells on eight images, in this process."""

    def run(name: str, given: Truth | None = truth, **arguments: Any) -> StudyResult:
        size = {} if "batch" in arguments else {"batch_size": 8}
        return study(name, "nasbench201", given, workers=1, **{**size, **arguments})

    return run
