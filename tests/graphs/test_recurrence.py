"""Scalar recurrences against full networks, against slow sums, and against themselves."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from untrained.batches import load_batch, make_texts
from untrained.errors import GraphError
from untrained.graphs import recurrence
from untrained.graphs import recurrent_kernels as kernels
from untrained.graphs.canonical import width1_key
from untrained.graphs.graph import Blend, GraphBuilder, LeakyReLU, Linear, Product, Sigmoid, Sum, Tanh
from untrained.graphs.recurrent import Recurrent, resized
from untrained.spaces.nasbench_nlp import SPACE
from untrained.types import Batch

from .helpers import REPEATABLE, SEEDS, recurrent, restated


def texts(n: int, steps: int, vocabulary: int = 11) -> Batch:
    return load_batch("random_tokens", (steps,), n, vocabulary=vocabulary)


# Against the full network --------------------------------------------------------------------------------------------


def same_as_module(network: Recurrent, batch: Batch, weight: float, dtype: str, rtol: float) -> None:
    pytest.importorskip("torch")
    from untrained.graphs.module import respond_recurrent

    full = respond_recurrent(network, batch.x, weight, dtype)
    assert full.dtype == dtype
    assert full.shape == (batch.x.size, network.sizes[-1])
    for program in (recurrence.lower(network), recurrence.write(network)):
        found = recurrence.respond(program, batch, weight, dtype)
        assert found.dtype == dtype
        np.testing.assert_allclose(full, np.broadcast_to(found[:, None], full.shape), rtol=rtol, atol=1e-300)


@settings(REPEATABLE, max_examples=25)
@given(seed=SEEDS)
def test_every_unit_of_the_full_network_responds_alike(seed: int) -> None:
    same_as_module(recurrent(seed), texts(3, 4), 0.05, "float64", 1e-9)


@settings(REPEATABLE, max_examples=12)
@given(seed=SEEDS)
def test_in_float32_up_to_rounding(seed: int) -> None:
    same_as_module(recurrent(seed), texts(3, 4), 0.05, "float32", 2e-4)


@pytest.mark.parametrize("sizes", [(5, 5), (5, 7, 5), (5, 7, 6, 8, 5), (400, 192, 384, 400), (193, 1, 193)])
def test_any_number_of_layers_of_any_size(sizes: tuple[int, ...]) -> None:
    for seed in range(3):
        same_as_module(recurrent(seed, sizes), texts(2, 4), 1e-2, "float64", 1e-9)


@pytest.mark.parametrize("n", [2, 31, 33, 97])
def test_any_number_of_texts(n: int) -> None:
    same_as_module(recurrent(1), texts(n, 4), 0.05, "float64", 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_at_full_size(seed: int) -> None:
    (arch,) = SPACE.sample(np.random.default_rng(seed), 1)
    network = SPACE.graph(arch)
    batch = load_batch("random_tokens", (35,), 4, vocabulary=1000)
    for weight in (1e-5, 1e-3):
        same_as_module(network, batch, weight, "float64", 1e-8)


def test_the_embedding_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    for shape in ((1000, 400), (11, 5), (3, 1)):
        torch.manual_seed(21)
        np.testing.assert_array_equal(recurrence.embedding(*shape), torch.empty(shape).uniform_(0, 1).numpy())


# Rounding ------------------------------------------------------------------------------------------------------------


def fma(a: np.float32, b: np.float32, c: np.float32) -> np.float32:
    """Rounded once: the product is exact in float64."""
    return np.float32(float(a) * float(b) + float(c))


def dot(values: list[np.float32], weight: np.float32, start: np.float32) -> np.float32:
    total = start
    for first in range(0, len(values), kernels.BLOCK):
        block = np.float32(0)
        for value in values[first : first + kernels.BLOCK]:
            block = fma(value, weight, block)
        total = np.float32(total + block)
    return total


def slowly(network: Recurrent, words: np.ndarray, weight: np.float32) -> np.ndarray:
    """The response to one text, number by number, as the program is written."""
    one, hundredth, none = np.float32(1), np.float32(0.01), np.float32(0)
    table = recurrence.embedding(network.vocabulary, network.sizes[0])
    series: list[Any] = [list(table[word]) for word in words]
    for units, cell in zip(network.sizes[1:], network.layers(), strict=True):
        states = [weight] * len(cell.outputs)
        outputs = []
        for x in series:
            values: list[Any] = [x, *[[state] * units for state in states]]
            for operation, inputs, _ in cell.nodes[cell.n_inputs :]:
                vectors = [values[i] for i in inputs]
                a, b, c = [*[vector[0] for vector in vectors], none, none][:3]
                match operation:
                    case Linear():
                        y = dot(vectors[0], weight, weight)
                        for vector in vectors[1:]:
                            y = np.float32(y + dot(vector, weight, none))
                    case Sum():
                        y = np.float32(a + b)
                    case Product():
                        y = np.float32(a * b)
                    case Blend():
                        y = np.float32(np.float32(a * b) + np.float32(np.float32(one - a) * c))
                    case Tanh():
                        y = np.float32(math.tanh(float(a)))
                    case Sigmoid():
                        y = np.float32(one / np.float32(one + np.float32(math.exp(-float(a)))))
                    case LeakyReLU():
                        y = a if a > 0 else np.float32(a * hundredth)
                values.append([y] * units)
            states = [values[o][0] for o in cell.outputs]
            outputs.append([states[0]] * units)
        series = outputs
    return np.array([x[0] for x in series])


@pytest.mark.parametrize("seed", range(12))
def test_sums_are_rounded_block_by_block(seed: int) -> None:
    network = recurrent(seed, (400, 600, 385, 400), steps=2)
    batch = texts(3, 2)
    for weight in (1e-5, 1e-3, 0.7):
        found = recurrence.respond(recurrence.write(network), batch, weight).reshape(2, 3)
        with np.errstate(all="ignore"):
            expected = slowly(network, batch.x[1], np.float32(weight))
        np.testing.assert_array_equal(found[:, 1], expected)


@settings(REPEATABLE, max_examples=60)
@given(seed=SEEDS)
def test_equal_functions_respond_with_equal_bits(seed: int) -> None:
    network = recurrent(seed, (400, 600, 400))
    other = restated(network, np.random.default_rng(seed))
    assert width1_key(other) == width1_key(network)
    batch = texts(3, 4)
    for weight in (1e-5, 1e-3):
        responses = [recurrence.respond(recurrence.lower(n), batch, weight) for n in (network, other)]
        np.testing.assert_array_equal(*responses)


def test_a_text_s_response_does_not_depend_on_the_others() -> None:
    network = recurrent(3, (400, 600, 400))
    batch = texts(100, 4)
    few = make_texts(batch.x[:5], "few", 11)
    program = recurrence.lower(network)
    many = recurrence.respond(program, batch, 1e-5).reshape(4, 100)
    np.testing.assert_array_equal(recurrence.respond(program, few, 1e-5).reshape(4, 5), many[:, :5])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("kernel", "exact"),
    [
        (kernels._tanh, np.tanh),
        (kernels._sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    ],
)
def test_activations(dtype: Any, kernel: Callable[..., None], exact: Callable[..., Any]) -> None:
    small = 10.0 ** np.linspace(-44, 3, 2000)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 0.34657359, 88.8, -104.0, 709.0, -745.0, 1e38]
    x = np.concatenate([small, -small, np.linspace(-20, 20, 4001), special]).astype(dtype)
    found = np.empty_like(x)
    kernel(found, x)
    with np.errstate(over="ignore"):
        expected = exact(x.astype(np.float64))
    rtol, atol = (2**-22, 1e-38) if dtype is np.float32 else (2**-50, 1e-300)  # exp(89) is infinite in float32
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


# What cannot be evaluated --------------------------------------------------------------------------------------------


def test_texts_of_another_length_are_refused() -> None:
    program = recurrence.lower(recurrent(0))
    for wrong in (texts(2, 5), Batch("images", np.zeros((2, 1, 4, 4), np.float32), "images")):
        with pytest.raises(GraphError, match="texts of 4 steps, got shape"):
            recurrence.respond(program, wrong, 1.0)


def test_operations_that_are_not_the_same_for_all_units_are_refused() -> None:
    b = GraphBuilder((4,), (6,))
    y = b.linear(b.inputs, 6)
    network = Recurrent(b.build([b.relu(y)]), (4, 6, 4), 10, 3)
    with pytest.raises(GraphError, match="do not reduce ReLU"):
        recurrence.lower(network)


def test_networks_that_words_do_not_reach_say_so() -> None:
    b = GraphBuilder((4,), (6,), (6,))
    deaf = b.build([b.tanh(b.linear([1], 6)), b.linear([0, 2], 6)])
    assert not recurrence.lower(Recurrent(deaf, (4, 6, 4), 10, 3)).connected
    assert recurrence.lower(Recurrent(resized(recurrent(0).cell, 4, 6), (4, 6, 4), 10, 3)).connected
