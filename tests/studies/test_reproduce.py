"""The published figures, and the tables made again beside them."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from studies.conftest import ARCHS
from untrained.batches import load_batch, make_batch
from untrained.engine import score
from untrained.engine.store import read_run
from untrained.errors import BadInputError, RunConflictError, UnknownNameError
from untrained.spaces import SPACES
from untrained.spaces.nasbench101 import SPACE as NASBENCH101
from untrained.studies import STUDIES, read_study, study
from untrained.studies.published import beside, published_tables
from untrained.studies.reproduce import Reproduction, named_tables, reproduce
from untrained.tables import Truth

WRITTEN = "eznas_darts(parts=written)"
CHEAP = [table.name for table in published_tables("epsinas") if table.study != "initialisations"]  # no full networks


@pytest.fixture(scope="module")
def truths(truth: Truth) -> dict[str, Truth]:
    """For two of the truths, few cells each, since some studies draw weights; others are missing."""
    few = replace(truth, arch=truth.arch[15:31], value=truth.value[15:31])  # on both sides of the first 5,000
    cells = tuple(NASBENCH101.format(arch) for arch in NASBENCH101.sample(np.random.default_rng(0), 8))
    small = Truth("eight cells", "nasbench101", cells, np.arange(8.0), "acc", "", True)
    return {"nasbench201_cifar10": few, "nasbench101": small}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, truths: dict[str, Truth]) -> tuple[Path, Reproduction]:
    """epsinas made again on a few cells, with scores of one rival."""
    folder = tmp_path_factory.mktemp("reproduced")
    score("nasbench201", "params,epsinas", archs=ARCHS, batch_size=2, workers=1, out=folder / "rivals")
    real = load_batch("uniform_01", (3, 32, 32), 4)
    real = make_batch(real.x, "photographs")
    out = folder / "out"
    return out, reproduce("epsinas", out, truths=truths, real=real, scores=[folder / "rivals"], only=CHEAP, workers=1)


# What was published ---------------------------------------------------------------------------------------------------


def test_every_published_figure_handed_down_is_in_the_tables(shared: Callable[[str], Path]) -> None:
    handed = json.loads(shared("published.json").read_text())
    tables = {table.name: table for paper in ("epsinas", "eznas") for table in published_tables(paper)}

    def figure(name: str, measure: str, **row: str | float) -> float:
        (found,) = [f.value for f in tables[name].figures if f.row == row and f.measure == measure]
        return found

    mine, measures = handed["epsinas"], handed["epsinas"]["columns"]
    for proxy, values in mine["nasbench201_cifar10"].items():
        assert [figure("NAS-Bench-201, CIFAR-10", m, proxy=proxy) for m in measures] == values
    text = "epsinas(low=0.0001,high=10)"
    found = [figure("NAS-Bench-101", measure, proxy=text) for measure in measures]
    assert found == mine["nasbench101"]["epsinas"]
    text = "epsinas(low=1e-05,high=0.001)"
    for name, runs in (("one run", "single_run"), ("three runs", "three_seeds")):
        values = mine[f"nasbench_nlp_{runs}_vs_loss"]["epsinas"]
        found = [figure(f"NAS-Bench-NLP, {name}", measure, proxy=text) for measure in measures]
        assert found == [-value for value in values[:4]] + values[4:]  # a loss is turned round
    for name, values in mine["inputs_nasbench201_cifar10_first5000_n2957"].items():
        assert [figure("Inputs", measure, input=name) for measure in measures] == values
    for space, key in (("201", "nasbench201"), ("101", "nasbench101")):
        for pair, values in mine[f"weights_{key}_first5000"].items():
            if pair != "_columns":
                low, high = map(float, pair.split(","))
                name = f"Constants, NAS-Bench-{space}"
                assert [figure(name, m, low=low, high=high) for m in ("n_defined", "spearman")] == values
    best = [figure("Best of 1,000", measure, n_drawn=1000) for measure in ("truth", "rank_from_0")]
    assert best == [mine["best_of_1000_cifar10_test_acc"], mine["best_of_1000_mean_rank"]]
    seconds = mine["seconds_per_architecture"]["nasbench_nlp_gpu"]
    assert figure("Seconds for each architecture, NAS-Bench-NLP", "mean_seconds", bin=1) == seconds
    for name, values in handed["eznas"].items():
        if isinstance(values, list) and name != "columns":
            assert [figure(name, m, proxy="eznas_darts(parts=written)") for m in handed["eznas"]["columns"]] == values


def test_tables_name_studies_spaces_and_columns_that_exist() -> None:
    for paper in ("epsinas", "eznas"):
        for table in published_tables(paper):
            assert table.study in STUDIES
            assert table.space in SPACES
            assert table.parameters.keys() <= STUDIES[table.study].parameters.keys()
            assert all(len(row) == len(table.by) + len(table.columns) for row in table.rows)
    with pytest.raises(UnknownNameError, match=r"unknown paper 'epsina'\. Did you mean 'epsinas'"):
        published_tables("epsina")


def test_published_figures_stand_beside_rows_of_their_protocol_only() -> None:
    frame = pl.DataFrame({"subset": ["first_5000", "all"], "undefined": "omit", "low": 1e-7, "high": 1.0})
    assert beside("constants", "nasbench201", frame, ["spearman"]) == {0: {"spearman": 0.87}}
    assert beside("constants", "nasbench101", frame, ["spearman"]) == {}


# Made again -----------------------------------------------------------------------------------------------------------


def test_each_figure_stands_beside_that_of_the_study(made: tuple[Path, Reproduction], truth: Truth) -> None:
    out, found = made
    rows = {(row["table"], row["row"], row["measure"]): row for row in found.frame.iter_rows(named=True)}
    n_figures = sum(len(table.figures) for table in published_tables("epsinas") if table.name in CHEAP)
    assert len(rows) == found.frame.height == n_figures
    own = {path.name.rsplit("_", 1)[0]: read_study(path).frame for path in (out / "studies").iterdir()}
    inputs = own["inputs_nasbench201_cifar10"]
    for name in ("real", "grey_ramp", "normal"):
        row = rows["Inputs", name, "spearman"]
        mine = inputs.filter(input=name, subset="first_5000", undefined="omit").row(0, named=True)
        all_ = inputs.filter(input=name, subset="all", undefined="worst").row(0, named=True)
        expected = None if math.isnan(mine["spearman"]) else mine["spearman"]
        assert (row["same_protocol"], row["full_coverage"]) == (expected, all_["spearman"])
        assert (row["n_defined"], row["n_total"], row["coverage"]) == tuple(
            mine[c] for c in ("n_defined", "n_total", "coverage")
        )
        if expected is not None:
            assert row["difference"] == pytest.approx(expected - row["published"])
        assert row["truth"] == truth.source
        assert row["missing"] is None
    assert rows["Constants, NAS-Bench-101", "0.0001, 10", "n_defined"]["n_total"] == 8
    assert rows["NAS-Bench-201, CIFAR-10", "epsinas", "spearman"]["n_total"] == 15
    images = read_study(next((out / "studies").glob("inputs_*"))).protocol["batch"]
    assert (images["name"], images["n"]) == ("photographs", 4)


def test_studies_share_scores(made: tuple[Path, Reproduction]) -> None:
    runs = [read_run(path) for path in (made[0] / "scores").iterdir()]
    assert len({json.dumps(run["protocol"]["batch"]) + run["protocol"]["space"] for run in runs}) == len(runs)
    proxies = [list(run["protocol"]["proxies"]) for run in runs if run["protocol"]["space"] == "nasbench201"]
    (several,) = [names for names in proxies if len(names) > 1]
    assert len(several) == 45  # pairs of constants, and epsinas of the other studies among them
    assert not list((made[0] / "studies").glob("*/scores/*"))


def test_what_is_missing_is_said_with_how_to_get_it(made: tuple[Path, Reproduction]) -> None:
    missing = {
        (table, row): why
        for table, row, why in made[1].frame.select("table", "row", "missing").iter_rows()
        if why is not None
    }
    assert "untrained data fetch nasbench_nlp" in missing["NAS-Bench-NLP, one run", "epsinas(low=1e-05,high=0.001)"]
    assert missing["NAS-Bench-201, CIFAR-10", "synflow"].startswith("Needs scores of synflow: `untrained score")
    assert "--truth nasbench_nlp_repeats=SPEC" in missing["NAS-Bench-NLP, three runs", "epsinas(low=1e-05,high=0.001)"]
    assert missing["Best of 1,000", "1000"] == "There are too few architectures."
    assert "cifar100:test_accuracy_200ep" in missing["NAS-Bench-201, CIFAR-100", "epsinas"]
    text = made[1].markdown()
    assert text == (made[0] / "reproduce.md").read_text()
    for why in missing.values():
        assert why in text
    assert "nan" not in text


def test_made_again_nothing_is_computed_twice(
    made: tuple[Path, Reproduction], truths: dict[str, Truth], tmp_path: Path
) -> None:
    out, first = made
    begun = []

    def watch(table: str) -> Callable[[int, int], None]:
        return lambda done, n: begun.append((table, done, n))

    real = make_batch(load_batch("uniform_01", (3, 32, 32), 4).x, "photographs")
    scores = [out.parent / "rivals"]
    again = reproduce("epsinas", out, truths=truths, real=real, scores=scores, only=CHEAP, workers=1, watch=watch)
    assert begun
    assert all(done == n for _, done, n in begun)
    assert again.frame.equals(first.frame)
    with pytest.raises(RunConflictError, match="is not of eznas"):
        reproduce("eznas", out)
    with pytest.raises(RunConflictError, match="holds a study with archs"):
        reproduce("epsinas", out, truths=truths, real=real, scores=scores, sample=5, workers=1)
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunConflictError, match="exists and is no reproduce folder"):
        reproduce("epsinas", tmp_path)
    with pytest.raises(
        UnknownNameError, match=r"no table of epsinas is named like nothing\. There are: NAS-Bench-201, "
    ):
        reproduce("epsinas", tmp_path / "new", only=["nothing"])
    with pytest.raises(UnknownNameError, match="unknown truth 'nasbench_201'"):
        reproduce("epsinas", tmp_path / "new", truths={"nasbench_201": truths["nasbench101"]})


@pytest.mark.slow
def test_eznas_takes_scores_that_are_there(tmp_path: Path, truth: Truth) -> None:
    made = tmp_path / "run"
    some = ARCHS[:6]
    pytest.importorskip("torch")
    score("nasbench201", WRITTEN, archs=some, batch="normal", batch_size=2, workers=1, out=made)
    found = reproduce("eznas", tmp_path / "out", truths={"nasbench201_cifar10": truth}, scores=[made], workers=1)
    row = found.frame.filter(table="nasbench201_cifar10", measure="kendall").row(0, named=True)
    frame = study("proxies_compared", "nasbench201", truth, proxies="", scores=[made]).frame
    mine = frame.filter(subset="all", undefined="worst")["kendall"].item()
    assert (row["published"], row["same_protocol"]) == (0.6195, mine)
    assert row["n_total"] == 5
    reasons = found.frame.filter(pl.col("table").str.starts_with("nds_"))["missing"].to_list()
    assert all("untrained data fetch nds_" in reason for reason in reasons)


def test_a_sample_is_no_larger_than_what_there_is(tmp_path: Path, truth: Truth) -> None:
    with pytest.raises(BadInputError, match="cannot draw 1000 of 38"):
        study("weight_search", "nasbench201", truth, sample=1000)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["nas-bench-101"], ["NAS-Bench-101"]),
        (["bench-101"], ["NAS-Bench-101", "Constants, NAS-Bench-101"]),
        (["inputs", "NAS-Bench-101"], ["NAS-Bench-101", "Inputs"]),
    ],
)
def test_a_whole_name_means_that_table_alone(asked: list[str], found: list[str]) -> None:
    assert [table.name for table in named_tables(published_tables("epsinas"), asked)] == found
