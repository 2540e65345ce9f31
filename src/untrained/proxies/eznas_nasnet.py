"""EZNAS's program `nasnet`: how many elements a small perturbation and noise leave below one."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, proxy
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model

PROGRAM = "frobenius(is_negative(log(add(log(act_perturb), in_noise))))"


@proxy(
    version=1,
    needs=Needs.STATISTICS,
    scope=Scope.KEY,
    init="kaiming_normal_fan_out",
    cite="Akhauri et al. 2022 (EZNAS), arXiv:2209.07413, the program named nasnet",
    cost="three forwards",
)
def eznas_nasnet(model: "Model", batch: Batch) -> float:
    """Mean over layers of the root of how many elements of log(change of output) + input on noise are in (0, 1).

    Over all ReLU, convolution and batch norm in a row, with d what a perturbation of the images by 0.1 N(0, 1) changes
    the batch norm's output by (of what is not above 0, log gives 0) and u the ReLU's input when the input is N(0, 1):
    the square root of the number of elements of log(d) + u between 0 and 1. No labels, no gradients.

    Undefined for a layer that changes the size of maps or the number of channels, as the sum is of its input and its
    output; such layers are left out, as in the authors' program. That program writes into `act_perturb`, so that there
    programs that run after this one on the same tensors read other numbers; here nothing is written to.
    """
    from untrained.proxies.expression import score_model  # here, since listing proxies needs no operators

    return score_model(PROGRAM, model, batch)
