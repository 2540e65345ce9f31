"""A small bank of real networks, and values that depend on them."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn import config_context
from threadpoolctl import threadpool_limits

from untrained.calibration import Label, Labels, labels_of, models, validation
from untrained.engine.bank import Bank, bank
from untrained.spaces import SPACES, Space

N = 90


@pytest.fixture(scope="session")
def space() -> Space:
    return SPACES["nasbench201"]


@pytest.fixture(scope="session")
def bank_folder(tmp_path_factory: pytest.TempPathFactory, space: Space) -> Path:
    """Where the small bank is kept."""
    folder = tmp_path_factory.mktemp("calibration") / "bank"
    archs = space.sample(np.random.default_rng(0), N)
    bank(
        space,
        archs,
        modes=["lin", "relu", "full"],
        inputs=["normal", "uniform_01"],
        batch_size=4,
        workers=1,
        out=folder,
    )
    return folder


@pytest.fixture(scope="session")
def small_bank(bank_folder: Path) -> Bank:
    from untrained.engine.bank import read_bank

    return read_bank(bank_folder)


@pytest.fixture(scope="session")
def worth(small_bank: Bank) -> dict[str, float]:
    """A value of every architecture of the small bank: made up, but of what the networks are, with some noise."""
    rng = np.random.default_rng(1)
    usable = small_bank.frame.filter(pl.col("status") == "ok")
    rows = usable.select("key", "live_params", "longest_conv_path", "live_avg_pool").iter_rows()
    of_key = {key: 50 + np.log(params + 1) + 2 * path - pools + rng.normal() for key, params, path, pools in rows}
    archs = small_bank.archs.select("arch", "key").iter_rows()
    return {arch: float(of_key[key]) for arch, key in archs if key in of_key}


@pytest.fixture(scope="session")
def some_labels(worth: dict[str, float], space: Space) -> Labels:
    """Labels of 30 of them."""
    return labels_of(
        [Label(a, v, f"line {i}") for i, (a, v) in enumerate(list(worth.items())[:34])], space, source="here"
    )


@pytest.fixture
def write_labels(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as a file of labels."""

    def write(rows: list[tuple[object, ...]], header: tuple[str, ...] = ("arch", "value")) -> Path:
        path = tmp_path / "labels.csv"
        with path.open("w", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])
        return path

    return write


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As in calibration itself: small sums are no faster on several threads, and much slower on a busy machine."""
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        yield


@pytest.fixture(autouse=True, scope="session")
def _less_to_fit() -> Iterator[None]:
    """How many trees are grown and folds made matters to no test, and takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "N_TREES_COMPARED", 4)
        patch.setattr(validation, "INNER_FOLDS", 2)
        yield
