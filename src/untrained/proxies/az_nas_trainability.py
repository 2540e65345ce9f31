"""az_nas_trainability: whether gradients keep their size on the way back."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, proxy
from untrained.proxies.checks import whole_numbers
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model


@proxy(
    version=1,
    needs=Needs.WEIGHTS,
    scope=Scope.KEY,
    init="kaiming_normal_fan_in",
    cite="Lee and Ham 2024 (AZ-NAS), arXiv:2403.19232, section 3.3",
    cost="one forward and one backward of noise, shared by the parts of AZ-NAS",
    check=whole_numbers("az_nas_trainability", images=2),
)
def az_nas_trainability(model: "Model", batch: Batch, *, images: float = 64) -> float:
    """Mean over stages of 2 - s - 1 / (s + 1e-6), s the spectral norm of how a stage passes gradients back.

    From each stage k random signs g are sent back to the stage before, where h arrives. With rows for images and
    positions, s is the largest singular value of h^T g / rows. A term is 0 where s = 1 and falls to both sides, so
    higher is better. Where a stage is smaller than the one before, blocks of positions of h become channels.

    The network reads `images` images of noise N(0, 1) in the size of the batch's; nothing else of the batch counts.
    Undefined where a stage passes its input on unchanged: s would be 1, the best there is, and the program gives minus
    infinity. Undefined too where a stage does not depend on the one before; in the program that costs 1e6.
    """
    from untrained.proxies import az_nas_parts

    gains = az_nas_parts.values(az_nas_parts.parts(model, batch, images).gains)
    return sum(2 - gain - 1 / (gain + 1e-6) for gain in gains) / len(gains)
