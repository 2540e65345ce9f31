"""The study of searches: its table against slow sums, what undefined scores do, the folder, the figure."""

import csv
import itertools
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from untrained.errors import BadInputError, RunConflictError, UntrainedError
from untrained.search.objectives import Known
from untrained.search.run import read_evaluations
from untrained.spaces.nasbench201 import SPACE
from untrained.studies import StudyResult, read_study, study
from untrained.studies.integration import CURVES, Field, draw, measures
from untrained.tables import Truth
from untrained.types import Arch

ARCHS = [
    Arch("nasbench201", (*code, 1, 3, 1)) for code in itertools.product(range(4), repeat=3)
]  # close to one another
TEXTS = tuple(SPACE.format(arch) for arch in ARCHS)
_GOOD = np.array([0, 9, 4, 16])  # of an operation on any of the three edges
ACCURACY = np.round([50 + _GOOD[list(a.code[:3])].sum() * 0.9 + i % 7 * 0.1 for i, a in enumerate(ARCHS)], 2)
TRUTH = Truth("made up", "nasbench201", TEXTS, ACCURACY, "accuracy", "percent", True)
SMALL: dict[str, Any] = {"warmup": 20, "budget": 14, "rounds": 4, "pool": 5, "tournament": 3}
SCORED = 25  # of the architectures; the others are undefined


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scores that are the accuracies, of the first architectures alone."""
    file = tmp_path_factory.mktemp("scores") / "scores.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["arch", "proxy", "value", "status"])
        for i, (text, value) in enumerate(zip(TEXTS, ACCURACY, strict=True)):
            writer.writerow([text, "params", value, "ok"] if i < SCORED else [text, "params", "", "undefined"])
    return file


@pytest.fixture(scope="module")
def folder(scores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a finished study."""
    out = tmp_path_factory.mktemp("study") / "out"
    small(scores, out)
    return out


@pytest.fixture(scope="module")
def whole(folder: Path) -> StudyResult:
    return read_study(folder)


def small(scores: Path, out: Path | None = None, truth: Truth = TRUTH, **others: Any) -> StudyResult:
    return study(
        "integration", "nasbench201", truth, scores=[scores], out=out, proxies="params",
        **{"workers": 1, **SMALL, **others},
    )  # fmt: skip


def row(result: StudyResult, searcher: str, warmup: bool, move: bool, undefined: str) -> dict[str, Any]:
    found = result.frame.filter(
        pl.col("searcher") == searcher, pl.col("warmup") == warmup, pl.col("move") == move,
        pl.col("undefined") == undefined,
    )  # fmt: skip
    return found.row(0, named=True)


def test_every_variant_has_a_row(whole: StudyResult) -> None:
    frame = whole.frame
    found = frame.select("searcher", "warmup", "move", "proxy", "undefined").rows()
    assert found == [
        ("random_search", False, False, "none", "none"),
        ("random_search", True, False, "params", "worst"),
        ("random_search", True, False, "params", "omit"),
        ("ageing_evolution", False, False, "none", "none"),
        ("ageing_evolution", True, False, "params", "worst"),
        ("ageing_evolution", True, False, "params", "omit"),
        ("ageing_evolution", False, True, "params", "worst"),
        ("ageing_evolution", True, True, "params", "worst"),
        ("ageing_evolution", True, True, "params", "omit"),
    ]
    assert frame.filter(pl.col("proxy") == "params")["n_defined"].unique().to_list() == [SCORED]


