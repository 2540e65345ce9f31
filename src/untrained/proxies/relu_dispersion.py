"""relu_dispersion: how far a network's outputs spread over the images."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.mode_scores import CITE, check, mode_score
from untrained.proxies.network import Network
from untrained.proxies.width1_statistics import dispersion
from untrained.types import Batch, Scope


def _check(*, gain: float, images: str) -> None:
    check("relu_dispersion", gain, images)


@proxy(
    version=1,
    needs=Needs.MODES,
    scope=Scope.WIDTH1_KEY,
    cite=CITE,
    higher_is_better=False,
    check=_check,
)
def relu_dispersion(network: Network, batch: Batch, *, gain: float = 1.0, images: str = "uniform_01") -> float:
    """Coefficient of variation over the images of a network's output, weights being mean filters, norms off.

    std / |mean| of the pooled output when every filter is its mean times `gain`, ReLUs on and the body's batch norms
    off.

    It reads 64 made-up images, `images`; `images=batch` is the batch of the call.

    Lower is better with U(0, 1) images on NAS-Bench-201 (tau -0.61 over all functions, CIFAR-10) and on NAS-Bench-101
    (-0.5 on 400 random cells). With other images the sign is not to be trusted: on the grey ramp lower is better on
    NAS-Bench-201 (-0.55), but HIGHER on NAS-Bench-101 (0.4). See results/width1_statistics.md.

    Undefined where the mean is zero up to rounding.
    """
    from untrained.graphs.modes import Mode  # here, since listing proxies needs no compiler

    return mode_score(network, batch, images, dispersion, Mode(norm=False, gain=gain))
