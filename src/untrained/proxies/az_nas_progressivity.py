"""az_nas_progressivity: whether features grow richer from stage to stage."""

from itertools import pairwise
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
    cite="Lee and Ham 2024 (AZ-NAS), arXiv:2403.19232, section 3.2, progressivity",
    cost="one forward and one backward of noise, shared by the parts of AZ-NAS",
    check=whole_numbers("az_nas_progressivity", images=2),
)
def az_nas_progressivity(model: "Model", batch: Batch, *, images: float = 64) -> float:
    """Smallest gain of entropy from one stage to the next.

    min over k of E_k - E_(k-1), with E the entropies of `az_nas_expressivity`. Negative where some stage's features are
    poorer than those it reads; 0 at best where a cell passes its input on unchanged.

    The network reads `images` images of noise N(0, 1) in the size of the batch's; nothing else of the batch counts.
    """
    from untrained.proxies import az_nas_parts

    entropies = az_nas_parts.values(az_nas_parts.parts(model, batch, images).entropies)
    return min(after - before for before, after in pairwise(entropies))
