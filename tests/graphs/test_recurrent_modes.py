"""Modes of recurrent networks against full networks, against numbers without end, and against themselves."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.batches import load_batch, make_texts
from untrained.errors import GraphError
from untrained.graphs import recurrent_mode_kernels as kernels
from untrained.graphs.canonical import width1_key
from untrained.graphs.graph import Blend, GraphBuilder, LeakyReLU, Linear, Product, Sigmoid, Sum, Tanh
from untrained.graphs.modes import DEFAULT_MODES, Mode, Response
from untrained.graphs.recurrence import embedding
from untrained.graphs.recurrent import Recurrent
from untrained.graphs.recurrent_modes import START, respond
from untrained.spaces.nasbench_nlp import SPACE
from untrained.types import Batch

from .helpers import REPEATABLE, SEEDS, recurrent, restated

FULL, RELU, BNLIN, LIN = [Mode(relu=relu, norm=norm) for relu in (True, False) for norm in (True, False)]
MODES = [*DEFAULT_MODES, Mode(mean_filters=False, gain=0.01), Mode(relu=False, mean_filters=False, gain=0.3)]


def texts(n: int, steps: int = 4, vocabulary: int = 11) -> Batch:
    return load_batch("random_tokens", (steps,), n, vocabulary=vocabulary)


def number(response: Response) -> np.ndarray:
    return np.ldexp(response.values, response.exponent)


def same(one: dict[Mode, Response], other: dict[Mode, Response]) -> None:
    assert one.keys() == other.keys()
    for mode in one:
        assert one[mode].exponent == other[mode].exponent
        np.testing.assert_array_equal(one[mode].values, other[mode].values)


# Against the full network --------------------------------------------------------------------------------------------


def same_as_module(network: Recurrent, batch: Batch, modes: list[Mode], rtol: float = 1e-9) -> int:
    """How many modes the full network can be evaluated in."""
    pytest.importorskip("torch")
    from .recurrent_oracle import respond_recurrent_mode

    compared = 0
    for mode, found in respond(network, batch, modes).items():
        full = respond_recurrent_mode(network, batch.x, mode)
        assert full.shape == (batch.x.size, network.sizes[-1])
        if np.abs(full).max() < 1e300 and np.isfinite(full).all():
            expected = np.broadcast_to(number(found)[:, None], full.shape)
            np.testing.assert_allclose(full, expected, rtol=rtol, atol=rtol * np.abs(full).max(), err_msg=mode.name)
            compared += 1
    return compared


@settings(REPEATABLE, max_examples=40)
@given(seed=SEEDS)
def test_every_unit_of_the_full_network_responds_alike(seed: int) -> None:
    assert same_as_module(recurrent(seed), texts(3), MODES) > len(MODES) / 2


@pytest.mark.parametrize("sizes", [(5, 5), (5, 7, 5), (5, 7, 6, 8, 5), (193, 1, 193)])
def test_any_number_of_layers_of_any_size(sizes: tuple[int, ...]) -> None:
    for seed in range(3):
        assert same_as_module(recurrent(seed, sizes), texts(2), MODES) > len(MODES) / 2


@pytest.mark.slow
def test_at_full_size() -> None:
    compared = 0
    for seed in range(3):
        (arch,) = SPACE.sample(np.random.default_rng(seed), 1)
        batch = load_batch("random_tokens", (35,), 2, vocabulary=1000)
        compared += same_as_module(SPACE.graph(arch), batch, [FULL, RELU, BNLIN, LIN], 1e-8)
    assert compared >= 10


# What the switches mean ----------------------------------------------------------------------------------------------

Make = Callable[[GraphBuilder, int, int], int]  # of a builder, a linear layer of x and the state, and the state


def network(make: Make) -> Recurrent:
    b = GraphBuilder((4,), (6,))
    return Recurrent(b.build([make(b, b.linear(b.inputs, 6), 1)]), (4, 6, 4), vocabulary=11, steps=3)


def two_layers(step: Callable[[np.ndarray, np.ndarray], np.ndarray], batch: Batch) -> np.ndarray:
    """The response of a network of two layers: `step` makes the new state of the linear layer and the old state."""
    series = list(embedding(11, 4).mean(axis=1, dtype=np.float64)[batch.x.T])
    for _ in range(2):
        h = np.full_like(series[0], START)
        for t, x in enumerate(series):
            series[t] = h = step((x + h) / 2, h)
    return np.concatenate(series)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


CASES: dict[str, tuple[Make, dict[Mode, Any]]] = {
    "an activation": (
        lambda b, y, h: b.sigmoid(y),
        {
            FULL: lambda y, h: sigmoid(y),
            RELU: lambda y, h: sigmoid(y),
            BNLIN: lambda y, h: 1 / 2 + y / 4,
            LIN: lambda y, h: 1 / 2 + y / 4,
        },
    ),
    "a gate in a product": (
        lambda b, y, h: b.product([b.tanh(y), b.sigmoid(y)]),
        {
            FULL: lambda y, h: np.tanh(y) * sigmoid(y),
            RELU: lambda y, h: np.tanh(y) / 2,
            BNLIN: lambda y, h: y * sigmoid(y),
            LIN: lambda y, h: y / 2,
        },
    ),
    "a product without a gate": (
        lambda b, y, h: b.product([b.tanh(y), h]),
        {
            FULL: lambda y, h: np.tanh(y) * h,
            RELU: lambda y, h: np.tanh(y) * h,
            BNLIN: lambda y, h: y * h,
            LIN: lambda y, h: y * h,
        },
    ),
    "a blend": (
        lambda b, y, h: b.blend(b.tanh(y), b.leaky_relu(y), h),
        {
            FULL: lambda y, h: np.tanh(y) * y + (1 - np.tanh(y)) * h,
            RELU: lambda y, h: (y + h) / 2,
            BNLIN: lambda y, h: np.tanh(y) * y + (1 - np.tanh(y)) * h,
            LIN: lambda y, h: (y + h) / 2,
        },
    ),
    "a blend whose gate is no activation": (
        lambda b, y, h: b.blend(h, y, b.tanh(h)),
        {
            FULL: lambda y, h: h * y + (1 - h) * np.tanh(h),
            RELU: lambda y, h: (y + np.tanh(h)) / 2,
            BNLIN: lambda y, h: h * y + (1 - h) * h,
            LIN: lambda y, h: (y + h) / 2,
        },
    ),
}


def two_roles(b: GraphBuilder, y: int, h: int) -> int:
    s = b.sigmoid(y)
    return b.blend(s, s, b.product([s, h]))


CASES["a sigmoid that is a gate for one reader and an activation for another"] = (
    two_roles,
    {
        FULL: lambda y, h: sigmoid(y) * sigmoid(y) + (1 - sigmoid(y)) * sigmoid(y) * h,
        RELU: lambda y, h: (sigmoid(y) + h / 2) / 2,
        BNLIN: lambda y, h: sigmoid(y) * (1 / 2 + y / 4) + (1 - sigmoid(y)) * sigmoid(y) * h,
        LIN: lambda y, h: (1 / 2 + y / 4 + h / 2) / 2,
    },
)


@pytest.mark.parametrize("case", CASES)
def test_activations_and_gates(case: str) -> None:
    make, steps = CASES[case]
    batch = texts(5, 3)
    found = respond(network(make), batch, list(steps))
    for mode, step in steps.items():
        np.testing.assert_allclose(number(found[mode]), two_layers(step, batch), rtol=1e-13, err_msg=mode.name)


def has(cell: Any, *kinds: type) -> bool:
    return any(type(node.operation) in kinds for node in cell.nodes)


def products(cell: Any) -> list[list[type]]:
    """Of each product the kinds of its operands."""
    return [
        [type(cell.nodes[i].operation) for i in node.inputs] for node in cell.nodes if type(node.operation) is Product
    ]


def some(fits: Callable[[Any], bool], n: int) -> list[Recurrent]:
    """The first `n` random networks whose cell fits."""
    networks = (recurrent(seed) for seed in range(2000))
    return [found for found, _ in zip((r for r in networks if fits(r.cell)), range(n), strict=False)]


def test_without_gates_norm_does_nothing() -> None:
    for found in some(lambda cell: not has(cell, Blend) and not any(Sigmoid in read for read in products(cell)), 12):
        responses = respond(found, texts(3), [FULL, RELU, BNLIN, LIN])
        np.testing.assert_array_equal(responses[FULL].values, responses[RELU].values)
        np.testing.assert_array_equal(responses[BNLIN].values, responses[LIN].values)


def test_without_activations_relu_does_nothing() -> None:
    batch = texts(3, 3)
    for make in (lambda b, y, h: b.product([y, h]), lambda b, y, h: b.blend(y, h, b.linear([1], 6))):
        responses = respond(network(make), batch, [FULL, RELU, BNLIN, LIN])
        same({LIN: responses[RELU]}, {LIN: responses[LIN]})
        same({LIN: responses[FULL]}, {LIN: responses[BNLIN]})


def bend(found: Recurrent, mode: Mode) -> float:
    """How far the response at the last step is from an affine function of the words, relative to its magnitude."""
    batch = texts(60, found.steps, 200)
    found = Recurrent(found.cell, found.sizes, 200, found.steps)
    last = respond(found, batch, [mode])[mode].values[-60:]
    words = embedding(200, found.sizes[0]).mean(axis=1, dtype=np.float64)[batch.x]
    features = np.column_stack([np.ones(60), words])
    rest = last - features @ np.linalg.lstsq(features, last, rcond=None)[0]
    return float(np.abs(rest).max() / np.abs(last).max())


def test_lin_is_affine_where_no_product_reads_two_that_are_no_gates() -> None:
    def fits(cell: Any) -> bool:
        return has(cell, Blend) and has(cell, Product) and all(Sigmoid in read for read in products(cell))

    found = some(fits, 8)
    assert len(found) == 8
    for one in found:
        if respond(one, texts(9), [LIN])[LIN].values.any():
            assert bend(one, LIN) < 1e-13
    assert np.median([bend(one, FULL) for one in found]) > 1e-6


def test_a_gain_multiplies_every_linear_layer() -> None:
    double = respond(network(lambda b, y, h: y), texts(4, 3), [LIN, Mode(False, False, 2.0)])
    by_hand = two_layers(lambda y, h: 2 * y, texts(4, 3))
    np.testing.assert_allclose(number(double[Mode(False, False, 2.0)]), by_hand, rtol=1e-13)


@settings(REPEATABLE, max_examples=20)
@given(seed=SEEDS)
def test_sizes_of_layers_do_not_matter_to_mean_filters(seed: int) -> None:
    modes = list(DEFAULT_MODES)
    same(*[respond(recurrent(seed, sizes), texts(3), modes) for sizes in ((5, 7, 9, 5), (5, 2, 600, 5))])


# Range ---------------------------------------------------------------------------------------------------------------

GAINS = [Mode(relu, norm, gain) for relu in (True, False) for norm in (True, False) for gain in (1e-3, 1e3, 1e300)]


def without_end(network: Recurrent, batch: Batch, mode: Mode) -> list[Any]:
    """The response in numbers of 50 digits whose exponents have no end, node by node."""
    mpmath = pytest.importorskip("mpmath")
    mp = mpmath.mp

    def exactly(x: Any) -> Any:
        return mpmath.mpf(float(x))

    def logistic(x: Any) -> Any:
        x = min(max(x, -600), 600)
        return 1 / (1 + mp.exp(-x))

    def tangent_hyperbolic(x: Any) -> Any:
        return x if abs(x) < 1e-30 else mp.tanh(min(max(x, -600), 600))

    def of(operation: Any, x: Any, written: bool) -> Any:
        match operation:
            case Tanh():
                return tangent_hyperbolic(x) if written else x
            case Sigmoid():
                return logistic(x) if written else (2 + x) / 4
            case LeakyReLU():
                return x if x > 0 or not written else x * exactly(0.01)

    def respond_to(words: Any) -> list[Any]:
        series = [exactly(word) for word in table[words]]
        for _ in network.sizes[1:]:
            states = [exactly(START)] * len(network.cell.outputs)
            for t, x in enumerate(series):
                values = [x, *states]
                gates = [None] * len(values)
                for operation, inputs, _ in network.cell.nodes[len(values) :]:
                    read = [values[i] for i in inputs]
                    gate = [gates[i] if gates[i] is not None else values[i] for i in inputs]
                    gates.append(None)
                    match operation:
                        case Linear():
                            y = gain * sum(read) / len(read)
                        case Sum():
                            y = sum(read)
                        case Product():
                            a, b = [
                                (g if mode.norm else half) if type(network.cell.nodes[i].operation) is Sigmoid else v
                                for i, v, g in zip(inputs, read, gate, strict=True)
                            ]
                            y = a * b
                        case Blend():
                            a = gate[0] if mode.norm else half
                            y = a * read[1] + (1 - a) * read[2]
                        case _:
                            y = of(operation, read[0], mode.relu)
                            gates[-1] = of(operation, read[0], True)
                    values.append(y)
                states = [values[o] for o in network.cell.outputs]
                series[t] = states[0]
        return series

    with mpmath.workdps(50):
        table = embedding(network.vocabulary, network.sizes[0]).mean(axis=1, dtype=np.float64)
        gain, half = exactly(mode.gain), exactly(0.5)
        columns = [respond_to(words) for words in batch.x]
        return [+column[t] for t in range(network.steps) for column in columns]


@pytest.mark.parametrize("seed", range(6))
def test_nothing_overflows(seed: int) -> None:
    mpmath = pytest.importorskip("mpmath")
    found = recurrent(seed, (5, 7, 7, 5), steps=35)
    batch = texts(2, 35)
    responses = respond(found, batch, GAINS)
    for mode, (values, exponent) in responses.items():
        assert np.isfinite(values).all()
        assert 0.5 <= np.abs(values).max() < 1 or (exponent == 0 and 2.0**-400 < np.abs(values).max() < 2.0**400)
        expected = without_end(found, batch, mode)
        largest = max(expected, key=abs)
        digits = abs(float(mpmath.log(abs(largest), 2))) * 2**-48 + 1e-9  # products of 2^k have 2^k times the errors
        scaled = [float(mpmath.ldexp(value, -exponent)) for value in expected]
        np.testing.assert_allclose(values, scaled, atol=digits * np.abs(scaled).max(), rtol=0, err_msg=f"{mode}")


def test_powers_of_powers() -> None:
    def power(b: GraphBuilder, y: int, h: int) -> int:
        for _ in range(20):
            y = b.product([y, y])
        return y

    for gain, least in ((0.1, 2**20), (10.0, 2**80)):  # where numbers grow, each step and layer has a power of 2^20
        ((values, exponent),) = respond(network(power), texts(3, 3), [Mode(gain=gain)]).values()
        assert np.isfinite(values).all()
        assert (exponent > 0) is (gain > 1)
        assert abs(exponent) > least


def saturated(kind: str) -> Recurrent:
    def make(b: GraphBuilder, y: int, h: int) -> int:
        z = b.linear([b.blend(y, b.product([y, y]), y)], 6)  # about -y^3 where y is large
        return b.tanh(z) if kind == "tanh" else b.sigmoid(z)

    return network(make)


@pytest.mark.parametrize("kind", ["tanh", "sigmoid"])
def test_activations_of_huge_numbers_are_saturated(kind: str) -> None:
    for gain in (1e200, 1e3):
        ((values, exponent),) = respond(saturated(kind), texts(3, 3), [Mode(gain=gain)]).values()
        np.testing.assert_array_equal(np.ldexp(values, exponent), 1.0)


NUMBERS = st.tuples(st.floats(1, 2, exclude_max=True), st.integers(-256, 255), st.integers(-3, 3), st.booleans())


def split(numbers: list[tuple[float, int, int, bool]], bits: int) -> tuple[np.ndarray, np.ndarray]:
    dtype = np.float64 if bits == 256 else np.float32
    rows = [
        ((-1) ** sign * np.nextafter(dtype(m), dtype(1)) * 2.0 ** (power % (2 * bits) - bits), float(e))
        for m, power, e, sign in numbers
    ]
    m, e = np.array(rows).T
    return m.astype(dtype), e


def exact(m: Any, e: Any, bits: int) -> Fraction:
    return Fraction(float(m)) * Fraction(2) ** (2 * bits * int(e)) if m else Fraction(0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(REPEATABLE, max_examples=100)
@given(numbers=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=9), cancel=st.booleans())
def test_sums_and_products_are_rounded_once(dtype: str, numbers: list[Any], cancel: bool) -> None:
    reach = kernels.REACH[dtype]
    bits = int(np.log2(reach))
    a, a_e = split([one for one, _ in numbers], bits)
    b, b_e = split([other for _, other in numbers], bits)
    if cancel:
        b, b_e = np.nextafter(-a, a.dtype.type(0)), a_e.copy()
    a[0], a_e[0] = 0, kernels.NOTHING
    for kernel, apply in ((kernels._add, Fraction.__add__), (kernels._multiply, Fraction.__mul__)):
        m, e = np.empty_like(a), np.empty_like(a_e)
        kernel(m, e, a, a_e, b, b_e, a.dtype.type(reach))
        for i in range(len(a)):
            wanted = apply(exact(a[i], a_e[i], bits), exact(b[i], b_e[i], bits))
            if not wanted:
                assert (m[i], e[i]) == (0, kernels.NOTHING)
            else:
                assert abs(exact(m[i], e[i], bits) - wanted) <= abs(wanted) * Fraction(float(np.finfo(dtype).eps))
                assert 1 / reach <= abs(m[i]) < reach


# Bits ----------------------------------------------------------------------------------------------------------------


@settings(REPEATABLE, max_examples=25)
@given(seed=SEEDS)
def test_modes_do_not_depend_on_the_others_asked_for(seed: int) -> None:
    found, batch = recurrent(seed), texts(3)
    together = respond(found, batch, MODES)
    assert list(together) == MODES
    for mode in MODES:
        same(respond(found, batch, [mode]), {mode: together[mode]})
    same(respond(found, batch, MODES[::-1]), together)


@settings(REPEATABLE, max_examples=60)
@given(seed=SEEDS)
def test_equal_functions_respond_with_equal_bits(seed: int) -> None:
    found = recurrent(seed, (400, 600, 400), steps=9)
    other = restated(found, np.random.default_rng(seed))
    assert width1_key(other) == width1_key(found)
    same(respond(found, texts(3, 9), MODES), respond(other, texts(3, 9), MODES))


@pytest.mark.parametrize("n", [1, 31, 97])
def test_a_text_s_response_does_not_depend_on_the_others(n: int) -> None:
    found, batch = recurrent(3), texts(100)
    few = make_texts(batch.x[:n], "few", 11)
    alone = respond(found, few, MODES)
    for mode, response in respond(found, batch, MODES).items():
        np.testing.assert_array_equal(number(alone[mode]).reshape(4, n), number(response).reshape(4, 100)[:, :n])


@settings(REPEATABLE, max_examples=15)
@given(seed=SEEDS)
def test_in_float32_up_to_rounding(seed: int) -> None:
    found, batch = recurrent(seed), texts(3)
    responses = [respond(found, batch, MODES, dtype=dtype) for dtype in ("float32", "float64")]
    for mode in MODES:
        single, double = [response[mode] for response in responses]
        assert single.values.dtype == np.float64
        close = np.ldexp(single.values, single.exponent - double.exponent)
        np.testing.assert_allclose(close, double.values, atol=1e-4 * np.abs(double.values).max(), rtol=0)
    assert any((responses[0][mode].values != responses[1][mode].values).any() for mode in MODES)


# What cannot be evaluated --------------------------------------------------------------------------------------------


def zeros(response: Response, n: int) -> None:
    assert response.exponent == 0
    np.testing.assert_array_equal(response.values, np.zeros(n))
    assert not response.values.flags.writeable


def test_networks_that_words_do_not_reach_respond_with_zeros() -> None:
    b = GraphBuilder((4,), (6,), (6,))
    deaf = Recurrent(b.build([b.tanh(b.linear([1], 6)), b.linear([0, 2], 6)]), (4, 6, 4), 11, 3)
    for response in respond(deaf, texts(2, 3), MODES).values():
        zeros(response, 6)


def test_words_that_come_in_through_gates_alone_are_lost_without_gates() -> None:
    found = respond(network(lambda b, y, h: b.product([b.sigmoid(y), h])), texts(2, 3), [FULL, RELU, BNLIN, LIN])
    zeros(found[RELU], 6)
    zeros(found[LIN], 6)
    for mode in (FULL, BNLIN):
        assert len(set(found[mode].values)) == 6
        assert not found[mode].values.flags.writeable


def test_no_texts() -> None:
    zeros(respond(network(lambda b, y, h: y), Batch("none", np.zeros((0, 3), np.int64), "none"), [LIN])[LIN], 0)


def test_texts_of_another_length_are_refused() -> None:
    for wrong in (texts(2, 5), Batch("images", np.zeros((2, 1, 4, 4), np.float32), "images")):
        with pytest.raises(GraphError, match="texts of 4 steps, got shape"):
            respond(recurrent(0), wrong, [LIN])


def test_operations_that_are_not_the_same_for_all_units_are_refused() -> None:
    with pytest.raises(GraphError, match="do not reduce ReLU"):
        respond(network(lambda b, y, h: b.relu(y)), texts(2, 3), [LIN])


def test_other_arithmetics_are_refused() -> None:
    with pytest.raises(GraphError, match="float32 or float64, got 'float16'"):
        respond(recurrent(0), texts(2), [LIN], dtype="float16")