def test_the_table_is_what_the_evaluations_say(whole: StudyResult, folder: Path) -> None:
    """By loops over the rows of each search's folder."""
    frame = whole.frame
    accuracy = dict(zip(TEXTS, ACCURACY.tolist(), strict=True))
    expected = []
    for search in (folder / "searches").iterdir():
        rounds: dict[int, list[float]] = {}
        for one in read_evaluations(search).iter_rows(named=True):
            rounds.setdefault(one["round"], []).append(accuracy[one["arch"]])
        best = [[max(values[: i + 1]) for i in range(len(values))] for values in rounds.values()]
        finals = [curve[-1] for curve in best]
        needed = [next((i + 1 for i, v in enumerate(c) if v >= max(ACCURACY) - 0.5), math.inf) for c in best]
        reached = 100 * sum(n < math.inf for n in needed) / len(needed)
        curve = [float(np.median([c[i] for c in best])) for i in range(len(best[0]))]
        expected.append((round(float(np.mean([max(ACCURACY) - f for f in finals])), 9), reached, curve))
    found = [
        (round(one["regret_mean"], 9), one["reached_within_percent"], one["best_median"])
        for one in frame.iter_rows(named=True)
    ]
    assert sorted(found) == sorted(expected)


def field(values: list[float], higher_is_better: bool = True) -> Field:
    truth = dict(zip(ARCHS, values, strict=False))
    return Field(SPACE, tuple(truth), truth, Known("t", truth), higher_is_better, SPACE.parse)


def test_measures_by_hand() -> None:
    best = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 4.0], [1.0, 1.0, 1.0], [3.5, 3.5, 3.5]])
    found = measures(best, field([1, 2, 3, 4, 3.5]), 0.5)
    assert found["final_median"] == 3.25
    assert found["regret_median"] == 0.75
    assert found["regret_mean"] == pytest.approx((1 + 0 + 3 + 0.5) / 4)
    assert found["reached_within_percent"] == 50
    assert found["evaluations_to_within_median"] is None  # 3, 1 and twice never: the median is not finite
    assert found["best_median"] == [1.5, 2.5, 3.25]
    assert measures(best, field([1, 2, 3, 4]), 1.0)["evaluations_to_within_median"] == 2.5  # of 1, 2, 3 and never


def test_of_losses_the_least_is_best() -> None:
    best = -np.array([[5.0, 3.0], [4.0, 4.0]])  # turned: higher is better
    found = measures(best, field([5, 3, 4, 2], higher_is_better=False), 1.0)
    assert (found["final_median"], found["regret_median"], found["reached_within_percent"]) == (3.5, 1.5, 50)
    assert found["best_median"] == [4.5, 3.5]
    assert found["best_q25"][0] > found["best_q75"][0]  # the better quartile is the lower loss


def test_losses_are_searched_downwards(whole: StudyResult, scores: Path) -> None:
    losses = Truth("made up", "nasbench201", TEXTS, 100 - ACCURACY, "loss", "nats", False)
    turned, straight = small(scores, truth=losses).frame, whole.frame
    plain = pl.col("proxy") == "none"
    assert turned.filter(plain)["regret_mean"].to_list() == pytest.approx(
        straight.filter(plain)["regret_mean"].to_list()
    )
    assert turned.filter(plain)["final_median"].to_list() == pytest.approx(
        (100 - straight.filter(plain)["final_median"]).to_list()
    )


def test_undefined_scores_come_last_in_a_warm_up_or_not_at_all(whole: StudyResult) -> None:
    """About 8 of 20 scored have a score and 14 are trained: the others have none, unless these are omitted."""
    worst = row(whole, "random_search", True, False, "worst")
    omit = row(whole, "random_search", True, False, "omit")
    assert 10 < worst["evaluated_undefined_percent"] < 80
    assert omit["evaluated_undefined_percent"] == 0
    assert max(omit["best_q75"]) <= ACCURACY[:SCORED].max() < ACCURACY.max()
    assert omit["best_median"][0] > worst["best_median"][-1] - 20
    assert omit["best_median"] == [omit["best_median"][0]] * 14  # scores are accuracies: the first is the best


def test_with_every_score_there_is_nothing_to_omit(scores: Path) -> None:
    frame = small(scores, archs=TEXTS[:SCORED]).frame
    assert set(frame["undefined"]) == {"none", "worst"}
    assert frame.filter(pl.col("proxy") == "params")["coverage"].unique().to_list() == [1.0]


