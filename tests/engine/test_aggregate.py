"""Aggregates follow their formulas on distinct networks, store member scores alone, and place new networks."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from untrained.engine import ScoreTable, aggregate, parse_asked, plan, score
from untrained.engine.aggregate import available
from untrained.engine.store import read_parts, read_run
from untrained.errors import BadInputError, RunConflictError, UnknownNameError
from untrained.proxies import NAMED, PROXIES, Proxy
from untrained.report import correlate, load_scores
from untrained.spaces import SPACES
from untrained.tables import Truth
from untrained.types import Scope, Status

SPACE = SPACES["nasbench201"]
ARCHS = SPACE.sample(np.random.default_rng(8), 80)
TEXTS = [SPACE.format(arch) for arch in ARCHS]
MEMBERS = ["epsinas", "params", "depth"]
AGGREGATES = [f"{method}({','.join(MEMBERS)})" for method in ("rank", "borda", "mean_rank", "vote")]


def scored(proxies: str, archs: Any = ARCHS, **more: Any) -> ScoreTable:
    return score(SPACE, proxies, archs=archs, **{"batch": "normal", "batch_size": 8, "workers": 1, **more})


def column(table: ScoreTable, proxy: str) -> dict[str, float]:
    return {SPACE.format(row.arch): row.value if row.value is not None else np.nan for row in table
            if row.proxy == proxy}  # fmt: skip


@pytest.fixture(scope="module")
def table() -> ScoreTable:
    return scored(",".join([*AGGREGATES, *MEMBERS]))


def test_log_rank_is_the_formula_on_the_networks_that_all_members_define(table: ScoreTable) -> None:
    found = column(table, AGGREGATES[0])
    members = [column(table, name) for name in MEMBERS]
    defined = [text for text in TEXTS if all(np.isfinite(m[text]) for m in members)]
    assert 10 < len(defined) < len(TEXTS)
    assert len(set(defined)) == len(defined)  # params tells every written cell apart: each is a network of its own
    expected = sum(np.log(rankdata([m[text] for text in defined]) / len(defined)) for m in members)
    np.testing.assert_allclose([found[text] for text in defined], expected, atol=1e-12)
    assert {text for text in TEXTS if not np.isfinite(found[text])} == set(TEXTS) - set(defined)


def test_a_network_without_one_score_says_which(table: ScoreTable) -> None:
    rows = [row for row in table if row.proxy == AGGREGATES[0] and row.status is not Status.OK]
    assert {row.status for row in rows} == {Status.UNDEFINED}
    assert all(row.detail.startswith("epsinas is undefined: ") and row.value is None for row in rows)


def test_equal_networks_count_once_and_repeated_architectures_not_at_all(cells: dict[str, str]) -> None:
    # The two first are one network under width-1 weights and as trained; live_params and depth cannot tell them apart.
    archs = [cells["skip"], cells["dead_conv"], cells["conv"], cells["full"], cells["conv"], cells["conv"]]
    found = scored("mean_rank(live_params,depth)", archs)
    values = [row.value for row in found]
    assert values == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1.0, 2 / 3, 2 / 3])
    assert found.protocol["aggregates"]["mean_rank(live_params,depth)"]["pool"]["networks"] == 3


def test_a_member_whose_paper_says_lower_is_turned_round(
    register_proxy: Callable[..., Proxy], register: Callable[..., Any]
) -> None:
    from untrained.graphs import cost

    def lightness(network: Any, batch: Any) -> float:
        """Minus the parameters."""
        return -float(cost.n_params(network.graph))

    register(PROXIES, "lightness", replace(register_proxy(lightness), higher_is_better=False))
    one, other = scored("rank(params,depth)"), scored("rank(lightness,depth)")
    assert [row.value for row in one] == [row.value for row in other]
    assert one.higher_is_better == {"params": True, "depth": True, "rank(params,depth)": True}


def test_seconds_are_those_of_the_members(table: ScoreTable) -> None:
    by = {(SPACE.format(row.arch), row.proxy): row.seconds for row in table}
    for text in TEXTS[:5]:
        assert by[text, AGGREGATES[0]] == pytest.approx(sum(by[text, name] for name in MEMBERS))


def test_members_are_computed_once_even_if_asked_for_twice() -> None:
    wanted = plan(SPACE, "rank(params,depth),borda(params,depth),params", archs=ARCHS, batch="ones", batch_size=2)
    assert [bound.text for bound in wanted.proxies] == ["params", "depth"]
    assert wanted.protocol["proxies"].keys() == {"params", "depth"}


def test_the_protocol_says_what_was_ranked_among(table: ScoreTable) -> None:
    about = table.protocol["aggregates"][AGGREGATES[3]]
    assert about["method"] == "vote"
    assert about["members"] == MEMBERS
    assert about["pool"]["source"] == "the architectures asked for"
    assert about["pool"]["networks"] == int(np.isfinite(list(column(table, AGGREGATES[3]).values())).sum())
    again = scored(AGGREGATES[3], ARCHS[::-1]).protocol["aggregates"][AGGREGATES[3]]
    assert again == about  # whatever the order
    fewer = scored(AGGREGATES[3], ARCHS[:-20]).protocol["aggregates"][AGGREGATES[3]]["pool"]
    assert fewer["digest"] != about["pool"]["digest"]
    json.loads(table.json())


# Run folders and pools -----------------------------------------------------------------------------------------------


def test_a_run_folder_keeps_member_scores_and_gives_the_aggregate_back(tmp_path: Path, table: ScoreTable) -> None:
    out = tmp_path / "run"
    scored(AGGREGATES[0], out=out)
    assert set(read_parts(out)["proxy"]) == set(MEMBERS)
    assert read_run(out)["protocol"]["proxies"].keys() == set(MEMBERS)
    back = load_scores(out)
    expected = column(table, AGGREGATES[0])
    np.testing.assert_allclose(back.values[AGGREGATES[0]], [expected[text] for text in back.arch], atol=1e-12)
    assert back.higher_is_better[AGGREGATES[0]]
    again = scored(AGGREGATES[0], out=out)
    assert again.n_computed == 0


def test_a_run_folder_and_a_table_correlate_equally(tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = scored("rank(params,depth)", out=out)
    truth = Truth("drawn", "nasbench201", tuple(TEXTS), np.random.default_rng(1).normal(size=80), "acc", "", True)
    from_table, from_run = correlate(found, truth), correlate(out, truth)
    assert from_table.agreements["rank(params,depth)"] == from_run.agreements["rank(params,depth)"]
    (tmp_path / "scores.csv").write_text(found.csv())
    from_csv = correlate(tmp_path / "scores.csv", truth)
    assert from_csv.agreements["rank(params,depth)"].kendall == from_run.agreements["rank(params,depth)"].kendall


@pytest.mark.parametrize("text", AGGREGATES)
def test_a_new_network_is_placed_among_a_pool_as_if_it_had_been_there(
    text: str, table: ScoreTable, tmp_path: Path
) -> None:
    alone = column(table, "epsinas")
    defined = next(arch for arch in ARCHS if np.isfinite(alone[SPACE.format(arch)]))
    others = [arch for arch in ARCHS if arch != defined]
    other_pool = tmp_path / "others"
    scored(text, others, out=other_pool)
    placed = scored(text, [defined], pool=other_pool)
    whole = column(table, text)
    assert next(iter(placed)).value == pytest.approx(whole[SPACE.format(defined)], abs=1e-12)
    # and on its own, whatever else is asked for at the same time
    together = column(scored(text, [defined, *ARCHS[:9]], pool=other_pool), text)
    assert together[SPACE.format(defined)] == next(iter(placed)).value
    assert placed.protocol["aggregates"][text]["pool"]["source"] == str(other_pool)


def test_a_run_that_used_a_pool_is_read_back_with_it(tmp_path: Path) -> None:
    pool, out = tmp_path / "pool", tmp_path / "run"
    scored("params,depth", ARCHS[20:], out=pool)
    found = scored("rank(params,depth)", ARCHS[:20], pool=pool, out=out)
    assert load_scores(out).values["rank(params,depth)"].tolist() == [row.value for row in found]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"batch": "uniform_01"}, "batch"), ({"batch_size": 4}, "batch")],
)
def test_a_pool_of_another_protocol_is_refused_naming_the_field(tmp_path: Path, change: Any, field: str) -> None:
    scored("epsinas,params", ARCHS[:10], out=tmp_path / "pool")
    with pytest.raises(RunConflictError, match=f"pool holds scores with {field} .*Choose another pool"):
        scored("rank(epsinas,params)", ARCHS[10:12], pool=tmp_path / "pool", **change)


def test_a_pool_without_a_member_is_refused(tmp_path: Path) -> None:
    scored("params", ARCHS[:10], out=tmp_path / "pool")
    with pytest.raises(RunConflictError, match="pool holds no scores of depth"):
        scored("rank(params,depth)", ARCHS[10:12], pool=tmp_path / "pool")
    scored("depth", ARCHS[:10], out=tmp_path / "pool")
    assert scored("rank(params,depth)", ARCHS[10:12], pool=tmp_path / "pool").n_computed == 4


def test_a_pool_without_need_or_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="a pool is for aggregates"):
        scored("params", ARCHS[:2], pool=tmp_path)
    with pytest.raises(RunConflictError, match="is no run folder"):
        scored("rank(params,depth)", ARCHS[:2], pool=tmp_path / "nothing")


def test_one_network_alone_has_no_rank(cells: dict[str, str]) -> None:
    for row in scored(",".join(f"{m}(params,depth)" for m in ("rank", "borda", "mean_rank", "vote")), [cells["full"]]):
        assert (row.value, row.status) == (None, Status.UNDEFINED)
        assert row.detail.startswith("there is no other network")


# Texts ---------------------------------------------------------------------------------------------------------------


def test_texts_are_canonical_and_parameters_are_kept() -> None:
    (asked,) = parse_asked(" vote( epsinas(low=1e-4, high = 1),params ) ")
    assert asked.text == "vote(epsinas(low=0.0001),params)"
    assert parse_asked(asked.text) == [asked]
    assert asked.scope is Scope.CODE


def test_published_constants_of_a_space_reach_the_members() -> None:
    (asked,) = parse_asked("rank(epsinas,params)", SPACES["nasbench101"].published)
    (alone,) = parse_asked("epsinas", SPACES["nasbench101"].published)
    assert asked.text == f"rank({alone.text},params)"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("rank", BadInputError, r"rank needs at least two proxies, as in rank\(epsinas,params\), got 'rank'"),
        ("rank()", BadInputError, "at least two proxies"),
        ("borda(params)", BadInputError, "borda needs at least two"),
        ("rank(params,params)", BadInputError, "proxy params is given twice"),
        ("rank(params,flops),rank( params , flops )", BadInputError, r"rank\(params,flops\) is given twice"),
        ("rank(params,vote(flops,depth))", BadInputError, "vote is an aggregate itself"),
        ("rank(params,flop)", UnknownNameError, "unknown proxy 'flop'. Did you mean 'flops'"),
        ("rank(params,flops", BadInputError, "cannot read proxy"),
        ("", BadInputError, "no proxy given"),
        (" , ", BadInputError, "no proxy given"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_asked(text)


def test_named_aggregates_need_their_parts(
    register_proxy: Callable[..., Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(aggregate.NAMED, "two_parts", NAMED["te_nas"]._replace(members="params,third_part"))
    assert "two_parts" not in available()
    with pytest.raises(UnknownNameError, match="two_parts needs the proxies third_part, which this installation"):
        parse_asked("two_parts")

    def third_part(network: Any, batch: Any) -> float:
        """Nodes."""
        return float(len(network.live.nodes))

    register_proxy(third_part, scope=Scope.KEY)
    assert available()[-1] == "two_parts"
    with pytest.raises(BadInputError, match="two_parts has no parameters"):
        parse_asked("two_parts(params)")
    named, written = scored("two_parts"), scored("mean_rank(params,third_part)")
    assert [row.value for row in named] == [row.value for row in written]
    assert named.proxies == ["two_parts"]


def test_papers_aggregates_say_which_method_and_parts() -> None:
    assert NAMED["az_nas"].method == "rank"
    assert len(NAMED["az_nas"].members.split(",")) == 4
    assert (NAMED["te_nas"].method, NAMED["te_nas"].members) == ("mean_rank", "te_nas_ntk,te_nas_regions")
