"""swap: how many ways units sort the images."""

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
    init="normal",
    cite="Peng et al. 2024 (SWAP-NAS), arXiv:2403.04161, definition 3.2",
    cost="one forward of 16 images, 32 times",
    check=whole_numbers("swap", images=1, repeats=1),
)
def swap(model: "Model", batch: Batch, *, images: float = 16, repeats: float = 32) -> float:
    """Number of different activation patterns of units over the images, averaged over random weights.

    A unit is one element of a feature map that a ReLU gives; its pattern says for which images it is on. With n images
    there are at most 2**n patterns. The first `images` of the batch are read, all if there are fewer, `repeats` times
    with other weights.

    In the program every edge has a ReLU of its own. ReLUs that read the same add equal units, which count once; so the
    score is that of the network with these merged. ReLUs whose result reaches no output count there and not here.
    """
    return mean_patterns(model, batch, images, repeats)


def mean_patterns(model: "Model", batch: Batch, images: float, repeats: float) -> float:
    """The score, computed once a model."""
    from untrained.proxies.activation_patterns import distinct_columns
    from untrained.proxies.inputs import first_images

    def compute() -> float:
        x = first_images(model, batch, images)
        counts = [distinct_columns(model, x, model.again(repeat)) for repeat in range(int(repeats))]
        return sum(counts) / len(counts)

    return model.memo(("swap", batch.digest, images, repeats), compute)
