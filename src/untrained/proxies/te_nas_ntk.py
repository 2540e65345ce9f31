"""te_nas_ntk: condition number of the neural tangent kernel."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, proxy
from untrained.proxies.checks import whole_numbers
from untrained.types import Batch, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model


@proxy(
    version=1,
    needs=Needs.SAMPLE_GRADS,
    scope=Scope.KEY,
    higher_is_better=False,
    init="kaiming_normal_fan_in",
    cite="Chen et al. 2021 (TE-NAS), arXiv:2102.11535, section 3.1.1, eq. 4",
    cost="one forward, one backward for each image",
    check=whole_numbers("te_nas_ntk", images=2),
)
def te_nas_ntk(model: "Model", batch: Batch, *, images: float = 16) -> float:
    """Largest over smallest eigenvalue of the neural tangent kernel; lower is better.

    The kernel of images i and j is the dot product of d f_i / dw and d f_j / dw, f being the sum of an image's logits
    and w all weights, those of norms included and biases not. All images go through the network together, so that batch
    norm makes each f_i depend on all of them.

    The first `images` of the batch are read, all if there are fewer. The program takes 16 by default, its launcher 72
    on NAS-Bench-201, for a supernet of 3 channels and one cell a stage; the cost grows with the square.

    The program draws weights by fan out, the classifier's too; fan in, here, differs in the stem, in convolutions that
    change the number of channels, and in the classifier.

    Undefined where the kernel is singular, as far as the dtype can tell: the program's number is rounding there, or
    1e5 where it is not a number.
    """
    import torch

    from untrained.proxies import gradient_kernel
    from untrained.proxies.inputs import first_images

    weights = [w for name, w in model.weights.items() if "weight" in name]
    kernel = gradient_kernel.kernel(model.call(first_images(model, batch, images)), weights)
    return gradient_kernel.condition(kernel, torch.finfo(model.dtype).eps)
