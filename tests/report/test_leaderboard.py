"""The board says what the statistics say of the same arrays, in the right order, and nothing it does not know."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import kendalltau

from untrained.errors import BadInputError
from untrained.report import Leaderboard, correlate, leaderboard
from untrained.report import console as show
from untrained.spaces import SPACES
from untrained.stats import holm, noise_ceiling, paired_kendall, partial_kendall, runs_of_duplicates
from untrained.tables import Truth, load_truth
from untrained.types import Scope

SPACE = SPACES["nasbench201"]
ARCHS = SPACE.sample(np.random.default_rng(11), 120)
TEXTS = tuple(sorted(SPACE.format(arch) for arch in ARCHS))
PROXIES = "live_params,epsinas,rank(params,depth)"
QUICK: dict[str, Any] = {"batch": "normal", "batch_size": 8, "workers": 1}


def trained(noise: float, seed: int = 0) -> Truth:
    """Parameters and something else decide; three trainings with known noise."""
    from untrained.graphs import cost

    rng = np.random.default_rng(seed)
    size = np.log([cost.n_params(SPACE.graph(SPACE.parse(text))) for text in TEXTS])
    expected = size + rng.normal(size=len(TEXTS))
    runs = expected[:, None] + noise * rng.normal(size=(len(TEXTS), 3))
    return Truth("made by hand", "nasbench201", TEXTS, runs.mean(axis=1), "d:acc", "", True, runs)


@pytest.fixture(scope="module")
def found() -> Leaderboard:
    return leaderboard(SPACE, PROXIES, against=trained(0.3), **QUICK)


@pytest.fixture(scope="module")
def columns(found: Leaderboard) -> dict[str, np.ndarray]:
    by = {(SPACE.format(row.arch), row.proxy): row.value for row in found.scores}
    names = [entry.proxy for entry in found.boards[0].entries]
    return {name: np.array([np.nan if by[t, name] is None else by[t, name] for t in TEXTS], float) for name in names}


CLUSTERS = np.unique([SPACE.canonical(SPACE.parse(text), Scope.KEY) for text in TEXTS], return_inverse=True)[1]


def test_baselines_are_always_there_and_the_best_under_worst_is_first(found: Leaderboard) -> None:
    board = found.boards[0]
    names = [entry.proxy for entry in board.entries]
    assert sorted(names) == ["depth", "epsinas", "live_params", "params", "rank(params,depth)"]
    taus = [entry.worst.kendall.value for entry in board.entries]
    assert taus == sorted(taus, reverse=True)
    assert (board.n, board.n_distinct) == (120, len(set(CLUSTERS)))
    assert board.covariates == ("params", "depth")


@pytest.mark.parametrize("way", ["omit", "worst"])
def test_agreement_is_that_of_correlate_and_of_scipy(found: Leaderboard, columns: Any, way: Any) -> None:
    truth = trained(0.3)
    other = correlate(found.scores, truth, undefined=way).agreements
    for entry in found.boards[0].entries:
        standing = getattr(entry, way)
        assert standing.kendall == other[entry.proxy].kendall
        assert standing.spearman == other[entry.proxy].spearman
        assert entry.coverage == other[entry.proxy].coverage
        x = columns[entry.proxy]
        kept = np.isfinite(x) if way == "omit" else np.ones(120, bool)
        assert standing.n == kept.sum()
        x = np.nan_to_num(x, nan=-1e9)
        assert standing.kendall.value == pytest.approx(kendalltau(x[kept], truth.value[kept]).statistic, abs=1e-12)


@pytest.mark.parametrize("way", ["omit", "worst"])
def test_paired_tests_and_partial_correlations_are_on_the_same_points(
    found: Leaderboard, columns: Any, way: str
) -> None:
    y = trained(0.3).value
    p_values = []
    for entry in found.boards[0].entries:
        if entry.proxy == "params":
            continue
        standing, x = getattr(entry, way), columns[entry.proxy]
        kept = np.isfinite(x) if way == "omit" else np.ones(120, bool)
        x = np.nan_to_num(x, nan=-1e9)[kept]
        size, depth, labels = columns["params"][kept], columns["depth"][kept], CLUSTERS[kept]
        expected = paired_kendall(x, size, y[kept], clusters=labels)
        assert standing.ahead.p_value == pytest.approx(expected.p_value, rel=1e-9)
        assert standing.ahead.difference.value == pytest.approx(expected.difference.value, abs=1e-12)
        p_values.append((standing.ahead.p_value, standing.p_holm))
        if entry.proxy != "depth":
            partial = partial_kendall(x, y[kept], [size, depth], clusters=labels)
            assert standing.partial.value == pytest.approx(partial.value, abs=1e-12)
            assert standing.partial.low == pytest.approx(partial.low, abs=1e-12)
    raw, corrected = np.array(p_values).T
    np.testing.assert_allclose(holm(raw), corrected)
    assert (corrected >= raw).all()
    assert (corrected > raw).any()


def test_params_are_not_compared_with_themselves(found: Leaderboard) -> None:
    (params,) = [entry for entry in found.boards[0].entries if entry.proxy == "params"]
    assert math.isnan(params.worst.p_holm)
    assert math.isnan(params.worst.partial.value)
    assert params.worst.ahead.difference.value == 0.0


def test_ceilings_come_from_repeats_and_from_duplicates(found: Leaderboard) -> None:
    board, truth = found.boards[0], trained(0.3)
    assert truth.runs is not None
    repeats = noise_ceiling(truth.runs, averaged=3, clusters=CLUSTERS)
    assert board.ceiling_of_repeats is not None
    assert board.ceiling_of_repeats.n == 120
    assert board.ceiling_of_repeats.averaged == pytest.approx(3)
    assert board.ceiling_of_repeats.kendall.value == pytest.approx(repeats.kendall.value, abs=1e-12)
    duplicates = noise_ceiling(runs_of_duplicates(truth.value, CLUSTERS))
    assert board.ceiling_of_duplicates is not None
    assert board.ceiling_of_duplicates.n == duplicates.n > 3
    assert board.ceiling_of_duplicates.kendall.value == pytest.approx(duplicates.kendall.value)


def test_rows_that_repeat_an_architecture_are_repeated_trainings_too() -> None:
    truth = trained(0.3)
    assert truth.runs is not None
    rows = Truth("rows", "nasbench201", TEXTS * 3, truth.runs.T.ravel(), "d:acc", "", True)
    one, other = (leaderboard(SPACE, "flops", against=t, **QUICK).boards[0] for t in (truth, rows))
    assert one.ceiling_of_repeats is not None
    assert other.ceiling_of_repeats is not None
    assert one.ceiling_of_repeats.kendall.value == pytest.approx(other.ceiling_of_repeats.kendall.value)


def test_what_is_not_known_is_said(cells: dict[str, str]) -> None:
    texts = tuple(cells[name] for name in ("conv", "full", "skip", "pool"))
    truth = Truth("four", "nasbench201", texts, np.array([0.9, 0.95, 0.2, 0.3]), "d:acc", "", True)
    board = leaderboard(SPACE, "flops", against=truth, **QUICK).boards[0]
    assert (board.ceiling_of_repeats, board.ceiling_of_duplicates) == (None, None)
    lines = list(show.ceiling_lines(board))
    assert [line.partition(": ")[2] for line in lines] == [
        "not known (the truth has one training of each architecture)",
        "not known (no two architectures compared are one network)",
    ]


def test_a_loss_gives_the_same_board_as_its_negative() -> None:
    up = trained(0.3)
    down = Truth("loss", "nasbench201", TEXTS, -up.value, "d:loss", "", False, None if up.runs is None else -up.runs)
    one, other = (leaderboard(SPACE, "flops", against=t, **QUICK).boards[0] for t in (up, down))
    assert [(e.proxy, e.worst.kendall) for e in one.entries] == [(e.proxy, e.worst.kendall) for e in other.entries]
    assert one.ceiling_of_repeats == other.ceiling_of_repeats


def test_only_architectures_of_every_truth_are_drawn_and_the_draw_is_repeatable(tmp_path: Path) -> None:
    truth = trained(0.3)
    value = truth.value.copy()
    value[:40] = np.nan
    fewer = Truth("fewer", "nasbench201", TEXTS[::-1], value[::-1], "d:acc", "", True)
    two = leaderboard(SPACE, "flops", against=[truth, fewer], sample=30, seed=5, out=tmp_path / "run", **QUICK)
    assert len(two.boards) == 2
    archs = two.scores.frame["arch"].unique(maintain_order=True).to_list()
    assert len(archs) == 30
    assert set(archs) <= set(TEXTS[40:])
    again = leaderboard(SPACE, "flops", against=[fewer, truth], sample=30, seed=5, out=tmp_path / "run", **QUICK)
    assert again.scores.frame["arch"].unique(maintain_order=True).to_list() == archs
    assert again.scores.n_computed == 0
    assert again.boards[1].entries == two.boards[0].entries  # times too: they are kept with the scores


def test_milliseconds_are_the_median_of_distinct_networks(found: Leaderboard) -> None:
    seconds = {(SPACE.format(row.arch), row.proxy): row.seconds for row in found.scores}
    first = [TEXTS[list(CLUSTERS).index(k)] for k in sorted(set(CLUSTERS))]
    for entry in found.boards[0].entries:
        assert entry.milliseconds == pytest.approx(1000 * np.median([seconds[t, entry.proxy] for t in first]))


def test_json_and_csv_have_the_same_numbers(found: Leaderboard) -> None:
    board = json.loads(found.json())["boards"][0]
    lines = list(csv.DictReader(io.StringIO(found.csv())))
    assert [line["proxy"] for line in lines] == [entry["proxy"] for entry in board["entries"]]
    assert [int(line["place"]) for line in lines] == [1, 2, 3, 4, 5]
    for line, entry in zip(lines, board["entries"], strict=True):
        assert float(line["worst_kendall"]) == entry["worst"]["kendall"]["value"]
        assert float(line["omit_spearman_low"]) == entry["omit"]["spearman"]["low"]
        assert line["worst_p_holm"] == ("" if entry["worst"]["p_holm"] is None else str(entry["worst"]["p_holm"]))
        assert float(line["ceiling_of_repeats_kendall"]) == board["ceiling_of_repeats"]["kendall"]["value"]
    assert json.loads(found.json())["protocol"]["aggregates"]["rank(params,depth)"]["pool"]["networks"] == 120


def test_people_see_every_proxy_both_policies_and_the_ceilings(found: Leaderboard) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=120)
    for part in show.board_parts(found.boards[0]):
        console.print(part, soft_wrap=isinstance(part, str), markup=False)
    text = stream.getvalue()
    for word in ("made by hand", "epsinas", "live_params", "worst", "omit", "truth averages 3.0", "identical networks"):
        assert word in text
    entry = found.boards[0].entries[0]
    assert f"{entry.worst.kendall.value:.2f}"[1:] in text
    assert max(map(len, text.splitlines()[2:-3])) <= 120


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"against": []}, "no truth to compare with"),
        ({"sample": 121}, "cannot draw 121 of the 120 architectures"),
        ({"against": Truth("other", None, ("a", "b"), np.ones(2), "c", "", True)}, "no architecture of nasbench201"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        leaderboard(SPACE, "flops", **{"against": trained(0.3), **QUICK, **change})


def test_the_official_seeds_of_nasbench201_give_its_ceiling(shared: Any) -> None:
    columns = ",".join(f"c10_test_200ep_run{k}" for k in range(3))
    truth = load_truth(str(shared("truth/nasbench201.csv.gz")), columns)
    board = leaderboard(SPACE, "flops", against=truth, sample=300, **QUICK).boards[0]
    assert board.ceiling_of_repeats is not None
    assert board.ceiling_of_repeats.kendall.value == pytest.approx(0.96, abs=0.015)
    assert board.ceiling_of_duplicates is not None
    duplicates = board.ceiling_of_duplicates.kendall  # of few networks, so that only the interval says something
    assert duplicates.low < board.ceiling_of_repeats.kendall.value < duplicates.high
    assert 0.5 < board.entries[0].worst.kendall.value < board.ceiling_of_repeats.kendall.value
