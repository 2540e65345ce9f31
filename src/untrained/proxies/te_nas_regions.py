"""te_nas_regions: how many linear regions of the network inputs fall into."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from untrained.errors import BadInputError
from untrained.proxies.base import Needs, NoScore, proxy
from untrained.proxies.cells import first_cell
from untrained.proxies.checks import whole_numbers
from untrained.types import Batch, Scope, Status

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from untrained.proxies.model import Model

_PASS = 1000  # inputs that go through the network together
_SIZE = 3  # height and width of patches
_NETWORKS = ("cell", "full")

_counts = whole_numbers("te_nas_regions", inputs=2, repeats=1)


def _check(*, network: str, inputs: float, repeats: float) -> None:
    _counts(inputs=inputs, repeats=repeats)
    if network not in _NETWORKS:
        raise BadInputError(f"proxy te_nas_regions: network must be one of {', '.join(_NETWORKS)}, got {network!r}.")


@proxy(
    version=1,
    needs=Needs.WEIGHTS,
    scope=Scope.KEY,
    init="kaiming_normal_fan_in",
    cite="Chen et al. 2021 (TE-NAS), arXiv:2102.11535, section 3.1.2, eq. 6",
    cost="nine forwards of 1,000 patches of 3x3 pixels through one thin cell",
    check=_check,
)
def te_nas_regions(
    model: "Model", batch: Batch, *, network: str = "cell", inputs: float = 3000, repeats: float = 3
) -> float:
    """Number of different activation patterns over inputs, each a linear region of a network of ReLUs.

    An input's pattern says which elements of all feature maps that ReLUs give are on. The count is averaged over
    `repeats` random weights.

    As in the program, the network is the first `cell` alone, with its channels divided by their greatest common divisor
    (one channel in NAS-Bench-201), followed by batch norm and ReLU, and the inputs are random patches of the batch's
    images, 3x3 pixels of one channel; 1,000 go through the network together. The program's cell is a supernet's. How
    wide and how deep a network is does not count.

    `network=full` counts regions of the whole network for the batch's images. As a rule each has its own, so that all
    networks score the same: it is there to be compared with programs that do so.

    Undefined without ReLUs, unsupported for networks that are not made of cells.
    """
    counts = [_count(model, batch, network, int(inputs), repeat) for repeat in range(int(repeats))]
    return sum(counts) / len(counts)


def _count(model: "Model", batch: Batch, network: str, n: int, repeat: int) -> int:
    from untrained.proxies import inputs
    from untrained.proxies.activation_patterns import distinct_rows
    from untrained.proxies.model import Model

    if network == "full":
        return distinct_rows(model, [inputs.first_images(model, batch, n)], model.again(repeat))
    images = inputs.first_images(model, batch, len(batch.x))
    if model.network is None:
        raise NoScore(Status.UNSUPPORTED, "the network is not made of cells")
    graph = first_cell(model.network.graph, _SIZE)
    cell = Model.of_graph(graph, init=model.init, seed=model.seed, dtype=str(model.dtype).removeprefix("torch."))
    generator = model.generator("te_nas_regions", "patches", repeat)
    return distinct_rows(cell, _patches(images, n, graph.input_shape[0], generator), cell.again(repeat))


def _patches(images: "Tensor", n: int, channels: int, generator: "torch.Generator") -> "Iterator[Tensor]":
    """Random patches, shape (at most 1,000, channels, 3, 3), of the images in turn, each channel of any of theirs."""
    import torch

    count, depth, height, width = images.shape
    if min(height, width) < _SIZE:
        raise NoScore(Status.UNSUPPORTED, f"images are smaller than patches of {_SIZE}x{_SIZE} pixels")
    for start in range(0, n, _PASS):
        size = min(_PASS, n - start)
        which = (torch.arange(start, start + size) % count)[:, None, None, None]
        channel = torch.randint(depth, (size, channels, 1, 1), generator=generator)
        top = torch.randint(height - _SIZE + 1, (size, 1, 1, 1), generator=generator)
        left = torch.randint(width - _SIZE + 1, (size, 1, 1, 1), generator=generator)
        rows, columns = top + torch.arange(_SIZE)[:, None], left + torch.arange(_SIZE)
        yield images[which, channel, rows, columns]
