"""Recipes: their text, their rules, chance and change."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import OutOfSpaceError
from untrained.spaces import random_recipes
from untrained.spaces.random_recipes import SETTINGS, draw, mutate
from untrained.spaces.recipes import ARITY, MAX_NODES, NEW_STATES, PREVIOUS_STATES, Recipe, check, in_order, read, write

SEEDS = st.integers(0, 2**32 - 1)
REPEATABLE = settings(deadline=None, derandomize=True, max_examples=40)

RNN = {"f": ["linear", "x", "h_prev_0"], "h_new_0": ["activation_tanh", "f"]}
GRU = {
    "r": ["linear", "x", "h_prev_0"],
    "r_act": ["activation_sigm", "r"],
    "z": ["linear", "x", "h_prev_0"],
    "z_act": ["activation_sigm", "z"],
    "rh": ["elementwise_prod", "r_act", "h_prev_0"],
    "h_tilde": ["linear", "x", "rh"],
    "h_tilde_act": ["activation_tanh", "h_tilde"],
    "h_new_0": ["blend", "z_act", "h_prev_0", "h_tilde_act"],
}


def text(nodes: dict[str, list[str]], **changed: list[str] | None) -> str:
    merged = {name: node for name, node in {**nodes, **changed}.items() if node is not None}
    return json.dumps({name: {"op": op, "input": inputs} for name, (op, *inputs) in merged.items()})


def states(recipe: Recipe) -> int:
    return sum(name in recipe for name in NEW_STATES)


@pytest.mark.parametrize("nodes", [RNN, GRU])
def test_a_recipe_is_read_as_it_is_written(nodes: dict[str, list[str]]) -> None:
    recipe = read(text(nodes))
    assert {name: [op, *inputs] for name, (op, inputs) in recipe.items()} == nodes
    assert list(recipe) == list(nodes)
    assert write(recipe) == text(nodes).replace(" ", "")
    assert read(write(recipe)) == recipe


def test_nodes_may_read_later_ones() -> None:
    shuffled = dict(reversed(GRU.items()))
    assert in_order(read(text(shuffled))) == ["z", "r", "z_act", "r_act", "rh", "h_tilde", "h_tilde_act", "h_new_0"]


def chain(length: int) -> dict[str, list[str]]:
    nodes = {"n0": ["linear", "x", "h_prev_0"]}
    nodes.update({f"n{i}": ["activation_tanh", f"n{i - 1}"] for i in range(1, length - 1)})
    return {**nodes, "h_new_0": ["activation_tanh", f"n{length - 2}"]}


def test_the_largest_cell() -> None:
    assert len(read(text(chain(MAX_NODES)))) == 24
    with pytest.raises(OutOfSpaceError, match="at most 24 nodes, got 25"):
        read(text(chain(MAX_NODES + 1)))


def four_states() -> dict[str, list[str]]:
    return {f"h_new_{k}": ["linear", "x", f"h_prev_{k}"] for k in range(4)}


REFUSED: dict[str, tuple[str, str]] = {
    "nothing": ("", "recipes are JSON such as .* got ''"),
    "question mark": ("?", "recipes are JSON such as"),
    "long": ("{" + 500 * "a", r"got '\{a{56}\.\.\.'"),
    "deep": (100_000 * "[", "recipes are JSON such as"),
    "list": ("[1]", "recipes are JSON objects"),
    "empty": ("{}", "new states are h_new_0, .* got none"),
    "node is a list": ('{"h_new_0": ["linear"]}', "node 'h_new_0' must have the form {\"op\""),
    "no op": ('{"h_new_0": {"input": ["x"]}}', "must have the form"),
    "more": ('{"h_new_0": {"op": "linear", "input": ["x"], "bias": 1}}', "must have the form"),
    "op is a number": ('{"h_new_0": {"op": 1, "input": ["x"]}}', "are names"),
    "input is a number": ('{"h_new_0": {"op": "linear", "input": [0]}}', "are names"),
    "twice": ('{"h_new_0": {"op": "linear", "input": ["x"]}, "h_new_0": 1}', "'h_new_0' is there twice"),
    "unknown op": (text(RNN, f=["liner", "x", "h_prev_0"]), "operation 'liner'. Did you mean 'linear'?"),
    "strange op": (text(RNN, f=["?", "x", "h_prev_0"]), "operation '\\?'. There are: activation_leaky_relu, .*linear"),
    "too many inputs": (text(RNN, f=["linear", *["x", "h_prev_0"] * 2]), r"linear takes 1 to 3 input\(s\), got 4"),
    "too few inputs": (text(RNN, h_new_0=["blend", "f", "h_prev_0"]), r"blend takes 3 input\(s\), got 2"),
    "sum of three": (text(RNN, h_new_0=["elementwise_sum", "f", "f", "f"]), r"takes 2 input\(s\), got 3"),
    "no inputs": (text(RNN, f=["linear"]), r"takes 1 to 3 input\(s\), got 0"),
    "undefined": (text(GRU, rh=["elementwise_prod", "r_ac", "h_prev_0"]), "reads 'r_ac', which is not there. Did you"),
    "state too many": (text(RNN, f=["linear", "x", "h_prev_1"]), "reads 'h_prev_1', .* mean 'h_prev_0'"),
    "no new state": (text(RNN, h_new_0=None), "new states are h_new_0, .* got none"),
    "a gap": (text(RNN, h_new_2=["activation_tanh", "f"]), "new states .* got h_new_0, h_new_2"),
    "four": (text(four_states()), "got h_new_0, h_new_1, h_new_2, h_new_3"),
    "written otherwise": (text(RNN, h_new_0=None, h_new_00=["activation_tanh", "f"]), "got h_new_00"),
    "named like an input": (text(RNN, h_prev_0=["activation_tanh", "f"]), "cannot be named 'h_prev_0'"),
    "named x": (text(RNN, x=["activation_tanh", "f"]), "cannot be named 'x'"),
    "named oddly": (text(RNN, **{"a.b": ["activation_tanh", "f"]}), "cannot be named 'a.b'"),
    "x in a sum": (text(RNN, h_new_0=["elementwise_sum", "f", "x"]), "elementwise_sum cannot read x"),
    "x in an activation": (text(RNN, f=["activation_tanh", "x"]), "activation_tanh cannot read x"),
    "circle": (text(RNN, f=["linear", "x", "h_prev_0", "g"], g=["activation_tanh", "f"]), "in a circle"),
    "reads itself": (text(RNN, f=["linear", "x", "h_prev_0", "f"]), "'f', 'h_new_0' read one another in a circle"),
    "unused": (text(RNN, g=["activation_tanh", "f"]), "no new state depends on 'g'"),
    "deaf": (text(RNN, f=["linear", "h_prev_0"]), "no new state depends on 'x'"),
    "forgetful": (text(RNN, f=["linear", "x"]), "no new state depends on 'h_prev_0'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_recipe_is_refused_in_one_line(what: str) -> None:
    content, message = REFUSED[what]
    with pytest.raises(OutOfSpaceError, match=message) as caught:
        read(content)
    line = str(caught.value)
    assert line.startswith("nasbench_nlp: ")
    assert "\n" not in line
    assert len(line) < 400


# Chance --------------------------------------------------------------------------------------------------------------


def sound(recipe: Recipe) -> bool:
    check(recipe)
    direct = set(PREVIOUS_STATES) & {source for name in NEW_STATES if name in recipe for source in recipe[name].inputs}
    return not direct


def test_drawn_recipes_obey_the_rules_of_the_published_generator() -> None:
    recipes = draw(np.random.default_rng(0), 900)
    assert all(map(sound, recipes))
    assert max(map(len, recipes)) > 15
    shares = Counter(map(states, recipes))
    assert all(abs(shares[k] - 300) < 5 * 15 for k in (1, 2, 3))  # a third each, within five standard deviations
    activations = Counter()
    arity: Counter[int] = Counter()
    for recipe in recipes:
        for name, (op, inputs) in recipe.items():
            assert len(set(inputs)) == len(inputs)
            if op == "linear":
                arity[len(inputs)] += 1
                nodes = [recipe[source].op for source in inputs if source in recipe]
                assert all(found.startswith("activation") for found in nodes), name
            elif op.startswith("activation"):
                activations[op] += 1
                assert recipe[inputs[0]].op == "linear"
            assert ARITY[op][0] <= len(inputs) <= ARITY[op][1]
    assert set(arity) == {2, 3}
    assert min(activations.values()) > 0.9 * sum(activations.values()) / 3


def test_names_have_no_gaps() -> None:
    for recipe in draw(np.random.default_rng(1), 50):
        expected = [f"node_{k}" for k in range(len(recipe) - states(recipe))]
        assert list(recipe) == [*expected, *NEW_STATES[: states(recipe)]]


def test_operations_have_the_published_probabilities() -> None:
    """Before anything is rejected; three states, so that every operation is possible from the first node on."""
    tries = 20_000
    ops, inputs, count = random_recipes._graphs(np.random.default_rng(0), 3, 10, tries)
    names = np.array(random_recipes._OPS)[ops[:, 0]]
    shares = Counter(names.tolist())
    for name, p in {"linear": 1 / 2, "blend": 1 / 6, "elementwise_prod": 1 / 6, "elementwise_sum": 1 / 6}.items():
        assert abs(shares[name] - p * tries) < 5 * (tries * p * (1 - p)) ** 0.5
    linear = inputs[:, 0][names == "linear"]
    p, n = 1 / 5, len(linear)
    assert abs((linear[:, 2] >= 0).sum() - p * n) < 5 * (n * p * (1 - p)) ** 0.5
    first = Counter(linear[:, 0].tolist())  # x and the three states, all alike
    assert set(first) == {0, 1, 2, 3}
    assert all(abs(first[k] - n / 4) < 5 * (n * 3 / 16) ** 0.5 for k in first)
    assert set(inputs[:, 0][names == "blend"].ravel().tolist()) == {1, 2, 3}
    assert set(count.tolist()) == {10, 11}


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=40), seed=SEEDS)
def test_choices_are_different(sizes: list[int], seed: int) -> None:
    picked = random_recipes._distinct(np.random.default_rng(seed), np.array(sizes))
    for size, row in zip(sizes, picked.tolist(), strict=True):
        assert len(set(row[:size])) == min(size, 3)
        assert all(0 <= k < size for k in row[:size])


def test_choices_are_fair() -> None:
    picked = random_recipes._distinct(np.random.default_rng(0), np.full(24_000, 4))
    shares = Counter(map(tuple, picked.tolist()))
    assert len(shares) == 24
    assert all(abs(k - 1000) < 5 * 1000**0.5 for k in shares.values())


def test_every_setting_occurs() -> None:
    assert len(SETTINGS) == 9
    assert {states for states, _ in SETTINGS} == {1, 2, 3}


def test_the_draw_depends_on_the_seed_alone() -> None:
    first, again, other = (draw(np.random.default_rng(seed), 30) for seed in (5, 5, 6))
    assert first == again
    assert first != other


# Change --------------------------------------------------------------------------------------------------------------


def difference(one: Recipe, other: Recipe) -> tuple[int, int]:
    """How many nodes are in one alone, and how many are in both but not the same."""
    return len(one.keys() ^ other.keys()), sum(one[name] != other[name] for name in one.keys() & other.keys())


@REPEATABLE
@given(seed=SEEDS)
def test_a_mutant_is_sound_and_one_change_away(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (recipe,) = draw(rng, 1)
    for _ in range(5):
        mutant = mutate(recipe, rng)
        assert mutant != recipe
        assert sound(mutant)
        alone, changed = difference(recipe, mutant)
        if alone == 0:
            assert changed == 1
            (name,) = [name for name in recipe if recipe[name] != mutant[name]]
            before, after = recipe[name], mutant[name]
            differences = [a != b for a, b in zip(before.inputs, after.inputs, strict=True)]
            assert (before.op != after.op) + sum(differences) == 1
        recipe = mutant


def test_every_kind_of_change_occurs() -> None:
    rng = np.random.default_rng(0)
    kinds: Counter[Any] = Counter()
    for recipe in draw(rng, 200):
        mutant = mutate(recipe, rng)
        if len(mutant) != len(recipe):
            kinds["more" if len(mutant) > len(recipe) else "less"] += 1
        else:
            changed = [name for name in recipe if recipe[name] != mutant.get(name)]
            kinds["op" if recipe[changed[0]].op != mutant[changed[0]].op else "input"] += 1
    assert set(kinds) == {"more", "less", "op", "input"}
    assert min(kinds.values()) > 10


def test_what_read_its_state_directly_may_go_on_doing_so() -> None:
    gru = read(text(GRU))
    mutants = [mutate(gru, np.random.default_rng(seed)) for seed in range(40)]
    assert {sound(mutant) for mutant in mutants} == {True, False}


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_and_the_largest_cell_can_change(seed: int) -> None:
    for nodes in (RNN, {"h_new_0": ["linear", "x", "h_prev_0"]}, chain(MAX_NODES)):
        recipe = read(text(nodes))
        assert mutate(recipe, np.random.default_rng(seed)) != recipe
