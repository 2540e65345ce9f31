"""Width-1 evaluation: the response of a network whose weights are all one constant, at 1/C^2 of the work.

With all weights w and biases 0, every output channel of a convolution is the same plane, w times the windowed sum over
all input channels. So a feature map is a list of (plane, multiplicity) pairs: a convolution of it is one plane, batch
norm acts plane by plane, a concatenation joins lists. The response, one number per image, is the same as that of the
full network up to float32 rounding (algorithm and proof: docs/width1.md; source of the score that uses it:
arXiv:2302.04406).

A graph is lowered once to a `Program` of plane operations and run for each constant. Equal expressions become one
plane. Point-wise operations (ReLU, batch norm, 1x1 convolutions) are never stored: they are folded into whoever reads
them, and what cannot be folded is computed while the rows it needs are in cache.
"""

import threading
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from untrained.errors import GraphError
from untrained.graphs import kernels
from untrained.graphs.lowering import Program, lower

__all__ = ["EPS", "Program", "lower", "respond"]

EPS = 1e-5  # of batch norm


def respond(program: Program, x: NDArray[Any], weight: float) -> NDArray[Any]:
    """One number per image: an output feature of the network whose weights are all `weight`.

    Args:
        program: from `lower`.
        x: images, shape (n, channels, height, width); its dtype, float32 or float64, is that of the evaluation.
        weight: the constant; biases are 0, batch norm uses the statistics of this batch.

    Raises:
        GraphError: images of another shape than the network's input.
    """
    if x.shape[1:] != program.input_shape:
        raise GraphError(f"the network reads images of shape {program.input_shape}, got {x.shape[1:]}")
    if x.dtype not in (np.float32, np.float64):
        raise GraphError(f"images must be float32 or float64, got {x.dtype}")
    n = len(x)
    if not program.readout or not n:
        return np.zeros(n, x.dtype)
    space = _workspace(program.size * n, x.dtype)
    planes, flat, extremes = _planes(x)
    starts = (program.offsets * n).tolist()
    for plane, start in zip(planes, starts, strict=False):
        space[start : start + plane.size] = plane
    means = np.empty((len(program.readout), n), x.dtype)
    kernels.run(
        program.words, program.offsets * n, program.n_norms, flat, space, n, extremes, float(weight), EPS, means
    )
    response: NDArray[Any] = means[0]
    if program.gains:
        response = means.T @ np.array(program.readout, x.dtype)
    for gain in program.gains:
        response = response * x.dtype.type(weight) * x.dtype.type(gain)
    return response


_local = threading.local()  # per thread: `spaces` by dtype, and the `images` prepared last with their planes


def _workspace(size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Room for planes, kept because fresh pages would cost as much as the evaluation. Nothing old in it is read."""
    spaces: dict[str, NDArray[Any]] = _local.__dict__.setdefault("spaces", {})
    space = spaces.get(dtype.char)
    if space is None or space.size < size:
        space = spaces[dtype.char] = np.empty(size, dtype)
    return space


def _planes(x: NDArray[Any]) -> tuple[NDArray[Any], bool, NDArray[np.float64]]:
    """What the kernels need of a batch, remembered for frozen arrays, since whole spaces are evaluated on one batch.

    Returns:
        Images as (channels, pixels * n), the images innermost; whether all are flat, which leaves one pixel each; and
        how far values reach above and below zero.
    """
    known: tuple[Any, NDArray[Any], bool, NDArray[np.float64]] | None = _local.__dict__.get("images")
    if known and known[0]() is x:
        return known[1:]
    bits = x.view(f"u{x.itemsize}")  # zeros of either sign differ
    flat = bool((bits == bits[:, :, :1, :1]).all())
    planes = np.ascontiguousarray((x[:, :, :1, :1] if flat else x).transpose(1, 2, 3, 0)).reshape(x.shape[1], -1)
    extremes = np.array([x.max(initial=0.0), -x.min(initial=0.0)], np.float64)
    extremes[np.isnan(extremes)] = np.inf
    if x.base is None and not x.flags.writeable:
        _local.images = weakref.ref(x), planes, flat, extremes
    return planes, flat, extremes
