"""What proxies that weigh every weight of a network have in common."""

from typing import TYPE_CHECKING

from untrained.proxies.base import NoScore
from untrained.types import Batch, Status

if TYPE_CHECKING:
    from torch import Tensor

    from untrained.proxies.model import Model


def layers(model: "Model") -> "dict[str, Tensor]":
    """Weights of convolutions and linear layers by name, detached.

    Raises:
        NoScore: there are none.
    """
    if not model.layer_weights:
        raise NoScore(Status.UNSUPPORTED, "the network has neither convolutions nor linear layers")
    return {name: weight.detach() for name, weight in model.layer_weights.items()}


def weights_and_gradients(model: "Model", batch: Batch) -> "list[tuple[Tensor, Tensor]]":
    """For each convolution and linear layer its weight and the loss's gradient with respect to it.

    Raises:
        NoScore: there are no such layers.
    """
    weights = layers(model)
    grads = model.trace(batch).grads
    return [(weight, grads[name]) for name, weight in weights.items()]
