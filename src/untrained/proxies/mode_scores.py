"""One statistic of one or two modes as a score."""

import math
from collections.abc import Callable

from untrained.errors import BadInputError
from untrained.graphs.modes import Mode, Response
from untrained.proxies.base import NoScore
from untrained.proxies.network import Network
from untrained.types import Batch, Status

CITE = "this project, docs/bank.md; the direction is the one measured on NAS-Bench-201"


def check_gain(name: str, gain: float) -> None:
    """Raise BadInputError unless the gain has a meaning."""
    if not (math.isfinite(gain) and gain > 0):
        raise BadInputError(f"proxy {name}: gain must be positive and finite, got {gain:g}.")


def mode_score(network: Network, batch: Batch, statistic: Callable[..., float], *modes: Mode) -> float:
    """The statistic of what these modes give for the batch.

    Raises:
        NoScore: UNDEFINED, with the reason.
        GraphError: the network cannot be read as planes.
    """
    responses = network.mode_responses(batch, modes)
    value = statistic(*[responses[mode] for mode in modes])
    if not math.isnan(value):
        return value
    if all(not response.values.any() for response in responses.values()) and not network.connected:
        raise NoScore(Status.UNDEFINED, "no path from input to output")
    raise NoScore(Status.UNDEFINED, "; ".join([f"outputs of mode {m.name} {_state(responses[m])}" for m in modes]))


def _state(response: Response) -> str:
    low, high = response.values.min(), response.values.max()
    if low == high == 0:
        return "are zero for every input"
    spread = high - low
    return (
        f"are from {low:g} to {high:g}"
        + (f" times 2**{response.exponent}" if response.exponent else "")
        + ("" if spread > 1e-6 * max(abs(low), abs(high)) else ", the same up to rounding")
    )
