"""meco_opt: meco from a few channels of each feature map."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, proxy
from untrained.proxies.checks import whole_numbers
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from torch import Tensor

    from untrained.proxies.model import Model


@proxy(
    version=1,
    needs=Needs.WEIGHTS,
    scope=Scope.KEY,
    init="default",
    cite="Jiang et al. 2023 (MeCo), NeurIPS 2023, section 4.4",
    cost="one forward of one 64x64 image",
    check=whole_numbers("meco_opt", channels=1, size=1),
)
def meco_opt(model: "Model", batch: Batch, *, channels: float = 8, size: float = 64) -> float:
    """`meco` with `channels` random channels of each feature map, times channels there are for each one taken.

    Eigenvalues of larger matrices are smaller, so the sum sees wide layers better than `meco` does. A feature map of
    fewer channels is taken whole; the program fails there.
    """
    import torch

    from untrained.proxies.feature_correlations import least_eigenvalues, one_image

    generator = model.generator("meco_opt", "channels")

    def choose(n: int) -> "Tensor":
        return torch.randperm(n, generator=generator)[: int(channels)]

    return sum(least_eigenvalues(model, one_image(model, batch, size), choose))
