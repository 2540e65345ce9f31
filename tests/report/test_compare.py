"""Agreement against scipy on truths made by hand, and equal results however the scores arrive."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from untrained.engine import ScoreTable, score
from untrained.errors import BadInputError, DataMissingError
from untrained.proxies import Proxy
from untrained.report import Comparison, correlate, load_scores
from untrained.spaces import SPACES
from untrained.tables import Truth
from untrained.types import Scope

SPACE = SPACES["nasbench201"]
ARCHS = SPACE.sample(np.random.default_rng(4), 60)
TEXTS = tuple(SPACE.format(arch) for arch in ARCHS)
PROXIES = ("epsinas", "params")


@pytest.fixture(scope="module")
def table() -> ScoreTable:
    return score(SPACE, ",".join(PROXIES), archs=ARCHS, batch="normal", batch_size=8, workers=1)


@pytest.fixture(scope="module")
def truth() -> Truth:
    values = np.random.default_rng(5).normal(size=len(ARCHS)).round(1)  # with ties
    return Truth("made by hand", "nasbench201", TEXTS, values, "d:acc", "", True)


@pytest.fixture(scope="module")
def scores(table: ScoreTable) -> dict[str, Any]:
    by = {(arch, proxy): np.nan if value is None else value for arch, proxy, value, *_ in table.frame.iter_rows()}
    return {proxy: np.array([by[text, proxy] for text in TEXTS]) for proxy in PROXIES}


def text(comparison: Comparison) -> str:
    return repr([comparison.agreements, comparison.pairs, comparison.arch, comparison.truth_value.tolist()])


@pytest.mark.parametrize("proxy", PROXIES)
def test_omit_agrees_with_scipy_on_the_defined_ones(table: Any, truth: Any, scores: Any, proxy: str) -> None:
    found = correlate(table, truth).agreements[proxy]
    x = scores[proxy]
    kept = np.isfinite(x)
    assert (found.n, found.n_total, found.n_undefined) == (kept.sum(), 60, (~kept).sum())
    assert found.spearman.value == pytest.approx(stats.spearmanr(x[kept], truth.value[kept]).statistic, abs=1e-12)
    assert found.kendall.value == pytest.approx(stats.kendalltau(x[kept], truth.value[kept]).statistic, abs=1e-12)


@pytest.mark.parametrize("proxy", PROXIES)
def test_worst_agrees_with_scipy_when_undefined_is_below_all(table: Any, truth: Any, scores: Any, proxy: str) -> None:
    found = correlate(table, truth, undefined="worst").agreements[proxy]
    x = np.nan_to_num(scores[proxy], nan=-1e9)
    assert found.n == 60
    assert found.spearman.value == pytest.approx(stats.spearmanr(x, truth.value).statistic, abs=1e-12)
    assert found.kendall.value == pytest.approx(stats.kendalltau(x, truth.value).statistic, abs=1e-12)


def test_some_are_undefined_so_that_the_policies_differ(table: Any, truth: Any) -> None:
    omit, worst = (correlate(table, truth, undefined=policy).agreements for policy in ("omit", "worst"))
    assert 0 < omit["epsinas"].n_undefined < 60
    assert omit["epsinas"].spearman != worst["epsinas"].spearman
    assert replace(omit["params"], undefined="worst") == worst["params"]


def test_the_policy_can_be_changed_afterwards(table: Any, truth: Any) -> None:
    loss = replace(truth, value=-truth.value, higher_is_better=False)
    for kind in (truth, loss):
        omit, worst = correlate(table, kind), correlate(table, kind, undefined="worst", level=0.9)
        assert omit.under("worst", level=0.9).agreements == worst.agreements
        assert text(worst.under("omit")) == text(omit)


def test_distinct_networks_are_the_clusters(table: Any, truth: Any, scores: Any) -> None:
    found = correlate(table, truth).agreements
    for proxy in PROXIES:
        defined = [arch for arch, x in zip(ARCHS, scores[proxy], strict=True) if np.isfinite(x)]
        assert found[proxy].n_distinct == len({SPACE.canonical(arch, Scope.KEY) for arch in defined})
    assert found["params"].n_distinct < 60


def test_a_truth_where_lower_is_better_is_turned_round(table: Any, truth: Any) -> None:
    loss = replace(truth, value=-truth.value, higher_is_better=False)
    as_accuracy, as_loss = correlate(table, truth), correlate(table, loss)
    assert as_accuracy.agreements == as_loss.agreements
    assert as_accuracy.pairs == as_loss.pairs
    assert (as_loss.truth_value == -as_accuracy.truth_value).all()  # shown as it is


def test_a_proxy_whose_paper_says_lower_is_turned_round(
    register_proxy: Callable[..., Proxy], register: Callable[..., Any], truth: Truth, tmp_path: Path
) -> None:
    from untrained.graphs import cost
    from untrained.proxies import PROXIES as REGISTRY

    def lightness(network: Any, batch: Any) -> float:
        """Minus the parameters."""
        return -float(cost.n_params(network.graph))

    down = replace(register_proxy(lightness), higher_is_better=False)
    register(REGISTRY, "lightness", down)
    both = score(SPACE, "lightness,params", archs=ARCHS, batch="ones", batch_size=2, workers=1, out=tmp_path / "run")
    (tmp_path / "scores.csv").write_text(both.csv())
    for source in (both, tmp_path / "run", tmp_path / "scores.csv"):
        found = correlate(source, truth).agreements
        assert found["lightness"] == found["params"]


def test_table_run_folder_and_csv_give_equal_results(truth: Truth, tmp_path: Path) -> None:
    out = tmp_path / "run"
    table = score(SPACE, "epsinas,params", archs=ARCHS, batch="normal", batch_size=4, workers=1, out=out)
    (tmp_path / "scores.csv").write_text(table.csv())
    reference = correlate(table, truth)
    assert reference.space == "nasbench201"
    for source in (out, str(out), tmp_path / "scores.csv", load_scores(out)):
        assert text(correlate(source, truth)) == text(reference)


def test_the_pair_of_proxies_is_compared_once(table: Any, truth: Any) -> None:
    found = correlate(table, truth)
    assert list(found.pairs) == [("epsinas", "params")]
    assert 0 <= found.pairs["epsinas", "params"].p_value <= 1


def test_order_of_rows_does_not_matter(table: Any, truth: Any) -> None:
    order = np.random.default_rng(0).permutation(60)
    turned = Truth("x", "nasbench201", tuple(TEXTS[i] for i in order), truth.value[order], "d:acc", "", True)
    assert correlate(table, turned).agreements == correlate(table, truth).agreements


def test_several_truths_of_one_architecture_are_averaged(table: Any, truth: Any) -> None:
    twice = Truth("x", "nasbench201", TEXTS * 2, np.r_[truth.value + 0.5, truth.value - 0.5], "d:acc", "", True)
    found = correlate(table, twice)
    assert found.truth_value == pytest.approx(truth.value)
    assert found.agreements["params"].n == 60


def test_architectures_without_a_truth_are_counted_and_left_out(table: Any, truth: Any) -> None:
    values = truth.value.copy()
    values[:7] = np.nan
    part = Truth("x", "nasbench201", TEXTS[:50], values[:50], "d:acc", "", True)
    found = correlate(table, part)
    assert found.n_without_truth == 17
    assert found.arch == TEXTS[7:50]


def test_an_empty_join_shows_both_sides(table: Any) -> None:
    other = Truth("elsewhere", None, ("resnet18",), np.array([0.9]), "acc", "", True)
    with pytest.raises(BadInputError, match="no architecture has both a score") as caught:
        correlate(table, other)
    assert "resnet18" in str(caught.value)
    assert TEXTS[0] in str(caught.value)


def written(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join(["arch,proxy,value,status,seconds,detail", *rows]) + "\n")
    return path


def test_infinite_or_failed_values_of_a_csv_are_undefined(tmp_path: Path, truth: Truth) -> None:
    rows = [f"{arch},mine,{i},ok,0," for i, arch in enumerate(TEXTS[:10])]
    rows[2] = f"{TEXTS[2]},mine,inf,ok,0,"
    rows[4] = f"{TEXTS[4]},mine,nan,ok,0,"
    rows[6] = f"{TEXTS[6]},mine,,undefined,0,why"
    rows[8] = f"{TEXTS[8]},mine,5,failed,0,why"
    found = correlate(written(tmp_path / "s.csv", rows), truth).agreements["mine"]
    assert (found.n, found.n_undefined) == (6, 4)


def test_repeated_rows_of_a_csv_count_once_if_they_agree(tmp_path: Path, truth: Truth) -> None:
    rows = [f"{arch},mine,{i},ok,0," for i, arch in enumerate(TEXTS[:10])]
    once = correlate(written(tmp_path / "once.csv", rows), truth)
    assert text(correlate(written(tmp_path / "twice.csv", rows + rows[3:]), truth)) == text(once)
    with pytest.raises(BadInputError, match=r"mine of .* is given twice with different values"):
        load_scores(written(tmp_path / "torn.csv", [*rows, f"{TEXTS[0]},mine,99,ok,0,"]))


def test_scores_of_unknown_architectures_and_proxies_can_be_compared(tmp_path: Path) -> None:
    archs = tuple(f"net{i}" for i in range(8))
    scores = written(tmp_path / "s.csv", [f"{arch},theirs,{i},ok,0," for i, arch in enumerate(archs)])
    found = correlate(scores, Truth("x", None, archs, np.arange(8.0), "acc", "", True))
    assert found.space is None
    assert found.agreements["theirs"].kendall.value == 1
    assert found.agreements["theirs"].n_distinct == 8


@pytest.mark.parametrize(("row", "message"), [(",mine,1,ok,0,", "no architecture"), ("a,,1,ok,0,", "no proxy"),
                                              ("a,mine,big,ok,0,", "line 2: value 'big' is not a number")])  # fmt: skip
def test_bad_rows_of_a_csv_are_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        load_scores(written(tmp_path / "s.csv", [row]))


def test_missing_scores_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match="no scores at"):
        load_scores(tmp_path / "absent")


def test_what_was_never_scored_is_not_undefined(tmp_path: Path, truth: Truth) -> None:
    """Half the cells have no epsinas in the folder, as in an interrupted run: that says nothing about epsinas."""
    out = tmp_path / "run"
    arguments: dict[str, Any] = {"batch": "normal", "batch_size": 4, "workers": 1, "out": out}
    half = score(SPACE, "epsinas", archs=ARCHS[:30], **arguments)
    known = {SPACE.canonical(arch, Scope.WIDTH1_KEY) for arch in ARCHS[:30]}  # their equals share the score
    others = [arch for arch in ARCHS[30:] if SPACE.canonical(arch, Scope.WIDTH1_KEY) not in known]
    score(SPACE, "params", archs=ARCHS[:30] + others, **arguments)
    expected, found = (correlate(source, truth).agreements["epsinas"] for source in (half, out))
    assert len(others) > 10
    assert found == expected
