"""One statistic of one or two modes as a score."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from untrained.batches import NAMED, load_batch
from untrained.errors import BadInputError
from untrained.proxies.base import NoScore
from untrained.proxies.network import Network
from untrained.types import Batch, Status

if TYPE_CHECKING:
    from untrained.graphs.modes import Mode, Response

_GIVEN = "batch"  # the batch that the call names
_N_IMAGES = 64
CITE = "this project, docs/bank.md; the direction is the one measured on NAS-Bench-201"


def check(name: str, gain: float, images: str) -> None:
    """Raise BadInputError unless gain and images have a meaning."""
    if images not in (*NAMED, _GIVEN):
        raise BadInputError(f"proxy {name}: images must be one of {', '.join(NAMED)} or {_GIVEN}, got {images!r}.")
    if not (math.isfinite(gain) and gain > 0):
        raise BadInputError(f"proxy {name}: gain must be positive and finite, got {gain:g}.")


def mode_score(network: Network, batch: Batch, images: str, statistic: Callable[..., float], *modes: "Mode") -> float:
    """The statistic of what these modes give.

    Args:
        network: of images or texts.
        batch: says how large images are; it is what is read if `images` is "batch", and by networks of texts.
        images: a named batch, of which 64 are read.
        statistic: of as many responses as there are modes.
        modes: of the responses.

    Raises:
        NoScore: UNDEFINED, with the reason.
        GraphError: the network cannot be read as planes.
    """
    if images != _GIVEN and batch.x.ndim == 4:
        batch = _named(images, batch.x.shape[1:])
    responses = network.mode_responses(batch, modes)
    value = statistic(*[responses[mode] for mode in modes])
    if not math.isnan(value):
        return value
    if all(not response.values.any() for response in responses.values()) and not network.connected:
        raise NoScore(Status.UNDEFINED, "no path from input to output")
    raise NoScore(Status.UNDEFINED, "; ".join([f"outputs of mode {m.name} {_state(responses[m])}" for m in modes]))


@lru_cache(maxsize=8)
def _named(name: str, shape: tuple[int, ...]) -> Batch:
    return load_batch(name, shape, _N_IMAGES)


def _state(response: "Response") -> str:
    low, high = response.values.min(), response.values.max()
    if low == high == 0:
        return "are zero for every input"
    spread = high - low
    return (
        f"are from {low:g} to {high:g}"
        + (f" times 2**{response.exponent}" if response.exponent else "")
        + ("" if spread > 1e-6 * max(abs(low), abs(high)) else ", the same up to rounding")
    )
