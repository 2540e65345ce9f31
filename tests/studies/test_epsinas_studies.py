"""The width-1 studies of the epsinas paper: their tables, and what their figures draw."""

import csv
import gzip
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from studies.conftest import ARCHS
from untrained.batches import load_batch, make_batch
from untrained.engine import score
from untrained.errors import BadInputError
from untrained.spaces.nasbench101 import SPACE as SPACE_101
from untrained.spaces.nasbench201 import SPACE
from untrained.stats import agreement
from untrained.studies import STUDIES, StudyResult, study
from untrained.studies.batch_size import drawn
from untrained.studies.best_of_n import closed_form, draws
from untrained.tables import Truth

Small = Callable[..., StudyResult]


@pytest.fixture(scope="module")
def published(shared: Callable[[str], Path]) -> tuple[np.ndarray, np.ndarray]:
    """The authors' own scores of all cells and CIFAR-10 test accuracies, in the official order."""
    with gzip.open(shared("truth/nasbench201.csv.gz"), "rt") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["index"]))
    columns = ("published_epsinas_c10", "c10_test_200ep")
    scores, accuracies = (np.array([float(row[name] or "nan") for row in rows]) for name in columns)
    return scores, accuracies


# Golden: the authors' scores under their protocol ---------------------------------------------------------------------


def test_the_authors_scores_define_2957_of_the_first_5000_cells(published: tuple[np.ndarray, np.ndarray]) -> None:
    scores, accuracies = published
    first = agreement(scores[:5000], accuracies[:5000])
    assert first.n == 2957
    assert round(first.spearman.value, 2) == 0.87
    assert np.isnan(scores).sum() == 6399


def test_the_papers_500_draws_of_1000_give_the_published_accuracy(published: tuple[np.ndarray, np.ndarray]) -> None:
    found = draws(*published, 1000, 500)
    assert round(found["truth"], 2) == 93.86
    # The paper prints 17.21. The accuracies and the digits of the scores at hand are not those of its file.
    assert found["rank"] == pytest.approx(17.21, abs=0.5)


def test_the_papers_draws_are_one_sample_of_what_the_closed_form_expects(
    published: tuple[np.ndarray, np.ndarray],
) -> None:
    for size in (10, 100):
        found, expected = draws(*published, size, 1000), closed_form(*published, size)
        assert found["truth"] == pytest.approx(expected["truth"], abs=0.15)
        assert found["best"] == pytest.approx(expected["best"], abs=0.1)
        assert found["rank"] == pytest.approx(expected["rank"], rel=0.1)


@pytest.mark.slow
def test_own_scores_of_the_first_5000_cells_are_those_of_the_inputs_table(shared: Callable[[str], Path]) -> None:
    with gzip.open(shared("truth/nasbench201.csv.gz"), "rt") as file:
        rows = list(csv.DictReader(file))
    values = np.array([float(row["c10_test_200ep"] or "nan") for row in rows])
    truth = Truth("official", "nasbench201", tuple(row["arch"] for row in rows), values, "acc", "", True)
    archs = SPACE.official_order()[:5000]
    frame = study("inputs", "nasbench201", truth, archs=archs).frame
    found = {row["input"]: row for row in frame.filter(subset="first_5000", undefined="omit").iter_rows(named=True)}
    assert found["grey_ramp"]["n_defined"] == 2957
    assert found["grey_ramp"]["spearman"] == pytest.approx(0.87, abs=0.01)
    for name, value in (("normal", 0.54), ("uniform_pm1", 0.56), ("uniform_01", 0.61)):
        assert found[name]["n_defined"] == 2957
        assert found[name]["spearman"] == pytest.approx(value, abs=0.1)  # other draws of the noise


# Tables ---------------------------------------------------------------------------------------------------------------


def test_constants_are_every_pair_in_order(small: Small) -> None:
    constants = (1.0, 1e-7, 1e-3)
    result = small("constants", constants=constants)
    pairs = result.frame.select("low", "high").unique(maintain_order=True).rows()
    assert pairs == list(combinations(sorted(constants), 2))
    axes = STUDIES["constants"].draw(result.frame).axes[0]
    image = axes.images[0].get_array()
    found = result.frame.filter(subset="all", undefined="omit", low=1e-7, high=1.0)["spearman"].item()
    assert image[0, -1] == pytest.approx(found)
    assert np.ma.getmaskarray(image)[1, 0]  # low is not below high


