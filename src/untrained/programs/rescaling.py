"""Operators that give every element a new value that depends on all, and arrays made of other arrays' shapes."""

import math
from functools import partial
from typing import Any

import numpy as np

from untrained.programs.operator import Array, operator
from untrained.programs.reductions import average, total
from untrained.programs.rules import CALL, always, not_empty, per_element, same, widest
from untrained.programs.tree import Kind
from untrained.seeds import seed_for

_one = partial(operator, arity=1, kind=widest, shape=same)
NOISE = math.sqrt(0.01)  # as far as perturbed images are from images

# --- registered in EZNAS's program


@_one(
    cost=per_element(4.0),
    origin="registered",
    latex=r"z\left({0}\right)",
    python="(np.nan_to_num(({0} - np.mean({0})) / np.std({0}, ddof=1), posinf=np.inf, neginf=-np.inf)"
    " if np.size({0}) > 1 else np.zeros_like({0}))",
)
def standardise(a: Array) -> Any:
    """Minus the mean, over the standard deviation (n - 1); NaN becomes 0, so that equal numbers all become 0."""
    if a.size < 2:
        return np.zeros_like(a)
    apart = a - average(a)
    deviation = np.sqrt(total(np.square(apart)) / a.dtype.type(a.size - 1))
    if not np.isfinite(deviation):
        z = apart / deviation
        return np.where(np.isnan(z), z.dtype.type(0), z)
    # a rounded mean of equal numbers differs from them
    if deviation <= 1e-5 * np.max(np.abs(a)) and np.max(a) == np.min(a):
        return np.zeros_like(a)
    return apart / deviation


@_one(
    cost=per_element(6.0),
    origin="registered",
    latex=r"\mathrm{{softmax}}\left({0}\right)",
    python="(lambda e: e / np.sum(e, -1, keepdims=True) if np.ndim(e) else e / e)"
    "(np.exp({0} - (np.max({0}, -1, keepdims=True, initial=-np.inf) if np.ndim({0}) else {0})))",
)
def softmax(a: Array) -> Any:
    """Exponentials along the last dimension over their sum; NaN along a line that has NaN or infinity.

    Which dimension the program of EZNAS takes is not known here; this is `torch.softmax(a, -1)`.
    """
    if not a.ndim:
        return np.exp(a - a)
    powers = np.exp(a - np.max(a, axis=-1, keepdims=True, initial=-np.inf))
    return powers / np.sum(powers, axis=-1, keepdims=True)


# --- unregistered there


ADDED, DRAWN = seed_for("operator", "add_noise"), seed_for("operator", "normal_like")
_NORMAL = "np.random.default_rng([{seed}, *np.shape({{0}})]).standard_normal(np.shape({{0}}))"


def _normal(seed: int, a: Array) -> Any:
    """N(0, 1) in the array's shape and type, the same for every array of the shape."""
    return np.asarray(np.random.default_rng([seed, *a.shape]).standard_normal(a.shape), a.dtype)


@_one(
    cost=per_element(15.0),
    origin="unregistered",
    latex=r"\left({0} + \frac{{1}}{{10}} N(0, 1)\right)",
    python=f"({{0}} + 0.1 * {_NORMAL.format(seed=ADDED)})",
)
def add_noise(a: Array) -> Any:
    """With 0.1 N(0, 1) added, the noise a function of the shape alone, so that a score is a pure function."""
    return a + a.dtype.type(NOISE) * _normal(ADDED, a)


@_one(
    cost=per_element(15.0),
    origin="unregistered",
    latex=r"N(0, 1)^{{\left|{0}\right|}}",
    python=_NORMAL.format(seed=DRAWN),
)
def normal_like(a: Array) -> Any:
    """N(0, 1) in the shape of the argument, a function of the shape alone."""
    return _normal(DRAWN, a)


# --- own


@_one(
    shape=not_empty("range", same),
    cost=per_element(2.5),
    latex=r"u\left({0}\right)",
    python="(lambda q: np.where(q == 0, np.nan, q))(({0} - np.min({0})) / (np.max({0}) - np.min({0})))",
)
def unit_range(a: Array) -> Any:
    """(x - min) / (max - min), with NaN in place of 0, as epsinas rescales what networks give."""
    low = np.min(a)
    q = (a - low) / (np.max(a) - low)
    return np.where(np.equal(q, 0), q.dtype.type(np.nan), q)


@operator(
    arity=2,
    kind=always(Kind.VECTOR),
    cost=lambda a, b: 2 * CALL + math.prod(a) + math.prod(b),
    shape=lambda a, b: (math.prod(a) + math.prod(b),),
    latex=r"\left({0} \,\Vert\, {1}\right)",
    python="np.concatenate([np.ravel({0}), np.ravel({1})])",
)
def join(a: Array, b: Array) -> Any:
    """All elements of both, side by side in one vector."""
    return np.concatenate([a.reshape(-1), b.reshape(-1)])
