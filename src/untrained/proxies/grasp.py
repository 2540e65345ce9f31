"""grasp: whether the gradient would flow less if weights were taken away."""

from typing import TYPE_CHECKING

from untrained.errors import BadInputError
from untrained.proxies.base import Needs, NoScore, proxy
from untrained.proxies.saliency import layers
from untrained.types import Batch, Scope, Status

if TYPE_CHECKING:
    from torch import Tensor

    from untrained.proxies.model import Model, Record
    from untrained.proxies.trace import Trace


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
    cost="two forwards, two backwards, and one backward through the second",
)
def grasp(model: "Model", batch: Batch, *, temperature: float = 1.0) -> float:
    """Sum over the weights of convolutions and linear layers of -w (H g), with g the gradient and H the Hessian.

    g = dL/dw and L the mean cross entropy of the batch, of logits divided by `temperature`; H is its Hessian over the
    weights of these layers. As H is symmetric, <w, H g> is taken as <g, H w>, which costs less.

    GraSP prunes weights by -w (H g) of each and takes logits through a temperature of 200; the score of a network is
    the sum, at temperature 1, and higher is better. Terms have both signs and cancel: of a convolution that a batch
    norm follows, w H g is -|g|^2 in sum (the loss does not depend on the scale of w), so that the score is |g|^2 over
    those layers plus what remains of the others. Rounding shows: the NAS-Bench-201 cell of 3x3 convolutions alone has
    2,887 in float32 and 3,219 in float64 on 16 random images, where grad_norm differs by 0.2 %.

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
    record = _record(model, trace)
    loss = trace.loss_of(record.logits / temperature, trace.labels)
    if not loss.requires_grad:
        raise NoScore(Status.UNDEFINED, "the loss does not depend on the weights")
    g = [trace.grads[name] for name in model.layer_weights] if temperature == 1 else _gradients(loss, used)
    try:
        flow = _flow(model, record, loss)
        slope = _gradients(flow, used) if flow.requires_grad else [torch.zeros_like(weight) for weight in used]
    except RuntimeError as error:
        if "is not implemented" not in str(error):
            raise
        reason = "an operation of the network has no second derivative: " + " ".join(str(error).split())
        raise NoScore(Status.UNSUPPORTED, reason) from error
    return sum(float((part * (part - tilt)).sum()) for part, tilt in zip(g, slope, strict=True))


def _record(model: "Model", trace: "Trace") -> "Record":
    """The forward pass; a second one where it has batch norms, as their own second derivatives cost more than that."""
    from untrained.proxies.twice import TwiceDifferentiable

    if all(call.kind != "batch_norm" for call in trace.record.calls):
        return trace.record
    with TwiceDifferentiable():
        return model.record(trace.x)


def _flow(model: "Model", record: "Record", loss: "Tensor") -> "Tensor":
    """Sum over weights of w dL/dw, to be differentiated again: its gradient is g + H w, and <g, H w> is <w, H g>.

    A layer is linear in what it reads as it is in its weight, so that <w, dL/dw> is <x, dL/dx> through this layer. This
    takes no gradients of weights, and half as many terms in the second derivative.
    """
    import torch

    alone = _weights_of_one_layer(model)
    calls = [call for call in record.calls if call.weight in alone and call.x.requires_grad]
    seen = {call.weight for call in calls}
    others = [weight for name, weight in model.layer_weights.items() if name not in seen]
    factors = [*[call.x for call in calls], *others]
    found = _gradients(loss, factors, create_graph=True)
    return torch.stack([(factor * part).sum() for factor, part in zip(factors, found, strict=True)]).sum()


def _weights_of_one_layer(model: "Model") -> set[str]:
    """Weights that nothing but a single convolution or linear layer of torch's own reads."""
    from torch import nn

    owners: dict[int, list[type]] = {}
    for layer in model.module.modules():
        for parameter in layer.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(type(layer))
    plain = ([nn.Conv1d], [nn.Conv2d], [nn.Conv3d], [nn.Linear])
    return {name for name, parameter in model.module.named_parameters() if owners[id(parameter)] in plain}


def _gradients(y: "Tensor", xs: "list[Tensor]", *, create_graph: bool = False) -> "tuple[Tensor, ...]":
    import torch

    return torch.autograd.grad(
        y, xs, retain_graph=True, create_graph=create_graph, allow_unused=True, materialize_grads=True
    )
