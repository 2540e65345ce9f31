import dataclasses
import json
import math
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import BadInputError, UnknownNameError
from untrained.evolve.evolver import Evolver
from untrained.evolve.presets import PRESETS, Settings, preset
from untrained.evolve.worlds import WORST, Evaluation
from untrained.programs.program import Program, parse_program
from untrained.programs.simplify import simplify
from untrained.types import Status

from .formulas import SIGNATURE, Formulas, small
from .test_vary import LAYERS


def luck(program: Program) -> Evaluation:
    """What any world might say: a function of the text."""
    number = zlib.crc32(program.text.encode()) / 2**32
    if number < 0.05:
        return Evaluation(Status.UNDEFINED, "no value", (), (), 1.0, 9)
    return Evaluation(Status.OK, "", (2 * number - 1,), (number**2,), float(program.tree.size), 9)


def run(evolver: Evolver, generations: int = 10**9) -> list[str]:
    texts = []
    while not evolver.done and generations:
        texts += [one.text for one in evolver.tell([luck(program) for program in evolver.ask()])]
        generations -= 1
    return texts


CASES = {
    "width1": (small(population=40, generations=6), SIGNATURE),
    "default": (preset("default", population=30, generations=6, islands=3, migrate_every=2), LAYERS),
    "eznas": (preset("eznas", population=20, generations=6, max_size=60, initial_max_depth=4), LAYERS),
    "best": (preset("default", population=20, generations=6, survivors="best", parents="uniform"), SIGNATURE),
    "random": (small(population=40, generations=4, search="random"), SIGNATURE),
}


@pytest.mark.parametrize("case", CASES)
@given(seed=st.integers(0, 1000))
@settings(max_examples=3, deadline=None)
def test_nothing_is_asked_twice(case, seed):
    options, signature = CASES[case]
    texts = run(Evolver(options, signature, seed))
    simple = [(parse_program(text).over, simplify(parse_program(text).tree).text) for text in texts]
    assert len(set(simple)) == len(simple) > options.population


@pytest.mark.parametrize("case", CASES)
def test_restored_it_goes_on_as_if_nothing_had_been(case):
    options, signature = CASES[case]
    whole = Evolver(options, signature, 3)
    straight = run(whole)
    texts, evolver = [], Evolver(options, signature, 3)
    while not evolver.done:
        texts += run(evolver, 1)
        state = json.loads(json.dumps(evolver.state()))
        evolver = Evolver(options, signature, 3)
        evolver.restore(state)
        assert json.loads(json.dumps(evolver.state())) == state
    assert texts == straight
    assert [one.text for one in evolver.hall] == [one.text for one in whole.hall]
    assert run(Evolver(options, signature, 4)) != straight


def test_known_children_keep_their_evaluations():
    few = small(population=30, generations=8, constant=0.0, max_depth=1, initial_max_depth=1)
    tiny = dataclasses.replace(
        SIGNATURE, operators={"add": SIGNATURE.operators["add"], "neg": SIGNATURE.operators["neg"]}
    )
    evolver = Evolver(few, tiny, 0)
    texts = run(evolver)
    # all there is: 5 columns, their negatives, and 15 sums
    assert len(texts) == len(set(texts)) == 25
    assert evolver.done
    for one in (one for island in evolver.populations for one in island):
        assert one.evaluation == luck(one.program)


def test_the_negative_of_a_program_that_ranks_backwards_is_proposed():
    evolver = Evolver(small(population=20, generations=3, racing=0.0), SIGNATURE, 0)
    first = evolver.ask()
    backwards = Evaluation(Status.OK, "", (-0.9,), (0.1,), 1.0, 9)
    poor = Evaluation(Status.OK, "", (0.1,), (0.1,), 1.0, 9)
    evolver.tell([backwards, *[poor] * (len(first) - 1)])
    negative = evolver.variation.negative(first[0])
    simple = {simplify(program.tree).text for program in evolver.ask()}
    assert simplify(negative.tree).text in simple
    told = evolver.tell([luck(program) for program in evolver.ask()])
    assert [one.origin for one in told].count("negative") == 1


def test_programs_made_elsewhere_join_the_island_of_their_parent():
    options = small(population=20, generations=3, islands=2)
    evolver = Evolver(options, SIGNATURE, 0)
    asked = evolver.ask()
    given_now = parse_program("mul(flops, add(jacob, 0.123))")
    too_large = Program(parse_program("abs(" * 50 + "flops" + ")" * 50).tree, "network")
    assert evolver.unknown([given_now, given_now, asked[3], too_large, parse_program("add(1, 2)")]) == [given_now]
    good = Evaluation(Status.OK, "", (0.999,), (0.5,), 1.0, 9)
    evolver.add(given_now, good, "tuned", asked[-1])
    assert evolver.unknown([given_now]) == []
    told = evolver.tell([luck(program) for program in asked])
    assert (told[-1].program, told[-1].origin, told[-1].island) == (given_now, "tuned", 1)
    assert evolver.hall[0].program == given_now
    assert given_now in [one.program for one in evolver.populations[1]]
    assert evolver.unknown([given_now]) == []


