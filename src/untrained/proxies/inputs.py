"""What proxies with passes of their own send through a network."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from untrained.proxies.base import NoScore
from untrained.types import Batch, Status

if TYPE_CHECKING:
    from untrained.proxies.model import Model


def first_images(model: "Model", batch: Batch, n: float) -> Tensor:
    """The first `n` images of a batch, all if there are fewer, in the model's dtype.

    Raises:
        NoScore: the batch has texts.
    """
    image_shape(batch)
    return torch.from_numpy(batch.x[: int(n)].copy()).to(model.dtype)


def noise(model: "Model", shape: tuple[int, ...], *key: str) -> Tensor:
    """Noise N(0, 1) that depends on the model's seed, the shape and the key; the same in both precisions."""
    return torch.randn(shape, generator=model.generator("noise", *key)).to(model.dtype)


def image_shape(batch: Batch) -> tuple[int, ...]:
    """Channels, height and width of a batch's images.

    Raises:
        NoScore: the batch has texts.
    """
    if batch.x.ndim != 4:
        raise NoScore(Status.UNSUPPORTED, "reads words, not images")
    return batch.x.shape[1:]
