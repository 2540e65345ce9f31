"""live_skips: skips that matter."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.counting import CITE, number_of
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(version=1, needs=Needs.GRAPH, scope=Scope.KEY, cite=CITE, higher_is_better=False)
def live_skips(network: Network, _: Batch) -> float:
    """Pairs of an operation and a sum or concatenation that a skip joins, though another way leads there too.

    How many skips are written is no property of a network, since x + f(x) + g(x + f(x)) can be written with two or
    with four; so these are the pairs (u, j) where j takes what u gives as it is, and takes it twice or also takes
    something that depends on u. Where blocks add to one sum with nothing between, later sums take what all earlier
    blocks gave, and the count grows with the square of their number.

    Weak by itself: tau -0.1 on NAS-Bench-201, -0.2 on NAS-Bench-101. Not defined for recurrent networks.
    """
    return number_of(network, "live_skip")
