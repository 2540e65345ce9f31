"""Bars of coverage and dots of agreement, and how scores are counted for them."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from drawn import NAN, compared, texts
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.engine import score
from untrained.errors import BadInputError, DataMissingError
from untrained.report.leaderboard import board
from untrained.report.outcomes import outcomes
from untrained.report.proxy_figures import MEASURES, agreement_dots, coverage_bars, noise_ceilings, standings
from untrained.spaces import SPACES
from untrained.types import Status

SPACE = SPACES["nasbench201"]
RNG = np.random.default_rng(3)
TRUTH = RNG.uniform(0.1, 0.9, 60)
NOISY = TRUTH + RNG.normal(scale=0.2, size=60)
HALF = np.where(np.arange(60) % 2, NOISY, NAN)
FEW = np.where(np.arange(60) < 20, NOISY, NAN)
FOUND = compared(
    {"half": HALF, "params": NOISY, "few": FEW, "none": np.full(60, NAN)}, TRUTH, scored={"few": np.arange(60) < 20}
)


def drawn_bars(axes: Any) -> dict[str, list[tuple[float, float]]]:
    """By legend: where each bar's part begins and how wide it is."""
    return {box.get_label(): [(bar.get_x(), bar.get_width()) for bar in box] for box in axes.containers}


# Coverage ---------------------------------------------------------------------------------------------------------


def test_bars_are_the_counts_in_percent_and_the_label_says_how_many() -> None:
    rows = [("a", "ok", 30), ("a", "undefined", 10), ("b", "ok", 20), ("c", "failed", 5)]
    figure = coverage_bars(pl.DataFrame(rows, schema=["proxy", "status", "n"], orient="row"), title="a space")
    (axes,) = figure.axes
    assert drawn_bars(axes) == {
        "defined": [(0, 75), (0, 100), (0, 0)],
        "undefined": [(75, 25), (100, 0), (0, 0)],
        "failed": [(100, 0), (100, 0), (0, 100)],
    }
    assert texts(axes) == ["30 of 40 (75.0%)", "20 of 20 (100.0%)", "0 of 5 (0.0%)"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b", "c"]
    assert axes.get_title(loc="left") == "a space"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["defined", "undefined", "failed"]


@settings(max_examples=6)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(list(Status)), st.integers(1, 99)), min_size=1))
def test_parts_add_up_to_all(rows: list[tuple[str, Status, int]]) -> None:
    frame = pl.DataFrame([(a, str(b), n) for a, b, n in rows], schema=["proxy", "status", "n"], orient="row")
    found = np.array(list(drawn_bars(coverage_bars(frame).axes[0]).values()))
    np.testing.assert_allclose(found[:, :, 1].sum(axis=0), 100)
    np.testing.assert_allclose(found[1:, :, 0], np.cumsum(found[:, :, 1], axis=0)[:-1])


def test_of_many_reasons_the_commonest_have_a_colour_and_long_ones_are_cut() -> None:
    rows = [("a", "ok", 50), *[("a", f"reason {k}" + k // 8 * " and so on" * 30, k) for k in range(1, 10)]]
    figure = coverage_bars(pl.DataFrame(rows, schema=["proxy", "why", "n"], orient="row"), part="why")
    widths = {label: width for label, ((_, width),) in drawn_bars(figure.axes[0]).items()}
    assert [label.split(" and")[0] for label in widths] == [
        "defined", *[f"reason {k}" for k in (9, 8, 7, 6, 5, 4)], "other reasons"
    ]  # fmt: skip
    assert widths["other reasons"] == pytest.approx(100 * (1 + 2 + 3) / 95)
    assert max(map(len, widths)) <= 100


def test_bars_of_nothing_are_refused() -> None:
    with pytest.raises(BadInputError, match="nothing to draw as status, n: the columns are proxy"):
        coverage_bars(pl.DataFrame({"proxy": ["a"]}))
    with pytest.raises(BadInputError, match="no score was asked for"):
        coverage_bars(pl.DataFrame({"proxy": ["a"], "status": ["ok"], "n": [0]}))


# How scores ended -------------------------------------------------------------------------------------------------


def test_a_run_folder_is_counted_with_what_was_never_run(tmp_path: Path, cells: dict[str, str]) -> None:
    quick: dict[str, Any] = {"batch": "normal", "batch_size": 4, "workers": 1, "out": tmp_path / "run"}
    few = [SPACE.parse(cells[name]) for name in ("full", "nothing", "conv")]
    more = [*few, SPACE.parse(cells["skip"]), few[0]]
    score(SPACE, "log_paths", archs=few, **quick)
    table = score(SPACE, "params,rank(params,depth)", archs=more, **quick)
    found = outcomes(tmp_path / "run")
    assert found.select("proxy", "status", "n").rows() == [
        ("log_paths", "ok", 2), ("log_paths", "undefined", 1), ("log_paths", "not scored", 1),
        ("params", "ok", 4), ("depth", "ok", 4), ("rank(params,depth)", "ok", 4),
    ]  # fmt: skip
    assert found["reason"].to_list()[:3] == ["ok", "no path from input to output", "not scored"]
    assert outcomes(table).select("proxy", "n").rows() == [("params", 4), ("rank(params,depth)", 4)]


def test_a_csv_file_is_counted_as_its_scores_are_read(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    rows = [
        ("a", "p", "1.5", "ok", ""), ("b", "p", "", "timeout", "60 s"), ("c", "p", "inf", "ok", ""),
        ("d", "p", "", "", ""), ("a", "p", "1.5", "ok", ""), ("a", "q", "2", "", ""),
    ]  # fmt: skip
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("arch", "proxy", "value", "status", "detail"), *rows])
    assert sorted(outcomes(file).rows()) == [
        ("p", "nonfinite", "nonfinite", 1), ("p", "ok", "ok", 1), ("p", "timeout", "60 s", 1),
        ("p", "undefined", "undefined", 1), ("q", "not scored", "not scored", 3), ("q", "ok", "ok", 1),
    ]  # fmt: skip
    short = tmp_path / "short.csv"
    short.write_text("arch,proxy,value\na,p,1\nb,p,\n")
    assert [row[1:] for row in outcomes(short).sort("status").rows()] == [
        ("ok", "ok", 1),
        ("undefined", "undefined", 1),
    ]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match="no scores at"):
        outcomes(tmp_path / "nothing")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInputError, match="expected columns arch, proxy, value, status"):
        outcomes(tmp_path / "x.csv")


