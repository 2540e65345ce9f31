"""l2_norm: how large the weights are before training."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, proxy
from untrained.proxies.saliency import layers
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model


@proxy(
    version=1,
    needs=Needs.WEIGHTS,
    scope=Scope.KEY,
    init="default",
    cite="Abdelfattah et al. 2021, arXiv:2101.08134 (its program); Krishnakumar et al. 2022, arXiv:2210.03230",
    cost="no pass",
)
def l2_norm(model: "Model", batch: Batch) -> float:  # noqa: ARG001 - every proxy gets one
    """Sum over convolutions and linear layers of the Euclidean norm of the initial weight.

    sum over layers l of ||W_l||_2. Under a random initialisation of a given scale this hardly depends on the weights
    drawn: it counts layers, each by how large it is. Under torch's default initialisation a layer of n outputs has a
    norm near sqrt(n / 3), whatever it reads. A baseline.

    >>> from untrained.batches import load_batch
    >>> from untrained.proxies import Network
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> round(l2_norm.bind()(Network(SPACE.graph(SPACE[15624])), load_batch("normal", (3, 32, 32), 4)))
    28
    """
    return sum(float(weight.norm()) for weight in layers(model).values())
