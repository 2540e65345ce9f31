"""snip: how much the loss would change if weights were taken away."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, proxy
from untrained.proxies.saliency import weights_and_gradients
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model


@proxy(
    version=1,
    needs=Needs.GRADS,
    labels=True,
    scope=Scope.KEY,
    init="default",
    cite="Lee et al. 2019, arXiv:1810.02340, eq. 5; as a score of networks Abdelfattah et al. 2021, arXiv:2101.08134",
    cost="one forward, one backward",
)
def snip(model: "Model", batch: Batch) -> float:
    """Sum over the weights of convolutions and linear layers of |w dL/dw|.

    L is the mean cross entropy of the batch. This is the gradient with respect to masks that multiply the weights, at
    masks of 1. The paper divides by the sum over all weights, to compare the weights of one network; to compare
    networks the sum itself is the score. Biases and norms are left out, as in the programs. Grows with the number of
    layers.

    >>> from untrained.batches import load_batch
    >>> from untrained.proxies import Network
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> snip.bind()(Network(SPACE.graph(SPACE[15624])), load_batch("normal", (3, 32, 32), 4)) > 0
    True
    """
    return sum(float((weight * grad).abs().sum()) for weight, grad in weights_and_gradients(model, batch))