# Leaderboard ------------------------------------------------------------------------------------------------------


def dots(axes: Any) -> dict[str, list[tuple[float, float, float]]]:
    """By policy: value, low and high of each dot, from the top."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for box in axes.containers:
        line, _, (bars,) = box.lines
        ends = [segment[:, 0] for segment in bars.get_segments()]
        rows = zip(line.get_ydata(), line.get_xdata(), ends, strict=True)
        found[box.get_label()] = [(x, *end) for _, x, end in sorted(rows, key=lambda row: row[0])]
    return found


@pytest.mark.parametrize("measure", ["kendall", "spearman"])
def test_dots_and_bars_are_the_intervals_of_each_proxy_and_policy(measure: Any) -> None:
    frame = standings([FOUND], measure)
    (axes,) = agreement_dots(frame, label=MEASURES[measure]).axes
    worst, omit = (FOUND.under(way).agreements for way in ("worst", "omit"))
    order = sorted((name for name in worst if name != "none"), key=lambda name: -getattr(worst[name], measure).value)
    expected = [getattr(worst[name], measure) for name in order]
    np.testing.assert_allclose(dots(axes)["undefined last"], [(one.value, one.low, one.high) for one in expected])
    half = getattr(omit["half"], measure)  # the one proxy whose two policies differ
    np.testing.assert_allclose(dots(axes)["defined only"], [(half.value, half.low, half.high)])
    ticks = [tick.get_text() for tick in axes.get_yticklabels()]
    assert sorted(ticks) == ["few  n 20", "half  50%", "none  0%", "params"]
    assert [tick.split()[0] for tick in ticks][:3] == order
    assert axes.get_xlabel() == f"{MEASURES[measure]} (95% intervals)"
    assert axes.get_title(loc="left") == "d:acc: 60 architectures"


def test_lines_are_the_baseline_and_the_ceiling() -> None:
    duplicates = np.arange(60) // 2
    joined = compared({"params": NOISY}, np.repeat(TRUTH[:30], 2) + RNG.normal(scale=0.01, size=60))
    joined = replace(joined, clusters=duplicates)
    ceiling = noise_ceilings([joined])
    (bound,) = ceiling.values()
    figure = agreement_dots(standings([joined]), ceiling=ceiling)
    (axes,) = figure.axes
    found = {line.get_label(): line.get_xdata()[0] for line in axes.lines}
    assert found["noise ceiling"] == bound.value
    assert found["params"] == joined.agreements["params"].kendall.value
    (band,) = axes.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((bound.low, bound.high))
    assert axes.get_title(loc="left").endswith(f"noise ceiling {bound.value:.2f}")


def test_a_panel_for_each_truth_even_if_called_alike_and_boards_draw_the_same() -> None:
    one = compared({"half": HALF, "params": NOISY}, TRUTH)
    two = compared({"half": HALF, "params": NOISY}, TRUTH[::-1])
    figure = agreement_dots(standings([one, two]))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "d:acc: 60 architectures", "d:acc: 60 architectures (2)"
    ]  # fmt: skip
    boards = [board(joined, {"half": {}, "params": {}}) for joined in (one, two)]
    assert standings(boards).equals(standings([one, two]), null_equal=True)
    for drawn, again in zip(figure.axes, agreement_dots(standings(boards)).axes, strict=True):
        assert dots(drawn) == dots(again)


def test_one_policy_alone_has_every_proxy_with_a_value() -> None:
    frame = standings([FOUND]).filter(pl.col("undefined") == "omit")
    (axes,) = agreement_dots(frame).axes
    assert {name: len(rows) for name, rows in dots(axes).items()} == {"defined only": 3}


def test_no_value_at_all_is_refused() -> None:
    with pytest.raises(BadInputError, match="no proxy has a value"):
        agreement_dots(standings([compared({"none": np.full(60, NAN)}, TRUTH)]))
