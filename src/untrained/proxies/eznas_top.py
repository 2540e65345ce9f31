"""EZNAS's program `topprog`: the energy of what convolutions read, on noise."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, proxy
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model

PROGRAM = "square(abs(frobenius(pre_noise)))"


@proxy(
    version=1,
    needs=Needs.STATISTICS,
    scope=Scope.KEY,
    init="kaiming_normal_fan_out",
    cite="Akhauri et al. 2022 (EZNAS), arXiv:2209.07413, the program named topprog",
    cost="one forward",
)
def eznas_top(model: "Model", batch: Batch) -> float:
    """Mean over layers of the sum of squares of what the convolution reads when the input is N(0, 1).

    Over all ReLU, convolution and batch norm in a row: ||v||_F^2, with v the convolution's input. No labels and, as the
    input is noise, no images: of the batch only the shape counts. The score grows with the number of images.

    Batch norm makes what a ReLU reads about N(0, 1), so that a layer's value is near half its elements times the number
    of maps summed before it: mostly a measure of width, resolution and in-degree.
    """
    from untrained.proxies.expression import score_model  # here, since listing proxies needs no operators

    return score_model(PROGRAM, model, batch)
