"""Why the kernels are numba's: the same one-channel network in torch and in the width-1 kernels, one thread each.

Ten relu-conv-batch-norm layers with skips on 256 random images of 32x32, alternating, median of 15. Prints one line.
"""

import statistics
import time

import numpy as np
import torch

from untrained.batches import load_batch
from untrained.graphs import module, width1
from untrained.graphs.graph import GraphBuilder


def main() -> None:
    torch.set_num_threads(1)
    b = GraphBuilder((1, 32, 32))
    x = b.batch_norm(b.conv(b.input, 1, kernel=3))
    for _ in range(10):
        x = b.sum([x, b.batch_norm(b.conv(b.relu(x), 1, kernel=3))])
    graph = b.build([b.global_avg_pool(x)])
    images = load_batch("normal", (1, 32, 32), 256).x
    network = module.GraphModule(graph).train()
    module.set_constant(network, 1.0)
    tensor = torch.from_numpy(images.copy())
    program = width1.lower(graph)
    difference = np.abs(network(tensor)[0].detach().numpy()[:, 0] / width1.respond(program, images, 1.0) - 1).max()
    in_torch, in_numba = [], []
    for _ in range(15):
        start = time.perf_counter()
        with torch.no_grad():
            network(tensor)
        in_torch.append(time.perf_counter() - start)
        start = time.perf_counter()
        width1.respond(program, images, 1.0)
        in_numba.append(time.perf_counter() - start)
    slow, fast = statistics.median(in_torch), statistics.median(in_numba)
    print(
        f"torch {slow * 1e3:.1f} ms, width-1 kernels {fast * 1e3:.1f} ms, ratio {slow / fast:.1f}, "
        f"largest relative difference {difference:.1e}"
    )


if __name__ == "__main__":
    main()
