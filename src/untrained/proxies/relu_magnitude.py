"""relu_magnitude: how large a network's outputs are."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.mode_scores import CITE, check, mode_score
from untrained.proxies.network import Network
from untrained.proxies.width1_statistics import log_magnitude
from untrained.types import Batch, Scope


def _check(*, gain: float, images: str) -> None:
    check("relu_magnitude", gain, images)


@proxy(
    version=1,
    needs=Needs.MODES,
    scope=Scope.WIDTH1_KEY,
    cite=CITE,
    higher_is_better=False,
    check=_check,
)
def relu_magnitude(network: Network, batch: Batch, *, gain: float = 1.0, images: str = "grey_ramp") -> float:
    """Logarithm of the mean magnitude of a network's output, weights being mean filters, norms off.

    log mean |r|, r the pooled output when every filter is its mean times `gain`, ReLUs on and the body's batch norms
    off.

    It reads 64 made-up images, `images`; `images=batch` is the batch of the call.

    Lower is better on NAS-Bench-201 with the grey ramp (tau -0.61 over all functions, CIFAR-10); with N(0, 1) images
    HIGHER is better there (0.5), and on NAS-Bench-101 it says nothing on either (0.0 on 400 random cells). See
    results/width1_statistics.md.

    Undefined where all outputs are zero.
    """
    from untrained.graphs.modes import Mode  # here, since listing proxies needs no compiler

    return mode_score(network, batch, images, log_magnitude, Mode(norm=False, gain=gain))
