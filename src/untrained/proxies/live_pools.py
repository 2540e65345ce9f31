"""live_pools: pools that matter."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.counting import CITE, number_of
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(version=1, needs=Needs.GRAPH, scope=Scope.KEY, cite=CITE, higher_is_better=False)
def live_pools(network: Network, _: Batch) -> float:
    """Average and maximum pools over windows in the part that reaches the first output; equal ones count once.

    Those of the skeleton count, the last one over all positions does not. Fewer is better on NAS-Bench-201 and NAS-
    Bench-101 (tau -0.4 on both), whose pools take the place of convolutions. Not defined for recurrent networks.
    """
    return number_of(network, "live_avg_pool", "live_max_pool")
