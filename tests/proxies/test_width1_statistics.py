"""Statistics of responses against the formulas written out, image by image."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.graphs.modes import DEFAULT_MODES, Mode, Response
from untrained.proxies.width1_statistics import (
    EQUAL,
    FLAT,
    NO_MEAN,
    STATISTICS,
    columns,
    dispersion,
    epsilon,
    evaluate,
    log_magnitude,
)

REPEATABLE = settings(deadline=None, derandomize=True)


def response(values: object, exponent: int = 0) -> Response:
    return Response(np.array(values, np.float64), exponent)


@st.composite
def responses(draw: st.DrawFn) -> list[Response]:
    """What several modes may give: ordinary numbers, equal ones, zeros, repeated images, constants, large offsets."""
    n = draw(st.integers(2, 12))
    number = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([0.0, 0.0, 1.0, -1.0, 1e-9, 1e6]))
    kinds = st.one_of(
        st.lists(number, min_size=n, max_size=n),
        number.map(lambda x: [x] * n),
        st.lists(st.sampled_from([1e4, 1e4 + 1e-3, 1e4 + 1]), min_size=n, max_size=n),
    )
    rows = draw(st.lists(st.tuples(kinds, st.sampled_from([0, 0, 700, -900])), min_size=1, max_size=5))
    return [response(values, exponent) for values, exponent in rows]


# The formulas, slowly ------------------------------------------------------------------------------------------------


def normalised(r: Response) -> list[float] | None:
    values = r.values.tolist()
    low, high = min(values), max(values)
    if high - low <= FLAT * max(abs(low), abs(high)):
        return None
    return [(value - low) / (high - low) for value in values]


def slow_epsilon(a: Response, b: Response) -> float:
    p, q = normalised(a), normalised(b)
    if p is None or q is None:
        return math.nan
    differences = [abs(x - y) for x, y in zip(p, q, strict=True) if x != 0 and y != 0]
    kept = [x for x in [*p, *q] if x != 0]
    if not differences:
        return math.nan
    found = math.fsum(differences) / len(differences) / (math.fsum(kept) / len(kept))
    return found if found >= EQUAL else 0.0


def slow_dispersion(r: Response) -> float:
    values = r.values.tolist()
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    if abs(mean) <= NO_MEAN * deviation or mean == 0:
        return math.nan
    return 0.0 if normalised(r) is None else deviation / abs(mean)


def slow_log_magnitude(r: Response) -> float:
    mean = math.fsum(abs(value) for value in r.values.tolist()) / len(r.values)
    return math.log(mean) + r.exponent * math.log(2) if mean else math.nan


SLOW = {"eps": slow_epsilon, "cv": slow_dispersion, "logmag": slow_log_magnitude}


@REPEATABLE
@given(rows=responses())
def test_all_statistics_are_their_formulas(rows: list[Response]) -> None:
    expected = [
        SLOW[prefix](*chosen)
        for prefix, statistic in STATISTICS.items()
        for chosen in itertools.combinations(rows, statistic.n_modes)
    ]
    found = evaluate(rows)
    assert len(found) == len(columns(DEFAULT_MODES[: len(rows)]))
    borderline = [e == e and (EQUAL / 2 < e < EQUAL * 2 or e > 0.5 / NO_MEAN) for e in expected]
    for got, want, near in zip(found.tolist(), expected, borderline, strict=True):
        assert near or got == pytest.approx(want, rel=1e-9, abs=1e-9, nan_ok=True)


@REPEATABLE
@given(rows=responses())
def test_one_at_a_time_they_are_the_same_to_the_last_bit(rows: list[Response]) -> None:
    pairs = list(itertools.combinations(rows, 2))
    alone = [epsilon(a, b) for a, b in pairs] + [dispersion(r) for r in rows] + [log_magnitude(r) for r in rows]
    np.testing.assert_array_equal(evaluate(rows), alone)
    np.testing.assert_array_equal([epsilon(b, a) for a, b in pairs], alone[: len(pairs)])


def test_subsets_of_many_images_are_the_same_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    rows = {mode: response(rng.normal(1, 1, 64)) for mode in DEFAULT_MODES}
    every = dict(zip([c.name for c in columns(DEFAULT_MODES)], evaluate(list(rows.values())).tolist(), strict=True))
    for chosen in ([0, 3], [9], [7, 2, 5], [1, 0, 8, 4, 6]):
        modes = [DEFAULT_MODES[i] for i in chosen]
        found = evaluate([rows[mode] for mode in modes]).tolist()
        for column, value in zip(columns(modes), found, strict=True):
            swapped = "_".join((column.statistic, *reversed(column.modes)))
            assert value == every.get(column.name, every.get(swapped))


# By hand -------------------------------------------------------------------------------------------------------------


def test_epsilon_by_hand() -> None:
    a, b = response([1, 2, 3]), response([10, 30, 20])
    assert epsilon(a, a) == 0
    assert epsilon(a, b) == pytest.approx((0.5 + 0.5) / 2 / ((0.5 + 1 + 1 + 0.5) / 4))
    assert epsilon(a, response(-a.values)) == pytest.approx(0 / 1)  # only the middle image is above both minima
    assert epsilon(a, response(5 * a.values - 7, 300)) == 0


@pytest.mark.parametrize("other", [[1, 1, 1], [0, 0, 0], [1, 1 + 1e-8, 1]], ids=str)
def test_epsilon_of_a_constant_is_undefined(other: list[float]) -> None:
    assert math.isnan(epsilon(response([1, 2, 3]), response(other)))
    assert math.isnan(epsilon(response(other), response(other)))


def test_epsilon_where_no_image_is_above_both_minima_is_undefined() -> None:
    assert math.isnan(epsilon(response([0, 1]), response([1, 0])))


def test_an_epsilon_of_rounding_is_zero() -> None:
    a = response(np.linspace(0, 1, 64))
    noise = 1e-7 * np.random.default_rng(0).normal(0, 1, 64)
    assert epsilon(a, response(a.values + noise)) == 0
    assert epsilon(a, response(a.values + 1e3 * noise)) > EQUAL


def test_dispersion_by_hand() -> None:
    assert dispersion(response([2, 4, 4, 4, 5, 5, 7, 9])) == pytest.approx(2 / 5)
    assert dispersion(response([-2, -4])) == pytest.approx(1 / 3)
    assert dispersion(response([3, 3])) == 0
    assert math.isnan(dispersion(response([-1, 1])))
    assert math.isnan(dispersion(response([-1, 1 + 1e-7])))
    assert math.isnan(dispersion(response([0, 0])))


def test_log_magnitude_by_hand() -> None:
    assert log_magnitude(response([-1, 3])) == pytest.approx(math.log(2))
    assert log_magnitude(response([-1, 3], 10_000)) == pytest.approx(10_001 * math.log(2))
    assert math.isnan(log_magnitude(response([0, 0], 5)))


def test_columns_are_in_the_order_asked_for() -> None:
    relu, lin = Mode.parse("relu"), Mode.parse("lin0.1")
    assert columns([relu, lin])[0].name == "eps_relu_lin0.1"
    assert columns([lin, relu])[0].name == "eps_lin0.1_relu"
    assert len(columns(DEFAULT_MODES)) == 45 + 10 + 10
    assert len({column.name for column in columns(DEFAULT_MODES)}) == 65


def test_every_statistic_says_what_it_is() -> None:
    for statistic in STATISTICS.values():
        assert statistic.formula
        assert statistic.unit
        assert statistic.n_modes in (1, 2)
