"""jacov: whether the network reacts to different images in different ways."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, proxy
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model

_K = 1e-5


@proxy(
    version=1,
    needs=Needs.FORWARD | Needs.INPUT_GRAD,
    scope=Scope.KEY,
    init="default",
    cite="Mellor et al. 2020, arXiv:2006.04647v1, eq. 3; jacob_cov of Abdelfattah et al. 2021, arXiv:2101.08134",
    cost="one forward, one backward",
)
def jacov(model: "Model", batch: Batch) -> float:
    """How far the correlations of the gradients with respect to the images are from the identity, negated.

    J has one row an image: the gradient of the sum of all logits with respect to it. With v the eigenvalues of the
    correlations of the rows, the score is -sum over v of (log(v + k) + 1 / (v + k)), k = 1e-5. It is at most -n, when
    all rows are uncorrelated; each eigenvalue near 0 costs up to 1e5. Logits are summed, as in the programs, while the
    paper writes a gradient of one output. Eigenvalues come from a solver for symmetric matrices; the programs use a
    general one, which can return complex numbers. Depends on the size of the batch: compare scores of one size only.

    Raises:
        NoScore: a row is constant, so that its correlations do not exist, or not finite; or the network reads words.

    >>> from untrained.batches import load_batch
    >>> from untrained.proxies import Network
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> jacov.bind()(Network(SPACE.graph(SPACE[15624])), load_batch("normal", (3, 32, 32), 4)) < -4
    True
    """
    import numpy as np

    from untrained.proxies.jacobian import correlations, input_jacobian

    v = np.linalg.eigvalsh(correlations(input_jacobian(model, batch)))
    return float(-np.sum(np.log(v + _K) + 1 / (v + _K)))
