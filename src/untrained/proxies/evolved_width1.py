"""evolved_width1: a formula over width-1 statistics that a search found on NAS-Bench-201."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(
    version=1,
    needs=Needs.GRAPH | Needs.MODES,
    scope=Scope.KEY,
    cite="this project, docs/evolve.md; results/evolved.md has how it was found",
)
def evolved_width1(network: Network, batch: Batch) -> float:
    """A mean of formulas over width-1 statistics and counts, evolved on 300 labelled NAS-Bench-201 functions.

    The formula is in evolved_width1.toml, with its splits and settings; every formula of the mean is a weighted sum of
    terms such as tanh of a scaled statistic or a product of two. It reads its own inputs, 64 images each of N(0, 1),
    U(0, 1) and the grey ramp; the batch of the call does not matter.

    It was evolved on CIFAR-10 validation accuracies of 200 functions and chosen on 100 more: that is learned from
    labels of this space. Elsewhere it is a guess: `evolved_both` was evolved on two spaces, and `untrained evolve` with
    labels of your own is the honest way.

    Undefined without a path from input to output; not defined for recurrent networks.
    """
    from untrained.proxies.champion import shipped  # here, since listing proxies needs no compiler

    return shipped("evolved_width1")(network, batch)
