"""Operators on matrices: products, determinants, eigenvalues, correlations.

Maps are the last two dimensions, shape (..., n, n); "rows" are the first dimension with all others side by side.
A matrix with NaN or infinity in it has NaN for eigenvalues and singular values. Eigenvalues are found in float64.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from untrained.programs.operator import Array, Shape, UndefinedError, operator
from untrained.programs.reductions import shannon
from untrained.programs.rules import (
    CALL,
    always,
    at_least,
    broadcast,
    flat_pair,
    from_dimensions,
    kind_per_map,
    per_cube,
    per_map,
    per_product,
)
from untrained.programs.tree import Kind

_maps = partial(operator, arity=1, kind=kind_per_map)


# --- products


def _product_shape(a: Shape, b: Shape) -> Shape:
    if not a or not b or a[-1] != b[-2 if len(b) > 1 else -1]:
        raise UndefinedError(f"no matrix product of shapes {a} and {b}")
    outside = broadcast("matrix product")(a[:-2], b[:-2])
    return (*outside, *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))


def _product_kind(a: Kind, b: Kind) -> Kind | None:
    if not a or not b:
        return None
    if Kind.TENSOR in (a, b):
        return Kind.TENSOR
    return Kind(a + b - 2)


def _product_cost(a: Shape, b: Shape) -> float:
    inner = math.prod(_product_shape(a, b)) * a[-1]
    return 2 * CALL + math.prod(a) + math.prod(b) + 0.1 * inner


@operator(
    arity=2,
    kind=_product_kind,
    shape=_product_shape,
    cost=_product_cost,
    origin="registered",
    latex=r"{0} {1}",
    python="({0} @ {1})",
)
def matmul(a: Array, b: Array) -> Any:
    """Matrix product of the last two dimensions, the others broadcast."""
    return np.matmul(a, b)


@operator(
    arity=2,
    kind=always(Kind.MATRIX),
    shape=lambda a, b: (math.prod(a), math.prod(b)),
    cost=lambda a, b: CALL + 0.6 * math.prod(a) * math.prod(b),
    latex=r"{0} \otimes {1}",
    python="np.outer({0}, {1})",
)
def outer(a: Array, b: Array) -> Any:
    """Products of every element of the first with every element of the second."""
    return np.multiply.outer(a.reshape(-1), b.reshape(-1))


@operator(
    arity=1,
    kind=at_least(Kind.MATRIX),
    cost=lambda _: CALL,
    latex=r"{0}^{{\top}}",
    shape=from_dimensions(2, "transpose", lambda shape: (*shape[:-2], shape[-1], shape[-2])),
    python="np.swapaxes({0}, -1, -2)",
)
def transpose(a: Array) -> Any:
    """The last two dimensions exchanged."""
    return a.swapaxes(-1, -2)


# --- determinants


@_maps(
    shape=per_map("determinant"),
    cost=per_cube(1.2, 500),
    origin="registered",
    latex=r"\det {0}",
    python="np.linalg.det({0})",
)
def det(a: Array) -> Any:
    """Determinant of every map."""
    return np.linalg.det(a)


@_maps(
    shape=per_map("determinant"),
    cost=per_cube(0.5, 500),
    origin="registered",
    latex=r"\log\det {0}",
    python="(lambda s: np.where(s[0] < 0, 0, np.nan_to_num(s[1], posinf=np.inf, neginf=-np.inf)))"
    "(np.linalg.slogdet({0}))",
)
def logdet(a: Array) -> Any:
    """Logarithm of the determinant of every map: -inf where it is 0, 0 where it is less or NaN."""
    from untrained.programs.determinants import log_determinants  # numba takes long to import

    found = log_determinants(np.ascontiguousarray(a).reshape(math.prod(a.shape[:-2]), *a.shape[-2:]))
    return np.where(np.isnan(found), found.dtype.type(0), found).reshape(a.shape[:-2])


@_maps(
    shape=per_map("determinant"),
    cost=per_cube(1.2, 500),
    latex=r"\log\left|\det {0}\right|",
    python="np.linalg.slogdet({0})[1]",
)
def log_abs_det(a: Array) -> Any:
    """Logarithm of the magnitude of the determinant of every map: -inf where it is 0."""
    return np.linalg.slogdet(a)[1]


# --- eigenvalues and singular values


def _rows(a: Array) -> Array:
    """The first dimension by all others side by side."""
    return a.reshape(flat_pair(a.shape))


def _of_finite(maps: Array, fn: Callable[[Array], Any]) -> Any:
    """What a function makes of matrices in float64, NaN for those that are not finite or for which it fails."""
    out = np.full(maps.shape[:-2], np.nan)
    finite = np.isfinite(maps).all(axis=(-2, -1))
    try:
        out[finite] = fn(maps[finite].astype(np.float64))
    except np.linalg.LinAlgError:  # no convergence
        return out.astype(maps.dtype)
    return out.astype(maps.dtype)


def _ratio(sizes: Array, n: int) -> Any:
    """Largest over smallest along the last dimension; what is within rounding of 0 counts as 0."""
    largest, smallest = sizes.max(axis=-1), sizes.min(axis=-1)
    return largest / np.where(smallest <= n * np.finfo(np.float64).eps * largest, 0, smallest)


def _symmetric(maps: Array) -> Any:
    """Eigenvalues of the symmetric part, from the smallest to the largest."""
    return np.linalg.eigvalsh((maps + maps.swapaxes(-1, -2)) / 2)


def _rows_shape(what: str) -> Callable[[Shape], Shape]:
    def found(shape: Shape) -> Shape:
        if not shape or not shape[0]:
            raise UndefinedError(f"no {what} of no rows, shape {shape}")
        return ()

    return found


def _rows_cost(shape: Shape) -> float:
    return per_product(0.15)(shape) + 15_000 + 4.0 * shape[0] ** 3


@operator(
    arity=1,
    kind=always(Kind.SCALAR, Kind.VECTOR),
    shape=_rows_shape("eigenvalues"),
    cost=_rows_cost,
    origin="registered",
    latex=r"\frac{{\lambda_{{\max}}}}{{\lambda_{{\min}}}}\left({0}{0}^{{\top}}\right)",
    python="(lambda v: v[-1] / np.where(v[0] <= len(v) * 2.2e-16 * v[-1], 0.0, v[0]))"
    "((lambda x: np.maximum(np.linalg.eigvalsh(x @ x.T), 0))"
    "(np.reshape(np.asarray({0}, float), (np.shape({0})[0], -1))))",
)
def sym_eig_ratio(a: Array) -> Any:
    """Largest over smallest eigenvalue of X X^T, X the rows; infinite for dependent rows.

    The exact matrix that the program of EZNAS takes is not known here. This reading is symmetric and exists for every
    array of one dimension or more: the squared condition number of the rows. NaN if all elements are 0.
    """

    def ratio(maps: Array) -> Any:
        return _ratio(np.maximum(np.linalg.eigvalsh(maps), 0), maps.shape[-1])

    x = _rows(a).astype(np.float64)
    return _of_finite(x @ x.T, ratio).astype(a.dtype)


@_maps(
    shape=per_map("eigenvalues", least=1),
    cost=per_cube(35.0, 10_000),
    origin="registered",
    latex=r"\frac{{\left|\lambda\right|_{{\max}}}}{{\left|\lambda\right|_{{\min}}}}\left({0}\right)",
    python="(lambda v: np.max(v, -1) / np.where(np.min(v, -1) <= v.shape[-1] * 2.2e-16 * np.max(v, -1), 0,"
    " np.min(v, -1)))(np.abs(np.linalg.eigvals(np.asarray({0}, float))))",
)
def eig_ratio(a: Array) -> Any:
    """Largest over smallest magnitude of the eigenvalues of every map; infinite for singular maps.

    The exact matrix that the program of EZNAS takes is not known here. NaN for maps of zeros.
    """
    return _of_finite(a, lambda maps: _ratio(np.abs(np.linalg.eigvals(maps)), a.shape[-1]))


@_maps(
    shape=per_map("eigenvalues", least=1),
    cost=per_cube(4.0, 10_000),
    latex=r"\lambda_{{\min}}\left({0}\right)",
    python="np.linalg.eigvalsh(({0} + np.swapaxes({0}, -1, -2)) / 2)[..., 0]",
)
def min_eig(a: Array) -> Any:
    """Smallest eigenvalue of the symmetric part of every map."""
    return _of_finite(a, lambda maps: _symmetric(maps)[..., 0])


@_maps(
    shape=per_map("eigenvalues", least=1),
    cost=per_cube(4.0, 10_000),
    latex=r"\lambda_{{\max}}\left({0}\right)",
    python="np.linalg.eigvalsh(({0} + np.swapaxes({0}, -1, -2)) / 2)[..., -1]",
)
def max_eig(a: Array) -> Any:
    """Largest eigenvalue of the symmetric part of every map."""
    return _of_finite(a, lambda maps: _symmetric(maps)[..., -1])


@_maps(
    shape=per_map("eigenvalues", least=1),
    cost=per_cube(4.0, 10_000),
    latex=r"\mathcal{{H}}\left(\lambda\left({0}\right)\right)",
    python="(lambda w: -np.sum(w * np.log(np.where(w == 0, 1, w)), -1))"
    "((lambda v: v / (np.sum(v, -1, keepdims=True) + (np.sum(v, -1, keepdims=True) == 0)))"
    "(np.abs(np.linalg.eigvalsh(({0} + np.swapaxes({0}, -1, -2)) / 2))))",
)
def eig_entropy(a: Array) -> Any:
    """Entropy (natural) of the eigenvalues' magnitudes over their sum, of the symmetric part of every map.

    The logarithm of how many directions a covariance has; 0 for maps of zeros.
    """
    return _of_finite(a, lambda maps: shannon(np.abs(_symmetric(maps))))


def _norm_cost(shape: Shape) -> float:
    rows, columns = flat_pair(shape)
    return _rows_cost((rows, columns) if rows <= columns else (columns, rows))


def _svd_cost(shape: Shape) -> float:
    rows, columns = flat_pair(shape)
    return 20_000 + rows * columns * (3 + 10.0 * min(rows, columns))


@operator(
    arity=1,
    kind=always(Kind.SCALAR, Kind.VECTOR),
    shape=_rows_shape("rank"),
    cost=_svd_cost,
    latex=r"\mathrm{{rank}}\left({0}\right)",
    python="np.float64(np.linalg.matrix_rank(np.reshape({0}, (np.shape({0})[0], -1))))",
)
def rank(a: Array) -> Any:
    """Numerical rank of the rows: singular values above (larger side) x (the type's precision) x (the largest)."""

    def count(x: Array) -> Any:
        sizes = np.linalg.svd(x, compute_uv=False)
        limit = sizes.max(axis=-1, keepdims=True, initial=0) * max(x.shape[-2:]) * np.finfo(a.dtype).eps
        return np.count_nonzero(sizes > limit, axis=-1)

    return _of_finite(_rows(a), count)


@operator(
    arity=1,
    kind=always(Kind.SCALAR, Kind.VECTOR),
    shape=_rows_shape("norm"),
    cost=_norm_cost,
    latex=r"\left\|{0}\right\|_2",
    python="np.linalg.norm(np.reshape({0}, (np.shape({0})[0], -1)), 2)",
)
def spectral_norm(a: Array) -> Any:
    """Largest singular value of the rows."""
    x = _rows(a).astype(np.float64)
    largest = np.max(np.abs(x), initial=0)
    x /= largest + np.equal(largest, 0)  # so that no square overflows
    products = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    return (largest * _of_finite(products, lambda maps: np.sqrt(_largest(maps)))).astype(a.dtype)


def _largest(maps: Array) -> Any:
    """The largest eigenvalue of positive semidefinite matrices, 0 of those without elements."""
    return np.linalg.eigvalsh(maps).max(axis=-1, initial=0)


# --- inner products and correlations


@operator(
    arity=1,
    kind=always(Kind.MATRIX, Kind.VECTOR),
    cost=per_product(0.1),
    shape=from_dimensions(1, "inner products", lambda shape: (shape[0], shape[0])),
    latex=r"\overline{{{0}{0}^{{\top}}}}",
    python="(lambda x: x @ x.T / x.shape[1])(np.reshape({0}, (np.shape({0})[0], -1)))",
)
def gram(a: Array) -> Any:
    """Inner products of the rows, over the number of columns."""
    x = _rows(a)
    return x @ x.T / a.dtype.type(x.shape[1])


def _correlations(x: Array) -> Any:
    """Of the rows with each other; 0 with rows of equal numbers."""
    if not x.size:
        return np.zeros((len(x), len(x)), x.dtype)
    apart = x - np.mean(x, axis=1, keepdims=True)
    apart[np.max(x, axis=1) == np.min(x, axis=1)] = 0  # a rounded mean of equal numbers differs from them
    sizes = np.sqrt(np.sum(np.square(apart), axis=1, keepdims=True))
    apart /= sizes + np.equal(sizes, 0)
    return apart @ apart.T


_corrcoef = "(lambda x: np.nan_to_num(np.atleast_2d(np.corrcoef(x))))"


@operator(
    arity=1,
    kind=always(Kind.MATRIX, Kind.MATRIX),
    cost=lambda shape: 5 * CALL + math.prod(shape) * (6 + 0.1 * shape[1]),
    shape=from_dimensions(2, "correlations of channels", lambda shape: (shape[1], shape[1])),
    latex=r"\mathrm{{corr}}_C\left({0}\right)",
    python=_corrcoef + "(np.reshape(np.swapaxes({0}, 0, 1), (np.shape({0})[1], -1)))",
)
def channel_correlation(a: Array) -> Any:
    """Correlations of the channels (dimension 1) over all else; 0 with channels of equal numbers."""
    return _correlations(_rows(a.swapaxes(0, 1)))


@operator(
    arity=1,
    kind=always(Kind.MATRIX, Kind.MATRIX),
    cost=lambda shape: 5 * CALL + math.prod(shape) * (5 + 0.1 * shape[0]),
    shape=from_dimensions(2, "correlations of samples", lambda shape: (shape[0], shape[0])),
    latex=r"\mathrm{{corr}}_N\left({0}\right)",
    python=_corrcoef + "(np.reshape({0}, (np.shape({0})[0], -1)))",
)
def sample_correlation(a: Array) -> Any:
    """Correlations of the samples (dimension 0) over all else; 0 with samples of equal numbers."""
    return _correlations(_rows(a))
