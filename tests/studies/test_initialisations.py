"""The study of random weights: each row is its own proxy's scores, of the cells that were drawn."""

import numpy as np
import polars as pl
import pytest

from untrained.engine import score
from untrained.spaces.nasbench201 import SPACE
from untrained.studies import StudyResult, study
from untrained.studies.initialisations import INITS, STUDY
from untrained.tables import Truth

pytest.importorskip("torch")
ARCHS = SPACE.sample(np.random.default_rng(8), 9)
TEXTS = tuple(SPACE.format(arch) for arch in ARCHS)
TRUTH = Truth("made up", "nasbench201", TEXTS, np.arange(9.0), "accuracy", "percent", True)


@pytest.fixture(scope="module")
def found() -> StudyResult:
    return study("initialisations", "nasbench201", TRUTH, cells=3, batch="normal", batch_size=2, workers=1)


def test_a_row_for_each_initialisation(found: StudyResult) -> None:
    rows = found.frame.filter(pl.col("subset") == "all", pl.col("undefined") == "worst")
    assert rows["initialisation"].to_list() == ["constants", *INITS]
    assert rows["proxy"].to_list() == [
        "epsinas", "epsinas_random(init=uniform)", "epsinas_random(init=normal)",
        "epsinas_random(init=kaiming_uniform_fan_in)", "epsinas_random", "epsinas_random(init=orthogonal)",
    ]  # fmt: skip
    assert rows["n_total"].to_list() == [3] * 6


def test_rows_are_the_scores_of_the_proxies(found: StudyResult) -> None:
    from untrained.studies.base import papers_first

    every = papers_first(SPACE, TEXTS)
    kept = sorted(np.random.default_rng(0).choice(9, 3, replace=False).tolist())
    archs = [every[i] for i in kept]
    values = [one.value for one in score("nasbench201", "epsinas_random(init=normal)", archs=archs, batch="normal",
                                         batch_size=2, workers=1)]  # fmt: skip
    assert None not in values
    ranks = np.argsort(np.argsort(values))
    truth = np.argsort(np.argsort([TEXTS.index(arch) for arch in archs]))
    row = found.frame.filter(
        pl.col("initialisation") == "normal", pl.col("subset") == "all", pl.col("undefined") == "omit"
    ).row(0, named=True)
    assert row["spearman"] == pytest.approx(np.corrcoef(ranks, truth)[0, 1])


def test_the_figure_has_a_bar_for_each(found: StudyResult) -> None:
    rows = found.frame.filter(pl.col("subset") == "all", pl.col("undefined") == "omit")
    axes = STUDY.draw(found.frame).axes[0]
    labels = [label.get_text().partition("\n")[0] for label in axes.get_xticklabels()]
    assert labels == rows["initialisation"].to_list()
    heights = [bar.get_height() for bar in axes.patches][: len(rows)]
    assert heights == pytest.approx(rows["spearman"].to_list(), nan_ok=True)
