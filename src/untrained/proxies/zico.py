"""zico: how steady the gradients are from one part of the batch to another."""

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from untrained.errors import BadInputError
from untrained.proxies.base import Needs, NoScore, proxy
from untrained.proxies.gradsign import refuse_lone_values
from untrained.types import Batch, Scope, Status

if TYPE_CHECKING:
    from torch import Tensor

    from untrained.proxies.model import Model


DEVIATIONS = ("gradient", "size")


def _check(*, batches: float, deviation: str) -> None:
    if not math.isfinite(batches) or batches != int(batches) or batches < 2:
        raise BadInputError(f"proxy zico: batches must be a whole number from 2, got {batches:g}.")
    if deviation not in DEVIATIONS:
        raise BadInputError(f"proxy zico: deviation must be one of {', '.join(DEVIATIONS)}, got {deviation!r}.")


@proxy(
    version=1,
    needs=Needs.WEIGHTS,
    labels=True,
    scope=Scope.KEY,
    init="default",
    cite="Li et al. 2023 (ZiCo), arXiv:2301.11300, section 3",
    cost="one forward and one backward, in parts",
    check=_check,
)
def zico(model: "Model", batch: Batch, *, batches: float = 2.0, deviation: str = "gradient") -> float:
    """Sum over layers of the log of the summed ratios of mean to deviation of the gradients' size.

    The batch is cut in order into `batches` parts of (nearly) equal size, each with a forward and backward pass and
    norms' statistics of its own. With g_b the gradient of a part's mean cross entropy with respect to one weight,

        sum over layers of ln sum over weights of  mean_b |g_b| / std_b(g_b),

    over the weights of convolutions and linear layers, std being that of the population. Weights whose deviation is 0
    are left out, and so are layers of such weights alone. This is the program; the paper's formula has |g_b| in the
    deviation too (`deviation=size`). Grows with the number of layers and with the logarithm of their size.

    With two parts the ratio is (|g_1| + |g_2|) / |g_1 - g_2|, which has no bound: one weight whose gradients happen to
    agree can decide its layer, and how closely they agree is a matter of rounding. For the small networks of the tests
    float32 is up to 0.5 % from float64 with two parts, in the original program too, and 0.003 % with four.

    Undefined where all gradients are the same in all parts: equal images, or fewer images than parts.
    """
    import torch

    trace = model.trace(batch)
    if len(trace.x) < batches:
        raise NoScore(Status.UNDEFINED, f"{batches:g} parts need as many images, the batch has {len(trace.x)}")
    if len(trace.x) < 2 * batches:
        refuse_lone_values(trace.record.calls)
    edges = [part * len(trace.x) // int(batches) for part in range(int(batches) + 1)]
    layers = list(model.layer_weights.values())
    if not layers:
        raise NoScore(Status.UNSUPPORTED, "no convolution or linear layer in the network")
    parts = []
    for start, end in pairwise(edges):
        loss = trace.loss_of(model.call(trace.x[start:end].detach()), trace.labels[start:end])
        if not loss.requires_grad:
            raise NoScore(Status.UNDEFINED, "the loss does not depend on the weights")
        parts.append(torch.autograd.grad(loss, layers, allow_unused=True, materialize_grads=True))
    return zico_of([torch.stack(gradients) for gradients in zip(*parts, strict=True)], deviation)


def zico_of(gradients: "list[Tensor]", deviation: str = "gradient") -> float:
    """The score from each layer's gradients, shape (parts, ...).

    `deviation` says whether it is that of the gradients or of their sizes.

    Raises:
        NoScore: gradients are not finite, or the same in all parts.

    >>> import torch
    >>> round(zico_of([torch.tensor([[1.0, 2.0], [3.0, 2.0]])]), 4)  # ln(2 / 1); the second weight is left out
    0.6931
    """
    score, n_layers = 0.0, 0
    for layer in gradients:
        g = layer.double().flatten(1)
        if not bool(g.isfinite().all()):
            raise NoScore(Status.NONFINITE, "a gradient is not finite")
        std = (g if deviation == "gradient" else g.abs()).std(0, correction=0)
        ratio = float((g.abs().mean(0) / std)[std > 0].sum())
        if ratio > 0:
            score += math.log(ratio)
            n_layers += 1
    if not n_layers:
        raise NoScore(Status.UNDEFINED, "the gradients are the same in all parts of the batch")
    return score
