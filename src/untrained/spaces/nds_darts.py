"""NDS, DARTS cells; see `nds`."""

from typing import ClassVar, final

from untrained.spaces.base import Published
from untrained.spaces.nds import Nds


@final
class NdsDarts(Nds):
    """DARTS: 8 operations, 4 nodes; its output is all nodes."""

    name = "nds_darts"
    title = "DARTS cells of NDS, at several widths and depths"
    operations = (
        "none",
        "max_pool_3x3",
        "avg_pool_3x3",
        "skip_connect",
        "sep_conv_3x3",
        "sep_conv_5x5",
        "dil_conv_3x3",
        "dil_conv_5x5",
    )
    n_nodes = 4
    output = "all"
    # By the rule that `nds` describes, not from a paper; 4.0 % of 1,000 scores undefined.
    published: ClassVar[Published] = {"epsinas": {"low": 1e-3, "high": 1.0}}


SPACE = NdsDarts()
