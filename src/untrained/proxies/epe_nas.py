"""epe_nas: whether the network reacts alike to images of one class."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, NoScore, proxy
from untrained.types import Batch, Scope, Status

if TYPE_CHECKING:
    from untrained.proxies.model import Model

_K = 1e-5
_MANY = 100  # classes, from which on the paper compares them with one another


@proxy(
    version=1,
    needs=Needs.FORWARD | Needs.INPUT_GRAD,
    labels=True,
    scope=Scope.KEY,
    init="default",
    cite="Lopes et al. 2021, arXiv:2102.08099, section 3",
    cost="one forward, one backward",
)
def epe_nas(model: "Model", batch: Batch) -> float:
    """How small the correlations of gradients with respect to images of one class are, summed over classes.

    J has one row an image: the gradient of the sum of all logits with respect to it. Class c has
    e_c = sum over all entries r of the correlations of its rows of log(|r| + k), k = 1e-5. The score is sum over c of
    |e_c|; of networks with more than 100 classes each e_c is divided by the number of its images, and the score is
    the mean over classes c of sum over classes d of |e_c - e_d|, where classes with one image in the batch are left
    out. (With up to 100 classes such a class adds log(1 + k).)

    The published program always takes the first form, as it never passes the number of classes; later programs pass
    it. In the second form both count every pair of classes twice, the paper once.

    Raises:
        NoScore: no class has two images; a row is constant, so that its correlations do not exist, or not finite; or
            the network reads words.

    >>> from untrained.batches import load_batch
    >>> from untrained.proxies import Network
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> epe_nas.bind()(Network(SPACE.graph(SPACE[15624])), load_batch("normal", (3, 32, 32), 20)) > 0
    True
    """
    import numpy as np

    from untrained.proxies.jacobian import correlations, input_jacobian

    trace = model.trace(batch)
    jacobian = input_jacobian(model, batch)
    labels = trace.labels.numpy()
    classes, sizes = np.unique(labels, return_counts=True)
    if sizes.max() < 2:
        raise NoScore(Status.UNDEFINED, f"no two of the {len(labels)} images are of one class: take a larger batch")
    many = trace.logits.shape[-1] > _MANY
    if many:
        classes, sizes = classes[sizes > 1], sizes[sizes > 1]
    e = np.array([np.log(np.abs(correlations(jacobian[labels == c])) + _K).sum() for c in classes])
    if not many:
        return float(np.abs(e).sum())
    e /= sizes
    return float(np.abs(e[:, None] - e).sum() / len(e))
