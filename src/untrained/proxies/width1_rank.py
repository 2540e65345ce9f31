"""width1_rank: a hundred width-1 statistics in one fixed formula."""

from untrained.proxies.base import Needs, proxy
from untrained.proxies.network import Network
from untrained.types import Batch, Scope


@proxy(
    version=1,
    needs=Needs.MODES,
    scope=Scope.KEY,
    cite="this project: docs/width1_statistics.md, results/width1_rank.md",
    cost="30 passes over one channel of 64 images",
)
def width1_rank(network: Network, batch: Batch) -> float:
    """Weighted sum of logarithms of ranks: sum_k w_k log(u_k) or w_k log(1 - u_k), terms in width1_rank.toml.

    u_k is the share of NAS-Bench-201's functions whose k-th statistic (see docs/bank.md) is smaller. It reads its own
    inputs, 64 images each of N(0, 1), U(0, 1) and the grey ramp; the batch of the call does not matter.

    Weights were fixed once, on CIFAR-10 validation accuracies of 300 NAS-Bench-201 functions (listed in
    results/width1_rank_labelled.txt): tau 0.80 on CIFAR-10 and 0.79 on CIFAR-100 over the other 4,629. That is learned
    from labels of this space, unlike other proxies; elsewhere it is a guess, see results/width1_statistics.md. On a
    space of your own, `untrained calibrate` with your own labels is the honest way.

    Undefined without a path from input to output; not defined for recurrent networks.

    >>> from untrained.batches import load_batch
    >>> from untrained.spaces.nasbench201 import SPACE
    >>> conv = SPACE.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    >>> pool = SPACE.parse("|avg_pool_3x3~0|+|none~0|avg_pool_3x3~1|+|none~0|none~1|avg_pool_3x3~2|")
    >>> batch = load_batch("normal", (3, 32, 32), 4)
    >>> first, second = [width1_rank.bind()(Network(SPACE.graph(arch)), batch) for arch in (conv, pool)]
    >>> first > second
    True
    """
    from untrained.proxies.ranker import read_width1_rank  # here, since listing proxies needs no compiler

    return read_width1_rank()(network, batch)
