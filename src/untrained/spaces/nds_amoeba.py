"""NDS, AmoebaNet cells; see `nds`."""

from typing import ClassVar, final

from untrained.spaces.base import Published
from untrained.spaces.nds import Nds


@final
class NdsAmoeba(Nds):
    """AmoebaNet: 8 operations, 5 nodes; its output is all nodes that no other reads."""

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
    # By the rule that `nds` describes, not from a paper; none of 100 scores undefined, 11.2 % of 1,000 at 1e-3.
    published: ClassVar[Published] = {"epsinas": {"low": 1e-2, "high": 1.0}}


SPACE = NdsAmoeba()
