"""epsinas_random: epsinas between two random draws of the weights instead of two constants."""

from typing import TYPE_CHECKING

from untrained.proxies.base import Needs, proxy
from untrained.proxies.epsinas import epsilon
from untrained.types import Batch, Outcome, Scope

if TYPE_CHECKING:
    from untrained.proxies.model import Model


@proxy(
    version=1,
    needs=Needs.WEIGHTS,
    scope=Scope.KEY,
    init="kaiming_normal_fan_out",
    cite="Gracheva 2023, arXiv:2302.04406, the ablation of initialisations",
    cost="two forwards",
)
def epsinas_random(model: "Model", batch: Batch) -> float | Outcome:
    """Mean difference of the min-max normalised features under two draws of random weights, over their mean.

    The formula of `epsinas`, on p_k, k = 1, 2: what the classifier reads, all inputs and all channels as one vector,
    when the weights are the k-th draw by `init`. A comparison, not a method: it asks what is left of epsinas without
    its constants. The paper's answer is: nothing, a Spearman correlation between -0.02 and 0.08 for U(0, 1), N(0, 1),
    both Kaiming rules and orthogonal weights.

    With constants all channels are one; here they differ, and the minimum and the maximum are over all of them, as in
    the published program. That program seeds its generator once for all networks; here draws belong to the network.
    A network without a classifier gives its logits, and so does a language model.

    >>> from untrained.batches import load_batch
    >>> from untrained.proxies import Network
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> network = Network(SPACE.graph(SPACE[15624]))
    >>> 0 < epsinas_random.bind(init="orthogonal")(network, load_batch("normal", (3, 32, 32), 4)) < 2
    True
    >>> epsinas_random.bind(init="constant(1)")(network, load_batch("normal", (3, 32, 32), 4))
    0.0
    """
    import torch

    x = torch.from_numpy(batch.x.copy())  # a copy: batches are frozen, torch has no frozen tensors
    if x.is_floating_point():
        x = x.to(model.dtype)
    with torch.no_grad():
        features = [model.record(x, weights=model.again(k), keep=("linear",)).features for k in range(2)]
    return epsilon(
        {f"of draw {k}": p.flatten().numpy() for k, p in enumerate(features, start=1)}, str(model.dtype).split(".")[-1]
    )
