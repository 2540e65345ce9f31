"""az_nas_complexity: multiply-accumulates, in millions."""

from untrained.graphs import cost
from untrained.proxies.base import Needs, proxy
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(
    version=1,
    needs=Needs.GRAPH,
    scope=Scope.CODE,
    cite="Lee and Ham 2024 (AZ-NAS), arXiv:2403.19232, section 3.4",
    cost="none",
)
def az_nas_complexity(network: Network, _: Batch) -> float:
    """Millions of multiply-accumulates for one image of the network as written, dead parts included.

    The paper's FLOPs, which its program reads from the NATS-Bench files: convolutions and linear layers with their
    biases; norms, activations and pools are free. It is `flops` / 1e6, so both rank alike; the other parts of AZ-NAS
    see the live network alone.
    """
    return cost.n_flops(network.graph) / 1e6
