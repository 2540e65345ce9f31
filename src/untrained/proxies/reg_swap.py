"""reg_swap: swap for networks of a wanted size."""

import math
from typing import TYPE_CHECKING

from untrained.errors import BadInputError
from untrained.proxies.base import Needs, proxy
from untrained.proxies.checks import whole_numbers
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model

_counts = whole_numbers("reg_swap", images=1, repeats=1)


def _check(*, mu: float, sigma: float, images: float, repeats: float) -> None:
    _counts(images=images, repeats=repeats)
    if not math.isfinite(mu):
        raise BadInputError(f"proxy reg_swap: mu must be a number of millions of parameters, got {mu:g}.")
    if not (math.isfinite(sigma) and sigma > 0):
        raise BadInputError(f"proxy reg_swap: sigma must be positive, got {sigma:g}.")


@proxy(
    version=1,
    needs=Needs.WEIGHTS,
    scope=Scope.KEY,
    init="normal",
    cite="Peng et al. 2024 (SWAP-NAS), arXiv:2403.04161, definition 3.3",
    cost="one forward of 16 images, 32 times, shared with swap",
    check=_check,
)
def reg_swap(
    model: "Model", batch: Batch, *, mu: float = 1.5, sigma: float = 1.5, images: float = 16, repeats: float = 32
) -> float:
    """`swap` x exp(-(P - mu)**2 / sigma), P the live parameters in millions: networks of about mu are preferred.

    The program ships no mu and sigma, they belong to the space and the wanted size; it counts in thousands, so that its
    mu is 1,000 times ours and its sigma 1e6 times. The defaults prefer the largest networks of NAS-Bench-201, gently:
    their factor is 1, that of the smallest 0.26.
    """
    from untrained.proxies.swap import mean_patterns

    millions = sum(w.numel() for w in model.weights.values()) / 1e6
    return mean_patterns(model, batch, images, repeats) * math.exp(-((millions - mu) ** 2) / sigma)
