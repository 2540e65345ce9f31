"""Images as the kernels of the modes read them, remembered, since whole spaces are evaluated on a few batches."""

import math
import threading
import weakref
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from untrained.errors import GraphError
from untrained.graphs.graph import Shape
from untrained.graphs.mode_kernels import LANES
from untrained.graphs.mode_programs import Given

_BLOCK = 32  # images of a block at most


class GivenPlane(NamedTuple):
    """A plane that depends on the images alone: values * 2**exponent, and what is known of it."""

    values: NDArray[Any]  # shape (blocks, height, width, lanes)
    exponent: int
    bound: float  # logarithm of the largest magnitude, -inf where there is none
    fan_in: int  # of the weights that it is without, or 0
    norm: tuple[float, float, float]  # mean and variance of `values`, and their number


class Images:
    """A batch in blocks of images, those behind the last a copy of it, and the planes made of it so far."""

    def __init__(self, n: int, dtype: str) -> None:
        self.n = n
        self.unit = np.dtype(dtype).type(1)
        self.lanes = min(_BLOCK, -(-self.n // LANES) * LANES)
        self.blocks = -(-self.n // self.lanes) if self.n else 0
        self.known: dict[Given, GivenPlane] = {}

    def plane(self, given: Given, x: NDArray[Any]) -> GivenPlane:
        """A channel of the images `x`, or sums over windows of them."""
        if given not in self.known:
            windows = given.kernel != (0, 0)
            values = _sums(x, given) if windows else x[:, given.fan_in].astype(np.float64)
            self.known[given] = self._stored(values, given.fan_in if windows else 0)
        return self.known[given]

    def _stored(self, values: NDArray[np.float64], fan_in: int) -> GivenPlane:
        n, height, width = values.shape
        largest = float(np.abs(values).max())
        exponent = math.frexp(largest)[1]
        values = np.ldexp(values, -exponent).astype(self.unit.dtype)
        padded = values[np.minimum(np.arange(self.blocks * self.lanes), n - 1)]
        stored = aligned(padded.nbytes).view(self.unit.dtype).reshape(self.blocks, height, width, self.lanes)
        stored[:] = padded.reshape(self.blocks, self.lanes, height, width).transpose(0, 2, 3, 1)
        exact = values.astype(np.float64)
        mean = float(exact.mean())
        norm = mean, float(((exact - mean) ** 2).mean()), float(values.size)
        return GivenPlane(stored, exponent, math.log2(largest) if largest else -math.inf, fan_in, norm)


def _sums(x: NDArray[Any], given: Given) -> NDArray[np.float64]:
    """Sums of all channels over windows."""
    total: NDArray[np.float64] = x.sum(axis=1, dtype=np.float64)
    for axis in (1, 2):
        kernel, stride, padding, dilation, out = [
            pair[axis - 1] for pair in (given.kernel, given.stride, given.padding, given.dilation, given.size)
        ]
        total = np.pad(total, [(padding, padding) if k == axis else (0, 0) for k in range(3)])
        taps = [total.take(np.arange(out) * stride + k * dilation, axis) for k in range(kernel)]
        total = np.stack(taps).sum(axis=0)
    return total


_known: dict[tuple[int, str], tuple[weakref.ref[Any], Images]] = {}  # by frozen array and dtype
_MOST_KNOWN = 8


def prepared(x: NDArray[Any], shape: Shape, dtype: str) -> Images:
    """Images in the kernel's form.

    Raises:
        GraphError: another shape, or numbers that are not finite.
    """
    if x.shape[1:] != shape or x.ndim != 4:
        raise GraphError(f"the network reads images of shape {shape}, got {x.shape[1:]}")
    place = id(x), dtype
    known = _known.get(place)
    if known and known[0]() is x:
        return known[1]
    if x.dtype.kind not in "fiu":
        raise GraphError(f"images must be numbers, got {x.dtype}")
    if not np.isfinite(x).all():
        raise GraphError("images must be finite numbers; some are infinite or NaN")
    images = Images(len(x), dtype)
    if x.base is None and not x.flags.writeable:
        for old in [key for key, (reference, _) in list(_known.items()) if reference() is None]:
            _known.pop(old, None)
        if len(_known) < _MOST_KNOWN:
            _known[place] = weakref.ref(x), images
    return images


_local = threading.local()


def workspace(size: int) -> NDArray[np.uint8]:
    """Bytes for planes, kept because fresh pages would cost as much as the evaluation. Nothing old in it is read."""
    space: NDArray[np.uint8] | None = _local.__dict__.get("space")
    if space is None or space.size < size:
        space = _local.space = aligned(size)
    return space


def aligned(size: int) -> NDArray[np.uint8]:
    """Bytes that begin where a cache line does."""
    space = np.empty(size + 64, np.uint8)
    start = -space.ctypes.data % 64
    return space[start : start + size]
