"""linearity_gap: how much a network's ReLUs change the order of its inputs."""

from untrained.graphs.modes import Mode
from untrained.proxies.base import Needs, proxy
from untrained.proxies.mode_scores import CITE, check_gain, mode_score
from untrained.proxies.network import Network
from untrained.proxies.width1_statistics import epsilon
from untrained.types import Batch, Scope


def _check(*, gain: float) -> None:
    check_gain("linearity_gap", gain)


@proxy(
    version=1,
    needs=Needs.MODES,
    scope=Scope.WIDTH1_KEY,
    cite=CITE,
    higher_is_better=False,
    check=_check,
)
def linearity_gap(network: Network, batch: Batch, *, gain: float = 1.0) -> float:
    """How differently a network with and without its ReLUs spaces the images, weights being mean filters.

    With r the pooled outputs when every filter is its mean times `gain`, ReLUs on and the body's batch norms off, l
    the same without ReLUs, and q the two after min-max normalisation, zeros left out: mean |q_r - q_l| / mean of all
    q. It was found on N(0, 1) images (`--batch normal`). Lower is better on NAS-Bench-201; on NAS-Bench-101 HIGHER is
    better, so that its sign is not to be trusted on a space where nobody has tested it. Undefined where an output is
    the same for all images.
    """
    return mode_score(network, batch, epsilon, Mode(norm=False, gain=gain), Mode(relu=False, norm=False, gain=gain))
