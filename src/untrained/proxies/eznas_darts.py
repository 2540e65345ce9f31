"""EZNAS's program `darts`, the one that its authors' README reports: determinants of signs of gradients."""

from typing import TYPE_CHECKING

from untrained.errors import BadInputError
from untrained.proxies.base import Needs, proxy
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model

READINGS = {
    "program": "frobenius(sigmoid(logdet(sign(in_grad_data))))",
    "paper": "frobenius(sigmoid(logdet(sign(weight_grad_noise))))",
}


def _check(*, reading: str) -> None:
    if reading not in READINGS:
        raise BadInputError(f"proxy eznas_darts: reading must be one of {', '.join(READINGS)}, got {reading!r}.")


@proxy(
    version=1,
    needs=Needs.STATISTICS,
    scope=Scope.KEY,
    init="kaiming_normal_fan_out",
    cite="Akhauri et al. 2022 (EZNAS), arXiv:2209.07413, the program named darts",
    cost="one forward, one backward without weight gradients; reading=paper: with weight gradients, on noise",
    check=_check,
)
def eznas_darts(model: "Model", batch: Batch, *, reading: str = "program") -> float:
    """Mean over layers of the norm of sigmoid(log det sign(g)), g = gradient at the ReLU's input, map by map.

    Over all ReLU, convolution and batch norm in a row: every map of sign(g), shape (n, channels, h, h), gives its
    determinant's logarithm (0 where the determinant is below 0, -inf where it is 0), its sigmoid is det / (1 + det),
    and the layer's value is the root of the sum of squares of these. g is the gradient of the sum of all logits
    with respect to the input of this layer's own ReLU. No labels.

    `reading`: `program` is what the authors' code computes. `paper` is the formula that the paper prints, with g the
    gradient of the convolution's weight on N(0, 1) input, filter by filter; the code binds its arguments one place off.

    Layers whose maps are not square have no determinant and are left out. A map of few pixels is often singular, and
    then rounding decides whether the determinant is 0 (value 0), just above (near 0) or just below (0.5): small changes
    of hardware or library can change the score in its third digit.

    Dead layers count in the authors' program, with the value 0; here they are no part of the network, and so networks
    of equal function have equal scores. The authors' score is ours times the share of live layers.
    """
    from untrained.proxies.expression import score_model  # here, since listing proxies needs no operators

    return score_model(READINGS[reading], model, batch)
