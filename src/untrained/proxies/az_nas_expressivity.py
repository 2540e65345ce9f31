"""az_nas_expressivity: how evenly features use their channels."""

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
    cite="Lee and Ham 2024 (AZ-NAS), arXiv:2403.19232, section 3.2, expressivity",
    cost="one forward and one backward of noise, shared by the parts of AZ-NAS",
    check=whole_numbers("az_nas_expressivity", images=2),
)
def az_nas_expressivity(model: "Model", batch: Batch, *, images: float = 64) -> float:
    """Sum over stages of the entropy of the features' principal components.

    A stage is what the stem, a cell or a residual block gives. Of each stage the covariance of channels over all images
    and positions is taken; with p its eigenvalues divided by their sum, the entropy is -sum p log(p + 1e-8), at most
    the logarithm of the number of channels.

    The network reads `images` images of noise N(0, 1) in the size of the batch's; nothing else of the batch counts.
    Where the covariance is singular, rounding makes eigenvalues negative and the program's logarithm fails, which it
    turns into minus infinity; here they are 0. Undefined where a stage is constant: minus infinity in the program.
    """
    from untrained.proxies import az_nas_parts

    return sum(az_nas_parts.values(az_nas_parts.parts(model, batch, images).entropies))
