"""Searchers do what their papers say; checked from outside, by what they ask for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.plain import SPACE, convs, half_scored, number
from untrained.errors import BadInputError, UnknownNameError
from untrained.search import SEARCHERS, ExhaustedError, parse_searcher
from untrained.search.ageing_evolution import AgeingEvolution
from untrained.search.base import Problem, Search, Told
from untrained.search.nsga2 import Nsga2, crowding, hypervolume, pareto_ranks, ranking
from untrained.spaces import FiniteSpace
from untrained.spaces.natsbench_sss import SPACE as SIZES
from untrained.types import Arch

SCORES = half_scored().values


def scorer(archs):
    return np.array([SCORES[arch] for arch in archs])


def started(text, seed=0, budget=300, space=SPACE, score=scorer):
    return parse_searcher(text).start(space, np.random.default_rng(seed), budget, score)


def play(search: Search, n: int, value=convs) -> list[Arch]:
    asked = []
    for _ in range(n):
        arch = search.ask()
        search.tell(arch, value(arch))
        asked.append(arch)
    return asked


# --- text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("random_search", "random_search"),
        (" ageing_evolution( pool=64 , move=TRUE) ", "ageing_evolution(move=true)"),
        ("ageing_evolution(warmup=3e3,unique=key)", "ageing_evolution(warmup=3000,unique=key)"),
        ("nsga2(population=10)", "nsga2(population=10)"),
    ],
)
def test_text_and_back(text, written):
    bound = parse_searcher(text)
    assert bound.text == written
    assert parse_searcher(written) == bound


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ageing_evolution(pool=", "cannot read searcher"),
        ("ageing_evolution(pool)", "cannot read parameter 'pool'"),
        ("ageing_evolution(pool=2,pool=3)", "given twice"),
        ("ageing_evolution(pools=2)", "no parameter 'pools'. Parameters and defaults: pool=64, tournament=10"),
        ("ageing_evolution(pool=2.5)", "pool is a whole number"),
        ("ageing_evolution(pool=nan)", "pool is a whole number"),
        ("ageing_evolution(move=1)", "move is true or false"),
        ("ageing_evolution(unique=3)", "unique is a word"),
        ("ageing_evolution(unique=maybe)", "unique must be one of no, code, key"),
        ("ageing_evolution(pool=0)", "pool must be at least 1"),
        ("ageing_evolution(pool=4)", "tournament must be at most pool"),
        ("random_search(warmup=-1)", "warmup must be at least 0"),
        ("nsga2(population=1)", "population must be at least 2"),
        ("ageing_evolution(pool=__import__('os'))", "pool is a whole number"),
        ("os.system('true')", "cannot read searcher"),
    ],
)
def test_bad_text_is_refused_in_one_line(text, message):
    with pytest.raises(BadInputError) as caught:
        parse_searcher(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_searcher_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'ageing_evolution'"):
        parse_searcher("aging_evolution")


def test_no_scorer_no_warmup():
    with pytest.raises(BadInputError, match="reads scores: name a proxy"):
        parse_searcher("random_search(warmup=5)").start(SPACE, np.random.default_rng(0), 5)


# --- warm-up


@given(st.integers(1, 80), st.integers(0, 10_000), st.sampled_from(["no", "code", "key"]))
def test_a_warmup_comes_in_order_of_score_and_undefined_last(k, seed, unique):
    drawn: list[Arch] = []

    def noting(archs):
        drawn.extend(archs)
        return scorer(archs)

    search = started(f"random_search(warmup={k},unique={unique})", seed, score=noting)
    first = search.ask()
    assert len(drawn) == k
    keys = SPACE.unique(drawn)
    n = {"no": k, "code": len(set(drawn)), "key": len(keys)}[unique]
    asked = [first, *[search.ask() for _ in range(n - 1)]]
    assert set(asked) <= set(drawn)
    got = [-np.inf if np.isnan(SCORES[arch]) else SCORES[arch] for arch in asked]
    assert got == sorted(got, reverse=True)
    if unique == "code":
        assert set(asked) == set(drawn)
    assert len(drawn) == k, "nothing is scored that no search needs"


@given(st.integers(0, 10_000))
def test_the_first_pool_is_the_best_of_k_scored(seed):
    drawn: list[Arch] = []

    def noting(archs):
        drawn.extend(archs)
        return scorer(archs)

    search = started("ageing_evolution(pool=12,tournament=3,warmup=50)", seed, score=noting)
    pool = play(search, 12)
    worst = [np.nan_to_num(SCORES[arch], nan=-1.0) for arch in drawn]
    assert sorted([np.nan_to_num(SCORES[arch], nan=-1.0) for arch in pool]) == sorted(worst)[-12:]


# --- ageing evolution


@given(st.integers(2, 20), st.integers(1, 20), st.integers(0, 10_000))
def test_the_pool_keeps_its_size_and_the_oldest_dies(pool, tournament, seed):
    search = started(f"ageing_evolution(pool={pool},tournament={min(pool, tournament)})", seed)
    assert isinstance(search, AgeingEvolution)
    asked = play(search, pool)
    assert [member.arch for member in search.pool] == asked
    for _ in range(2 * pool):
        asked += play(search, 1)
        assert [member.arch for member in search.pool] == asked[-pool:]


def distance(a: Arch, b: Arch) -> int:
    return sum(x != y for x, y in zip(a.code, b.code, strict=True))


@given(st.integers(0, 10_000))
def test_a_tournament_of_all_picks_the_best_and_of_equals_the_youngest(seed):
    search = started("ageing_evolution(pool=8,tournament=8)", seed)
    assert isinstance(search, AgeingEvolution)
    play(search, 8, lambda arch: round(convs(arch)))
    best = max(member.values[0] for member in search.pool)
    youngest = [member.arch for member in search.pool if member.values[0] == best][-1]
    assert search.parent() == youngest
    assert distance(search.ask(), youngest) == 1


@given(st.integers(0, 10_000))
def test_move_picks_the_best_scored_and_never_an_undefined_one_if_avoidable(seed):
    search = started("ageing_evolution(pool=8,tournament=8,move=true)", seed)
    assert isinstance(search, AgeingEvolution)
    play(search, 8)
    defined = [member.arch for member in search.pool if not np.isnan(SCORES[member.arch])]
    if defined:
        assert search.parent() == max(defined, key=SCORES.__getitem__)


@given(st.integers(0, 10_000), st.integers(1, 7))
def test_what_failed_is_no_parent_if_avoidable(seed, failing):
    search = started("ageing_evolution(pool=8,tournament=8)", seed)
    assert isinstance(search, AgeingEvolution)
    asked = play(search, 8, lambda arch: 0.5)
    for arch in asked[:failing]:  # they come again, and take the places of the oldest
        search.tell(arch, np.nan)
    parent = search.parent()
    assert any(member.arch == parent and member.values[0] == 0.5 for member in search.pool)


def test_missed_constraints_rank_behind_failures_and_by_how_much():
    search = started("ageing_evolution(pool=3,tournament=3)")
    assert isinstance(search, AgeingEvolution)
    a, b, c = SPACE[5], SPACE[50], SPACE[500]
    search.tell(a, 100.0, violation=0.5)
    search.tell(b, 1.0, violation=0.1)
    assert search.parent() == b
    search.tell(c, np.nan)
    assert search.parent() == c


def test_tournaments_draw_without_replacement_and_all_alike():
    """With a tournament of 2 of 3 members the best wins 2/3 of the time, the second 1/3, the worst never."""
    search = started("ageing_evolution(pool=3,tournament=2)")
    assert isinstance(search, AgeingEvolution)
    for i, arch in enumerate((SPACE[1], SPACE[2], SPACE[3])):
        search.tell(arch, float(i))
    wins = [search.parent() for _ in range(3000)]
    assert wins.count(SPACE[1]) == 0
    assert abs(wins.count(SPACE[3]) / 3000 - 2 / 3) < 0.04


def test_the_paper_lets_architectures_come_again_and_unique_does_not():
    repeated = play(started("ageing_evolution(pool=5,tournament=5)"), 200)
    assert len(set(repeated)) < 200
    assert len(set(play(started("ageing_evolution(pool=5,tournament=5,unique=code)"), 200))) == 200
    keys = [SPACE.canonical(arch) for arch in play(started("ageing_evolution(pool=5,tournament=5,unique=key)"), 200)]
    assert len(set(keys)) == 200


# --- exhaustion, other spaces


class Few(FiniteSpace):
    """The first cells of NAS-Bench-201."""

    name = "few"
    version = 1
    title = cite = "a test"
    task = SPACE.task

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Arch:
        return SPACE[i]

    def index(self, arch: Arch) -> int:
        return SPACE.index(arch)

    def mutate(self, arch, rng):
        return SPACE[int(rng.integers(self.n))]

    graph, cell, format, parse = SPACE.graph, SPACE.cell, SPACE.format, SPACE.parse


@pytest.mark.parametrize("name", sorted(SEARCHERS))
def test_a_space_is_searched_to_its_end_and_then_says_so(name):
    size = {"nsga2": "population", "ageing_evolution": "pool"}.get(name)
    text = f"{name}({f'{size}=10,' if size else ''}unique=code)"
    search = started(text, space=Few(23))
    assert {SPACE.index(arch) for arch in play(search, 23)} == set(range(23))
    with pytest.raises(ExhaustedError, match="few has no architecture left"):
        search.ask()


def test_a_warmup_larger_than_the_space_scores_all_of_it_once():
    calls = []
    search = started(
        "random_search(warmup=1000,unique=code)",
        space=Few(9),
        score=lambda archs: (calls.append(archs), np.zeros(len(archs)))[1],
    )
    assert len(play(search, 9)) == 9
    assert [len(call) for call in calls] == [9]


def test_random_search_draws_uniformly():
    counts = np.zeros(5)
    for seed in range(2000):
        counts[SPACE.index(started("random_search(unique=code)", seed, space=Few(5)).ask())] += 1
    assert abs(counts / 2000 - 0.2).max() < 0.04


def test_a_scorer_of_another_shape_is_refused():
    search = started("random_search(warmup=3)", score=lambda archs: np.zeros((len(archs), 2)))
    with pytest.raises(BadInputError, match=r"shape \(3, 2\) for 3"):
        search.ask()


# --- local search


@given(st.integers(0, 10_000))
def test_local_search_climbs_and_restarts_when_patience_ends(seed):
    search = started("local_search(patience=5,unique=code)", seed)
    top, failed = None, 0
    for _ in range(120):
        arch = search.ask()
        if top is not None and failed < 5:
            assert distance(arch, top) == 1, "a mutant of the top"
        else:
            top = None
        search.tell(arch, convs(arch))
        if top is None or convs(arch) > convs(top):
            top, failed = arch, 0
        else:
            failed += 1


def test_every_searcher_that_learns_beats_random_search():
    def best(text):
        return np.mean([max(map(convs, play(started(text, seed), 150))) for seed in range(8)])

    random = best("random_search")
    for name in ("ageing_evolution(pool=20,tournament=5)", "local_search", "nsga2(population=20)"):
        assert best(name) > random + 0.5


# --- NSGA-II


def dominates(a, b):
    return bool((a >= b).all() and (a > b).any())


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 3))
def test_ranks_are_those_of_peeling_fronts(seed, n, k):
    points = np.random.default_rng(seed).integers(0, 4, (n, k)).astype(float)
    left, rank = set(range(n)), 0
    expected = np.zeros(n, int)
    while left:
        front = {i for i in left if not any(dominates(points[j], points[i]) for j in left)}
        expected[list(front)] = rank
        left -= front
        rank += 1
    assert pareto_ranks(points).tolist() == expected.tolist()


@given(st.integers(0, 10_000))
def test_hypervolume_is_the_share_of_random_points_below(seed):
    rng = np.random.default_rng(seed)
    points = rng.random((6, 2))
    probes = rng.random((20_000, 2))
    below = (probes[:, None] <= points[None]).all(axis=2).any(axis=1).mean()
    assert abs(hypervolume(points, np.zeros(2)) - below) < 0.02


def test_what_lies_below_the_reference_has_no_volume():
    assert hypervolume(np.array([[-1.0, 5.0]]), np.zeros(2)) == 0.0


@given(st.integers(0, 10_000))
def test_ranking_puts_feasible_and_defined_first(seed):
    rng = np.random.default_rng(seed)
    members = [
        Told(
            SPACE[i],
            (float(rng.random()), np.nan if rng.random() < 0.3 else float(rng.random())),
            max(0.0, float(rng.normal())),
        )
        for i in range(20)
    ]
    order = ranking(members)
    assert sorted(order) == list(range(20))
    kinds = [
        (one.violation > 0, bool(np.isnan(one.values).any()) and one.violation == 0)
        for one in (members[i] for i in order)
    ]
    assert kinds == sorted(kinds)
    missed = [members[i].violation for i in order if members[i].violation > 0]
    assert missed == sorted(missed)


def test_crowding_keeps_the_ends():
    points = np.array([[0.0, 10], [1, 9], [1.1, 8.9], [5, 5], [10, 0]])
    distances = crowding(points)
    np.testing.assert_allclose(distances, [np.inf, 0.22, 0.8, 1.78, np.inf])


def test_nsga2_finds_the_front_of_a_small_space_and_beats_random():
    """Convolutions against their number: the front of all 625 cells with two edges fixed, by brute force."""
    space = Few(625)

    def values(arch):
        return convs(arch), -float(sum(op in (2, 3) for op in arch.code))

    every = np.array([values(arch) for arch in space])
    front = {SPACE.index(space[i]) for i in np.flatnonzero(pareto_ranks(every) == 0)}
    hits = {"nsga2(population=20,unique=code)": 0, "random_search(unique=code)": 0}
    for text in hits:
        for seed in range(5):
            search = started(text, seed, space=Near(625))
            asked = play(search, 250, values)
            hits[text] += len(front & {SPACE.index(arch) for arch in asked})
    assert hits["nsga2(population=20,unique=code)"] > 1.5 * hits["random_search(unique=code)"]


class Near(Few):
    """With mutants one edge away."""

    def mutate(self, arch, rng):
        while True:
            mutant = SPACE.mutate(arch, rng)
            if SPACE.index(mutant) < self.n:
                return mutant


def test_nsga2_keeps_what_brute_force_keeps():
    search = Nsga2(Problem(SPACE, np.random.default_rng(0), 300, None), population=15)
    told: list[tuple[Arch, tuple[float, float]]] = []
    members: set[Arch] = set()
    for _ in range(20):
        children = []
        for _ in range(15):
            arch = search.ask()
            children.append(arch)
            search.tell(arch, (number(arch, "a"), number(arch, "b")))
        told = [(arch, (number(arch, "a"), number(arch, "b"))) for arch in [*members, *children]]
        points = np.array([values for _, values in told])
        members = {member.arch for member in search.population}
        assert len(members) == 15
        kept = [arch in members for arch, _ in told]
        for i, (arch, _) in enumerate(told):
            for j in range(len(told)):
                if kept[j] and not kept[i]:
                    assert not dominates(points[i], points[j]), f"{arch} is better than one that lives"


def test_spaces_of_sizes_too():
    assert (
        len(
            set(
                play(
                    started("ageing_evolution(pool=5,tournament=2)", space=SIZES, score=None),
                    30,
                    lambda arch: float(sum(arch.code)),
                )
            )
        )
        > 5
    )
