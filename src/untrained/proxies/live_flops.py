"""live_flops: multiply-accumulates that can matter."""

from untrained.graphs import cost
from untrained.proxies.base import Needs, proxy
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(version=1, needs=Needs.GRAPH, scope=Scope.KEY, cite="baseline of every benchmark")
def live_flops(network: Network, _: Batch) -> float:
    """Multiply-accumulates for one image of the part that reaches an output."""
    return float(cost.n_flops(network.live))
