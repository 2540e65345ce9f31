"""grad_norm: how large the gradients are before training."""

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
    cite="Abdelfattah et al. 2021, arXiv:2101.08134, section 3.1",
    cost="one forward, one backward",
)
def grad_norm(model: "Model", batch: Batch) -> float:
    """Sum over convolutions and linear layers of the Euclidean norm of the loss's gradient.

    sum over layers l of ||dL/dW_l||_2, with L the mean cross entropy of the batch; biases and norms are left out, as
    in the paper's program. Grows with the number of layers.

    >>> from untrained.batches import load_batch
    >>> from untrained.proxies import Network
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> grad_norm.bind()(Network(SPACE.graph(SPACE[15624])), load_batch("normal", (3, 32, 32), 4)) > 0
    True
    """
    return sum(float(grad.norm()) for _, grad in weights_and_gradients(model, batch))
