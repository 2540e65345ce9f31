"""Programs in words."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.trees import trees
from untrained.programs.operators import OPERATORS
from untrained.programs.program import LAYER_TERMINALS, OVERS, WEIGHT_TERMINALS, Program, parse_program
from untrained.programs.tree import Tree, call, terminal
from untrained.programs.words import LAYER_MEANINGS, PHRASES, WEIGHT_MEANINGS, describe


def test_every_operator_and_layer_terminal_has_words() -> None:
    assert PHRASES.keys() == OPERATORS.keys()
    assert LAYER_MEANINGS.keys() == LAYER_TERMINALS.keys()
    assert WEIGHT_MEANINGS.keys() == WEIGHT_TERMINALS.keys()


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_phrases_name_every_argument(name: str) -> None:
    places = [f"{{{i}}}" for i in range(OPERATORS[name].arity)]
    assert sorted(set(re.findall(r"\{\d\}", PHRASES[name]))) == places


def test_phrases_tell_operators_apart() -> None:
    alike = {frozenset(["heaviside", "is_positive"])}  # which are the same
    for name, phrase in PHRASES.items():
        same = {other for other, words in PHRASES.items() if words == phrase}
        assert same == {name} or frozenset(same) in alike


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("network(a)", "The score is a."),
        ("add(a, -2)", "The score is the sum of a and -2."),
        (
            "layers_mean(act_noise)",
            "For a layer (ReLU, convolution and batch norm in a row), let v be the mean over all elements of the "
            "output of the batch norm on images of noise. The score is the mean of v over all layers.",
        ),
        (
            "weights_last(std(weight))",
            "For a weight of a convolution or linear layer, let v be the standard deviation of its values. "
            "The score is v of the last of all weights.",
        ),
        (
            "layers_log_sum(1)",
            "For a layer (ReLU, convolution and batch norm in a row), let v be 1. The score is the sum over all layers "
            "of the logarithm of 1 plus the magnitude of v, with the sign of v.",
        ),
        (
            "exp(neg(abs(square(tanh(a)))))",
            "Let A be the magnitude of the square of the hyperbolic tangent of a. "
            "The score is the exponential of the negative of A.",
        ),
        (
            "mul(exp(a), sub(b, exp(a)))",
            "Let A be the exponential of a. The score is the elementwise product of A and the difference of b and A.",
        ),
    ],
)
def test_examples(text: str, words: str) -> None:
    assert describe(parse_program(text)) == words


def test_meanings_go_before_names() -> None:
    program = parse_program("layers_sum(mean(weight))")
    assert "let v be the mean of kernels." in describe(program, {"weight": "kernels"})


@settings(max_examples=60, deadline=None)
@given(tree=trees(max_parts=40), over=st.sampled_from(list(OVERS)))
def test_every_letter_is_defined_before_it_is_used(tree: Tree, over: str) -> None:
    words = describe(Program(tree, over), dict.fromkeys(tree.terminals(), "it"))
    assert "{" not in words
    assert "\n" not in words
    known: set[str] = set()
    for sentence in words.split(". ")[:-1]:
        match = re.search(r"[Ll]et (\w+) be (.*)", sentence)
        assert match is not None
        letter, noun = match.groups()
        assert set(re.findall(r"\b[A-Z]\d*\b", noun)) <= known
        assert letter not in known
        known.add(letter)
    used = re.findall(r"\b[A-Z]\d*\b", words)
    assert all(used.count(letter) > 1 for letter in known - {"v"})


def test_a_very_deep_tree_is_no_problem() -> None:
    tree = terminal("a")
    for _ in range(3000):
        tree = call("neg", tree)
    assert describe(Program(tree, "network")).count("Let") == 999
