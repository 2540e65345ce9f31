"""Programs: the word around them, and the score of a network from its layers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.trees import trees
from untrained.errors import BadInputError
from untrained.programs.program import (
    LAYER_TERMINALS,
    NETWORK,
    OVERS,
    WEIGHT_TERMINALS,
    Program,
    parse_program,
    reduce_layers,
)
from untrained.programs.text import MAX_DEPTH, parse
from untrained.programs.tree import Kind, Tree
from untrained.proxies.statistics import NAMES

KINDS = {**LAYER_TERMINALS, "output_low": Kind.VECTOR, "depth": Kind.SCALAR}
READ = {"layers": list(LAYER_TERMINALS), "weights": list(WEIGHT_TERMINALS), "network": ["output_low", "depth"]}


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from(list(OVERS)))
def test_what_is_written_is_read_back(data: st.DataObject, over: str) -> None:
    program = Program(data.draw(trees(names=READ[over.partition("_")[0]])), over)
    assert parse_program(program.text) == program
    assert parse_program(f" {program.text}\n") == program


@settings(deadline=None, max_examples=60)
@given(trees(names=["weight", "act_data"]), trees(names=["weight", "act_data"]))
def test_digests_tell_programs_apart(one: Tree, other: Tree) -> None:
    digests = {Program(tree, over).digest for tree in (one, other) for over in OVERS}
    assert len(digests) == len(OVERS) * len({one, other})


def test_layer_terminals_are_those_that_are_measured() -> None:
    assert set(LAYER_TERMINALS) == {*NAMES, "weight_grad_loss"}
    assert set(WEIGHT_TERMINALS) <= set(LAYER_TERMINALS)


@pytest.mark.parametrize(
    ("text", "over", "written"),
    [
        ("mean(abs(weight))", "layers_mean", "layers_mean(mean(abs(weight)))"),
        ("layers_sum( weight )", "layers_sum", "layers_sum(weight)"),
        ("weights_log_sum(weight)", "weights_log_sum", "weights_log_sum(weight)"),
        ("add(a, 1)", "network", "add(a, 1.0)"),
        ("network(a)", "network", "a"),
        ("2", "network", "2.0"),
        ("layers_last(2)", "layers_last", "layers_last(2.0)"),
    ],
)
def test_the_word_is_found_or_supplied(text: str, over: str, written: str) -> None:
    program = parse_program(text)
    assert (program.over, program.text) == (over, written)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("abs(layers_sum(weight))", "character 5: layers_sum can only stand around a whole program"),
        ("layers_sum(layers_mean(weight))", "layers_mean can only stand around a whole program"),
        ("layers_sum(weight), 1", "the program has ended"),
        ("layers_sum(weight, weight)", "layers_sum takes 1 argument, got more than 1"),
        ("layers_sum()", "layers_sum takes 1 argument, got 0"),
        ("layers_sum", "'layers_sum' needs a program in parentheses"),
        ("layers_sum(weight", "expected ',' or ')' of layers_sum(...), got the end"),
        ("layer_sum(weight)", "Did you mean layers_sum"),
        ("add(weight, depth)", "'depth' is not measured on layers"),
        ("weights_sum(act_data)", "'act_data' is not measured on weights"),
        ("network(mean(weight))", "weight is measured on layers, not networks"),
        ("layers_mean(depth)", "'depth' is not measured on layers"),
        ("output_low", "a network's score is one number, and this gives a vector; take its mean(...)"),
    ],
)
def test_what_is_no_program_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(BadInputError) as raised:
        parse_program(text, terminals=KINDS)
    assert says in str(raised.value)
    assert str(raised.value).isprintable()


def test_the_word_takes_none_of_the_depth() -> None:
    deep = "abs(" * MAX_DEPTH + "weight" + ")" * MAX_DEPTH
    assert parse_program(f"layers_sum({deep})").tree.depth == MAX_DEPTH
    with pytest.raises(BadInputError, match="inside each other"):
        parse_program(f"layers_sum(abs({deep}))")


def test_a_program_is_over_what_there_is() -> None:
    with pytest.raises(BadInputError, match=r"over one of layers_mean, layers_sum.*got 'layers'"):
        Program(parse("weight"), "layers")


LAYERS = [np.array([[1.0, 3.0]]), np.array(-4.0), 0.5, np.float32(7)]


@pytest.mark.parametrize("unit", ["layers", "weights"])
@pytest.mark.parametrize(
    ("how", "score"),
    [
        ("mean", (2 - 4 + 0.5 + 7) / 4),
        ("sum", 2 - 4 + 0.5 + 7),
        ("log_sum", math.log(3) - math.log(5) + math.log(1.5) + math.log(8)),
        ("last", 7.0),
    ],
)
def test_scores_of_layers(unit: str, how: str, score: float) -> None:
    assert reduce_layers(f"{unit}_{how}", LAYERS) == pytest.approx(score, rel=1e-15)


def test_the_score_of_a_network_is_its_value() -> None:
    assert reduce_layers(NETWORK, [np.array(2.5)]) == 2.5
    with pytest.raises(ValueError):
        reduce_layers(NETWORK, [1.0, 2.0])


@pytest.mark.parametrize("over", sorted(set(OVERS) - {NETWORK}))
def test_what_has_no_number_is_nan(over: str) -> None:
    assert math.isnan(reduce_layers(over, []))
    assert math.isnan(reduce_layers(over, [np.zeros((0, 3))]))
    assert math.isnan(reduce_layers(over, [np.array([np.nan, 1.0])]))
    assert not math.isfinite(reduce_layers(over, [1.0, math.inf]))


def test_opposite_infinities_have_no_sum() -> None:
    assert math.isnan(reduce_layers("layers_sum", [math.inf, -math.inf]))


def test_elements_are_summed_in_float64() -> None:
    many = np.full(2**20 + 1, 0.1, np.float32)
    assert reduce_layers("layers_mean", [many]) == pytest.approx(float(np.float32(0.1)), rel=1e-13)
    assert reduce_layers("layers_mean", [np.full(10, 3e38, np.float32)]) == pytest.approx(3e38)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20))
def test_layers_are_summed_in_their_order(values: list[float]) -> None:
    total = 0.0
    for value in values:
        total += value
    assert reduce_layers("layers_sum", values) == total
    assert reduce_layers("layers_mean", values) == total / len(values)
    assert reduce_layers("layers_last", values) == values[-1]
