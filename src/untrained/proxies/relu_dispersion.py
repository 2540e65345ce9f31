"""relu_dispersion: how far a network's outputs spread over the images."""

from untrained.graphs.modes import Mode
from untrained.proxies.base import Needs, proxy
from untrained.proxies.mode_scores import CITE, check_gain, mode_score
from untrained.proxies.network import Network
from untrained.proxies.width1_statistics import dispersion
from untrained.types import Batch, Scope


def _check(*, gain: float) -> None:
    check_gain("relu_dispersion", gain)


@proxy(
    version=1,
    needs=Needs.MODES,
    scope=Scope.WIDTH1_KEY,
    cite=CITE,
    higher_is_better=False,
    check=_check,
)
def relu_dispersion(network: Network, batch: Batch, *, gain: float = 1.0) -> float:
    """Coefficient of variation over the images of a network's output, weights being mean filters, norms off.

    std / |mean| of the pooled output when every filter is its mean times `gain`, ReLUs on and the body's batch norms
    off. It was found on U(0, 1) images (`--batch uniform_01`). Lower is better on NAS-Bench-201; on NAS-Bench-101
    HIGHER is better, so that its sign is not to be trusted on a space where nobody has tested it. Undefined where the
    mean is zero up to rounding.
    """
    return mode_score(network, batch, dispersion, Mode(norm=False, gain=gain))
