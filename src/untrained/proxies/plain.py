"""plain: weights times gradients, signs kept."""

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
    cite="Mozer and Smolensky 1988, Skeletonization; as a score of networks the program of arXiv:2101.08134",
    cost="one forward, one backward",
)
def plain(model: "Model", batch: Batch) -> float:
    """Sum over the weights of convolutions and linear layers of w dL/dw.

    L is the mean cross entropy of the batch. Like snip without the absolute value, which changes what it means: the
    loss does not depend on the scale of a convolution that a batch norm follows, so that the terms of its weights add
    up to nothing but rounding and batch norm's eps. What remains are the layers without batch norm behind them; of a
    NAS-Bench-201 network these are the shortcuts of its two residual blocks and the classifier. It says little about
    the cell. The published tables have it as a baseline; higher is taken for better, as with snip.

    >>> from untrained.batches import load_batch
    >>> from untrained.proxies import Network
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> abs(plain.bind()(Network(SPACE.graph(SPACE[15624])), load_batch("normal", (3, 32, 32), 4))) < 10
    True
    """
    return sum(float((weight * grad).sum()) for weight, grad in weights_and_gradients(model, batch))
