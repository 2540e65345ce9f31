"""Operators against torch, against formulas, and on the tensors of a real network."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor
from torch.nn import functional

from untrained.errors import BadInputError
from untrained.programs.listing import operator_rows
from untrained.programs.operator import MAX_ELEMENTS, operator
from untrained.programs.operators import (
    OPERATORS,
    TooCostlyError,
    TooLargeError,
    UndefinedError,
    operator_set,
)
from untrained.programs.rules import per_element, same, widest
from untrained.programs.tree import Kind

Array = np.ndarray[Any, Any]
NAN, INF = math.nan, math.inf

EZNAS = """add mul matmul less greater equal log abs_log abs square exp standardise relu sign heaviside reciprocal
frobenius det logdet sym_eig_ratio eig_ratio mean mean_abs hamming kl_div cosine softmax sigmoid ones_like zeros_like
is_positive is_negative numel"""
OURS = """neg sqrt_abs log1p_abs safe_divide tanh maximum minimum min max sum variance std l1_norm entropy rank
spectral_norm channel_mean sample_mean transpose outer gram channel_correlation sample_correlation min_eig max_eig
eig_entropy log_abs_det unit_range nan_mean join"""
REGISTERED, OWN = set(EZNAS.split()), set(OURS.split())


def zero(a: Tensor) -> Tensor:
    return torch.zeros((), dtype=a.dtype)


def rows(a: Tensor) -> Tensor:
    return a.reshape(a.shape[0], -1)


def standardised(a: Tensor) -> Tensor:
    z = (a - a.mean()) / a.std()
    return torch.where(z.isnan(), 0, z)


def eigenvalue_ratio(sizes: Tensor) -> Tensor:
    return sizes.amax(-1) / sizes.amin(-1)


def symmetric(a: Tensor) -> Tensor:
    return torch.linalg.eigvalsh((a + a.mT).double() / 2)


def entropy(w: Tensor) -> Tensor:
    p = w / w.sum(-1, keepdim=True)
    return torch.special.entr(p).sum(-1)


def unit_range(a: Tensor) -> Tensor:
    q = (a - a.min()) / (a.max() - a.min())
    return torch.where(q == 0, NAN, q)


EVERYWHERE: dict[str, Callable[..., Tensor]] = {  # NaN, infinity and zeros included
    "add": torch.add,
    "mul": torch.mul,
    "sub": torch.sub,
    "less": lambda a, b: torch.lt(a, b).to(a.dtype),
    "greater": lambda a, b: torch.gt(a, b).to(a.dtype),
    "equal": lambda a, b: torch.eq(a, b).to(a.dtype),
    "log": lambda a: torch.where(a <= 0, 1, a).log(),
    "abs_log": lambda a: torch.where(a == 0, 1, a).abs().log(),
    "abs": torch.abs,
    "square": torch.square,
    "exp": torch.exp,
    "relu": torch.relu,
    "sign": torch.sign,
    "heaviside": lambda a: torch.heaviside(a, zero(a)),
    "reciprocal": torch.reciprocal,
    "sigmoid": torch.sigmoid,
    "ones_like": torch.ones_like,
    "zeros_like": torch.zeros_like,
    "is_positive": lambda a: (a > 0).to(a.dtype),
    "is_negative": lambda a: (a < 0).to(a.dtype),
    "neg": torch.neg,
    "sqrt_abs": lambda a: a.abs().sqrt(),
    "log1p_abs": lambda a: a.abs().log1p(),
    "safe_divide": lambda a, b: torch.where(b.abs() < 1e-12, 0, a / b),
    "tanh": torch.tanh,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "numel": lambda a: torch.tensor(a.numel(), dtype=a.dtype),
    "softmax": lambda a: torch.softmax(a, -1),
    "hamming": lambda a, b: (torch.heaviside(a, zero(a)) != torch.heaviside(b, zero(b))).to(a.dtype).mean(),
    "min": torch.min,
    "max": torch.max,
    "transpose": lambda a: a.mT,
}
FINITE: dict[str, Callable[..., Tensor]] = {  # where torch's own sums, overflow or errors are no definition
    "matmul": torch.matmul,
    "standardise": standardised,
    "frobenius": torch.linalg.vector_norm,
    "det": torch.det,
    "logdet": lambda a: torch.logdet(a).nan_to_num(0, neginf=-INF),
    "log_abs_det": lambda a: torch.slogdet(a).logabsdet,
    "sym_eig_ratio": lambda a: eigenvalue_ratio(torch.linalg.eigvalsh(rows(a).double() @ rows(a).double().T)),
    "eig_ratio": lambda a: eigenvalue_ratio(torch.linalg.eigvals(a.double()).abs()),
    "mean": torch.mean,
    "mean_abs": lambda a: a.abs().mean(),
    "kl_div": lambda a, b: functional.kl_div(a, b, reduction="batchmean"),
    "cosine": functional.cosine_similarity,
    "sum": torch.sum,
    "variance": torch.var,
    "std": torch.std,
    "l1_norm": lambda a: a.abs().sum(),
    "entropy": lambda a: entropy(a.abs().flatten()),
    "rank": lambda a: torch.linalg.matrix_rank(rows(a)),
    "spectral_norm": lambda a: torch.linalg.matrix_norm(rows(a), 2),
    "channel_mean": lambda a: a.transpose(0, 1).flatten(1).mean(1),
    "sample_mean": lambda a: rows(a).mean(1),
    "outer": lambda a, b: torch.outer(a.flatten(), b.flatten()),
    "gram": lambda a: rows(a) @ rows(a).T / rows(a).shape[1],
    "channel_correlation": lambda a: torch.corrcoef(a.transpose(0, 1).flatten(1)),
    "sample_correlation": lambda a: torch.corrcoef(rows(a)),
    "min_eig": lambda a: symmetric(a).amin(-1),
    "max_eig": lambda a: symmetric(a).amax(-1),
    "eig_entropy": lambda a: entropy(symmetric(a).abs()),
    "unit_range": unit_range,
    "nan_mean": torch.nanmean,
    "join": lambda a, b: torch.cat([a.flatten(), b.flatten()]),
}
ORACLE = EVERYWHERE | FINITE


def apply(name: str, *given: Array) -> Array:
    return OPERATORS[name].fn(*given)


def agree(name: str, *given: Array, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    theirs = ORACLE[name](*[torch.from_numpy(array.copy()) for array in given])
    ours = apply(name, *given)
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=rtol, atol=atol, err_msg=name)


def test_names() -> None:
    assert operator_set("eznas").keys() == REGISTERED
    assert REGISTERED | {"sub"} == operator_set("paper").keys()
    assert set(OPERATORS) == operator_set("all").keys() == {*REGISTERED, *OWN, "sub", "add_noise", "normal_like"}
    assert {name for name, found in OPERATORS.items() if found.origin == "own"} == OWN
    assert set(ORACLE) == set(OPERATORS) - {"add_noise", "normal_like"}


FLOATS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, -1.0, NAN, INF, -INF, 1e-12, 1e-13, 1e30, 1e-40])


@pytest.mark.parametrize("name", EVERYWHERE)
@given(data=st.data())
@settings(deadline=None, max_examples=10)
def test_as_torch_everywhere(name: str, data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from([(3,), (2, 3), (1, 2, 3, 3)] if name != "transpose" else [(2, 3), (1, 2, 3, 2)]))
    given_ = [data.draw(arrays.arrays(np.float32, shape, elements=FLOATS)) for _ in range(OPERATORS[name].arity)]
    agree(name, *given_, rtol=1e-5, atol=1e-37)


@pytest.mark.parametrize("name", ORACLE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_as_torch_on_random_numbers(name: str, dtype: type) -> None:
    rng = np.random.default_rng(7)
    defined = 0
    for shape in [(4, 4), (3, 5), (5, 3), (2, 3, 4, 4), (4, 2, 3, 3)]:
        given_ = [rng.normal(size=shape).astype(dtype) for _ in range(OPERATORS[name].arity)]
        if name == "kl_div":
            given_[1] = np.abs(given_[1])  # of a number below 0 there is no logarithm
        if name == "matmul":
            given_[1] = np.ascontiguousarray(given_[1].swapaxes(-1, -2))
        if name == "sym_eig_ratio" and shape in [(5, 3), (4, 4)]:
            continue  # dependent, or nearly dependent rows: see below
        try:
            apply(name, *given_)
        except UndefinedError:
            continue
        agree(name, *given_, rtol=1e-4 if dtype is np.float32 else 1e-9, atol=1e-5 if dtype is np.float32 else 1e-12)
        defined += 1
    assert defined >= 2


@pytest.mark.parametrize("name", sorted(n for n, found in OPERATORS.items() if found.arity == 2 and found.elementwise))
def test_broadcasting(name: str) -> None:
    rng = np.random.default_rng(1)
    for a, b in [((2, 1, 3), (4, 3)), ((), (2, 3)), ((2, 3), ()), ((1,), (5,)), ((0, 3), (1, 3)), ((2, 3), (3,))]:
        agree(name, np.asarray(rng.normal(size=a)), np.asarray(rng.normal(size=b)))
    with pytest.raises(UndefinedError, match=r"no \w+ of shapes \(2, 3\) and \(2, 4\)"):
        apply(name, np.ones((2, 3)), np.ones((2, 4)))


@given(st.data())
@settings(deadline=None, max_examples=40)
def test_shapes_of_matrix_products(data: st.DataObject) -> None:
    shapes = [tuple(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))) for _ in range(2)]
    a, b = (np.ones(shape, np.float32) for shape in shapes)
    try:
        expected = np.matmul(a, b)
    except ValueError:
        with pytest.raises(UndefinedError, match="no matrix product"):
            apply("matmul", a, b)
        return
    np.testing.assert_array_equal(apply("matmul", a, b), expected)


def test_numbers_have_no_matrix_product() -> None:
    for a, b in ((np.ones(()), np.ones(3)), (np.ones(3), np.ones(())), (np.ones((2, 3)), np.ones((2, 3)))):
        with pytest.raises(UndefinedError, match="no matrix product of shapes"):
            apply("matmul", a, b)


# --- tensors of a real network


@pytest.fixture(scope="module")
def layers() -> list[dict[str, Array]]:
    from untrained.batches import load_batch
    from untrained.proxies import Network
    from untrained.proxies.statistics import NAMES, layer_statistics
    from untrained.spaces import SPACES
    from untrained.types import Task

    space = SPACES["nasbench201"]
    cell = "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_1x1~1|+|avg_pool_3x3~0|skip_connect~1|nor_conv_3x3~2|"
    task = Task((3, 16, 16), 10, 8, 1)
    model = Network(space.graph(space.parse(cell), task)).model("kaiming_normal_fan_out")
    found = layer_statistics(model, load_batch("normal", task.input_shape, 4), NAMES)
    return [{name: tensor.detach().numpy() for name, tensor in layer.items()} for layer in found[::5]]


@pytest.mark.parametrize("name", ORACLE)
def test_as_torch_on_a_network(name: str, layers: list[dict[str, Array]]) -> None:
    pairs = [
        ("act_data", "act_noise"),
        ("weight", "weight_grad_data"),
        ("in_noise", "in_data"),
        ("act_grad_perturb", "act_grad_data"),
        ("pre_grad_data", "pre_data"),
    ]
    defined = 0
    for layer in layers[: 1 if name in ("rank", "spectral_norm") else None]:
        for pair in pairs:
            given_ = [layer[which] for which in pair[: OPERATORS[name].arity]]
            if name in ("outer", "matmul"):
                given_ = [array[:1, :4].copy() for array in given_]
            if name == "kl_div":
                given_[1] = np.abs(given_[1])
            try:
                ours = apply(name, *given_)
            except UndefinedError:
                continue
            if ("eig_ratio" in name and not (ours < 1e5).all()) or (name == "log_abs_det" and not (ours > -40).all()):
                continue  # nearly singular: no digits to compare
            scale = np.abs(ours[np.isfinite(ours)]).max(initial=0)
            if name in ("mean", "sum", "nan_mean", "channel_mean", "sample_mean"):
                scale = apply(name, *[np.abs(array) for array in given_]).max()  # its terms cancel
            agree(name, *given_, rtol=1e-4, atol=2e-6 * float(scale) + 1e-30)
            defined += 1
    assert defined >= 3


# --- values by formula


def test_logarithms() -> None:
    a = np.array([-2.0, 0.0, math.e, NAN, INF, -INF])
    np.testing.assert_allclose(apply("log", a), [0, 0, 1, NAN, INF, 0])
    np.testing.assert_allclose(apply("abs_log", a), [math.log(2), 0, 1, NAN, INF, INF])


def test_nan_is_neither_above_nor_below() -> None:
    a = np.array([NAN, -1.0, 0.0, 2.0])
    for name, expected in {
        "sign": [0, -1, 0, 1],
        "heaviside": [0, 0, 0, 1],
        "is_positive": [0, 0, 0, 1],
        "is_negative": [0, 1, 0, 0],
        "relu": [NAN, 0, 0, 2],
        "ones_like": [1, 1, 1, 1],
    }.items():
        np.testing.assert_array_equal(apply(name, a), expected, err_msg=name)
    for name in ("less", "greater", "equal"):
        assert apply(name, a, a)[0] == 0
    for name in ("maximum", "minimum"):
        assert np.isnan(apply(name, a, np.ones(4))[0])
    for name in ("frobenius", "mean", "sum", "min", "max", "std", "entropy", "spectral_norm", "rank"):
        assert np.isnan(apply(name, a)), name


def test_standardise() -> None:
    np.testing.assert_allclose(apply("standardise", np.array([1.0, 2.0, 6.0])), np.array([-2, -1, 3]) / math.sqrt(7))
    assert apply("standardise", np.array([[7.0]])).tolist() == [[0]]
    assert apply("standardise", np.array([1.0, NAN, 3.0])).tolist() == [0, 0, 0]
    assert apply("standardise", np.array([1.0, INF, 3.0])).tolist() == [0, 0, 0]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(0, 3000))
@example(0.1, 2999)
def test_equal_numbers_are_standardised_to_zeros(number: float, n: int) -> None:
    assert not apply("standardise", np.full(n, number, np.float32)).any()


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e30])
def test_norms_neither_over_nor_underflow(scale: float) -> None:
    a = np.array([[3.0, 0], [0, 4]], np.float32) * np.float32(scale)
    assert apply("frobenius", a) == pytest.approx(5 * scale, rel=1e-6)
    assert apply("frobenius", np.zeros((2, 3))) == 0
    assert apply("frobenius", np.array([INF, 1])) == INF
    assert apply("frobenius", np.zeros(0)) == 0


def test_determinants() -> None:
    maps = np.array([[[2.0, 0], [0, 3]], [[0, 1], [1, 0]], [[1, 1], [1, 1]], [[0, 0], [0, 0]], [[NAN, 0], [0, 1]]])
    np.testing.assert_allclose(apply("det", maps), [6, -1, 0, 0, NAN])
    np.testing.assert_allclose(apply("logdet", maps), [math.log(6), 0, -INF, -INF, 0])
    np.testing.assert_allclose(apply("log_abs_det", maps), [math.log(6), 0, -INF, -INF, NAN])
    assert apply("logdet", np.broadcast_to(np.eye(3), (2, 5, 3, 3))).shape == (2, 5)
    for name in ("det", "logdet", "log_abs_det"):
        for shape in ((2, 3), (3,), ()):
            with pytest.raises(UndefinedError, match="no determinant of maps of shape"):
                apply(name, np.ones(shape))


def test_divergence_is_of_logarithms_and_per_first_dimension() -> None:
    a, b = np.array([[0.5, -1.0], [2.0, 3.0]]), np.array([[1.0, 0.0], [1.0, 0.5]])
    assert apply("kl_div", a, b) == pytest.approx((-0.5 - 2.0 + 0.5 * (math.log(0.5) - 3.0)) / 2)
    assert np.isnan(apply("kl_div", a, -b))
    with pytest.raises(UndefinedError, match="no first dimension"):
        apply("kl_div", np.ones(()), b)


def test_cosine_of_vectors_and_zeros() -> None:
    a = np.array([1.0, 2.0, 2.0])
    assert apply("cosine", a, -a) == pytest.approx(-1)
    assert apply("cosine", a, 0 * a) == 0
    with pytest.raises(UndefinedError):
        apply("cosine", np.ones(()), np.ones(()))


def test_eigenvalues() -> None:
    a = np.diag([4.0, -1.0, 2.0])
    assert apply("min_eig", a) == pytest.approx(-1)
    assert apply("max_eig", a) == pytest.approx(4)
    assert apply("eig_ratio", a) == pytest.approx(4)
    assert apply("sym_eig_ratio", a) == pytest.approx(16)
    assert apply("eig_ratio", np.array([[0.0, -3.0], [3.0, 0.0]])) == pytest.approx(1)  # 3i and -3i
    assert apply("eig_entropy", np.eye(5)) == pytest.approx(math.log(5))
    assert apply("eig_entropy", np.zeros((3, 3))) == 0
    assert apply("max_eig", np.array([[1.0, 4.0], [0.0, 1.0]])) == pytest.approx(3)  # of the symmetric part
    assert apply("eig_ratio", np.ones((3, 3))) == INF
    assert apply("sym_eig_ratio", np.ones((3, 5))) == INF
    assert apply("sym_eig_ratio", np.ones((5, 3, 1, 1))) == INF
    assert np.isnan(apply("eig_ratio", np.zeros((3, 3))))
    some = apply("min_eig", np.stack([np.eye(2), np.full((2, 2), NAN), 3 * np.eye(2)]))
    np.testing.assert_allclose(some, [1, NAN, 3])


@given(arrays.arrays(np.float64, (3, 4), elements=st.floats(-5, 5)))
@settings(deadline=None, max_examples=40)
def test_the_norm_is_the_largest_singular_value(a: Array) -> None:
    largest = math.sqrt(max(0.0, float(apply("max_eig", a @ a.T))))
    assert float(apply("spectral_norm", a)) == pytest.approx(largest, abs=1e-6)
    assert float(apply("rank", a)) == np.linalg.matrix_rank(a)


def test_correlations_of_equal_numbers_are_zero() -> None:
    a = np.random.default_rng(0).normal(size=(4, 3, 2, 2)).astype(np.float32)
    a[:, 1] = 0.1
    found = apply("channel_correlation", a)
    assert found.shape == (3, 3)
    assert not found[1].any()
    assert not found[:, 1].any()
    np.testing.assert_allclose(found[[0, 2], [0, 2]], 1, rtol=1e-6)
    assert apply("sample_correlation", a).shape == (4, 4)


def test_unit_range_as_epsinas() -> None:
    np.testing.assert_array_equal(apply("unit_range", np.array([1.0, 3.0, 2.0])), [NAN, 1, 0.5])
    assert np.isnan(apply("unit_range", np.ones(4))).all()
    assert apply("nan_mean", np.array([NAN, 1.0, 3.0])) == 2
    assert np.isnan(apply("nan_mean", np.array([NAN])))


def test_noise_is_a_function_of_the_shape() -> None:
    a, b = np.zeros((40, 50), np.float32), np.ones((40, 50), np.float32)
    np.testing.assert_array_equal(apply("normal_like", a), apply("normal_like", b))
    drawn, added = apply("normal_like", a), apply("add_noise", a)
    assert abs(float(drawn.mean())) < 0.1
    assert float(drawn.std()) == pytest.approx(1, abs=0.1)
    assert float(added.std()) == pytest.approx(0.1, abs=0.01)
    assert abs(float(np.corrcoef(drawn.ravel(), added.ravel())[0, 1])) < 0.1
    assert apply("normal_like", np.zeros((50, 40), np.float32)).ravel()[0] != drawn.ravel()[0]


# --- limits


def test_too_large_is_known_before_it_is_computed() -> None:
    long = np.broadcast_to(np.float32(1), 1 << 20)
    for name in ("outer", "add", "kl_div", "cosine", "hamming"):
        second = long if name == "outer" else long[:, None]
        with pytest.raises(TooLargeError, match=rf"1,099,511,627,776 elements.*at most {MAX_ELEMENTS:,}"):
            apply(name, long, second)
    wide = np.broadcast_to(np.float32(1), (1 << 14, 1 << 14))
    with pytest.raises(TooLargeError):
        apply("abs", wide)
    big = np.broadcast_to(np.float32(1), (1 << 13, 1 << 13))
    for name in ("eig_ratio", "det", "min_eig", "sym_eig_ratio", "spectral_norm"):
        with pytest.raises(TooCostlyError, match=rf"{name} of \(8192, 8192\) would take .* steps"):
            apply(name, big)


def test_costs_grow_with_what_is_computed() -> None:
    cost = {name: found.cost for name, found in OPERATORS.items()}
    assert cost["add"]((8, 1), (1, 8)) == cost["add"]((8, 8), (8, 8)) < cost["add"]((9, 8), (9, 8))
    assert cost["exp"]((100, 100)) > cost["abs"]((100, 100))
    assert cost["eig_ratio"]((32, 32)) > cost["min_eig"]((32, 32)) > cost["det"]((32, 32))
    assert cost["det"]((7, 32, 32)) > 5 * cost["det"]((32, 32))
    assert cost["matmul"]((64, 512), (512, 64)) > 4 * cost["matmul"]((64, 64), (64, 64))
    assert cost["kl_div"]((0, 3), (0, 3)) > 0


# --- registration


def test_sets() -> None:
    assert len(operator_set("eznas")) == 33
    assert list(operator_set("paper", disabled=("det", "logdet"))) == [
        name for name in OPERATORS if name in operator_set("paper") and name not in ("det", "logdet")
    ]
    assert all(found.elementwise for found in operator_set("elementwise").values())
    assert "standardise" not in operator_set("elementwise")
    with pytest.raises(BadInputError, match="must be one of eznas, paper, all, elementwise, got 'ezans'"):
        operator_set("ezans")
    with pytest.raises(BadInputError, match="none named 'exq'"):
        operator_set("all", disabled=["exq"])


def test_two_operators_of_one_name() -> None:
    register = operator(arity=1, kind=widest, shape=same, cost=per_element(1), latex="{0}", python="{0}")

    def exp(a: Array) -> Array:
        """Another."""
        return a

    before = OPERATORS["exp"]
    with pytest.raises(ValueError, match="two operators are named exp"):
        register(exp)
    assert OPERATORS["exp"] is before


def test_kinds() -> None:
    s, v, m, t = Kind
    kind = {name: found.kind for name, found in OPERATORS.items()}
    assert [kind["det"](k) for k in Kind] == [None, None, s, m]
    assert [kind["mean"](k) for k in Kind] == [s, s, s, s]
    assert [kind["matmul"](a, b) for a, b in ((s, m), (v, v), (v, m), (m, v), (m, m), (t, m))] == [None, s, v, v, m, t]
    assert kind["add"](v, t) is t
    assert kind["outer"](s, t) is m
    assert [kind["channel_mean"](k) for k in Kind] == [None, None, v, v]


def test_listing() -> None:
    rows_ = operator_rows()
    assert [row.name for row in rows_] == list(OPERATORS)
    assert len({row.summary for row in rows_ if row.name not in ("heaviside", "is_positive")}) == len(rows_) - 2
    assert all(row.formula and "{" not in row.formula for row in rows_)


def test_numba_is_imported_by_determinants_alone(python: Callable[..., Any]) -> None:
    assert (
        python("""
import sys
import numpy as np
from untrained.programs.operators import OPERATORS
OPERATORS["det"].fn(np.eye(2))
assert "numba" not in sys.modules and "torch" not in sys.modules
OPERATORS["logdet"].fn(np.eye(2))
assert "numba" in sys.modules
""").code
        == 0
    )
