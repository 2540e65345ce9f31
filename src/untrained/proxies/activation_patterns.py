"""Which ReLUs are on for which images."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from untrained.proxies.base import NoScore
from untrained.proxies.tape import Call, Tape
from untrained.types import Status

if TYPE_CHECKING:
    from untrained.proxies.model import Model

See = Callable[[Tensor], None]


def distinct_columns(model: "Model", x: Tensor, weights: Mapping[str, Tensor]) -> int:
    """How many different patterns over the images units have: a unit's pattern says for which images it is on.

    Args:
        model: the network.
        x: images, shape (n, channels, height, width), which go through it together.
        weights: to run it with.

    Raises:
        NoScore: there is no ReLU on feature maps, or activations are not finite.
    """
    codes: list[NDArray[Any]] = []
    seen = np.zeros(1 << 16, dtype=np.bool_)  # far faster than sorting, where patterns fit

    def see(y: Tensor) -> None:
        columns = _words(np.packbits(_on(y), axis=0).T)
        if columns.dtype.itemsize > 2:
            codes.append(np.unique(columns))
        else:
            seen[columns] = True

    _watch(model, x, weights, see)
    return len(np.unique(np.concatenate(codes))) if codes else int(seen.sum())


def distinct_rows(model: "Model", xs: Iterable[Tensor], weights: Mapping[str, Tensor]) -> int:
    """How many different patterns over the units images have: the linear regions that these images fall into.

    Args:
        model: the network.
        xs: images, shapes (n, channels, height, width); those of one element go through the network together.
        weights: to run it with.

    Raises:
        NoScore: there is no ReLU on feature maps, or activations are not finite.
    """
    rows = []
    for x in xs:
        parts: list[NDArray[np.uint8]] = []
        _watch(model, x, weights, lambda y, parts=parts: parts.append(np.packbits(_on(y), axis=1)))  # type: ignore[misc]
        rows.append(_words(np.hstack(parts)))
    return len(np.unique(np.concatenate(rows)))


class _Relus(list[Call]):
    """Takes the calls of a tape: shows what ReLUs on feature maps give and keeps nothing."""

    def __init__(self, see: See) -> None:
        super().__init__()
        self.see = see
        self.shown = 0

    def append(self, call: Call) -> None:
        if call.kind == "relu" and call.y.ndim == 4:
            self.see(call.y)
            self.shown += 1


def _watch(model: "Model", x: Tensor, weights: Mapping[str, Tensor], see: See) -> None:
    with torch.no_grad(), Tape({}) as tape:
        tape.calls = relus = _Relus(see)
        logits = model.call(x, weights)
    if not relus.shown:
        raise NoScore(Status.UNDEFINED, "the network has no ReLU on feature maps")
    if not torch.isfinite(logits).all():
        raise NoScore(Status.NONFINITE, "activations are not finite")


def _on(y: Tensor) -> NDArray[np.bool_]:
    """Shape (images, units), units in the order in which they lie in memory."""
    if y.is_contiguous(memory_format=torch.channels_last):
        y = y.movedim(1, -1)
    on: NDArray[np.bool_] = (y.flatten(1) > 0).numpy()
    return on


def _words(packed: NDArray[np.uint8]) -> NDArray[Any]:
    """One number for each row of bytes, or one string of bytes where they do not fit into a number."""
    size = packed.shape[1]
    width = next((w for w in (1, 2, 4, 8) if size <= w), size)
    rows = np.zeros((len(packed), width), dtype=np.uint8)
    rows[:, :size] = packed
    return rows.view(f"u{width}" if width <= 8 else f"V{width}").ravel()
