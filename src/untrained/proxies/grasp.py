"""grasp: whether the gradient would flow less if weights were taken away."""

from typing import TYPE_CHECKING

from untrained.errors import BadInputError
from untrained.proxies.base import Needs, NoScore, proxy
from untrained.proxies.saliency import layers
from untrained.types import Batch, Scope, Status

if TYPE_CHECKING:
    from untrained.proxies.model import Model


def _check(temperature: float) -> None:
    if not 0 < temperature < float("inf"):
        raise BadInputError(f"proxy grasp: temperature must be positive and finite, got {temperature!r}.")


@proxy(
    version=1,
    needs=Needs.FORWARD | Needs.GRADS,
    labels=True,
    scope=Scope.KEY,
    init="default",
    check=_check,
    cite="Wang et al. 2020, arXiv:2002.07376, eq. 8; as a score of networks Abdelfattah et al. 2021, arXiv:2101.08134",
    cost="one forward, one backward, and one backward through that",
)
def grasp(model: "Model", batch: Batch, *, temperature: float = 1.0) -> float:
    """Sum over the weights of convolutions and linear layers of -w (H g), with g the gradient and H the Hessian.

    g = dL/dw and L the mean cross entropy of the batch, of logits divided by `temperature`. H g is the gradient of
    <g, stop(g)>, taken over the weights of these layers alone. GraSP prunes weights by -w (H g) of each and takes
    logits through a temperature of 200; the score of a network is the sum, at temperature 1, and higher is better.
    Terms have both signs and cancel: of a convolution that a batch norm follows, w H g is -|g|^2 in sum (the loss
    does not depend on the scale of w), so that the score is |g|^2 over those layers plus what remains of the others.

    Raises:
        BadInputError: `temperature` is not positive and finite.
        NoScore: an operation of the network has no second derivative in torch.

    >>> from untrained.batches import load_batch
    >>> from untrained.proxies import Network
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> grasp.bind()(Network(SPACE.graph(SPACE[15624])), load_batch("normal", (3, 32, 32), 4)) > 0
    True
    """
    import torch

    used = [model.layer_weights[name] for name in layers(model)]
    trace = model.trace(batch)
    loss = trace.loss_of(trace.logits / temperature, trace.labels)
    if not loss.requires_grad:
        raise NoScore(Status.UNDEFINED, "the loss does not depend on the weights")
    try:
        g = torch.autograd.grad(loss, used, create_graph=True, allow_unused=True, materialize_grads=True)
        flow = torch.stack([(part.detach() * part).sum() for part in g]).sum()
        if not flow.requires_grad:
            raise NoScore(Status.UNDEFINED, "the gradient does not depend on the weights")
        hg = torch.autograd.grad(flow, used, retain_graph=True, allow_unused=True, materialize_grads=True)
    except RuntimeError as error:
        if "is not implemented" not in str(error):
            raise
        reason = "an operation of the network has no second derivative: " + " ".join(str(error).split())
        raise NoScore(Status.UNSUPPORTED, reason) from error
    return -sum(float((weight.detach() * part).sum()) for weight, part in zip(used, hg, strict=True))
