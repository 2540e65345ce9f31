"""EZNAS's program `pnas`: where a small perturbation changes gradients, against their sign."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, proxy
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model

PROGRAM = "kl_div(standardise(standardise(standardise(act_grad_perturb))), is_positive(act_grad_data))"


@proxy(
    version=1,
    needs=Needs.STATISTICS,
    scope=Scope.KEY,
    init="kaiming_normal_fan_out",
    cite="Akhauri et al. 2022 (EZNAS), arXiv:2209.07413, the program named pnas",
    cost="two forwards, two backwards without weight gradients",
)
def eznas_pnas(model: "Model", batch: Batch) -> float:
    """Mean over layers of minus the standardised change of the gradient where the gradient is positive, per image.

    Over all ReLU, convolution and batch norm in a row, with g the gradient of the sum of all logits at the batch
    norm's output and d what a perturbation of the images by 0.1 N(0, 1) changes it by: -sum of z(d) where g > 0, over
    the number of images; z is (d - mean) / standard deviation. That is the program's kl_div, no divergence here, as
    neither argument is a distribution. No labels. Where no gradient changes, the layer's value is 0.

    A sum of terms of both signs: expect few stable digits, and more noise between seeds than from other programs.
    """
    from untrained.proxies.expression import score_model  # here, since listing proxies needs no operators

    return score_model(PROGRAM, model, batch)