def test_asking_again_changes_nothing_and_telling_needs_an_ask():
    evolver = Evolver(small(population=20, generations=3), SIGNATURE, 0)
    with pytest.raises(BadInputError, match="nothing was asked, but 1"):
        evolver.tell([WORTHLESS])
    asked = evolver.ask()
    assert evolver.ask() == asked
    with pytest.raises(BadInputError, match="20 programs was asked, but 1"):
        evolver.tell([WORTHLESS])
    with pytest.raises(BadInputError, match="not told of"):
        evolver.state()
    with pytest.raises(BadInputError, match="finite numbers"):
        evolver.tell([dataclasses.replace(WORTHLESS, status=Status.OK, taus=(math.nan,))] * 20)
    with pytest.raises(BadInputError, match="needs a tau"):
        evolver.tell([dataclasses.replace(WORTHLESS, status=Status.OK)] * 20)
    evolver.tell([WORTHLESS] * 20)
    assert evolver.hall[0].fitness == WORST
    assert evolver.front == []
    with pytest.raises(BadInputError, match="the state has 4 islands, expected 2"):
        Evolver(small(population=20, islands=2), SIGNATURE, 0).restore(evolver.state())


WORTHLESS = Evaluation(Status.FAILED, "broken", (), (), 0.0, 0)


def test_the_floor_follows_the_population():
    options = small(population=40, generations=3, racing=0.25)
    evolver = Evolver(options, SIGNATURE, 0)
    assert evolver.floor == WORST
    run(evolver, 1)
    fitness = sorted([one.fitness for island in evolver.populations for one in island])
    below = sum(value < evolver.floor for value in fitness) / len(fitness)
    assert 0.15 <= below <= 0.25
    assert Evolver(dataclasses.replace(options, racing=0.0), SIGNATURE, 0).floor == WORST


def test_it_stops_after_so_many_evaluations():
    options = small(population=40, generations=30, max_evaluations=101)
    assert len(run(Evolver(options, SIGNATURE, 0))) == 101


def test_selection_works():
    """After some generations the population agrees with a formula better than the first did."""
    world = Formulas("sub(mul(jacob, jacob), tanh(norm))")
    evolver = Evolver(small(population=100, generations=12, islands=2), SIGNATURE, 0)
    medians, best = [], []
    while not evolver.done:
        evolver.tell(world.evaluate(evolver.ask(), "discovery"))
        fitness = sorted([one.fitness for island in evolver.populations for one in island])
        medians.append(fitness[len(fitness) // 2])
        best.append(evolver.hall[0].fitness)
    assert medians[-1] > medians[0] + 0.2
    assert best[-1] > best[0] + 0.1
    assert best == sorted(best)
    assert [one.fitness for one in evolver.hall] == sorted([one.fitness for one in evolver.hall], reverse=True)
    assert len({one.fingerprint for one in evolver.hall}) == len(evolver.hall) <= evolver.settings.hall


@pytest.mark.parametrize("name", PRESETS)
def test_presets_come_back_from_json(name):
    assert Settings.from_json(json.loads(json.dumps(PRESETS[name].as_json()))) == PRESETS[name]


def test_presets_of_the_paper_and_its_program():
    paper, program = preset("eznas"), preset("eznas_program")
    assert (paper.population, paper.generations, paper.crossover, paper.mutation) == (50, 15, 0.4, 0.4)
    assert (paper.tournament, paper.initial_min_depth, paper.max_depth) == (4, 2, 10)
    assert (program.population, program.generations, program.crossover, program.mutation) == (200, 100, 0.5, 0.5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"survivors": "all"}, "survivors must be one of"),
        ({"population": 1}, "population must be a whole number from 2"),
        ({"population": 50.0}, "population must be a whole number from 2"),
        ({"parsimony": -0.1}, "parsimony must be from 0.0 on"),
        ({"parsimony": math.nan}, "parsimony must be from 0.0 on"),
        ({"leaf": 1.5}, "leaf must lie between 0 and 1"),
        ({"crossover": 0.6, "mutation": 0.6}, "0.6 \\+ 0.6 > 1"),
        ({"initial_max_depth": 30}, "depths must not decrease"),
        ({"islands": 200}, "200 islands need a population of 400"),
        ({"mutations": {"point": 1.0, "explode": 1.0}}, "mutations must be some of"),
        ({"mutations": {"point": 0.0}}, "nor all 0"),
        ({"objectives": ("size", "size")}, "objectives must be some of"),
    ],
)
def test_bad_settings(overrides, message):
    with pytest.raises(BadInputError, match=message):
        preset("default", **overrides)


def test_unknown_presets_and_settings():
    with pytest.raises(UnknownNameError, match="Did you mean 'eznas'"):
        preset("eznaz")
    with pytest.raises(UnknownNameError, match="Did you mean 'population'"):
        preset("default", populaton=3)
