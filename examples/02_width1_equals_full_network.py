"""The width-1 theorem on one cell: the fast response is the output of the full network. Needs untrained[torch]."""

import numpy as np

from untrained import SPACES, load_batch
from untrained.graphs import module, width1

space = SPACES["nasbench201"]
graph = space.graph(
    space.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|")
)
batch = load_batch("normal", space.task.input_shape, 16)
for weight in (1e-7, 1.0):
    fast = width1.respond(width1.lower(graph), batch.x, weight)
    full = module.respond(graph, batch.x, weight)
    difference = np.abs(full / fast[:, None] - 1).max()
    print(f"weight {weight:g}: {full.shape[1]} channels, largest relative difference {difference:.1e}")
