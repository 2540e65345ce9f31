"""The tensors that programs read of every weight of a convolution or linear layer."""

from collections.abc import Iterable

import torch
from torch import Tensor

from untrained.proxies.base import NoScore
from untrained.proxies.model import Model
from untrained.types import Batch, Status

WEIGHT_NAMES = ("weight", "weight_grad_loss", "weight_grad_data")


def weight_statistics(model: Model, batch: Batch, names: Iterable[str]) -> dict[str, dict[str, Tensor]]:
    """Weights of convolutions, linear and recurrent layers and their gradients, in the order of the network's layers.

    - `weight`: w, of any shape with at least two dimensions; no biases, no batch norm;
    - `weight_grad_loss`: dL/dw, L the mean cross entropy with the batch's labels, or all classes in turn where it has
      none;
    - `weight_grad_data`: dS/dw, S the sum of all logits.

    Args:
        model: the network.
        batch: its images or texts.
        names: of WEIGHT_NAMES.

    Returns:
        For each weight, by its name in the network, a mapping from the names asked for to tensors, which have no
        gradient and must not be changed. Weights that the logits do not depend on have gradients of zeros.

    Raises:
        NoScore: where the network has no such weight, or the logits depend on none, or the loss has no meaning.
        KeyError: a name that is none of WEIGHT_NAMES.

    >>> from untrained.batches import load_batch
    >>> from untrained.proxies.network import Network
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|none~2|"
    >>> model = Network(SPACE.graph(SPACE.parse(cell))).model("kaiming_normal_fan_out")
    >>> found = weight_statistics(model, load_batch("normal", (3, 32, 32), 2), ["weight", "weight_grad_loss"])
    >>> len(found), list(found.values())[0]["weight_grad_loss"].shape
    (23, torch.Size([16, 3, 3, 3]))
    """
    wanted = tuple(names)
    for name in wanted:
        if name not in WEIGHT_NAMES:
            raise KeyError(f"no weight statistic {name!r}; there are {', '.join(WEIGHT_NAMES)}")
    weights = model.layer_weights
    if not weights:
        raise NoScore(Status.UNSUPPORTED, "the network has no convolution and no linear layer")
    found: dict[str, dict[str, Tensor]] = {name: {} for name in weights}
    for what in wanted:
        tensors = list(weights.values())
        if what == "weight_grad_loss":
            trace = model.trace(batch)
            trace.refuse()
            tensors = [trace.grads[name] for name in weights]
        elif what == "weight_grad_data":
            tensors = _gradients(model, batch, tensors)
        for name, tensor in zip(weights, tensors, strict=True):
            found[name][what] = tensor.detach()
    return found


def _gradients(model: Model, batch: Batch, weights: list[Tensor]) -> list[Tensor]:
    def compute() -> list[Tensor]:
        total = model.trace(batch).logits.sum()
        if not total.requires_grad:
            raise NoScore(Status.UNDEFINED, "the logits do not depend on the weights")
        return list(torch.autograd.grad(total, weights, retain_graph=True, allow_unused=True, materialize_grads=True))

    return model.memo(("logit_grads", batch.digest), compute)
