"""fisher: how much the loss would change if whole channels were taken away."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, NoScore, proxy
from untrained.proxies.saliency import layers
from untrained.types import Batch, Scope, Status

if TYPE_CHECKING:
    from torch import Tensor

    from untrained.proxies.model import Model


@proxy(
    version=1,
    needs=Needs.ACTIVATIONS | Needs.GRADS | Needs.ACTIVATION_GRADS,
    labels=True,
    scope=Scope.KEY,
    init="default",
    cite="Theis et al. 2018, arXiv:1801.05787, eq. 8; Turner et al. 2020, arXiv:1906.04113; arXiv:2101.08134",
    cost="one forward, one backward",
)
def fisher(model: "Model", batch: Batch) -> float:
    """Sum over channels of convolutions and linear layers of their Fisher information, times the weights of each.

    For channel c of a layer's output a, with d = dL/da and L the mean cross entropy of the batch, image i has
    g_ic = sum over positions of a_ic d_ic, the gradient with respect to a mask on the channel. The information of the
    channel is sum over i of g_ic^2 / 2n; the programs give it to every weight of the channel and sum over weights, so
    that it counts (weights of the channel) times.

    A layer used several times has one mask. Tokens count as positions. Where the paper uses what a block's ReLU gives,
    the programs use what convolutions and linear layers give. Scores span many orders of magnitude.

    >>> from untrained.batches import load_batch
    >>> from untrained.proxies import Network
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> fisher.bind()(Network(SPACE.graph(SPACE[15624])), load_batch("normal", (3, 32, 32), 4)) > 0
    True
    """
    weights = layers(model)
    trace = model.trace(batch)
    if trace.is_text:
        raise NoScore(Status.UNSUPPORTED, "reads the channels of images, the network reads words")
    masks: dict[str, Tensor] = {}
    for call, grad in zip(trace.record.calls, trace.call_grads, strict=True):
        if call.kind not in ("conv", "linear") or call.weight not in weights:
            continue
        a = call.y.detach()
        if len(a) != len(trace.x):
            reason = f"layer {call.weight} gives {len(a)} rows for {len(trace.x)} images: which image is whose?"
            raise NoScore(Status.UNSUPPORTED, reason)
        positions = range(2, a.ndim) if call.kind == "conv" else range(1, a.ndim - 1)
        g = (a * grad).sum(tuple(positions)) if positions else a * grad
        masks[call.weight] = masks[call.weight] + g if call.weight in masks else g
    if not masks:
        raise NoScore(Status.UNSUPPORTED, "no convolution or linear layer is run by itself")
    return sum(float(g.square().mean(0).sum()) / 2 * weights[name][0].numel() for name, g in masks.items())
