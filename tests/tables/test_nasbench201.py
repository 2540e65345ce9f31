import gzip
import importlib.metadata
import itertools
import pickle
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from untrained.errors import BadInputError, DataMissingError, UnsafeDataError
from untrained.files.unpickle import Record
from untrained.tables import TABLES, Truth, load_truth
from untrained.tables.nasbench201 import TABLE, _accuracies

SPEC = "nasbench201:cifar10:test_acc"
REFERENCE = Path(__file__).parents[2].parent / "shared" / "truth" / "nasbench201.csv.gz"


@pytest.fixture(scope="module")
def truth() -> Truth:
    return load_truth(SPEC)


def ranks(values: Any) -> Any:
    """Average ranks, from 1."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def test_every_cell_once_with_a_fraction(truth: Truth) -> None:
    assert len(truth) == len(set(truth.arch)) == 15_625
    assert np.isfinite(truth.value).all()
    assert (truth.value.min(), truth.value.max()) == (0.1, pytest.approx(0.940664, abs=1e-12))
    assert (truth.space, truth.unit, truth.column) == ("nasbench201", "fraction", "cifar10:test_acc")
    assert truth.higher_is_better
    assert "analog-nasbench 0.1.3" in truth.source
    assert TABLES["nasbench201"] is TABLE


def test_the_package_is_not_imported(truth: Truth) -> None:
    assert "analognasbench" not in sys.modules
    assert "analognasbench.data" not in sys.modules


def test_known_cells(truth: Truth) -> None:
    """Read from the file with pickletools: percent there, a fraction here."""
    value = dict(zip(truth.arch, truth.value, strict=True))
    convs = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    skips = convs.replace("nor_conv_3x3", "skip_connect")
    nones = convs.replace("nor_conv_3x3", "none")
    assert value[convs] == 93.2424 / 100
    assert value[skips] == 60.7836 / 100
    assert value[nones] == 0.1


def test_cells_without_a_path_are_at_chance(truth: Truth) -> None:
    """The order of edges is right: exactly the cells whose output is always zero have 10 %."""
    zero = np.array([not connected(arch) for arch in truth.arch])
    assert zero.sum() == 341
    np.testing.assert_array_equal(truth.value == 0.1, zero)


def connected(arch: str) -> bool:
    reached = [True]
    for node in re.findall(r"\|([^+]+)\|", arch):
        edges = (edge.split("~") for edge in node.split("|"))
        reached.append(any(op != "none" and reached[int(source)] for op, source in edges))
    return reached[-1]


def test_values_are_means_of_25_passes_over_10000_images(truth: Truth) -> None:
    passes = truth.value * 250_000
    off_grid = np.abs(passes - passes.round()) > 1e-3
    assert off_grid.sum() == 2  # rounded by the source itself
    single = truth.value * 10_000
    assert np.mean(np.abs(single - single.round()) < 1e-6) < 0.07, "one pass would give multiples of 1/10,000"


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference accuracies of NAS-Bench-201 are not on this machine")
def test_agrees_with_the_original_benchmark(truth: Truth) -> None:
    with gzip.open(REFERENCE) as file:
        reference = pl.read_csv(file.read())
    ours = pl.DataFrame({"arch": truth.arch, "ours": truth.value})
    both = reference.join(ours, on="arch", how="inner", validate="1:1")
    assert both.height == 15_625
    theirs, here = both["c10_test_200ep"].to_numpy() / 100, both["ours"].to_numpy()
    assert np.corrcoef(ranks(theirs), ranks(here))[0, 1] == pytest.approx(0.9914, abs=1e-4)
    assert np.abs(theirs - here).max() == pytest.approx(0.1851, abs=1e-4)
    assert np.mean(here - theirs) == pytest.approx(-0.0029, abs=1e-4)
    for column in reference.columns[2:8]:
        same = np.isclose(both[column].cast(pl.Float64).to_numpy() / 100, here, rtol=0, atol=5e-7)
        assert same.sum() < 400, f"a retraining, not {column} itself: only the cells at chance are equal"


def test_reading_is_quick() -> None:
    start = time.process_time()
    load_truth(SPEC)
    assert time.process_time() - start < 10


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    with pytest.raises(DataMissingError, match=re.escape("pip install 'untrained[nasbench201]'")):
        load_truth(SPEC)


class Installed:
    """A distribution in a folder of the test's."""

    version = "0.1.3"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def locate_file(self, path: str) -> Path:
        return self.folder / path


def test_a_missing_damaged_or_hostile_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Installed(tmp_path))
    with pytest.raises(DataMissingError, match="--force-reinstall 'untrained"):
        load_truth(SPEC)
    file = tmp_path / "analognasbench" / "data.anb"
    file.parent.mkdir()
    for content, error, message in [
        (b"\x80\x04}.", BadInputError, "0 keys are not the 15625 cell codes"),
        (pickle.dumps([1]), BadInputError, "it holds a list, not a dict"),
        (b"\x80\x04}", BadInputError, "not a readable pickle"),
        (b"cos\nsystem\n(S'true'\ntR.", UnsafeDataError, "'os.system'"),
        (b"canalognasbench.data\nAnalogNASBench\n)R.", UnsafeDataError, "'analognasbench.data.AnalogNASBench'"),
    ]:
        file.write_bytes(content)
        with pytest.raises(error, match=re.escape(message)) as caught:
            load_truth(SPEC)
        assert str(file) in str(caught.value)


@pytest.mark.parametrize("accuracy", [100.5, -1.0, float("nan"), None, "93", 93])
def test_accuracies_are_checked(accuracy: object) -> None:
    def record(code: tuple[int, ...], value: object) -> Record:
        made = Record()
        vars(made).update(architecture=code, baseline_accuracy=value)
        return made

    content: dict[tuple[int, ...], object] = {
        code: record(code, 50.0) for code in itertools.product(range(5), repeat=6)
    }
    assert set(_accuracies(Path("f"), content).values()) == {50.0}
    code = (1, 2, 3, 4, 0, 1)
    for bad in (record(code, accuracy), record((0,) * 6, 50.0), Record(), 50.0):
        with pytest.raises(BadInputError, match=re.escape(f"cell {code} has no accuracy between 0 and 100")):
            _accuracies(Path("f"), {**content, code: bad})
