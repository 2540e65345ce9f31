"""Rounds: the same whatever the number of processes, stored, replayed, refused where they are others'."""

import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from search.plain import SPACE, convs, half_scored, number, truth
from untrained.engine.folder import write_json
from untrained.errors import BadInputError, DataMissingError, RunConflictError, UnknownNameError
from untrained.graphs import cost
from untrained.search import parse_searcher
from untrained.search.curves import best_so_far, by_round, of_best_so_far, summary, volume_so_far
from untrained.search.latency import Latency, parse_latency
from untrained.search.objectives import Called, Constraint, Count, Known, Memo, parse_constraint
from untrained.search.own_function import own_objective
from untrained.search.rounds import EVALUATIONS, Job
from untrained.search.run import read_evaluations, read_search, run
from untrained.search.scored import Proxied
from untrained.types import Outcome, Scope

WARM = parse_searcher("ageing_evolution(pool=10,tournament=4,warmup=40,move=true)")


def job(**other):
    asked = {
        "space": SPACE,
        "searcher": WARM,
        "objectives": (truth(),),
        "budget": 30,
        "rounds": 4,
        "scorer": half_scored(),
    }
    return Job(**{**asked, **other})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "evaluations").iterdir()}


def test_nothing_depends_on_processes_or_storing(tmp_path):
    one = run(job(), workers=1).evaluations
    assert one.equals(run(job(), workers=2, out=tmp_path / "a").evaluations)
    assert one.equals(read_evaluations(tmp_path / "a"))
    assert dict(one.schema) == EVALUATIONS
    assert one.group_by("round").len()["len"].to_list() == [30] * 4
    assert not one.equals(run(job(seed=1), workers=1).evaluations)
    assert one["value"].to_list() == [convs(SPACE.parse(text)) for text in one["arch"]]


def test_more_rounds_do_not_change_the_first():
    few = run(job(rounds=1), workers=1).evaluations
    assert few.equals(run(job(rounds=3), workers=1).evaluations.filter(pl.col("round") == 0))


def test_called_again_it_evaluates_nothing(tmp_path):
    calls = []
    asked = job(
        searcher=parse_searcher("random_search"),
        scorer=None,
        rounds=2,
        objectives=(Called("f", lambda arch: calls.append(arch) or convs(arch)),),
    )
    first = run(asked, out=tmp_path / "a").evaluations
    n = len(calls)
    assert n == len({SPACE.canonical(arch) for arch in calls}), "no network is evaluated twice, in no round"
    assert first.equals(run(asked, out=tmp_path / "a").evaluations)
    assert len(calls) == n
    assert len(contents(tmp_path / "a")) == 60, "each evaluation is stored by itself"
    assert first["seconds"].is_not_null().sum() == n


