"""How much the channels of feature maps repeat each other."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from untrained.proxies.base import NoScore
from untrained.proxies.inputs import image_shape, noise
from untrained.types import Batch, Status

if TYPE_CHECKING:
    from untrained.proxies.model import Model

Choose = Callable[[int], Tensor]  # from a number of channels those that are looked at


def least_eigenvalues(model: "Model", image: Tensor, choose: Choose | None = None) -> list[float]:
    """Least eigenvalue of the correlation of channels in what each module gives for one image, in order of execution.

    Containers are modules too. Entries of channels that are constant count as 0. With `choose` only those channels are
    looked at, and the eigenvalue is multiplied by how many there are for each of them.

    Args:
        model: the network.
        image: shape (1, channels, height, width).
        choose: gives positions of channels, for their number.

    Raises:
        NoScore: no feature map is given, one is not finite, or the network does not run on such an image.
    """
    found: list[tuple[Tensor, float]] = []

    def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim >= 3:
            features = output.detach()[0].flatten(1)
            chosen = features if choose is None else features[choose(len(features))]
            found.append((_correlation(chosen), len(features) / len(chosen)))

    with torch.no_grad(), _hooked(model.module, note):
        try:
            model.call(image)
        except (RuntimeError, ValueError) as error:
            if "alloc" in str(error) or "memory" in str(error):
                raise
            size = " x ".join(map(str, image.shape[1:]))
            reason = str(error).partition("\n")[0]
            raise NoScore(Status.UNSUPPORTED, f"the network does not run on one {size} image: {reason}") from error
    if not found:
        raise NoScore(Status.UNDEFINED, "no module gives a feature map")
    return _least([correlation for correlation, _ in found], [times for _, times in found])


def one_image(model: "Model", batch: Batch, size: float) -> Tensor:
    """One image of noise N(0, 1), `size` high and wide, with as many channels as the batch's images."""
    return noise(model, (1, image_shape(batch)[0], int(size), int(size)), "meco")


def _correlation(features: Tensor) -> Tensor:
    """Correlation of the rows, shape (rows, rows), with 0 where one is constant."""
    if not torch.isfinite(features).all():
        raise NoScore(Status.NONFINITE, "feature maps are not finite")
    n, positions = features.shape
    if positions < 2:
        return features.new_zeros(n, n)
    return torch.corrcoef(features).reshape(n, n).nan_to_num(0, 0, 0)


def _least(matrices: list[Tensor], factors: list[float]) -> list[float]:
    """Least eigenvalue of each matrix times its factor; matrices of one size are done together."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, matrix in enumerate(matrices):
        places[len(matrix)].append(place)
    values = [0.0] * len(matrices)
    for some in places.values():
        least = torch.linalg.eigvalsh(torch.stack([matrices[place] for place in some]).double())[:, 0]
        for place, value in zip(some, least.tolist(), strict=True):
            values[place] = value * factors[place]
    return values


@contextmanager
def _hooked(module: nn.Module, note: Callable[[nn.Module, Any, Any], None]) -> Iterator[None]:
    handles = [layer.register_forward_hook(note) for layer in module.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
