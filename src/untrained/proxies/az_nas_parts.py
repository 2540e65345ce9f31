"""What the parts of AZ-NAS share: one pass of noise through the network, and what each stage makes of it."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from untrained.proxies.base import NoScore
from untrained.proxies.inputs import image_shape, noise
from untrained.types import Batch, Status

if TYPE_CHECKING:
    from untrained.proxies.model import Model


class Parts(NamedTuple):
    """Of one network: `entropies` of its stages, and from each stage to the next the `gains` of gradients.

    Where there is no number stands the reason.
    """

    entropies: list[float | NoScore]
    gains: list[float | NoScore]


def values(numbers: list[float | NoScore]) -> list[float]:
    """The numbers, if all are.

    Raises:
        NoScore: the first reason among them.
    """
    found = []
    for number in numbers:
        if isinstance(number, NoScore):
            raise number
        found.append(number)
    return found


def parts(model: "Model", batch: Batch, images: float) -> Parts:
    """The parts of AZ-NAS for `images` images of noise N(0, 1) in the size of the batch's; computed once a model.

    Raises:
        NoScore: the network reads no images, or has no two stages that follow each other.
    """
    shape = image_shape(batch)
    return model.memo(("az_nas", images, shape), lambda: _parts(model, (int(images), *shape)))


def _parts(model: "Model", shape: tuple[int, ...]) -> Parts:
    stages = [stage for stage in model.record(noise(model, shape, "az_nas")).stages if stage.ndim == 4]

    def signs(k: int, size: torch.Size) -> Tensor:
        return torch.randint(2, size, generator=model.generator("az_nas", "signs", k)) * 2 - 1

    return measure(stages, signs)


def measure(stages: Sequence[Tensor], signs: Callable[[int, torch.Size], Tensor]) -> Parts:
    """Entropies of stages, and gains from each to the next.

    Args:
        stages: feature maps (n, channels, height, width) in the autograd graph, in the order of execution.
        signs: for the number of a stage and its size, what is sent back from it: ones with random signs.
    """
    if len(stages) < 2:
        raise NoScore(Status.UNSUPPORTED, f"needs at least two stages that give feature maps, found {len(stages)}")
    entropies = [_entropy(k, stage.detach()) for k, stage in enumerate(stages)]
    steps = enumerate(pairwise(stages), start=1)
    return Parts(entropies, [_gain(k, before, after, signs(k, after.shape)) for k, (before, after) in steps])


def _entropy(k: int, stage: Tensor) -> float | NoScore:
    """Entropy of the eigenvalues, scaled to sum 1, of the covariance of channels over images and positions."""
    rows = _rows(stage)
    rows = rows - rows.mean(dim=0)
    covariance = (rows.T @ rows).double() / len(rows)
    if not torch.isfinite(covariance).all():
        return NoScore(Status.NONFINITE, f"stage {k} is not finite")
    eigenvalues = torch.linalg.eigvalsh(covariance).clamp(min=0)  # rounding gives tiny negative ones
    total = eigenvalues.sum()
    if not total > 0:
        return NoScore(Status.UNDEFINED, f"stage {k} is constant")
    p = eigenvalues / total
    return float(-(p * (p + 1e-8).log()).sum())


def _gain(k: int, before: Tensor, after: Tensor, signs: Tensor) -> float | NoScore:
    """Spectral norm of the mean over images and positions of (gradient that arrives) x (gradient sent back)."""
    if not before.requires_grad:
        return NoScore(Status.UNDEFINED, f"no weight comes before stage {k - 1}")
    sent = signs.to(after.dtype)
    arrived = torch.zeros_like(before)
    if after.requires_grad:
        (arrived,) = torch.autograd.grad(
            after, before, sent, retain_graph=True, allow_unused=True, materialize_grads=True
        )
    if not arrived.any():
        return NoScore(Status.UNDEFINED, f"stage {k} does not depend on the stage before it")
    if arrived.shape == sent.shape and torch.equal(arrived, sent):
        return NoScore(Status.UNDEFINED, f"stage {k} passes its input on unchanged")
    stride = max(1, arrived.shape[-1] // sent.shape[-1])
    if arrived.shape[-2:] != (stride * sent.shape[-2], stride * sent.shape[-1]):
        sizes = f"{tuple(arrived.shape[-2:])} to {tuple(sent.shape[-2:])}"
        return NoScore(Status.UNSUPPORTED, f"stage {k} changes the size of its input by no whole number: {sizes}")
    arrived_rows, sent_rows = _rows(F.pixel_unshuffle(arrived, stride)), _rows(sent)
    mean = (arrived_rows.T @ sent_rows).double() / len(sent_rows)
    if not torch.isfinite(mean).all():
        return NoScore(Status.NONFINITE, f"gradients from stage {k} are not finite")
    return float(torch.linalg.matrix_norm(mean, 2))


def _rows(x: Tensor) -> Tensor:
    """One row for each image and position."""
    return x.movedim(1, -1).flatten(0, -2)
