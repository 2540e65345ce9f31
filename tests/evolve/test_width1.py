import csv
import gzip

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from untrained.engine.bank import bank
from untrained.errors import BadInputError
from untrained.evolve.draws import Draws
from untrained.evolve.width1 import Measured, Width1World
from untrained.evolve.width1_terms import Terms, drawn_terms, target_of
from untrained.evolve.worlds import Labelled
from untrained.programs import column_fit_kernels, column_kernels
from untrained.programs.column_fit import fit_tree
from untrained.programs.columns import compile_trees
from untrained.programs.operators import OPERATORS
from untrained.programs.program import Program, parse_program
from untrained.programs.tree import call, constant, terminal
from untrained.spaces import SPACES
from untrained.stats import kendall_tau_b, partial_kendall
from untrained.types import Status

A, B = terminal("a"), terminal("b")


def drawn(n: int = 60, seed: int = 0, space: str = "one", **more: np.ndarray) -> Measured:
    """Made-up columns; labels follow exp of one less the square of another, with noise."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(3, n))
    labels = np.exp(0.8 * a) - 0.5 * (b - 1) ** 2 + 0.1 * rng.normal(size=n)
    params = np.round(a * 2 + rng.normal(size=n))
    labelled = Labelled(space, tuple(f"{space}{i}" for i in range(n)), labels, params)
    return Measured(labelled, {"a": a, "b": b, "c": c, "flat": np.ones(n), **more})


def programs(*texts: str) -> list[Program]:
    return [parse_program(text) for text in texts]


@pytest.fixture(scope="module")
def world() -> Width1World:
    return Width1World([drawn()], [drawn(40, 1)])


def test_terminals_are_defined_and_vary_in_every_space():
    holes = np.ones(60)
    holes[3] = np.nan
    one = drawn(holes=holes, mine=np.arange(60.0))
    two = drawn(30, 2, "two", holes=np.arange(30.0), b=np.zeros(30))
    assert list(Width1World([one], [one]).terminals) == ["a", "b", "c", "mine"]
    assert list(Width1World([one, two], [one, two]).terminals) == ["a", "c"]


def test_evaluations_are_kendalls_taus_and_partials(world):
    one, texts = drawn(), ["a", "mul(a, b)", "maximum(exp(a), square(b))", "log(sub(b, 0.5))", "greater(a, c)"]
    values = [
        one.columns["a"],
        one.columns["a"] * one.columns["b"],
        np.maximum(np.exp(one.columns["a"]), one.columns["b"] ** 2),
        np.log(np.where(one.columns["b"] > 0.5, one.columns["b"] - 0.5, 1)),
        (one.columns["a"] > one.columns["c"]).astype(float),
    ]
    before = world.n_evaluated
    found = world.evaluate(programs(*texts), "discovery")
    assert world.n_evaluated == before + 5
    for evaluation, value in zip(found, values, strict=True):
        assert evaluation.status is Status.OK
        assert evaluation.taus == (kendall_tau_b(value, one.labelled.labels),)
        expected = abs(partial_kendall(value, one.labelled.labels, [one.labelled.params]).value)
        assert evaluation.size_partials == (pytest.approx(expected, abs=1e-12),)
        assert evaluation.n_used == 60
    costs = [0.0, *[sum(OPERATORS[name].cost((), ()) for name in few) for few in (("mul",),)]]
    assert [e.milliseconds for e in found[:2]] == pytest.approx([cost * 1e-6 for cost in costs])


def test_undefined_values_rank_last_and_no_order_is_no_value(world):
    one = drawn()
    holed, nothing, flat = world.evaluate(programs("exp(mul(a, 1e3))", "mul(a, inf_)".replace("inf_", "0.0"),
                                                   "reciprocal(sub(a, a))"), "discovery")  # fmt: skip
    with np.errstate(over="ignore"):
        expected = np.exp(one.columns["a"] * 1e3)
    expected[~np.isfinite(expected)] = -1.0
    assert holed.taus == (kendall_tau_b(expected, one.labelled.labels),)
    for evaluation in (nothing, flat):
        assert evaluation.status is Status.UNDEFINED
        assert evaluation.fitness == -1
        assert "the same for all networks of one (discovery)" in evaluation.reason


def test_nothing_depends_on_workers_or_company():
    parts = [drawn(), drawn(45, 3, "two")]
    texts = ["a", "mul(a, b)", "tanh(c)", "reciprocal(sub(a, a))", "maximum(a, mul(b, c))", "sub(a, exp(b))"]
    one, many = Width1World(parts, parts), Width1World(parts, parts, workers=3)
    together = one.evaluate(programs(*texts), "discovery")
    plain = [repr(evaluation) for evaluation in together]
    assert [repr(e) for e in many.evaluate(programs(*texts), "discovery")] == plain
    assert [repr(e) for text in texts for e in one.evaluate(programs(text), "discovery")] == plain
    assert together[0].fitness == min(together[0].taus)
    assert len(together[0].taus) == 2
    assert one.tune(programs(*texts)) == many.tune(programs(*texts))
    assert one.tune(programs(*texts[::-1])) == one.tune(programs(*texts))[::-1]
    assert one.start(6, 0) == many.start(6, 0) != one.start(6, 1)


def test_tuning_improves_on_the_discovery_part_alone():
    spoilt = drawn(40, 1)
    spoilt.labelled.labels[:] = -spoilt.labelled.labels
    ours, other = (Width1World([drawn()], [validation], max_size=40) for validation in (drawn(40, 1), spoilt))
    before = programs("sub(exp(a), square(sub(b, 0.0)))", "c", "reciprocal(sub(a, a))", "add(tanh(mul(a, 3.0)), b)")
    after = ours.tune(before)
    assert other.tune(before) == after
    was, now = ([e.fitness for e in ours.evaluate(few, "discovery")] for few in (before, after))
    assert all(new >= old for new, old in zip(now, was, strict=True))
    assert now[0] > 0.85 > was[0]
    assert after[2] == before[2]
    assert all(program.tree.size <= 40 for program in after)


def test_programs_to_begin_with_are_small_sums_that_rank():
    world = Width1World([drawn()], [drawn(40, 1)], max_size=30)
    found = world.start(20, 0)
    assert len(found) == len(set(found)) > 10
    assert max(program.tree.size for program in found) <= 30
    assert np.median([e.fitness for e in world.evaluate(found, "validation")]) > 0.5


@pytest.mark.parametrize("name", sorted(column_kernels.OPCODES))
def test_the_fit_computes_what_the_machine_does_and_its_derivatives(name):
    operator, code = OPERATORS[name], column_kernels.OPCODES[name]
    tree = call(name, *[A, B][: operator.arity])
    rng = np.random.default_rng(4)
    points = np.vstack([rng.normal(size=(40, 2)), [[0.0, 0.0], [np.nan, 1.0], [-0.0, np.nan], [np.inf, -np.inf]]])
    machine = compile_trees([tree], {"a": 0, "b": 1}).evaluate(np.ascontiguousarray(points.T))[0]
    binary = operator.arity == 2
    codes = np.array([column_kernels.COLUMN] * operator.arity + [code])
    a, b = np.array([0, 1, 0])[-len(codes) :] if not binary else np.array([0, 1, 0]), np.array([-1, -1, 1])
    a, b = (a, b) if binary else (np.array([0, 0]), np.array([-1, -1]))
    constants, values, adjoints = np.zeros(len(codes)), np.zeros(len(codes)), np.zeros(len(codes))
    moves = np.ones(len(codes), bool)

    def at(point: np.ndarray) -> float:
        return column_fit_kernels.forward(codes, a, b, constants, point[:, None].copy(), 0, values)

    found = np.array([at(point) for point in points])
    np.testing.assert_array_equal(found, machine)
    for point in points[:40]:
        at(point)
        column_fit_kernels.backward(codes, a, b, moves, values, adjoints)
        slopes = adjoints[: operator.arity].copy()
        expected = approx_fprime(point[: operator.arity], lambda p: at(np.append(p, 0.0)[:2]), 1e-7)
        np.testing.assert_allclose(slopes, expected, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(expected).max())))


def test_a_fit_finds_the_constants_that_made_the_labels():
    rng = np.random.default_rng(5)
    columns = rng.normal(size=(2, 200))
    labels = np.tanh(2.5 * (columns[0] - 0.7)) - 0.6 * columns[1]
    begun = call("sub", call("tanh", call("mul", constant(1.0), call("sub", A, constant(0.0)))), B)
    target = target_of(labels)
    fitted = fit_tree(begun, {"a": 0, "b": 1}, columns, target, max_size=40, ridge=1e-6)
    values = compile_trees([begun, fitted], {"a": 0, "b": 1}).evaluate(columns)
    before, after = ([float(np.corrcoef(row, target)[0, 1])] for row in values)
    assert after[0] > 0.985 > 0.9 > before[0] or after[0] > before[0] + 0.02
    assert kendall_tau_b(values[1], labels) > kendall_tau_b(values[0], labels)


def test_the_terms_that_made_the_labels_are_found_among_many():
    columns = np.random.default_rng(6).normal(size=(3, 120))
    names = {"a": 0, "b": 1, "c": 2}
    noise = drawn_terms(Draws("test"), dict.fromkeys(names, (0.0, 1.0)), 300)
    made = [call("square", A), call("mul", A, B), terminal("c")]
    bad = [call("reciprocal", call("sub", A, A)), call("sub", B, B)]
    target = columns[0] ** 2 - 2 * columns[0] * columns[1] + 0.5 * columns[2]
    target = (target - target.mean()) / np.sqrt(((target - target.mean()) ** 2).sum())
    terms = Terms([*bad, *made, *noise], names, columns, target, np.array([0, 120]))
    assert not set(bad) & set(terms.trees)
    every = np.arange(len(terms))
    found = terms.extended(call("mul", constant(3.0), made[0]), every, n_terms=2, max_size=40)
    assert set(found.terminals()) == {"a", "b", "c"}
    values = compile_trees([found], names).evaluate(columns)[0]
    assert np.corrcoef(values, target)[0, 1] > 0.99
    small = terms.extended(found, every, n_terms=1, max_size=12)
    assert small.size <= 12
    assert terms.extended(bad[0], every, n_terms=1, max_size=40) is None


def test_two_spaces_are_centred_apart():
    rng = np.random.default_rng(7)
    x = np.concatenate([rng.normal(size=80), rng.normal(size=80) + 100])  # between spaces, x says nothing
    labels = np.concatenate([x[:80], x[80:] - 200])
    target = np.concatenate([target_of(labels[:80]), target_of(labels[80:])]) / np.sqrt(2)
    noise = rng.normal(size=160)
    tree = call("add", call("mul", constant(0.001), A), call("mul", constant(1.0), B))
    columns, starts = np.array([x, noise]), np.array([0, 80, 160])
    fitted = fit_tree(tree, {"a": 0, "b": 1}, columns, target, starts=starts, max_size=40)
    values = compile_trees([fitted], {"a": 0, "b": 1}).evaluate(columns)[0]
    assert kendall_tau_b(values[:80], labels[:80]) > 0.8 < kendall_tau_b(values[80:], labels[80:])


def test_real_networks_from_a_bank(shared):
    space = SPACES["nasbench201"]
    with gzip.open(shared("truth/nasbench201.csv.gz"), "rt", encoding="utf-8", newline="") as file:
        truth = {row["arch"]: float(row["c10_val_200ep"]) for row in csv.DictReader(file)}
    archs = [space.format(space.parse(arch)) for arch in sorted(truth)[5000:5060]]
    made = bank("nasbench201", archs, modes=["relu", "lin"], inputs=["normal"], batch_size=4, workers=1)
    keys = dict.fromkeys(made.key_of(arch) for arch in archs)
    first = {made.key_of(arch): arch for arch in reversed(archs)}
    chosen = [first[key] for key in keys if made.frame.filter(key=key)["status"][0] == "ok"]
    params = np.array([made.frame.filter(key=made.key_of(arch))["live_params"][0] for arch in chosen], float)
    labelled = Labelled("nasbench201", tuple(chosen), np.array([truth[arch] for arch in chosen]), params)
    measured = Measured.of(made, labelled)
    kernels = [name for name in measured.columns if name.startswith("live_conv") and name != "live_convs"]
    np.testing.assert_array_equal(measured.columns["live_convs"], sum(measured.columns[name] for name in kernels))
    np.testing.assert_array_equal(measured.columns["live_pools"], measured.columns["live_avg_pool"])
    world = Width1World([measured], [measured])
    assert {"eps_relu_lin__normal", "live_pools"} <= set(world.terminals)
    (worth,) = world.evaluate(programs("neg(eps_relu_lin__normal)"), "discovery")
    assert worth.taus[0] == kendall_tau_b(-measured.columns["eps_relu_lin__normal"], labelled.labels)
    assert worth.taus[0] > 0.3


def test_the_champion_is_the_mean_of_programs_fitted_to_both_parts():
    one, other = drawn(seed=1), drawn(seed=2)
    world = Width1World([one], [other])
    both = [np.concatenate([m.columns[name] for m in (one, other)]) for name in ("a", "b", "c")]
    columns = np.array(both)
    index = {"a": 0, "b": 1, "c": 2}

    def values(program):
        return compile_trees([program.tree], index).evaluate(columns)[0]

    members = programs("add(mul(7.0, a), b)", "sub(square(c), mul(2.0, b))")
    apart = [values(world.refit([member])) for member in members]
    expected = sum(value / value.std() for value in apart)
    found = values(world.refit(members))
    np.testing.assert_allclose(found - found.mean(), (expected - expected.mean()) / 2, atol=1e-9)
    assert world.refit(programs("reciprocal(sub(a, a))")) == programs("reciprocal(sub(a, a))")[0]


def test_what_is_not_of_this_world_is_refused(world):
    one = drawn()
    cases = [
        (lambda: Width1World([], []), "same spaces, got none"),
        (lambda: Width1World([one], [drawn(space="two")]), "same spaces, got one and two"),
        (lambda: Width1World([one], [Measured(one.labelled, {"a": one.columns["a"]})]), "b is not among"),
        (lambda: Width1World([Measured(one.labelled, {})], [one]), "none can be used"),
        (lambda: world.evaluate(programs("layers_sum(mean(weight))"), "discovery"), "is of layers"),
        (lambda: world.evaluate(programs("a"), "test"), "discovery or validation, got 'test'"),
        (lambda: world.evaluate(programs("flat"), "discovery"), "no column is called 'flat'"),
    ]
    for make, message in cases:
        with pytest.raises(BadInputError, match=message):
            make()
