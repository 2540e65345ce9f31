"""Recurrent networks: what is one, what it costs, and which are the same."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import GraphError
from untrained.graphs import cost
from untrained.graphs.canonical import key, live_cell, simplify, width1_key
from untrained.graphs.graph import Graph, GraphBuilder, Linear
from untrained.graphs.recurrent import Recurrent, resized

from .helpers import REPEATABLE, SEEDS, recurrent, restated


def cell(n_states: int = 1) -> tuple[GraphBuilder, list[int]]:
    b = GraphBuilder((4,), *[(6,)] * n_states)
    return b, list(b.inputs)


def network(graph: Graph, sizes: tuple[int, ...] = (4, 6, 4)) -> Recurrent:
    return Recurrent(graph, sizes, vocabulary=10, steps=3)


def rnn() -> Graph:
    b, inputs = cell()
    return b.build([b.tanh(b.linear(inputs, 6))])


# What is a recurrent network? ----------------------------------------------------------------------------------------


def test_every_layer_is_the_cell_in_its_own_sizes() -> None:
    layers = network(rnn(), (4, 6, 5, 4)).layers()
    assert [[node.shape for node in layer.nodes] for layer in layers] == [
        [(4,), (6,), (6,), (6,)],
        [(6,), (5,), (5,), (5,)],
        [(5,), (4,), (4,), (4,)],
    ]
    assert [layer.nodes[2].operation for layer in layers] == [Linear(6, True), Linear(5, True), Linear(4, True)]
    assert layers[0] == rnn()


def no_state_given() -> Graph:
    b, _ = cell(2)
    return b.build([b.linear(b.inputs, 6)])


def x_given() -> Graph:
    b, _ = cell()
    return b.build([b.input])


def x_of_another_size() -> Graph:
    b = GraphBuilder((5,), (6,))
    return b.build([b.linear(b.inputs, 6)])


def node_of_another_size() -> Graph:
    b, inputs = cell()
    return b.build([b.linear([b.linear(inputs, 7), 1], 6)])


def x_through_a_sigmoid() -> Graph:
    b = GraphBuilder((6,), (6,))
    return b.build([b.linear([b.sigmoid(0), 1], 6)])


@pytest.mark.parametrize(
    ("make", "sizes", "message"),
    [
        (no_state_given, (4, 6, 4), "as many states as it gives: 3 and 1"),
        (x_given, (4, 6, 4), "gives states"),
        (x_of_another_size, (4, 6, 4), r"reads x in shape \(4,\) .* got \(5,\)"),
        (node_of_another_size, (4, 6, 4), r"must have the shape \(6,\) of the states, got \(7,\)"),
        (x_through_a_sigmoid, (6, 6, 6), "only linear layers .* not Sigmoid"),
        (rnn, (4, 6), "as many units as numbers for a word"),
        (rnn, (4,), "at least one layer"),
        (rnn, (4, 0, 4), "at least one layer"),
    ],
)
def test_what_does_not_fit_together_is_refused(make: Any, sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        network(make(), sizes)


# Costs ---------------------------------------------------------------------------------------------------------------


def test_costs_of_a_plain_network() -> None:
    found = network(rnn())
    first, second, decoder = 6 * (4 + 6 + 1), 4 * (6 + 4 + 1), 10 * (4 + 1)
    assert cost.n_params(found) == first + second + decoder  # the embedding's weights are the decoder's
    assert cost.n_flops(found) == 3 * (first + second + decoder)
    assert cost.depth(found) == 3
    assert cost.operation_counts(found) == {"Embedding": 1, "Linear": 3, "Tanh": 2}


def test_depth_follows_words_through_the_layers_or_begins_at_a_state() -> None:
    b, inputs = cell()
    deep = b.linear([b.linear([b.linear([1], 6)], 6)], 6)
    shallow = b.linear(inputs, 6)
    assert cost.depth(network(b.build([b.sum([deep, shallow])]))) == 3 + 1 + 1  # deep, then shallow, then the decoder
    b, inputs = cell()
    deep = b.linear([b.linear(inputs, 6)], 6)
    assert cost.depth(network(b.build([deep]))) == 2 + 2 + 1


@settings(REPEATABLE, max_examples=30)
@given(seed=SEEDS)
def test_parameters_are_those_of_the_module(seed: int) -> None:
    pytest.importorskip("torch")
    from untrained.graphs.module import RecurrentModule

    found = recurrent(seed)
    assert cost.n_params(found) == sum(p.numel() for p in RecurrentModule(found).parameters())


# The live part -------------------------------------------------------------------------------------------------------


@settings(REPEATABLE, max_examples=100)
@given(seed=SEEDS)
def test_simplify_is_idempotent_and_leaves_no_more_parameters(seed: int) -> None:
    found = recurrent(seed)
    live = simplify(found)
    assert simplify(live) == live
    assert cost.n_params(live) <= cost.n_params(found)
    assert width1_key(live) == width1_key(found)
    assert key(live) == key(found)


def test_states_that_never_reach_the_first_one_vanish() -> None:
    b, (x, h0, h1, h2) = cell(3)
    new0 = b.tanh(b.linear([x, h0, h2], 6))  # depends on state 2, which depends on itself; state 1 only reads
    new1 = b.sigmoid(b.linear([x, h0, h1], 6))
    new2 = b.leaky_relu(b.linear([h2], 6))
    live = live_cell(b.build([new0, new1, new2]))
    b, (x, h0, h2) = cell(2)
    assert live == b.build([b.tanh(b.linear([x, h0, h2], 6)), b.leaky_relu(b.linear([h2], 6))])


def test_a_state_that_is_reached_through_another_one_stays() -> None:
    b, (x, h0, h1, h2) = cell(3)
    chain = b.build([b.tanh(b.linear([h1], 6)), b.tanh(b.linear([h2], 6)), b.tanh(b.linear([x, h0], 6))])
    assert len(live_cell(chain).outputs) == 3


@settings(REPEATABLE, max_examples=100)
@given(seed=SEEDS)
def test_the_numbering_of_states_and_the_order_of_operands_do_not_matter(seed: int) -> None:
    found = recurrent(seed)
    rng = np.random.default_rng(seed)
    other = restated(found, rng)
    assert key(other) == key(found)
    assert width1_key(other) == width1_key(found)


def test_where_words_do_not_reach_the_output_the_last_layer_alone_is_left() -> None:
    b, (x, h0, h1) = cell(2)
    deaf = network(b.build([b.tanh(b.linear([h0], 6)), b.linear([x, h1], 6)]), (4, 6, 6, 4))
    live = simplify(deaf)
    assert live.sizes == (4, 4)
    assert cost.n_params(live) == 4 * (4 + 1) + 10 * (4 + 1)
    assert live.cell == resized(live.cell, 4, 4)


def test_zeros_in_cells_are_exact() -> None:
    """Products of zeros vanish, a sigmoid of zeros is one half, a blend keeps its other parts."""
    b, (x, h) = cell()
    zero = b.zero(h)
    y = b.linear([x, h], 6)
    parts = [b.sigmoid(zero), b.blend(y, h, zero), b.product([y, zero]), b.tanh(zero), b.leaky_relu(zero)]
    live = simplify(network(b.build([b.sum([y, *parts])])))
    kinds = cost.operation_counts(Graph(live.cell.nodes[2:], (0,)))
    assert kinds == {"Linear": 1, "Zero": 1, "Sigmoid": 1, "Blend": 1, "Sum": 1}
    torch = pytest.importorskip("torch")
    from untrained.graphs.module import GraphModule

    inputs = [torch.linspace(-1, 1, 20).reshape(5, 4), torch.linspace(0, 1, 30).reshape(5, 6)]
    before, after = GraphModule(b.build([b.sum([y, *parts])])), GraphModule(live.cell)
    after.load_state_dict({name.replace("node3", "node2"): w for name, w in before.state_dict().items()}, strict=True)
    torch.testing.assert_close(after(*inputs)[0], before(*inputs)[0])


def combined(kind: str, order: list[int]) -> Recurrent:
    b, (x, h) = cell()
    parts = [b.tanh(b.linear([x, h], 6)), b.sigmoid(b.linear([h], 6)), h]
    operands = [parts[i] for i in order]
    match kind:
        case "sum":
            return network(b.build([b.sum(operands)]))
        case "product":
            return network(b.build([b.product(operands)]))
        case "linear":
            return network(b.build([b.linear(operands, 6)]))
        case _:
            return network(b.build([b.blend(*operands)]))


@pytest.mark.parametrize("kind", ["sum", "product", "linear", "blend"])
@given(order=st.permutations(range(3)))
def test_operands_change_places_but_for_those_of_a_blend(kind: str, order: list[int]) -> None:
    one, other = combined(kind, [0, 1, 2]), combined(kind, order)
    same = kind != "blend" or order == [0, 1, 2]
    assert (key(other) == key(one)) is same
    assert (width1_key(other) == width1_key(one)) is same


def test_two_linear_layers_on_equal_inputs_are_two_parameters_but_one_function() -> None:
    def doubled(times: int) -> Recurrent:
        b, (x, h) = cell()
        layers = [b.linear([x, h], 6) for _ in range(times)]
        return network(b.build([b.product([b.tanh(layers[0]), b.sigmoid(layers[-1])])]))

    assert key(doubled(1)) != key(doubled(2))
    assert width1_key(doubled(1)) == width1_key(doubled(2))
