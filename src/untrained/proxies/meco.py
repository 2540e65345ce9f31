"""meco: how far the channels of feature maps are from repeating each other."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, proxy
from untrained.proxies.checks import whole_numbers
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model


@proxy(
    version=1,
    needs=Needs.WEIGHTS,
    scope=Scope.KEY,
    init="default",
    cite="Jiang et al. 2023 (MeCo), NeurIPS 2023, eq. 6",
    cost="one forward of one 64x64 image",
    check=whole_numbers("meco", size=1),
)
def meco(model: "Model", batch: Batch, *, size: float = 64) -> float:
    """Sum over feature maps of the least eigenvalue of the correlation of their channels.

    One image of noise N(0, 1), `size` high and wide, goes through the network, batch norm with its own statistics. For
    what each module gives, channels x positions, the correlation matrix of the channels is taken; correlations with a
    channel that is constant are 0. Nothing of the batch counts but its number of channels.

    As in the program all modules count that give feature maps: in the networks of our spaces convolutions, norms, ReLUs
    and pools, once each. In a user's own network containers count too, so that what a block gives may count several
    times. The program's own NAS-Bench-201 network nests each convolution so that it counts four times, counts a skip
    once more, a cell once or twice, and parts that no output depends on: no network without its nesting can give that
    number, and ours has none. Its experiments on NAS-Bench-201 take a CIFAR image in place of noise.
    """
    from untrained.proxies.feature_correlations import least_eigenvalues, one_image

    return sum(least_eigenvalues(model, one_image(model, batch, size)))