def test_constants_hold_for_a_space_whose_published_ones_differ() -> None:
    cells = [SPACE_101.format(arch) for arch in SPACE_101.sample(np.random.default_rng(0), 6)]
    truth = Truth("made up", "nasbench101", tuple(cells), np.arange(6.0), "acc", "", True)
    frame = study("constants", "nasbench101", truth, batch_size=4, workers=1, constants=(1e-7, 1.0, 10.0)).frame
    assert frame["proxy"].unique(maintain_order=True).to_list() == [
        "epsinas",
        "epsinas(high=10)",
        "epsinas(low=1,high=10)",
    ]
    assert set(frame["subset"]) == {"all", "first_5000"}


def test_inputs_have_a_row_of_real_images_if_there_are_any(small: Small) -> None:
    images = load_batch("uniform_01", (3, 32, 32), 6)
    made_up = make_batch(images.x + 1, "bright noise")
    frame = small("inputs", batch=made_up).frame
    assert frame["input"].unique(maintain_order=True)[0] == "real"
    assert "real" not in small("inputs").frame["input"]
    row = frame.filter(input="uniform_01", subset="all", undefined="omit")
    assert row["n_total"].item() == 38
    axes = STUDIES["inputs"].draw(frame).axes[0]
    heights = sorted(patch.get_height() for patch in axes.patches)
    expected = frame.filter(undefined="omit")["spearman"].drop_nans().sort().to_list()
    assert [h for h in heights if not np.isnan(h)] == pytest.approx(expected)


@pytest.mark.parametrize(("n", "n_drawn"), [pytest.param(15_625, 100, marks=pytest.mark.slow), (200, 30)])
def test_the_weight_search_takes_the_widest_window_that_leaves_few_undefined(n: int, n_drawn: int) -> None:
    """With all cells and 100 drawn it looks at the cells that the authors' program looks at."""
    order = SPACE.official_order()[:n]
    frame = study("weight_search", "nasbench201", archs=order, workers=1, batch_size=4, drawn=n_drawn).frame
    cells = [order[i] for i in np.random.RandomState(21).choice(n, n_drawn).tolist()]
    alone = score("nasbench201", "epsinas(low=1e-3,high=1)", archs=cells, batch_size=4, workers=1)
    row = frame.filter(low=1e-3, high=1.0)
    assert row["n_defined"].item() == n_drawn - alone.frame["value"].null_count()
    assert frame.filter("chosen").select("low", "high").rows() == [(1e-3, 1.0)]
    widths = np.log10(frame["high"].to_numpy() / frame["low"].to_numpy()).round().tolist()
    assert widths == sorted(widths, reverse=True)
    assert frame.filter(low=1e-7, high=1.0)["coverage"].item() < 0.9
    image = STUDIES["weight_search"].draw(frame).axes[0].images[0].get_array()
    assert image[0, -1] == frame.filter(low=1e-7, high=1.0)["coverage"].item()


def test_batches_of_a_size_differ_and_depend_on_size_and_number_alone(small: Small) -> None:
    pool = load_batch("normal", (3, 32, 32), 12)
    assert drawn(pool, 4, 0).digest == drawn(pool, 4, 0).digest != drawn(pool, 4, 1).digest
    assert {bytes(image) for image in drawn(pool, 5, 3).x} <= {bytes(image) for image in pool.x}
    assert len({bytes(image) for image in drawn(pool, 12, 3).x}) == 12
    labelled = make_batch(pool.x, "labelled", np.arange(12))
    part = drawn(labelled, 4, 0)
    assert part.labels is not None
    assert (pool.x[part.labels] == part.x).all()
    result = small("batch_size", batch=pool, sizes=(4, 8, 16), draws=2)
    found = result.frame.select("batch_size", "draw").unique(maintain_order=True).rows()
    assert found == [(4, 0), (4, 1), (8, 0), (8, 1)]  # 16 are not there
    lines = STUDIES["batch_size"].draw(result.frame).axes[0].get_lines()
    mine = result.frame.filter(subset="first_5000", undefined="omit")
    medians = [mine.filter(batch_size=size)["spearman"].median() for size in (4, 8)]
    assert lines[0].get_ydata() == pytest.approx(medians)


