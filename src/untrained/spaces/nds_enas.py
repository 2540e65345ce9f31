"""NDS, ENAS cells; see `nds`."""

from typing import final

from untrained.spaces.nds import Nds


@final
class NdsEnas(Nds):
    """ENAS: 5 operations, 5 nodes, the nodes that no other reads as output."""

    name = "nds_enas"
    title = "ENAS cells of NDS, at several widths and depths"
    operations = (
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "avg_pool_3x3",
        "max_pool_3x3",
    )
    n_nodes = 5
    output = "loose"


SPACE = NdsEnas()
