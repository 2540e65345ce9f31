"""epsinas: how differently two constant-weight networks order their inputs."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from untrained.errors import BadInputError
from untrained.proxies.base import Needs, proxy
from untrained.proxies.network import Network
from untrained.types import Batch, Outcome, Scope, Status

DTYPES = ("float32", "float64")


def check_constants(proxy: str, low: float, high: float, dtype: str) -> None:
    """Raise BadInputError unless two constant weights and a dtype have a meaning."""
    for name, value in (("low", low), ("high", high)):
        if not (math.isfinite(value) and value > 0):
            raise BadInputError(f"proxy {proxy}: {name} must be a positive finite weight, got {value:g}.")
    if low == high:
        raise BadInputError(f"proxy {proxy}: low and high must differ, both are {low:g}.")
    if dtype not in DTYPES:
        raise BadInputError(f"proxy {proxy}: dtype must be one of {', '.join(DTYPES)}, got {dtype!r}.")


def _check(*, low: float, high: float, dtype: str) -> None:
    check_constants("epsinas", low, high, dtype)


@proxy(
    version=1,
    needs=Needs.RESPONSES,
    scope=Scope.WIDTH1_KEY,
    cite="Gracheva 2023, arXiv:2302.04406, eq. 1-3",
    check=_check,
)
def epsinas(
    network: Network, batch: Batch, *, low: float = 1e-7, high: float = 1.0, dtype: str = "float32"
) -> float | Outcome:
    """Mean difference of the min-max normalised outputs under two constant weights, over their mean.

    With p_w the outputs when every weight is w and every bias 0, and q_w = (p_w - min p_w) / (max p_w - min p_w) with
    its zeros left out, the score is mean |q_low - q_high| / mean of all q. No training, gradients or labels.

    Undefined where a p_w is the same for every input. In float32 with low = 1e-7 that is every network without a
    path of skips and average pools from input to output, because each convolution shrinks its input by about 1e-10
    and a few in a row underflow to zero: 9,226 of the 15,625 NAS-Bench-201 cells are defined. The published constants
    are 1e-7 and 1 for NAS-Bench-201, 1e-4 and 10 for NAS-Bench-101, 1e-5 and 1e-3 for NAS-Bench-NLP.
    """
    if not network.connected:
        return Outcome(None, Status.UNDEFINED, "no path from input to output")
    return epsilon({f"at weight {weight:g}": network.response(batch, weight, dtype) for weight in (low, high)}, dtype)


def epsilon(responses: Mapping[str, NDArray[np.floating]], dtype: str) -> float | Outcome:
    """The formula of `epsinas` on two vectors of outputs, of one length; names and dtype are for its reasons."""
    normalised = []
    for where, response in responses.items():
        if not np.isfinite(response).all():
            return Outcome(None, Status.NONFINITE, f"outputs {where} overflow {dtype}")
        q = _normalised(response)
        if np.isnan(q).all():
            why = f"underflow to zero in {dtype}" if not response.any() else "are the same for every input"
            return Outcome(None, Status.UNDEFINED, f"outputs {where} {why}")
        normalised.append(q)
    difference = np.abs(normalised[0] - normalised[1])
    if np.isnan(difference).all():
        return Outcome(None, Status.UNDEFINED, "no image is above the minimum at both weights")
    return float(np.nanmean(difference, dtype=np.float64) / np.nanmean(np.stack(normalised), dtype=np.float64))


def _normalised(response: NDArray[np.floating]) -> NDArray[np.floating]:
    low, high = response.min(), response.max()
    if low == high:
        return np.full_like(response, np.nan)
    q = (response - low) / (high - low)
    return np.where(q == 0, np.nan, q)
