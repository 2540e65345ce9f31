"""gradsign: how far the gradients of single images agree in sign."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, NoScore, proxy
from untrained.types import Batch, Scope, Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from untrained.proxies.model import Model
    from untrained.proxies.tape import Call


@proxy(
    version=1,
    needs=Needs.SAMPLE_GRADS,
    labels=True,
    scope=Scope.KEY,
    init="default",
    cite="Zhang & Jia 2022 (GradSign), arXiv:2110.08616, algorithm 1",
    cost="a forward and a backward for each image",
)
def gradsign(model: "Model", batch: Batch) -> float:
    """Sum over weights of |sum over images of the sign of the image's gradient|.

    With g_i the gradient of image i's cross entropy with respect to one weight, sum over weights of |sum_i sign(g_i)|;
    over the weights of convolutions and linear layers. Each image has a forward and backward pass of its own, as in
    the program, so that batch norm uses the statistics of that image alone. Between 0 and images times weights: it
    grows with the number of weights, and the paper does not divide by it.

    Some files of the authors' repository have the mean over weights in place of the sum; those that its description
    has one run, and the paper, have the sum. Gradients next to 0 have their sign from rounding: in float32 a few in
    10,000 are the other way round than in float64. Undefined where a batch norm meets a single value of each channel.
    """
    import torch

    trace = model.trace(batch)
    layers = list(model.layer_weights.values())
    if not layers:
        raise NoScore(Status.UNSUPPORTED, "no convolution or linear layer in the network")
    refuse_lone_values(trace.record.calls)
    signs = [torch.zeros(w.shape, dtype=torch.int32) for w in layers]
    for i in range(len(trace.x)):
        loss = trace.loss_of(model.call(trace.x[i : i + 1].detach()), trace.labels[i : i + 1])
        if not loss.requires_grad:
            raise NoScore(Status.UNDEFINED, "the loss does not depend on the weights")
        if not bool(loss.isfinite()):
            raise NoScore(Status.NONFINITE, f"the loss of image {i} is {loss.item()}")
        gradients = torch.autograd.grad(loss, layers, allow_unused=True, materialize_grads=True)
        if not all(bool(gradient.isfinite().all()) for gradient in gradients):
            raise NoScore(Status.NONFINITE, f"a gradient of image {i} is not finite")
        for total, gradient in zip(signs, gradients, strict=True):
            total += gradient.sign().to(total.dtype)
    return float(sum(int(total.abs().sum()) for total in signs))


def refuse_lone_values(calls: "Iterable[Call]") -> None:
    """Raise NoScore where a batch norm would meet a single value of each channel if images came one by one."""
    for call in calls:
        if call.kind == "batch_norm" and call.x[0, 0].numel() == 1:
            raise NoScore(Status.UNDEFINED, "a batch norm has a single value of each channel for a single image")
