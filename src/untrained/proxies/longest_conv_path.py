"""longest_conv_path: depth up to the first output."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.counting import CITE, path_count
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(version=1, needs=Needs.GRAPH, scope=Scope.KEY, cite=CITE)
def longest_conv_path(network: Network, _: Batch) -> float:
    """Convolutions and linear layers on the longest path from input to first output.

    Where the first output are features, the classifier is left out, which `depth` counts. More is better on NAS-
    Bench-201 (tau 0.5). Undefined without a path; not defined for recurrent networks.
    """
    return path_count(network, "longest_conv_path")
