"""Operators that make few numbers of many. Where nothing is said of NaN, any NaN makes the result NaN."""

import math
from functools import partial
from typing import Any

import numpy as np

from untrained.programs.operator import Array, Shape, UndefinedError, operator
from untrained.programs.rules import always, broadcast, from_dimensions, not_empty, per_element, scalar
from untrained.programs.tree import Kind

_one = partial(operator, arity=1, kind=always(Kind.SCALAR), shape=scalar)


def total(a: Array) -> Any:
    """Sum of all elements, pairwise, in the array's type."""
    return np.add.reduce(a, axis=None)


def average(a: Array) -> Any:
    """Mean of all elements, NaN of none."""
    return total(a) / a.dtype.type(a.size)


# --- registered in EZNAS's program


@_one(
    cost=per_element(0.4),
    origin="registered",
    latex=r"\left\|{0}\right\|_F",
    python="np.sqrt(np.sum(np.square({0})))",
)
def frobenius(a: Array) -> Any:
    """Root of the sum of squares of all elements."""
    found = np.sqrt(total(np.square(a)))
    if 1e-15 < found < np.inf or not a.size:
        return found
    largest = np.max(np.abs(a))  # squares over- or underflow: scaled, they do not
    return found if largest == 0 or not np.isfinite(largest) else largest * np.sqrt(total(np.square(a / largest)))


@_one(cost=per_element(0.4), origin="registered", latex=r"\mathrm{{mean}}\left({0}\right)", python="np.mean({0})")
def mean(a: Array) -> Any:
    """Mean of all elements; NaN of none."""
    return average(a)


@_one(
    cost=per_element(0.8), origin="registered", latex=r"\mathrm{{mean}}\left|{0}\right|", python="np.mean(np.abs({0}))"
)
def mean_abs(a: Array) -> Any:
    """Mean magnitude of all elements; NaN of none."""
    return average(np.abs(a))


@_one(cost=lambda _: 1500.0, origin="registered", latex=r"\#\left({0}\right)", python="np.float64(np.size({0}))")
def numel(a: Array) -> Any:
    """Number of elements, NaN ones too."""
    return np.asarray(a.size, a.dtype)


def _paired(what: str) -> Any:
    """A scalar of two arrays that broadcast."""
    both = broadcast(what)

    def found(a: Shape, b: Shape) -> Shape:
        both(a, b)
        return ()

    return found


@operator(
    arity=2,
    kind=always(Kind.SCALAR),
    shape=_paired("Hamming distance"),
    cost=per_element(1.0),
    origin="registered",
    latex=r"d_H\left({0}, {1}\right)",
    python="np.mean(({0} > 0) != ({1} > 0))",
)
def hamming(a: Array, b: Array) -> Any:
    """Share of elements for which one argument is above 0 and the other is not; NaN is not above 0.

    The number of differing elements of heaviside(a) and heaviside(b), over all elements that they broadcast to.
    """
    differ = np.not_equal(np.greater(a, 0), np.greater(b, 0))
    return np.divide(np.count_nonzero(differ), differ.size, dtype=np.float64).astype(np.result_type(a, b))


def _divergence_kind(a: Kind, _: Kind) -> Kind | None:
    return Kind.SCALAR if a else None


def _divergence(a: Shape, b: Shape) -> Shape:
    if not a:
        raise UndefinedError(f"no divergence of shapes {a} and {b}: the first has no first dimension")
    broadcast("divergence")(a, b)
    return ()


@operator(
    arity=2,
    kind=_divergence_kind,
    shape=_divergence,
    cost=per_element(8.0),
    origin="registered",
    latex=r"D_{{KL}}\left({1} \,\Vert\, e^{{{0}}}\right)",
    python="(np.sum({1} * (np.log(np.where({1} == 0, 1, {1})) - {0})) / np.shape({0})[0])",
)
def kl_div(a: Array, b: Array) -> Any:
    """Divergence of b from the distribution with logarithms a: sum of b (log b - a), over the size of a's dimension 0.

    b log b is 0 where b is 0 and NaN where it is below, as in torch's `kl_div(a, b, reduction="batchmean")`.
    """
    logs = b * np.log(b + np.equal(b, 0))
    return total(logs - b * a) / np.result_type(a, b).type(a.shape[0])


def _similarities(a: Shape, b: Shape) -> Shape:
    both = broadcast("cosine")(a, b)
    if not both:
        raise UndefinedError("no cosine of two numbers")
    return (both[0], *both[2:]) if len(both) > 1 else ()


def _similar_kinds(a: Kind, b: Kind) -> Kind | None:
    kinds = {Kind.VECTOR: Kind.SCALAR, Kind.MATRIX: Kind.VECTOR, Kind.TENSOR: Kind.TENSOR}
    return kinds.get(max(a, b))


