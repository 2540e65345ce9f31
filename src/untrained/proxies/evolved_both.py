"""evolved_both: a formula over width-1 statistics that a search found on two spaces at once."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(
    version=1,
    needs=Needs.GRAPH | Needs.MODES,
    scope=Scope.KEY,
    cite="this project, docs/evolve.md; results/evolved.md has how it was found",
)
def evolved_both(network: Network, batch: Batch) -> float:
    """A formula of five width-1 statistics and counts, evolved on NAS-Bench-201 and NAS-Bench-101 together.

    0.32 sqrt(convs) - 0.23 (0.046 (logmag + 11.5))^2 - 0.11 pools + 4.3 tanh(0.13 (convs3x3 + 0.38 pools)), rounded:
    convolutions, 3x3 convolutions, mean number of pools of a path, and the log magnitude of the linear network with
    filters of gain 0.1 on U(0, 1). The exact formula is in evolved_both.toml, with its splits and settings. It reads
    its own inputs, 64 images of U(0, 1); the batch of the call does not matter.

    Each program of the search was worth the smaller of its two Kendall taus, on 200 labelled functions of NAS-Bench-201
    (CIFAR-10 validation accuracy) and 200 of NAS-Bench-101; it was chosen on 100 more of each. results/evolved.md has
    how it ranks these spaces, and three that it never saw: on two it beats counting parameters, on one it does not.

    Undefined without a path from input to output; not defined for recurrent networks.
    """
    from untrained.proxies.champion import shipped  # here, since listing proxies needs no compiler

    return shipped("evolved_both")(network, batch)
