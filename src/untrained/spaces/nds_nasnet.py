"""NDS, NASNet cells; see `nds`."""

from typing import final

from untrained.spaces.nds import Nds


@final
class NdsNasNet(Nds):
    """NASNet: 13 operations, 5 nodes, the nodes that no other reads as output."""

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


SPACE = NdsNasNet()
