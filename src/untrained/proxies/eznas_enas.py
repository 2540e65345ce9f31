"""EZNAS's program `enas`: the reciprocal of an exponential of the layer's size."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, NoScore, proxy
from untrained.types import Batch, Scope, Status

if TYPE_CHECKING:
    from untrained.proxies.model import Model

PROGRAM = "reciprocal(add(frobenius(act_perturb), exp(frobenius(log(sigmoid(log(sigmoid(act_perturb))))))))"


@proxy(
    version=1,
    needs=Needs.STATISTICS,
    scope=Scope.KEY,
    init="kaiming_normal_fan_out",
    cite="Akhauri et al. 2022 (EZNAS), arXiv:2209.07413, the program named enas",
    cost="two forwards",
)
def eznas_enas(model: "Model", batch: Batch) -> float:
    """Mean over layers of 1 / (||d|| + exp ||log sigmoid log sigmoid d||), d = change of output under perturbation.

    Over all ReLU, convolution and batch norm in a row, with d what a perturbation of the images by 0.1 N(0, 1) changes
    the batch norm's output by. No labels, no gradients.

    For small d the exponent is near 1.1 sqrt(elements of d), so that the smallest layers alone count and the number is
    tiny. The authors evolved it with one image; with more than a few the exponential overflows in float32 for every
    layer, which their program scores 0 for every network. Here this is NONFINITE: use `dtype=float64` (good for about
    400,000 elements) or fewer images.
    """
    from untrained.proxies.expression import score_model  # here, since listing proxies needs no operators

    score = score_model(PROGRAM, model, batch)
    if score == 0:
        precision = str(model.dtype).removeprefix("torch.")
        less = "fewer images" if precision == "float64" else "fewer images or float64"
        raise NoScore(Status.NONFINITE, f"the exponential overflows {precision} in every layer: use {less}")
    return score
