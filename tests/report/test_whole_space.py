"""The published numbers of the whole space."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from untrained.engine import ScoreTable, score
from untrained.errors import DataMissingError
from untrained.report import correlate
from untrained.report.demo import demo
from untrained.tables import Truth

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def table() -> ScoreTable:
    return score("nasbench201", "epsinas", batch="grey_ramp", batch_size=64)


@pytest.fixture(scope="module")
def published(shared: Callable[[str], Path]) -> list[dict[str, str]]:
    with gzip.open(shared("truth/nasbench201.csv.gz"), "rt") as file:
        return list(csv.DictReader(file))


def test_the_space_is_defined_where_it_was_published_to_be(table: ScoreTable, published: list[dict[str, str]]) -> None:
    undefined = {arch for arch, value in table.frame.select("arch", "value").iter_rows() if value is None}
    assert len(table) - len(undefined) == 9_226
    assert undefined == {row["arch"] for row in published if row["published_epsinas_c10"] in ("", "nan", "NaN")}
    assert set(table.frame["status"]) == {"ok", "undefined"}


def test_agreement_with_trained_accuracies_is_that_published(
    table: ScoreTable, published: list[dict[str, str]]
) -> None:
    archs = tuple(row["arch"] for row in published)
    values = np.array([float(row["c10_test_200ep"]) for row in published])
    truth = Truth("NAS-Bench-201", "nasbench201", archs, values, "cifar10:test_acc", "percent", True)
    omit = correlate(table, truth).agreements["epsinas"]
    assert omit.spearman.value == pytest.approx(0.863, abs=0.003)
    assert omit.kendall.value == pytest.approx(0.677, abs=0.003)
    assert correlate(table, truth, undefined="worst").agreements["epsinas"].spearman.value == pytest.approx(0, abs=0.01)


def test_the_demo_tells_the_whole_story(tmp_path: Path) -> None:
    try:
        found = demo(tmp_path / "demo", batch_size=8)
    except DataMissingError as missing:
        pytest.skip(str(missing))
    assert found.figure.read_bytes().startswith(b"\x89PNG")
    assert found.scores_csv.read_text().count("\n") == 3 * 15_625 + 1
    assert len(found.sentences()) == 3
