import collections
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import BadInputError
from untrained.evolve.draws import Draws
from untrained.evolve.presets import MUTATIONS, preset
from untrained.evolve.vary import Signature, Variation
from untrained.programs.kinds import kind_of
from untrained.programs.operators import operator_set
from untrained.programs.program import LAYER_TERMINALS, OVERS, WEIGHT_TERMINALS, Program, parse_program
from untrained.programs.tree import Kind, Tree

from .formulas import SIGNATURE as SCALARS

LAYERS = Signature("layers", operator_set("all"), LAYER_TERMINALS, tuple([over for over in OVERS if over != "network"]))
MIXED = Signature(
    "mixed", operator_set("all"), {"image": Kind.VECTOR, "number": Kind.SCALAR, "map": Kind.MATRIX}, ("network",)
)
WORLDS = {"scalars": SCALARS, "layers": LAYERS, "mixed": MIXED}
LIMITS = preset("default", initial_max_depth=5, max_depth=7, max_size=25)
VARIATIONS = {name: Variation(signature, LIMITS) for name, signature in WORLDS.items()}

worlds = st.sampled_from(list(WORLDS))
seeds = st.integers(0, 10**9)


def check(name: str, program: Program) -> None:
    """Types, limits and names hold, and the text says the same program."""
    signature = WORLDS[name]
    terminals = signature.terminals
    if program.over.startswith("weights"):
        terminals = {each: kind for each, kind in terminals.items() if each in WEIGHT_TERMINALS}
    kind = kind_of(program.tree, signature.operators, terminals)  # raises where a kind does not fit
    assert kind is Kind.SCALAR or program.over != "network"
    assert program.over in signature.overs
    assert program.tree.depth <= LIMITS.max_depth
    assert program.tree.size <= LIMITS.max_size
    assert parse_program(program.text, terminals=terminals, operators=signature.operators) == program


@given(worlds, seeds)
@settings(max_examples=150, deadline=None)
def test_whatever_is_made_fits(name, seed):
    variation, draws = VARIATIONS[name], Draws(seed)
    a, b = variation.first(draws), variation.first(draws)
    check(name, a)
    for mutation in MUTATIONS:
        child = variation.mutate(mutation, draws, a)
        if child is not None:
            check(name, child)
            assert child != a
    child = variation.crossed(draws, a, b)
    if child is not None:
        check(name, child)
        parts = {*a.tree.walk(), *b.tree.walk()}
        assert parts & set(child.tree.walk())
        assert set(child.tree.terminals()) <= {*a.tree.terminals(), *b.tree.terminals()}


@given(worlds, seeds)
@settings(max_examples=60, deadline=None)
def test_the_same_draws_make_the_same(name, seed):
    made = []
    for _ in range(2):
        draws, variation = Draws(seed), Variation(WORLDS[name], LIMITS)
        a, b = variation.first(draws), variation.first(draws)
        made.append((a, b, variation.crossed(draws, a, b), variation.mutated(draws, a)))
    assert made[0] == made[1]


@given(worlds, seeds)
@settings(max_examples=80, deadline=None)
def test_hoist_and_shrink_make_smaller(name, seed):
    variation, draws = VARIATIONS[name], Draws(seed)
    program = variation.first(draws)
    for mutation in ("hoist", "shrink"):
        child = variation.mutate(mutation, draws, program)
        # a scaled leaf is the only leaf with parts, and there are none here
        assert child is None or child.tree.size < program.tree.size


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_point_keeps_the_shape_and_constants_keep_all_else(seed):
    variation, draws = VARIATIONS["scalars"], Draws(seed)
    program = variation.first(draws)
    child = variation.mutate("point", draws, program)
    if child is not None:
        assert child.tree.size == program.tree.size
        differ = [a.head != b.head for a, b in zip(program.tree.walk(), child.tree.walk(), strict=True)]
        assert sum(differ) == 1
    child = variation.mutate("constants", draws, program)
    if child is None:
        assert not any(part.is_constant for part in program.tree.walk())
    else:
        pairs = [(a, b) for a, b in zip(program.tree.walk(), child.tree.walk(), strict=True) if a.head != b.head]
        assert len(pairs) == 1
        assert pairs[0][0].is_constant
        assert pairs[0][1].is_constant


def test_over_changes_only_to_where_the_terminals_are():
    variation, draws = VARIATIONS["layers"], Draws(0)
    only_layers = parse_program("layers_mean(mean(act_noise))")
    both = parse_program("layers_mean(mean(weight))")
    found = {variation.mutate("over", draws, only_layers).over for _ in range(60)}
    assert found == {"layers_sum", "layers_log_sum", "layers_last"}
    found = {variation.mutate("over", draws, both).over for _ in range(100)}
    assert found == set(LAYERS.overs) - {"layers_mean"}
    assert VARIATIONS["scalars"].mutate("over", draws, parse_program("flops")) is None


