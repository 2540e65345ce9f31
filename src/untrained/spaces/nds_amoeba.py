"""NDS, AmoebaNet cells; see `nds`."""

from typing import final

from untrained.spaces.nds import Nds


@final
class NdsAmoeba(Nds):
    """AmoebaNet: 8 operations, 5 nodes, the nodes that no other reads as output."""

    name = "nds_amoeba"
    title = "AmoebaNet cells of NDS, at several widths and depths"
    operations = (
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "sep_conv_7x7",
        "avg_pool_3x3",
        "max_pool_3x3",
        "dil_sep_conv_3x3",
        "conv_7x1_1x7",
    )
    n_nodes = 5
    output = "loose"


SPACE = NdsAmoeba()
