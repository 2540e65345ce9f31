"""NDS, NASNet cells; see `nds`."""

from typing import ClassVar, final

from untrained.spaces.base import Published
from untrained.spaces.nds import Nds


@final
class NdsNasNet(Nds):
    """NASNet: 13 operations, 5 nodes; its output is all nodes that no other reads."""

    name = "nds_nasnet"
    title = "NASNet cells of NDS, at several widths and depths"
    operations = (
        "skip_connect",
        "conv_3x1_1x3",
        "conv_7x1_1x7",
        "dil_conv_3x3",
        "avg_pool_3x3",
        "max_pool_3x3",
        "max_pool_5x5",
        "max_pool_7x7",
        "conv_1x1",
        "conv_3x3",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "sep_conv_7x7",
    )
    n_nodes = 5
    output = "loose"
    # By the rule that `nds` describes, not from a paper; 3.9 % of 1,000 scores undefined.
    published: ClassVar[Published] = {"epsinas": {"low": 1e-3, "high": 1.0}}


SPACE = NdsNasNet()