def test_a_perfect_score_finds_the_best_at_once(scores: Path) -> None:
    found = small(scores, archs=TEXTS[:SCORED], warmup=400)
    assert row(found, "random_search", True, False, "worst")["evaluations_to_within_median"] == 1
    assert row(found, "ageing_evolution", True, True, "worst")["regret_mean"] == 0


def test_searches_may_be_told_something_else_than_what_is_reported(scores: Path, tmp_path: Path) -> None:
    """Told the opposite of the truth, evolution finds the worst."""
    guide = tmp_path / "guide.csv"
    lines = [f'"{text}",{100 - value}' for text, value in zip(TEXTS, ACCURACY, strict=True)]
    guide.write_text("\n".join(["arch,val", *lines]))
    led, misled = (
        row(small(scores, rounds=6, budget=20, **told), "ageing_evolution", False, False, "none")
        for told in ({}, {"guide": f"{guide}:val"})
    )
    assert misled["regret_mean"] > led["regret_mean"] + 1
    with pytest.raises(UntrainedError, match="nothing"):
        small(scores, guide=f"{guide}:nothing")


def test_the_number_of_workers_does_not_matter(whole: StudyResult, scores: Path) -> None:
    assert_frame_equal(small(scores, workers=2).frame, whole.frame)


def test_other_seeds_are_other_searches(whole: StudyResult, scores: Path) -> None:
    assert small(scores, search_seed=1).frame["best_median"].to_list() != whole.frame["best_median"].to_list()


def test_what_was_interrupted_goes_on(whole: StudyResult, folder: Path, scores: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    folders = sorted((out / "searches").iterdir())
    for path in folders[0].rglob("*"):
        if path.is_file():
            path.unlink()
    kept = sorted((folders[1] / "evaluations").iterdir())
    kept[-1].unlink()
    times = {path: path.stat().st_mtime_ns for path in kept[:-1]}
    (out / "table.parquet").unlink()
    assert_frame_equal(small(scores, out).frame, whole.frame)
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_folder_of_other_settings_is_refused(folder: Path, scores: Path) -> None:
    with pytest.raises(RunConflictError, match=r"'budget': 14.*Choose another --out"):
        small(scores, folder, budget=21)


def test_settings_without_meaning_are_refused(scores: Path) -> None:
    with pytest.raises(BadInputError, match="tournament must be at most pool"):
        small(scores, tournament=7)
    with pytest.raises(BadInputError, match="1 architectures have a truth"):
        small(scores, archs=TEXTS[:1])


def test_own_scores_are_computed_where_none_are_given() -> None:
    found = study("integration", "nasbench201", TRUTH, archs=TEXTS[:12], proxies="params,depth", workers=1, **SMALL)
    assert found.frame["proxy"].unique(maintain_order=True).to_list() == ["none", "params", "depth"]


def test_the_figure_has_every_curve_and_band(whole: StudyResult) -> None:
    frame = whole.frame
    figure = draw(frame)
    panels = figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["random search", "ageing evolution"]
    for axes, searcher in zip(panels, ("random_search", "ageing_evolution"), strict=True):
        rows = frame.filter(pl.col("searcher") == searcher)
        assert [list(line.get_ydata()) for line in axes.lines] == rows["best_median"].to_list()
        assert [list(line.get_xdata()) for line in axes.lines] == [list(range(1, 15))] * len(rows)
        styles = [line.get_linestyle() for line in axes.lines]
        assert styles == [":" if way == "omit" else "-" for way in rows["undefined"]]
        for band, low, high in zip(axes.collections, *[rows[name].to_list() for name in CURVES[1:]], strict=True):
            corners = band.get_paths()[0].vertices
            assert corners[:, 1].min() == min(low)
            assert corners[:, 1].max() == max(high)
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert labels[0] == "plain"
        assert "warmup by params, undefined omitted" in labels
