"""NDS, ENAS cells; see `nds`."""

from typing import ClassVar, final

from untrained.spaces.base import Published
from untrained.spaces.nds import Nds


@final
class NdsEnas(Nds):
    """ENAS: 5 operations, 5 nodes; its output is all nodes that no other reads."""

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
    # By the rule that `nds` describes, not from a paper; 3.3 % of 1,000 scores undefined.
    published: ClassVar[Published] = {"epsinas": {"low": 1e-3, "high": 1.0}}


SPACE = NdsEnas()
