"""synflow: the strength of all paths through the network, from its weights alone."""

import math
from typing import TYPE_CHECKING

from untrained.errors import BadInputError
from untrained.proxies.base import Needs, NoScore, proxy
from untrained.proxies.saliency import layers
from untrained.types import Batch, Scope, Status

if TYPE_CHECKING:
    from untrained.proxies.model import Model


def _check(batch_norm: str) -> None:
    if batch_norm not in ("bypass", "keep"):
        raise BadInputError(f"proxy synflow: batch_norm must be bypass or keep, got {batch_norm!r}.")


@proxy(
    version=1,
    needs=Needs.WEIGHTS,
    scope=Scope.KEY,
    init="default",
    check=_check,
    cite="Tanaka et al. 2020, arXiv:2006.05467, section 6; as a score of networks Abdelfattah 2021, arXiv:2101.08134",
    cost="one forward and one backward of one image, in float64",
)
def synflow(model: "Model", batch: Batch, *, batch_norm: str = "bypass") -> float:
    """Logarithm of the sum over the weights of convolutions and linear layers of |w dR/dw|.

    R is the sum of the logits for one image of ones when every parameter is its absolute value; always in float64. Of
    the batch only the size of its images is read. The programs report the sum itself, which reaches 1e61 on
    NAS-Bench-201 and beyond the largest float64 on deeper networks; here exponents are carried along with the
    activations, so that the logarithm always exists. The order of networks is the same.

    `batch_norm="bypass"` leaves batch norms out, as the programs do (`synflow` there; in the authors' own a fresh
    batch norm is in evaluation mode, which is the same but for its eps). The network is then linear, and the sum is
    that of all paths from input to output: the product of the weights on each path, times the layers on it.
    `batch_norm="keep"` normalises by the statistics of the one image (`synflow_bn` there), which hides most of what
    the weights say.

    Raises:
        BadInputError: another word for `batch_norm`.
        NoScore: the network reads words, no weight reaches the output, or a batch norm sees one pixel only.

    >>> from untrained.batches import load_batch
    >>> from untrained.proxies import Network
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> synflow.bind()(Network(SPACE.graph(SPACE[15624])), load_batch("normal", (3, 32, 32), 4)) > 0
    True
    """
    import torch

    from untrained.proxies.model import Model
    from untrained.proxies.scaled import Scaled

    if batch.x.ndim == 2:
        raise NoScore(Status.UNSUPPORTED, "reads images of ones, the network reads words")
    positive = {name: weight.detach().abs() for name, weight in model.weights.items()}
    names = list(layers(model))
    linear = Model(model.module, positive, seed=model.seed, dtype="float64")
    ones = torch.ones((1, *batch.x.shape[1:]), dtype=torch.float64)
    try:
        with Scaled() as scaled:
            logits = linear.record(ones, skip=("batch_norm",) if batch_norm == "bypass" else ()).logits
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise NoScore(Status.UNDEFINED, "a batch norm sees a single pixel of the one image") from error
    total = logits.sum()
    if not total.requires_grad:
        raise NoScore(Status.UNDEFINED, "the logits do not depend on the weights")
    weights = [linear.weights[name] for name in names]
    grads = torch.autograd.grad(total, weights, allow_unused=True, materialize_grads=True)
    flow = sum(float((weight.detach() * grad).abs().sum()) for weight, grad in zip(weights, grads, strict=True))
    if flow == 0:
        raise NoScore(Status.UNDEFINED, "no path of weights other than 0 leads from input to output")
    return math.log(flow) + scaled.exponent(logits) * math.log(2) if math.isfinite(flow) else flow
