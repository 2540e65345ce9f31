"""What people see: tables and sentences."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from untrained.engine import ScoreTable, plan, run
from untrained.report import Comparison, correlate
from untrained.report import console as show
from untrained.report.demo import Demo
from untrained.spaces import SPACES
from untrained.stats import Interval
from untrained.tables import Truth

SPACE = SPACES["nasbench201"]
ARCHS = SPACE.sample(np.random.default_rng(6), 60)
TRUTH = Truth("made by hand", "nasbench201", tuple(SPACE.format(a) for a in ARCHS),
              np.random.default_rng(7).uniform(0.1, 0.9, 60), "d:acc", "fraction", True)  # fmt: skip


@pytest.fixture(scope="module")
def wanted() -> Any:
    return plan(SPACE, "epsinas,params,flops", archs=[*ARCHS, ARCHS[0]], batch="normal", batch_size=8)


@pytest.fixture(scope="module")
def table(wanted: Any) -> ScoreTable:
    return run(wanted, workers=1)


@pytest.fixture(scope="module")
def omit(table: ScoreTable) -> Comparison:
    return correlate(table, TRUTH)


@pytest.fixture(scope="module")
def worst(table: ScoreTable) -> Comparison:
    return correlate(table, TRUTH, undefined="worst")


def printed(*things: Any) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=160)
    for thing in things:
        console.print(thing)
    return stream.getvalue()


def test_the_ranking_shows_the_ten_best_once_best_first(table: ScoreTable) -> None:
    lines = [line for line in printed(show.ranking(table, "params", True)).splitlines() if "~" in line]
    values = [float(line.split("│")[-2]) for line in lines]
    counts = {row.value for row in table if row.proxy == "params"}
    assert len(lines) == 10
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(max(v for v in counts if v is not None), rel=1e-5)
    lowest = [line for line in printed(show.ranking(table, "params", False)).splitlines() if "~" in line]
    assert float(lowest[0].split("│")[-2]) == min(v for v in counts if v is not None)


def test_statuses_count_and_give_a_reason(table: ScoreTable) -> None:
    text = printed(show.statuses(table))
    n_undefined = sum(row.status == "undefined" for row in table)
    assert n_undefined > 0
    assert any("undefined" in line and f" {n_undefined} " in line and "outputs" in line for line in text.splitlines())


def test_a_reason_with_brackets_is_shown_as_it_is(table: ScoreTable) -> None:
    import polars as pl

    frame = table.frame.with_columns(status=pl.lit("failed"), detail=pl.lit("KeyError: [/x] [bold]"))
    other = replace(table, frame=frame)
    assert "KeyError: [/x] [bold]" in printed(show.statuses(other))


def test_the_plan_says_what_would_be_done(wanted: Any) -> None:
    lines = list(show.plan_lines(wanted, 2))
    assert lines[1] == "architectures 61"
    assert lines[-1].endswith("networks, 2 worker(s)")
    assert any("epsinas" in line and "width1_key" in line for line in lines)


def test_agreement_has_a_column_for_each_policy_that_matters(omit: Comparison, worst: Comparison) -> None:
    text = printed(show.agreement_table([omit, worst], {"epsinas": 1.0, "params": 2.0, "flops": 3.0}))
    assert text.count("undefined: omit") == text.count("undefined: worst") == 1
    assert f"{omit.agreements['epsinas'].coverage:.1%}" in text
    assert f"{omit.agreements['params'].spearman.value:.3f}" in text
    assert "seconds" in text
    assert "seconds" not in printed(show.agreement_table([omit]))


def test_what_has_no_value_is_a_dash() -> None:
    nan = float("nan")
    assert show.interval(Interval(nan, nan, nan)) == "-"
    assert show.interval(Interval(0.5, nan, nan)) == "0.500"
    assert show.interval(Interval(0.5, 0.25, 0.75), 2) == "0.50 [0.25, 0.75]"
    assert show.number(nan) == "-"
    assert show.number(12.34, 1, "%") == "12.3%"


def test_sentences_say_what_was_measured(table: Any, omit: Any, worst: Any, tmp_path: Path) -> None:
    found = Demo(table, omit, worst, 1, tmp_path / "figure.png", tmp_path / "scores.csv")
    first, second, third = found.sentences()
    epsinas = omit.agreements["epsinas"]
    assert f"{epsinas.n_undefined} of 60 cells ({1 - epsinas.coverage:.1%}) undefined" in first
    assert f"On the {epsinas.n} cells" in second
    assert f"{(1 + epsinas.kendall.value) / 2:.0%} of pairs" in second
    assert "not clearly better than counting parameters" in second  # the truth is random
    assert f"rho over the whole space is {worst.agreements['epsinas'].spearman.value:.2f}" in third
    assert found.cells_per_second == pytest.approx(60 / table.seconds)