def test_best_of_n_is_the_mean_over_draws_and_its_expectation(small: Small) -> None:
    frame = small("best_of_n", sizes=(5, 1000), draws=500, proxies="params").frame
    assert set(frame["n_drawn"]) == {5}  # there are no 1,000
    whole = frame.filter(subset="all")
    sampled, expected = (whole.filter(how=how).row(0, named=True) for how in ("draws", "closed_form"))
    assert sampled["truth"] == pytest.approx(expected["truth"], abs=3)  # with replacement, and 500 of them
    assert sampled["rank_from_0"] == pytest.approx(expected["rank_from_0"], abs=0.4)
    assert max(expected["random"], expected["truth"]) < expected["best"]
    lines = STUDIES["best_of_n"].draw(frame).axes[0].get_lines()
    assert [line.get_ydata()[0] for line in lines] == [expected[name] for name in ("truth", "best", "random")]


def test_best_of_n_counts_from_the_best_and_never_takes_what_has_no_score() -> None:
    scores, truths = np.array([np.nan, 1.0, 2.0]), np.array([99.0, 50.0, 40.0])
    found = draws(scores, truths, 3, 400)
    assert found["truth"] < 50
    assert 0 < found["rank"] < 2
    perfect = closed_form(truths, truths, 2)
    assert (perfect["rank"], perfect["truth"]) == (0, perfect["best"])
    none = draws(np.full(3, np.nan), truths, 2, 3)
    assert np.isnan(none["truth"])


def test_best_of_n_gives_fractions_in_percent_and_losses_as_they_are(truth: Truth) -> None:
    known = [(arch, value) for arch, value in zip(truth.arch, truth.value, strict=True) if not np.isnan(value)]
    archs, values = tuple(arch for arch, _ in known), np.array([value for _, value in known])
    fractions = Truth("fractions", "nasbench201", archs, values / 100, "acc", "fraction", True)
    losses = Truth("losses", "nasbench201", archs, values, "loss", "", False)
    arguments = {"batch_size": 4, "workers": 1, "sizes": (3,), "draws": 10, "proxies": "params"}
    percent = study("best_of_n", "nasbench201", fractions, **arguments).frame  # type: ignore[arg-type]
    loss = study("best_of_n", "nasbench201", losses, **arguments).frame  # type: ignore[arg-type]
    assert percent["random"].max() > 20  # type: ignore[operator]
    assert (loss["best"] < loss["random"]).all()
    assert (loss["best"] > 0).all()


def test_cost_is_of_every_distinct_network_once(small: Small) -> None:
    frame = small("cost_by_size", None, archs=ARCHS, bins=4).frame
    distinct = {SPACE.canonical(SPACE.parse(arch), "width1_key") for arch in ARCHS}
    assert frame["n_total"].sum() == len(distinct)
    assert (frame["mean_seconds"] > 0).all()
    assert (frame["params_from"] < frame["params_to"]).all()
    line = STUDIES["cost_by_size"].draw(frame).axes[0].get_lines()[0]
    assert line.get_ydata().tolist() == frame["mean_seconds"].to_list()


def test_proxies_are_scored_or_taken_from_runs(small: Small, tmp_path: Path) -> None:
    some = ARCHS[:10]
    score("nasbench201", "depth,params", archs=some, workers=1, out=tmp_path / "run")
    frame = small("proxies_compared", proxies="params", scores=[tmp_path / "run"]).frame
    found = {row["proxy"]: row for row in frame.filter(subset="all", undefined="omit").iter_rows(named=True)}
    assert list(found) == ["params", "depth"]
    assert found["params"]["n_total"] == 38  # scored here, on all
    assert found["depth"]["n_total"] == 9  # as the run has it, where there is a truth
    assert frame.schema["seconds"] == pl.Float64
    with pytest.raises(BadInputError, match="no architecture of the study has a score in"):
        small("proxies_compared", proxies="", scores=[tmp_path / "run"], archs=ARCHS[20:])
