"""params: the classic baseline, as the published tables count."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(version=1, needs=Needs.GRAPH, scope=Scope.CODE, cite="baseline of every benchmark")
def params(network: Network, _: Batch) -> float:
    """Trainable parameters of the network as written, dead parts included, as the published tables count."""
    return float(network.n_params)
