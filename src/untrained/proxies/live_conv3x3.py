"""live_conv3x3: 3x3 convolutions that matter."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.counting import CITE, number_of
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(version=1, needs=Needs.GRAPH, scope=Scope.KEY, cite=CITE)
def live_conv3x3(network: Network, _: Batch) -> float:
    """Convolutions with a 3x3 kernel in the part that reaches the first output, depthwise ones left out.

    Those of the skeleton count, whatever their stride. More is better on NAS-Bench-201 (tau 0.6 on 795 random
    functions, CIFAR-10) and NAS-Bench-101 (0.5 on 400 random cells). Not defined for recurrent networks.
    """
    return number_of(network, "live_conv3x3")
