import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import UntrainedError
from untrained.evolve.choose import Candidate, choose, tau_error
from untrained.evolve.draws import Draws
from untrained.evolve.presets import OBJECTIVES
from untrained.evolve.selection import (
    Individual,
    best,
    crowding,
    distinct,
    front,
    hypervolume,
    migrate,
    nsga2,
    objectives,
    tournament,
)
from untrained.evolve.worlds import Evaluation
from untrained.programs.program import Program
from untrained.programs.tree import call, terminal
from untrained.stats import kendall_tau_b
from untrained.types import Status


def individual(
    name: str, fitness: float, size: int = 1, ms: float = 1.0, partial: float = 0.5, island: int = 0
) -> Individual:
    tree = terminal(name)
    for _ in range(size - 1):
        tree = call("neg", tree)
    status = Status.OK if fitness > -1 else Status.UNDEFINED
    evaluation = Evaluation(status, "", (fitness,), (partial,), ms, 100)
    return Individual(Program(tree, "network"), name, evaluation, "first", 0, island)


populations = st.lists(
    st.tuples(st.integers(-9, 9), st.integers(1, 6), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40
).map(lambda rows: [individual(f"x{i}", f / 10, size, ms, p / 3) for i, (f, size, ms, p) in enumerate(rows)])


def dominates(a, b):
    return bool((a <= b).all() and (a < b).any())


@given(populations, st.integers(1, 50))
@settings(deadline=None, max_examples=50)
def test_nsga2_agrees_with_the_definition(population, n):
    kept = nsga2(population, n, OBJECTIVES)
    assert len(kept) == min(n, len(population))
    points = {one.key: objectives([one], OBJECTIVES)[0] for one in population}
    ranks, left = {}, list(points)
    while left:
        first = [key for key in left if not any(dominates(points[other], points[key]) for other in left)]
        ranks.update(dict.fromkeys(first, len(set(ranks.values()))))
        left = [key for key in left if key not in first]
    kept_ranks = [ranks[one.key] for one in kept]
    assert kept_ranks == sorted(kept_ranks)
    rest = [ranks[one.key] for one in population if one not in kept]
    assert not rest or max(kept_ranks) <= min(rest)
    shuffled = nsga2(population[::-1], n, OBJECTIVES)
    assert [one.key for one in shuffled] == [one.key for one in kept]


def test_nsga2_keeps_the_ends_and_the_uncrowded():
    points = [(0.9, 6, 0), (0.1, 1, 0), (0.5, 3, 0), (0.51, 4, 0), (0.52, 5, 0)]
    kept = nsga2([individual(f"x{i}", f, size) for i, (f, size, _) in enumerate(points)], 4, ("fitness", "size"))
    assert {one.key for one in kept} == {"x0", "x1", "x4", "x2"}


def test_crowding_by_hand():
    points = np.array([[0.0, 10], [2, 6], [3, 5], [10, 0]])
    np.testing.assert_allclose(crowding(points), [np.inf, 0.3 + 0.5, 0.8 + 0.6, np.inf])
    assert crowding(np.array([[1.0, 1], [1, 1], [1, 1]])).tolist() == [np.inf, 0, np.inf]


def test_size_partial_is_to_be_large_and_all_else_small():
    a = individual("a", 0.5, 2, ms=3.0, partial=0.25)
    np.testing.assert_allclose(objectives([a], OBJECTIVES), [[-0.5, 2, 3, -0.25]])
    beyond, size = individual("beyond", 0.5, partial=0.4), individual("size", 0.5, partial=0.0)
    assert [one.key for one in front([beyond, size], 9, OBJECTIVES)] == ["beyond"]


@given(populations)
@settings(deadline=None, max_examples=50)
def test_the_front_is_what_nothing_dominates(population):
    kept = front(population, len(population), OBJECTIVES)
    points = objectives(population, OBJECTIVES)
    nondominated = {
        one.key for one, point in zip(population, points, strict=True) if not any(dominates(p, point) for p in points)
    }
    assert {one.key for one in kept} == nondominated
    assert len(front(population, 3, OBJECTIVES)) == min(3, len(nondominated))


def test_programs_without_a_value_are_never_in_the_front():
    assert front([individual("a", -1.0)], 5, OBJECTIVES) == []
    assert hypervolume([individual("a", -1.0)], 10) == 0.0


def test_the_hypervolume_of_boxes():
    a, b = individual("a", 0.5, 5, partial=1.0), individual("b", 0.0, 1, partial=1.0)
    assert hypervolume([a], 10) == pytest.approx(1.5 / 2 * 0.5)
    assert hypervolume([a, b], 10) == pytest.approx((1.5 * 0.5 + 1.0 * 0.4) / 2)


@given(populations, st.integers(1, 6), st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_tournaments_without_parsimony_take_the_best_then_the_smallest(population, size, seed):
    winner = tournament(Draws(seed), population, size, 0.0)
    draws = Draws(seed)
    drawn = [draws.choice(population) for _ in range(size)]
    assert winner in drawn
    assert winner.fitness == max(one.fitness for one in drawn)
    assert winner.size == min(one.size for one in drawn if one.fitness == winner.fitness)


def test_within_the_tolerance_the_smaller_wins():
    large, small, bad = individual("l", 0.6, 9), individual("s", 0.595, 2), individual("b", 0.5, 1)
    winners = {tournament(Draws(seed), [large, small, bad], 30, 0.01).key for seed in range(20)}
    assert winners == {"s"}
    assert {tournament(Draws(seed), [large, small, bad], 30, 0.0).key for seed in range(20)} == {"l"}


def test_distinct_keeps_the_smallest_of_what_ranks_alike():
    a, b, c = individual("a", 0.5, 3), individual("b", 0.5, 2), individual("c", 0.5, 4, partial=0.1)
    assert [one.key for one in distinct([a, b, c])] == ["b", "c"]


def test_migration_goes_round_and_keeps_sizes():
    islands = [[individual(f"{i}{j}", (i + j) / 10, island=i) for j in range(4)] for i in range(3)]
    moved = migrate(islands, 2)
    assert [len(island) for island in moved] == [4, 4, 4]
    for i in range(3):
        keys = {one.key for one in moved[i]}
        assert keys == {f"{(i - 1) % 3}3", f"{(i - 1) % 3}2", f"{i}3", f"{i}2"}
    again = migrate([moved[0], moved[0]], 2)
    assert all(len({one.key for one in island}) == 4 for island in again)
    assert migrate([islands[0]], 2) == [best(islands[0], 4)]


def candidate(name: str, size: int, fitness: float, n: int = 100) -> Candidate:
    one = individual(name, fitness, size)
    validation = Evaluation(one.evaluation.status, "why", (fitness,), (0.0,), 1.0, n)
    return Candidate(one.program, "first", 0, one.evaluation, validation)


def test_the_champion_is_the_smallest_near_the_best():
    best_one, near, far = candidate("a", 9, 0.75), candidate("b", 3, 0.73), candidate("c", 1, 0.70)
    assert choose([far, near, best_one], 1.0) is near
    assert choose([far, near, best_one], 0.0) is best_one
    assert choose([far, near, best_one], 2.0) is far
    assert choose([candidate("z", 3, 0.73), near], 1.0) is near
    with pytest.raises(UntrainedError, match=r"none of 1 programs .*\(why\)"):
        choose([candidate("a", 1, -1.0)], 1.0)


def test_candidates_come_back_from_json():
    one = candidate("a", 3, 0.75)
    assert Candidate.from_json(one.as_json()) == one


@pytest.mark.parametrize("tau", [0.0, 0.5, 0.75])
def test_the_standard_error_is_the_spread_over_samples(tau):
    rng, rho, n = np.random.default_rng(0), math.sin(math.pi * tau / 2), 60
    x, z = rng.normal(size=(2, 2000, n))
    y = rho * x + math.sqrt(1 - rho * rho) * z
    first, second = np.triu_indices(n, 1)
    taus = [np.mean(np.sign((a[first] - a[second]) * (b[first] - b[second]))) for a, b in zip(x, y, strict=True)]
    assert taus[0] == pytest.approx(kendall_tau_b(x[0], y[0]))
    assert np.std(taus) == pytest.approx(tau_error(tau, n), rel=0.06)
    assert tau_error(tau, 1) == math.inf
