"""NDS, PNAS cells; see `nds`."""

from typing import ClassVar, final

from untrained.spaces.base import Published
from untrained.spaces.nds import Nds


@final
class NdsPnas(Nds):
    """PNAS: 8 operations, 5 nodes; its output is all nodes."""

    name = "nds_pnas"
    title = "PNAS cells of NDS, at several widths and depths"
    operations = (
        "sep_conv_3x3",
        "sep_conv_5x5",
        "sep_conv_7x7",
        "conv_7x1_1x7",
        "skip_connect",
        "avg_pool_3x3",
        "max_pool_3x3",
        "dil_conv_3x3",
    )
    n_nodes = 5
    output = "all"
    # By the rule that `nds` describes, not from a paper; 0.8 % of 1,000 scores undefined.
    published: ClassVar[Published] = {"epsinas": {"low": 1e-3, "high": 1.0}}


SPACE = NdsPnas()
