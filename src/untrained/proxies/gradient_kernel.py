"""The neural tangent kernel of a network on a few images."""

from collections.abc import Sequence

import torch
from torch import Tensor

from untrained.proxies.base import NoScore
from untrained.types import Status

_COLUMNS = 1 << 18  # of the gradients that are made float64 at a time


def kernel(logits: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Dot products of the gradients of each image's summed logits.

    Args:
        logits: shape (n, classes), in the autograd graph.
        weights: what gradients are taken of; those that the logits do not depend on add nothing.

    Returns:
        The kernel, shape (n, n), float64.

    Raises:
        NoScore: the logits depend on none of the weights.
    """
    if not logits.requires_grad:
        raise NoScore(Status.UNDEFINED, "the logits do not depend on the weights")
    totals = logits.flatten(1).sum(dim=1)
    gradients: Tensor | None = None  # one row for each image
    for row, total in enumerate(totals):
        found = torch.autograd.grad(total, weights, retain_graph=row < len(totals) - 1, allow_unused=True)
        flat = torch.cat([g.flatten() for g in found if g is not None] or [logits.new_zeros(1)])
        if gradients is None:
            gradients = flat.new_empty(len(totals), len(flat))
        gradients[row] = flat
    products = torch.zeros(len(totals), len(totals), dtype=torch.float64)
    if gradients is not None:
        for start in range(0, gradients.shape[1], _COLUMNS):
            part = gradients[:, start : start + _COLUMNS].double()
            products += part @ part.T
    return products


def condition(kernel: Tensor, eps: float) -> float:
    """Largest over smallest eigenvalue.

    Raises:
        NoScore: one image alone, entries that are not finite, or a smallest eigenvalue within `eps` times the largest,
            which is nothing but rounding.
    """
    if len(kernel) < 2:
        raise NoScore(Status.UNDEFINED, "needs at least two images")
    if not torch.isfinite(kernel).all():
        raise NoScore(Status.NONFINITE, "gradients are not finite")
    eigenvalues = torch.linalg.eigvalsh(kernel)
    low, high = float(eigenvalues[0]), float(eigenvalues[-1])
    if low <= eps * high:
        raise NoScore(Status.UNDEFINED, f"the kernel is singular: eigenvalues from {low:.3g} to {high:.3g}")
    return high / low
