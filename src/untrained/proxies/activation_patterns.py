"""Which ReLUs are on for which images."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from untrained.proxies.base import NoScore
from untrained.proxies.tape import Call
from untrained.types import Status


def relu_outputs(calls: Iterable[Call]) -> list[Tensor]:
    """What the ReLUs on feature maps give, shapes (n, channels, height, width).

    Raises:
        NoScore: there is none, or one that is not finite.
    """
    outputs = [call.y for call in calls if call.kind == "relu" and call.y.ndim == 4]
    if not outputs:
        raise NoScore(Status.UNDEFINED, "the network has no ReLU on feature maps")
    if not all(bool(torch.isfinite(y).all()) for y in outputs):
        raise NoScore(Status.NONFINITE, "activations are not finite")
    return outputs


def distinct_columns(outputs: Iterable[Tensor]) -> int:
    """How many different patterns over the images units have: a unit's pattern is for which images it is on.

    >>> y = torch.tensor([[1.0, 0.0, 2.0, 0.0], [0.0, 0.0, 5.0, 3.0], [0.0, 0.0, 1.0, 0.0]]).reshape(3, 4, 1, 1)
    >>> distinct_columns([y]), distinct_columns([y, y])
    (4, 4)
    """
    return len(np.unique(np.concatenate([np.unique(codes) for codes in _columns(outputs)])))


def distinct_rows(passes: Iterable[Iterable[Tensor]]) -> int:
    """How many different patterns over the units images have: the linear regions that these images fall into.

    Each pass has other images.

    >>> y = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]).reshape(3, 2, 1, 1)
    >>> distinct_rows([[y]]), distinct_rows([[y], [y]])
    (2, 2)
    """
    rows = [_words(np.hstack([np.packbits(_on(y), axis=1) for y in outputs])) for outputs in passes]
    return len(np.unique(np.concatenate(rows)))


def _columns(outputs: Iterable[Tensor]) -> Iterator[NDArray[np.generic]]:
    for y in outputs:
        yield _words(np.ascontiguousarray(np.packbits(_on(y), axis=0).T))


def _on(y: Tensor) -> NDArray[np.bool_]:
    """Shape (images, units)."""
    on: NDArray[np.bool_] = (y.detach().flatten(1) > 0).numpy()
    return on


def _words(packed: NDArray[np.uint8]) -> NDArray[np.generic]:
    """One number for each row of bytes, or one string of bytes where they do not fit into a number."""
    size = packed.shape[1]
    width = next((w for w in (1, 2, 4, 8) if size <= w), size)
    rows = np.zeros((len(packed), width), dtype=np.uint8)
    rows[:, :size] = packed
    return rows.view(f"u{width}" if width <= 8 else f"V{width}").ravel()