def test_the_first_programs_are_ramped_half_and_half():
    options = preset("default", initial_min_depth=2, initial_max_depth=4, max_depth=4, max_size=200, constant=0.0)
    signature = Signature(
        "binary", {name: SCALARS.operators[name] for name in ("add", "mul")}, SCALARS.terminals, ("network",)
    )
    variation, draws = Variation(signature, options), Draws(1)
    trees = [variation.first(draws).tree for _ in range(3000)]
    full = collections.Counter(tree.depth for tree in trees if tree.size == 2 ** (tree.depth + 1) - 1)
    assert {tree.depth for tree in trees} == {2, 3, 4}
    for depth in (3, 4):  # a sixth is full of each depth; that few that grow are, too
        assert 0.14 < full[depth] / len(trees) < 0.2
    grown = [tree for tree in trees if tree.size < 2 ** (tree.depth + 1) - 1]
    assert len(grown) > 800
    assert min(_shallowest(tree) for tree in trees) == 2


def _shallowest(tree: Tree) -> int:
    return 1 + min(map(_shallowest, tree.args)) if tree.args else 0


def test_all_operators_terminals_and_overs_are_reached():
    for name, signature in WORLDS.items():
        variation, draws = VARIATIONS[name], Draws(5)
        programs = [variation.first(draws) for _ in range(4000)]
        heads = {str(part.head) for program in programs for part in program.tree.walk()}
        possible = set(signature.operators)
        if name == "scalars":
            assert possible <= heads
        else:
            assert len(possible - heads) <= 2, possible - heads
        assert set(signature.terminals) <= heads
        assert {program.over for program in programs} == set(signature.overs)


def test_numbers_follow_their_law():
    for law, low, high in (("normal", 0.0, 5.0), ("log_uniform", 1e-3, 1e3)):
        options = preset("width1", constants=law, constant=1.0, scaled_leaf=0.0)
        variation = Variation(SCALARS, options)
        grammar = variation._by_over["network"]
        draws = Draws(3)
        numbers = [float(grammar.leaf(draws, 1).head) for _ in range(2000)]
        assert all(low <= abs(number) <= high for number in numbers)
        assert 0.45 < sum(number > 0 for number in numbers) / len(numbers) < 0.55
        median = sorted(map(abs, numbers))[1000]
        assert abs(median - {"normal": 0.6745, "log_uniform": 1.0}[law]) < 0.25
        assert all(float(f"{number:.4g}") == number for number in numbers)


def test_scaled_leaves_have_mean_and_spread():
    scales = {"flops": (1e9, 2e8), "noise": (0.5, 0.0)}
    options = preset("width1", scaled_leaf=1.0, constant=0.0, initial_min_depth=0, initial_max_depth=0)
    variation, draws = Variation(SCALARS, options, scales), Draws(0)
    texts = {variation.first(draws).text for _ in range(300)}
    scaled = [text for text in texts if "flops" in text]
    assert scaled
    for text in scaled:
        tree = parse_program(text).tree
        assert tree.head == "mul"
        assert tree.args[1].text == "sub(flops, 1000000000.0)"
        assert 1e-13 < abs(float(tree.args[0].head)) < 5 / 2e8
    assert "norm" in texts  # of unknown scale
    no_sub = Signature("s", {"mul": SCALARS.operators["mul"]}, SCALARS.terminals, ("network",))
    with pytest.raises(BadInputError, match="there is no sub"):
        Variation(no_sub, options, scales)


def test_negatives():
    variation = VARIATIONS["scalars"]
    program = parse_program("mul(flops, jacob)")
    negative = variation.negative(program)
    assert negative.text == "neg(mul(flops, jacob))"
    assert variation.negative(negative) == program
    eznas = Variation(Signature("layers", operator_set("eznas"), LAYER_TERMINALS, ("layers_mean",)), preset("eznas"))
    assert eznas.negative(parse_program("mean(weight)")) is None


def test_impossible_worlds_are_refused():
    with pytest.raises(BadInputError, match="no program can be made"):
        Variation(Signature("s", SCALARS.operators, {}, ("network",)), LIMITS)
    only_numbers = Signature("s", {"neg": SCALARS.operators["neg"]}, {"x": Kind.TENSOR}, ("network",))
    with pytest.raises(BadInputError, match="no tree of depth"):
        Variation(only_numbers, LIMITS).first(Draws(0))
    with pytest.raises(BadInputError, match="no program can be made"):
        Variation(only_numbers, preset("default", constant=0.0))
    with pytest.raises(BadInputError, match="'exp' is an operator"):
        Variation(Signature("s", SCALARS.operators, {"exp": Kind.SCALAR}, ("network",)), LIMITS)
    deep = preset("default", initial_min_depth=9, initial_max_depth=9, max_depth=9, max_size=5)
    with pytest.raises(BadInputError, match="no tree of depth 9 to 9"):
        Variation(Signature("s", {"add": SCALARS.operators["add"]}, SCALARS.terminals, ("network",)), deep).first(
            Draws(0)
        )


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_draws(seed):
    draws, again = Draws(seed), Draws(seed)
    assert [draws.below(7) for _ in range(5000)] == [again.below(7) for _ in range(5000)]
    counts = collections.Counter(draws.weighted([1.0, 1.0, 4.0]) for _ in range(2000))
    assert counts[1] == 0
    assert 0.19 < counts[0] / 2000 < 0.31
    numbers = [draws.normal() for _ in range(4000)]
    assert abs(sum(numbers) / 4000) < 0.08
    assert abs(math.sqrt(sum(number**2 for number in numbers) / 4000) - 1) < 0.06
