"""evolved_layers: how independent the maps are that layers read, a program that a search found on NAS-Bench-201."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, proxy
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model


@proxy(
    version=1,
    needs=Needs.STATISTICS,
    scope=Scope.KEY,
    init="kaiming_normal_fan_out",
    cite="this project, docs/evolve.md; results/evolved.md has how it was found",
    cost="one forward of 4 images",
)
def evolved_layers(model: "Model", batch: Batch) -> float:
    """Sum over layers of log(1 + smallest eigenvalue of the correlations between the maps that ReLUs read, on noise).

    Over all ReLU, convolution and batch norm in a row: C = correlations between the channels of the ReLU's input, over
    4 images of N(0, 1) and all their pixels; with l its smallest eigenvalue the layer's value is sign(l) log(1 + |l|).
    Large where no map is a mixture of others, and where there are many such layers. No labels, no gradients, no data.

    `layers_log_sum(min_eig(channel_correlation(in_noise)))` was the best on validation of 1,099 programs that a search
    tried, evolved on CIFAR-10 validation accuracies of 80 NAS-Bench-201 networks and chosen on 150 more; the direction
    is learned from them, too. MeCo (`meco`) sums the same eigenvalue over the outputs of all modules, of one image: the
    search found that out by itself. results/evolved.md has how it ranks networks that it never saw. There, as in the
    search, images were 16 x 16; here they have the size that the network reads.
    """
    from untrained.proxies.champion import shipped  # here, since listing proxies needs no torch

    return shipped("evolved_layers")(model, batch)
