"""log_paths: how many ways lead through a network."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.counting import CITE, path_count
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(version=1, needs=Needs.GRAPH, scope=Scope.KEY, cite=CITE)
def log_paths(network: Network, _: Batch) -> float:
    """Natural logarithm of the number of paths from input to first output.

    A path goes along one input of every node; each skip is a way of its own, and an input that a sum reads twice is
    two. Counted exactly, then the logarithm is taken. Weak by itself: tau 0.1 on NAS-Bench-201. Undefined without a
    path; not defined for recurrent networks.
    """
    return path_count(network, "log_paths")
