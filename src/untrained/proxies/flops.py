"""flops: multiply-accumulates, as the published tables count."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(version=1, needs=Needs.GRAPH, scope=Scope.CODE, cite="baseline of every benchmark")
def flops(network: Network, _: Batch) -> float:
    """Multiply-accumulates for one image of the network as written, dead parts included.

    Convolutions and linear layers, biases included; norms, activations and pools are free. The "FLOPs" of the
    NAS-Bench-201 and NATS-Bench files.
    """
    return float(network.n_flops)
