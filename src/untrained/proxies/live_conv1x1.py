"""live_conv1x1: 1x1 convolutions that matter."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.counting import CITE, number_of
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(version=1, needs=Needs.GRAPH, scope=Scope.KEY, cite=CITE)
def live_conv1x1(network: Network, _: Batch) -> float:
    """Convolutions with a 1x1 kernel in the part that reaches the first output, depthwise ones left out.

    Projections of the skeleton count. Weak by itself: tau 0.2 on NAS-Bench-201 and NAS-Bench-101. Not defined for
    recurrent networks.
    """
    return number_of(network, "live_conv1x1")
