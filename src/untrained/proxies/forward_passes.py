"""How long a network takes: forward passes of the full network, as it would be used."""

import copy
import time

import torch

from untrained.graphs.module import GraphModule, RecurrentModule
from untrained.proxies.model import Model
from untrained.proxies.network import Network


def pass_seconds(
    network: Network, input_shape: tuple[int, ...], batch_size: int, repeats: int, warm_up: int, vocabulary: int = 1
) -> list[float]:
    """Wall time of each of `repeats` forward passes, after `warm_up` more, on one thread.

    The live part is run, in evaluation mode, without gradients, in float32. Its weights are drawn by PyTorch's own
    rules and its input is normal noise, of texts random words: on a CPU time does not depend on either.

    Raises:
        GraphError: the network cannot be built.
    """
    model = network.model()
    module = copy.deepcopy(model.module)
    if isinstance(module, GraphModule | RecurrentModule):  # only sketched until now
        module.load_state_dict({**model.weights, **model.buffers}, strict=False, assign=True)
    module.eval()
    generator = torch.Generator().manual_seed(0)
    if len(input_shape) == 1:
        x = torch.randint(vocabulary, (batch_size, *input_shape), generator=generator)
    else:
        x = torch.randn((batch_size, *input_shape), generator=generator)
    seconds = []
    with Model.one_thread(), torch.inference_mode():
        for i in range(warm_up + repeats):
            start = time.perf_counter()
            module(x)
            if i >= warm_up:
                seconds.append(time.perf_counter() - start)
    return seconds
