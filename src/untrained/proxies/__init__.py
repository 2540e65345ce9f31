"""What ranks. `PROXIES["epsinas"]` is the proxy of `proxies/epsinas.py`."""

from untrained.proxies.aggregates import NAMED
from untrained.proxies.base import PROXIES, BoundProxy, Needs, NoScore, Proxy, parse_proxies, proxy
from untrained.proxies.network import Network

__all__ = ["NAMED", "PROXIES", "BoundProxy", "Needs", "Network", "NoScore", "Proxy", "parse_proxies", "proxy"]
