"""linearity_gap: how much a network's ReLUs change the order of its inputs."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.mode_scores import CITE, check, mode_score
from untrained.proxies.network import Network
from untrained.proxies.width1_statistics import epsilon
from untrained.types import Batch, Scope


def _check(*, gain: float, images: str) -> None:
    check("linearity_gap", gain, images)


@proxy(
    version=1,
    needs=Needs.MODES,
    scope=Scope.WIDTH1_KEY,
    cite=CITE,
    higher_is_better=False,
    check=_check,
)
def linearity_gap(network: Network, batch: Batch, *, gain: float = 1.0, images: str = "normal") -> float:
    """How differently a network with and without its ReLUs spaces the images, weights being mean filters.

    With r the pooled outputs when every filter is its mean times `gain`, ReLUs on and the body's batch norms off, l
    the same without ReLUs, and q the two after min-max normalisation, zeros left out: mean |q_r - q_l| / mean of all
    q.

    It reads 64 made-up images, `images`; `images=batch` is the batch of the call.

    The sign is not to be trusted on a space or on images where nobody has tested it. Lower is better on NAS-Bench-201
    with N(0, 1) or U(0, 1) images (tau -0.58 and -0.60 over all functions, CIFAR-10), but HIGHER is better there on the
    grey ramp, and HIGHER is better on NAS-Bench-101 with N(0, 1) images (0.45 on 400 random cells). See
    results/width1_statistics.md.

    Undefined where an output is the same for all images.
    """
    from untrained.graphs.modes import Mode  # here, since listing proxies needs no compiler

    return mode_score(
        network, batch, images, epsilon, Mode(norm=False, gain=gain), Mode(relu=False, norm=False, gain=gain)
    )