@operator(
    arity=2,
    kind=_similar_kinds,
    shape=_similarities,
    cost=per_element(8.0),
    origin="registered",
    latex=r"\cos\left({0}, {1}\right)",
    python="(lambda a, b, d: np.sum(a * b, d)"
    " / np.maximum(np.sqrt(np.sum(a * a, d)), 1e-8) / np.maximum(np.sqrt(np.sum(b * b, d)), 1e-8))"
    "(*np.broadcast_arrays({0}, {1}), min(1, max(np.ndim({0}), np.ndim({1})) - 1))",
)
def cosine(a: Array, b: Array) -> Any:
    """Cosine of the angle along dimension 1 (channels), of vectors along their only one.

    sum(a b) / (max(|a|, 1e-8) max(|b|, 1e-8)), as in `torch.nn.functional.cosine_similarity`, which has no value for
    vectors.
    """
    x, y = np.broadcast_arrays(a, b)
    along = min(1, x.ndim - 1)
    sizes = [np.maximum(np.sqrt(np.sum(np.square(v), axis=along, keepdims=True)), v.dtype.type(1e-8)) for v in (x, y)]
    return np.sum((x / sizes[0]) * (y / sizes[1]), axis=along)


# --- own


@_one(shape=not_empty("minimum", scalar), cost=per_element(0.3), latex=r"\min {0}", python="np.min({0})")
def min_(a: Array) -> Any:
    """Smallest element."""
    return np.min(a)


@_one(shape=not_empty("maximum", scalar), cost=per_element(0.3), latex=r"\max {0}", python="np.max({0})")
def max_(a: Array) -> Any:
    """Largest element."""
    return np.max(a)


@_one(cost=per_element(0.4), latex=r"\sum {0}", python="np.sum({0})")
def sum_(a: Array) -> Any:
    """Sum of all elements; 0 of none."""
    return total(a)


@_one(
    cost=per_element(1.5),
    latex=r"\mathrm{{var}}\left({0}\right)",
    python="(np.sum(np.square({0} - np.mean({0}))) / (np.size({0}) - 1))",
)
def variance(a: Array) -> Any:
    """Variance of all elements (n - 1); NaN of fewer than two."""
    return _variance(a)


@_one(
    cost=per_element(1.5),
    latex=r"\mathrm{{std}}\left({0}\right)",
    python="np.sqrt(np.sum(np.square({0} - np.mean({0}))) / (np.size({0}) - 1))",
)
def std(a: Array) -> Any:
    """Standard deviation of all elements (n - 1); NaN of fewer than two."""
    return np.sqrt(_variance(a))


def _variance(a: Array) -> Any:
    if a.size < 2:
        return np.asarray(np.nan, a.dtype)
    return total(np.square(a - average(a))) / a.dtype.type(a.size - 1)


@_one(cost=per_element(0.8), latex=r"\left\|{0}\right\|_1", python="np.sum(np.abs({0}))")
def l1_norm(a: Array) -> Any:
    """Sum of magnitudes of all elements."""
    return total(np.abs(a))


def shannon(weights: Array) -> Any:
    """-sum of p log p along the last dimension, p = weights over their sum, which are not negative; 0 if all are 0."""
    sums = np.sum(weights, axis=-1, keepdims=True)
    p = weights / (sums + np.equal(sums, 0))
    return -np.sum(p * np.log(p + np.equal(p, 0)), axis=-1) + 0


@_one(
    cost=per_element(9.0),
    latex=r"\mathcal{{H}}\left({0}\right)",
    python="(lambda w: -np.sum(w * np.log(np.where(w == 0, 1, w))))"
    "(np.abs({0}) / (np.sum(np.abs({0})) + (np.sum(np.abs({0})) == 0)))",
)
def entropy(a: Array) -> Any:
    """Entropy (natural) of the magnitudes of all elements, over their sum; 0 if all are 0."""
    return shannon(np.abs(a).reshape(-1))


@_one(
    cost=per_element(2.0),
    latex=r"\mathrm{{nanmean}}\left({0}\right)",
    python="(np.nansum({0}) / np.sum(~np.isnan({0})))",
)
def nan_mean(a: Array) -> Any:
    """Mean of the elements that are not NaN; NaN if none is left."""
    missing = np.isnan(a)
    n = a.size - np.count_nonzero(missing)
    return average(a) if n == a.size else total(np.where(missing, a.dtype.type(0), a)) / a.dtype.type(n)


@operator(
    arity=1,
    kind=always(Kind.VECTOR, Kind.MATRIX),
    cost=per_element(0.8),
    shape=from_dimensions(2, "mean per channel", lambda shape: shape[1:2]),
    latex=r"\overline{{{0}}}^{{\,C}}",
    python="np.mean({0}, axis=(0, *range(2, np.ndim({0}))))",
)
def channel_mean(a: Array) -> Any:
    """Mean of every channel (dimension 1) over all else."""
    return np.add.reduce(a, axis=(0, *range(2, a.ndim))) / a.dtype.type(math.prod((a.shape[0], *a.shape[2:])))


@operator(
    arity=1,
    kind=always(Kind.VECTOR, Kind.VECTOR),
    cost=per_element(0.8),
    shape=from_dimensions(1, "mean per sample", lambda shape: shape[:1]),
    latex=r"\overline{{{0}}}^{{\,N}}",
    python="np.mean({0}, axis=tuple(range(1, np.ndim({0}))))",
)
def sample_mean(a: Array) -> Any:
    """Mean of every sample (dimension 0) over all else."""
    return np.add.reduce(a, axis=tuple(range(1, a.ndim))) / a.dtype.type(math.prod(a.shape[1:]))
