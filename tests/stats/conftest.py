"""Published scores of a whole space, shared by the tests that compare with published figures."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).parents[2].parent / "shared"


@pytest.fixture(scope="session")
def nasbench201():
    """Published epsinas scores (NaN = undefined) and CIFAR-10 test accuracies in percent of all 15,625 cells."""
    path = SHARED / "truth" / "nasbench201.csv.gz"
    if not path.exists():
        pytest.skip("the shared reference data (truth/nasbench201.csv.gz) is not on this machine")
    with gzip.open(path, "rt", newline="") as file:
        rows = [(row["published_epsinas_c10"] or "nan", row["c10_test_200ep"]) for row in csv.DictReader(file)]
    score, truth = np.array(rows, dtype=np.float64).T
    return score, truth


@pytest.fixture(scope="session")
def published():
    """Figures published by the authors of epsinas."""
    path = SHARED / "published.json"
    if not path.exists():
        pytest.skip("the shared reference data (published.json) is not on this machine")
    return json.loads(path.read_text())["epsinas"]
