"""The two studies of EZNAS: rows of the published table, of scores at hand or computed, and batch sizes."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from untrained.batches import load_batch
from untrained.engine import score
from untrained.errors import BadInputError
from untrained.report import correlate
from untrained.spaces.nasbench201 import SPACE
from untrained.stats import kendall_tau_b as kendall
from untrained.studies import StudyResult, study
from untrained.studies.eznas_batch_size import first
from untrained.studies.eznas_verification import PUBLISHED, STUDY
from untrained.tables import Truth

ARCHS = SPACE.sample(np.random.default_rng(4), 30)
TEXTS = tuple(SPACE.format(arch) for arch in ARCHS)
ACCURACY = np.random.default_rng(1).uniform(50, 95, 30)
TRUTH = Truth("made up", "nasbench201", TEXTS, ACCURACY, "accuracy", "percent", True)
WRITTEN = "eznas_darts(parts=written)"


@pytest.fixture
def scores(tmp_path: Path) -> tuple[Path, list[float]]:
    """Scores of all but two cells, and what they are."""
    values = np.random.default_rng(2).uniform(0, 1, 30).round(4).tolist()
    file = tmp_path / "scores.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["arch", "proxy", "value", "status"])
        for i, (text, value) in enumerate(zip(TEXTS, values, strict=True)):
            writer.writerow([text, "eznas_darts", value, "ok"] if i > 1 else [text, "eznas_darts", "", "undefined"])
            writer.writerow([text, WRITTEN, 1 - value, "ok"])
    return file, values


def verified(file: Path, **others: Any) -> StudyResult:
    return study("eznas_verification", "nasbench201", TRUTH, scores=[file], workers=1, **others)


def test_rows_of_scores_at_hand(scores: tuple[Path, list[float]], tmp_path: Path) -> None:
    file, values = scores
    other = tmp_path / "other.csv"
    other.write_text("\n".join(["arch,c100", *[f'"{t}",{100 - a}' for t, a in zip(TEXTS, ACCURACY, strict=True)]]))
    frame = verified(file, truths=f"nasbench201_cifar100={other}:c100").frame
    assert frame["row"].unique(maintain_order=True).to_list() == list(PUBLISHED)
    worst = frame.filter(pl.col("undefined") == "worst", pl.col("proxy") == "eznas_darts")
    last = np.array([-1.0, -1.0, *values[2:]])
    assert worst["kendall"].to_list() == pytest.approx([kendall(last, ACCURACY), kendall(last, 100 - ACCURACY)])
    omit = frame.filter(pl.col("undefined") == "omit", pl.col("proxy") == WRITTEN)
    assert omit["kendall"].to_list()[0] == pytest.approx(kendall(1 - np.array(values), ACCURACY))
    assert worst["published_kendall"].to_list() == [0.6195, 0.6169]
    assert worst["published_spearman"].to_list() == [0.8085, 0.7983]
    assert worst["n_defined"].to_list() == [28, 28]


def test_rows_without_a_truth_say_what_to_do(scores: tuple[Path, list[float]]) -> None:
    frame = verified(scores[0]).frame
    for name in ("nds_darts", "nds_amoeba", "nds_enas", "nds_pnas", "nds_nasnet", "natsbench_sss"):
        rows = frame.filter(pl.col("row") == name)
        if rows["kendall"].null_count():  # where nobody has imported it
            assert rows["note"].item().startswith(f"Needs a truth {name}: ")
            assert "untrained data " in rows["note"].item()
            assert rows["space"].item() == name
            assert rows["published_kendall"].item() > 0.4


@pytest.mark.parametrize(
    ("truths", "message"), [("mine=x.csv", "NAME one of nasbench201_cifar10"), ("nds_darts", "got 'nds_darts'")]
)
def test_truths_are_of_rows(scores: tuple[Path, list[float]], truths: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        verified(scores[0], truths=truths)


def test_the_figure_has_our_figures_and_the_published(scores: tuple[Path, list[float]]) -> None:
    frame = verified(scores[0]).frame
    axes = STUDY.draw(frame).axes[0]
    worst = frame.filter(pl.col("undefined") == "worst")
    drawn = {box.get_label(): box.lines[0].get_xdata() for box in axes.containers}
    for proxy in ("eznas_darts", WRITTEN):
        assert list(drawn[proxy]) == worst.filter(pl.col("proxy") == proxy)["kendall"].to_list()
    lines = [c for c in axes.collections if len(c.get_segments()) == 1 and np.ptp(c.get_segments()[0][:, 0]) == 0]
    published = {round(float(c.get_segments()[0][0, 0]), 4) for c in lines}
    assert published >= {0.6195, 0.6169, 0.7074, 0.5466, 0.413, 0.5111, 0.4782, 0.4312}
    assert [label.get_text() for label in axes.get_yticklabels()] == list(PUBLISHED)


@pytest.mark.slow
def test_rows_computed_here() -> None:
    pytest.importorskip("torch")
    found = study("eznas_verification", "nasbench201", TRUTH, archs=TEXTS[:4], batch_size=2, workers=1)
    worst = found.frame.filter(pl.col("undefined") == "worst", pl.col("row") == "nasbench201_cifar10")
    table = score("nasbench201", f"eznas_darts,{WRITTEN}", archs=TEXTS[:4], batch="normal", batch_size=2, workers=1)
    agreements = correlate(table, TRUTH, undefined="worst").agreements
    assert worst["proxy"].to_list() == list(agreements)
    assert worst["kendall"].to_list() == [one.kendall.value for one in agreements.values()]


def test_batch_sizes_are_the_first_images() -> None:
    found = study(
        "eznas_batch_size", "nasbench201", TRUTH, networks=12, sizes=(4, 8), proxy="epsinas(low=0.1)", workers=1
    )
    omit = found.frame.filter(pl.col("undefined") == "omit", pl.col("subset") == "all")
    assert omit["batch_size"].to_list() == [4, 8]
    assert omit["n_total"].to_list() == [12, 12]
    images = load_batch("normal", (3, 32, 32), 8)
    assert (first(images, 4).x == images.x[:4]).all()


def test_batch_sizes_beyond_the_images_are_left_out() -> None:
    few = load_batch("normal", (3, 32, 32), 3)
    with pytest.raises(BadInputError, match="has 3 images, fewer than every size asked for"):
        study("eznas_batch_size", "nasbench201", TRUTH, sizes=(4, 8), batch=few)