KILLED = """
import os, signal, sys
from pathlib import Path
from search.plain import SPACE, convs
from untrained.search import parse_searcher
from untrained.search.objectives import Called
from untrained.search.rounds import Job
from untrained.search.run import run
left = int(sys.argv[2])
def train(arch):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return convs(arch)
job = Job(SPACE, parse_searcher(sys.argv[3]), (Called("train", train),), 25, 2, 3)
run(job, out=Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    "text",
    [
        "ageing_evolution(pool=8,tournament=3)",
        pytest.param("local_search", marks=pytest.mark.slow),
        pytest.param("nsga2(population=8)", marks=pytest.mark.slow),
    ],
)
def test_killed_it_goes_on_and_ends_in_the_same(tmp_path, python, text):
    root = Path(__file__).parents[2]
    environment = {"PYTHONPATH": f"{root / 'tests'}:{root / 'src'}"}
    for n in (11, 20):
        python(KILLED, tmp_path / "a", n, text, env=environment, expect=-signal.SIGKILL)
    calls = []
    wanted = Job(
        SPACE, parse_searcher(text), (Called("train", lambda arch: calls.append(arch) or convs(arch)),), 25, 2, 3
    )
    resumed = run(wanted, out=tmp_path / "a").evaluations
    n_resumed = len(calls)
    whole = run(wanted, out=tmp_path / "b").evaluations
    assert len(calls) - n_resumed == n_resumed + 31, "nothing that was stored is evaluated again"
    assert resumed.drop("seconds").equals(whole.drop("seconds"))
    assert set(contents(tmp_path / "a")) == set(contents(tmp_path / "b"))


def test_looked_up_rounds_end_in_the_same_bytes(tmp_path):
    run(job(), out=tmp_path / "a", workers=1)
    run(job(), out=tmp_path / "b", workers=1)
    (tmp_path / "b/evaluations/part-000031.parquet").unlink()
    run(job(), out=tmp_path / "b", workers=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_failures_are_kept_with_their_reason_and_count_as_worst(tmp_path):
    def train(arch):
        if number(arch) < 0.3:
            raise ValueError("loss is\nnan")
        return "high" if number(arch) < 0.4 else np.inf if number(arch) < 0.5 else convs(arch)

    wanted = job(
        searcher=parse_searcher("ageing_evolution(pool=5,tournament=5)"),
        scorer=None,
        rounds=1,
        objectives=(Called("train", train),),
    )
    found = run(wanted, out=tmp_path / "a").evaluations
    reasons = {(s[0], d[0]) for s, d in found.select("statuses", "details").iter_rows()}
    assert reasons == {
        ("ok", ""), ("failed", "ValueError: loss is nan"), ("failed", "returned 'high', which is no number"),
        ("nonfinite", "returned inf"),
    }  # fmt: skip
    assert found.filter(pl.col("statuses").list.first() != "ok")["value"].is_null().all()


def test_an_interrupt_is_no_failure():
    def stop(arch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job(searcher=parse_searcher("random_search"), scorer=None, objectives=(Called("stop", stop),)))


# --- constraints, several objectives


def test_missed_constraints_are_not_evaluated_and_rank_behind():
    calls = []
    small = parse_constraint("params <= 4e5", lambda text: Count(text, SPACE))
    wanted = job(
        searcher=parse_searcher("nsga2(population=10)"), scorer=None, rounds=1, budget=150, constraints=(small,),
        objectives=(Called("f", lambda arch: calls.append(arch) or convs(arch)), Count("flops", SPACE)),
    )  # fmt: skip
    found = run(wanted).evaluations
    sizes = [cost.n_params(SPACE.graph(SPACE.parse(text))) for text in found["arch"]]
    assert found["costs"].list.first().to_list() == sizes
    missed = found["violation"].to_numpy()
    assert np.allclose(missed, np.maximum(0, np.array(sizes) - 4e5) / 4e5)
    assert found["value"].is_null().to_list() == (missed > 0).tolist()
    assert all(cost.n_params(SPACE.graph(arch)) <= 4e5 for arch in calls)
    assert (missed[:10] > 0).mean() > (missed[-50:] > 0).mean(), "it learns where the constraint holds"
    assert found["values"].list.len().unique().to_list() == [2]


@pytest.mark.parametrize(
    ("text", "written"),
    [("params<=1e6", "params<=1e+06"), (" flops >= 5 ", "flops>=5"), ("live_params<=1", "live_params<=1")],
)
def test_constraints_are_read(text, written):
    assert parse_constraint(text, lambda name: Count(name, SPACE)).text == written


@pytest.mark.parametrize("text", ["params", "params<1e6", "params<=", "params<=x", "params<=inf", "<=5"])
def test_other_constraints_are_refused(text):
    with pytest.raises(BadInputError, match="cannot read constraint"):
        parse_constraint(text, lambda name: Known(name, {}))


def test_a_limit_without_a_number_is_missed():
    assert Constraint(Known("x", {}), True, 1.0).violation(Outcome(None)) == np.inf
    assert Constraint(Known("x", {}), False, 4.0).violation(Outcome(3.0)) == 0.25


# --- what cannot be


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectives": ()}, "name what is searched for"),
        ({"objectives": (truth(), truth())}, "each objective once"),
        (
            {"objectives": (truth(), truth("b"))},
            "ageing_evolution has one objective, got truth, b. nsga2 takes several",
        ),
        ({"scorer": None}, "reads scores: name a proxy"),
        ({"searcher": parse_searcher("random_search")}, "reads no scores: leave out the proxy"),
        ({"budget": 0}, "budget must be at least 1"),
        ({"rounds": 0}, "rounds must be at least 1"),
    ],
)
def test_jobs_that_make_no_sense_are_refused(change, message):
    with pytest.raises(BadInputError, match=message):
        job(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "with seed 0, not 1"),
        ({"budget": 31}, "with budget 30, not 31"),
        ({"searcher": parse_searcher("ageing_evolution(pool=11,tournament=4,warmup=40)")}, "with searcher"),
        ({"objectives": (Known("truth", {SPACE[0]: 1.0}),)}, "with objectives"),
        ({"scorer": half_scored("other")}, "with scorer"),
    ],
)
def test_folders_of_other_searches_are_refused(tmp_path, change, message):
    run(job(rounds=1), out=tmp_path / "a", workers=1)
    with pytest.raises(RunConflictError, match=message):
        run(job(**{"rounds": 1, **change}), out=tmp_path / "a", workers=1)


def test_foreign_and_broken_folders_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/notes.txt").write_text("mine")
    with pytest.raises(RunConflictError, match="is no search folder"):
        run(job(), out=tmp_path / "a")
    run(job(rounds=1), out=tmp_path / "b", workers=1)
    path = tmp_path / "b/search.json"
    whole = read_search(tmp_path / "b")
    write_json(path, {**whole, "format": 99})
    with pytest.raises(RunConflictError, match="is not of format 1"):
        run(job(rounds=1), out=tmp_path / "b")
    path.write_text("{")
    with pytest.raises(RunConflictError, match="cannot be read"):
        run(job(rounds=1), out=tmp_path / "b")
    write_json(path, whole)
    part = tmp_path / "b/evaluations/part-000001.parquet"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(RunConflictError, match="Delete it to have it computed again"):
        run(job(rounds=1), out=tmp_path / "b", workers=1)
    part.unlink()
    assert run(job(rounds=1), out=tmp_path / "b", workers=1).evaluations.height == 30


def test_rows_that_this_search_would_not_ask_for_are_refused(tmp_path):
    run(job(rounds=1), out=tmp_path / "a", workers=1)
    path = tmp_path / "a/evaluations/part-000001.parquet"
    frame = pl.read_parquet(path).head(20)
    frame.with_columns(pl.lit(SPACE.format(SPACE[7])).alias("arch")).write_parquet(path)
    with pytest.raises(RunConflictError, match="step 0 of round 0 is stored as"):
        run(job(rounds=1), out=tmp_path / "a", workers=1)


# --- quantities


def test_a_memo_measures_each_network_once():
    calls = []
    memo = Memo(Called("f", lambda arch: calls.append(arch) or 1.0, scope=Scope.KEY), SPACE)
    twins = [SPACE.parse(f"|none~0|+|none~0|{op}~1|+|skip_connect~0|none~1|none~2|") for op in ("none", "skip_connect")]
    assert [one.value for one in memo.outcomes([*twins, *twins])] == [1.0] * 4
    assert len(calls) == 1


def test_proxies_are_those_of_the_engine(tmp_path, cells):
    from untrained import score

    archs = [SPACE.parse(text) for text in cells.values()]
    quantity = Proxied(SPACE, "epsinas", batch_size=8, workers=1, out=tmp_path / "scores")
    expected = [one.value for one in score("nasbench201", "epsinas", archs=archs, batch_size=8, workers=1)]
    assert [one.value for one in quantity.measure_all(archs)] == expected
    assert None in expected
    assert np.isnan(Memo(quantity, SPACE).values(archs)).tolist() == [value is None for value in expected]
    assert (
        quantity.measure(archs[0]).status
        == next(iter(score("nasbench201", "epsinas", archs=archs[:1], batch_size=8))).status
    )


def test_lower_is_better_is_turned_round(cells):
    quantity = Proxied(SPACE, "linearity_gap", batch_size=8)
    assert not quantity.higher_is_better
    arch = SPACE.parse(cells["full"])
    value = quantity.measure(arch).value
    assert value is not None
    assert Memo(quantity, SPACE).values([arch]).tolist() == [-value]


@pytest.mark.parametrize(
    ("text", "message"), [("rank(epsinas,params)", "--scores RUN"), ("epsinas,params", "expected one proxy")]
)
def test_proxies_that_are_no_score_of_one_network_are_refused(text, message):
    with pytest.raises(BadInputError, match=message):
        Proxied(SPACE, text, batch_size=4)


def test_counts_are_of_the_network_as_written_or_of_its_live_part(cells):
    arch = SPACE.parse(cells["dead_conv"])
    written, live = (Count(text, SPACE).measure(arch).value for text in ("params", "live_params"))
    assert written is not None
    assert live is not None
    assert written > live == Count("params", SPACE).measure(SPACE.parse(cells["skip"])).value


def test_latency_is_measured_and_larger_networks_take_longer(cells):
    quantity = parse_latency("latency_ms(repeats=5,warm_up=1)", SPACE)
    assert isinstance(quantity, Latency)
    assert quantity.text == "latency_ms(repeats=5,warm_up=1)"
    times = [quantity.measure(SPACE.parse(cells[name])).value for name in ("skip", "full")]
    assert None not in times
    assert 0 < times[0] < times[1]


def test_latency_is_measured_once_for_a_network_and_stored(tmp_path, cells):
    wanted = job(
        searcher=parse_searcher("random_search"),
        scorer=None,
        objectives=(parse_latency("latency_ms(repeats=1,warm_up=0)", SPACE),),
        budget=3,
        rounds=1,
    )
    first = run(wanted, out=tmp_path / "a").evaluations
    assert run(wanted, out=tmp_path / "a").evaluations.equals(first)
    assert first["seconds"].is_not_null().all()


@pytest.mark.parametrize(
    "text", ["latency_ms(batch=0)", "latency_ms(batch=1.5)", "latency_ms(size=3)", "latency_ms(batch)"]
)
def test_other_latencies_are_refused(text):
    with pytest.raises(BadInputError, match="latency_ms"):
        parse_latency(text, SPACE)
    assert parse_latency("latency", SPACE) is None


# --- the user's function

MINE = "def train(text):\n    return float(text.count('conv'))\nnumber = 3\n"


def test_a_function_of_a_file_or_a_module_is_called_with_the_text(tmp_path, monkeypatch):
    (tmp_path / "own_training.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    for place in ("own_training.py:train", f"{tmp_path}/own_training.py:train", "own_training:train"):
        assert own_objective(place, SPACE).measure(SPACE[15_000]).value == SPACE.format(SPACE[15_000]).count("conv")


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("train", BadInputError, "Write file.py:function"),
        ("gone.py:train", DataMissingError, "gone.py not found"),
        ("no_such_module_here:train", BadInputError, "there is no module"),
        ("mine_0.py:trains", UnknownNameError, "Did you mean 'train'"),
        ("mine_0.py:number", BadInputError, "is int, expected a function"),
        ("broken_0.py:train", BadInputError, "importing broken_0.py fails: SyntaxError"),
        ("raises_0:train", BadInputError, "importing raises_0 fails: RuntimeError: no"),
    ],
)
def test_other_functions_are_refused(tmp_path, monkeypatch, place, error, message):
    (tmp_path / "mine_0.py").write_text(MINE)
    (tmp_path / "broken_0.py").write_text("def")
    (tmp_path / "raises_0.py").write_text("raise RuntimeError('no')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        own_objective(place, SPACE)


# --- curves


def test_curves_by_hand():
    frame = pl.DataFrame({"round": [0, 0, 0, 1, 1], "step": [0, 1, 2, 0, 1]})
    values = by_round(frame, np.array([np.nan, 2.0, 1.0, 5.0, 7.0]), 2, 3)
    best = best_so_far(values)
    np.testing.assert_array_equal(best, [[np.nan, 2, 2], [5, 7, 7]])
    judge = by_round(frame, np.array([9.0, 1.0, 8.0, 4.0, np.nan]), 2, 3)
    np.testing.assert_array_equal(of_best_so_far(values, judge), [[np.nan, 1, 1], [4, np.nan, np.nan]])
    table = summary({"best": best})
    assert table["n"].to_list() == [1, 2, 2]
    assert table["median"].to_list() == [5.0, 4.5, 4.5]
    assert table["q25"].to_list() == [5.0, 3.25, 3.25]
    assert table["mean"].to_list() == [5.0, 4.5, 4.5]


def test_nothing_found_has_no_statistics():
    table = summary({"best": np.full((2, 3), np.nan)})
    assert table["n"].to_list() == [0, 0, 0]
    assert table["median"].is_null().all()


def test_volumes_grow_by_what_is_new():
    points = np.array([[[1.0, 1.0], [0.5, 0.5], [np.nan, 9.0], [2.0, 0.5], [3.0, 3.0]]])
    assert volume_so_far(points, np.zeros(2)).tolist() == [[1.0, 1.0, 1.0, 1.5, 9.0]]
