"""depth: the longest path of layers."""

from untrained.graphs import cost
from untrained.proxies.base import Needs, proxy
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(version=1, needs=Needs.GRAPH, scope=Scope.KEY, cite="baseline of every benchmark")
def depth(network: Network, _: Batch) -> float:
    """Convolutions and linear layers on the longest live path from input to output."""
    return float(cost.depth(network.live))
