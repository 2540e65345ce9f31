"""Counts of the live network as scores."""

from untrained.graphs.recurrent import Recurrent
from untrained.proxies.base import NoScore
from untrained.proxies.network import Network
from untrained.types import Status

CITE = "a count, in no paper; the direction is the one measured on NAS-Bench-201"


def number_of(network: Network, *names: str) -> float:
    """How many of these operations, see `graphs/counts.py`, the live part up to the first output has together.

    Raises:
        NoScore: UNSUPPORTED for recurrent networks, which have none of them.
    """
    _refuse(network)
    return float(sum([network.counts.get(name, 0) for name in names]))


def path_count(network: Network, name: str) -> float:
    """A number that is read off the paths from the input to the first output.

    Raises:
        NoScore: UNSUPPORTED for recurrent networks, UNDEFINED where there is no path.
    """
    _refuse(network)
    if name not in network.counts:
        raise NoScore(Status.UNDEFINED, "no path from input to output")
    return float(network.counts[name])


def _refuse(network: Network) -> None:
    if isinstance(network.graph, Recurrent):
        raise NoScore(Status.UNSUPPORTED, "the count is of networks of feature maps, and this network is recurrent")
