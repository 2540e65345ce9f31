"""relu_magnitude: how large a network's outputs are."""

from untrained.graphs.modes import Mode
from untrained.proxies.base import Needs, proxy
from untrained.proxies.mode_scores import CITE, check_gain, mode_score
from untrained.proxies.network import Network
from untrained.proxies.width1_statistics import log_magnitude
from untrained.types import Batch, Scope


def _check(*, gain: float) -> None:
    check_gain("relu_magnitude", gain)


@proxy(
    version=1,
    needs=Needs.MODES,
    scope=Scope.WIDTH1_KEY,
    cite=CITE,
    higher_is_better=False,
    check=_check,
)
def relu_magnitude(network: Network, batch: Batch, *, gain: float = 1.0) -> float:
    """Logarithm of the mean magnitude of a network's output, weights being mean filters, norms off.

    log mean |r|, r the pooled output when every filter is its mean times `gain`, ReLUs on and the body's batch norms
    off. It was found on the grey ramp. Lower is better on NAS-Bench-201; elsewhere the sign is not to be trusted
    untested. Undefined where all outputs are zero.
    """
    return mode_score(network, batch, log_magnitude, Mode(norm=False, gain=gain))
