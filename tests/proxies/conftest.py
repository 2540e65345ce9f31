"""Networks with the fixed weights for which the original programs' values were measured."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from untrained.batches import make_batch
from untrained.graphs.graph import Conv, Graph, Linear
from untrained.proxies import Network
from untrained.spaces.nasbench201 import EDGES, SPACE
from untrained.types import Batch, Task


def wave(shape: tuple[int, ...], phase: float, scale: float) -> NDArray[np.float32]:
    """scale * cos(0.7 i + phase) in C order, as in the golden values."""
    n = int(np.prod(shape))
    return (scale * np.cos(0.7 * np.arange(n) + phase)).reshape(shape).astype(np.float32)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As wherever a proxy is asked for a score: sums of several threads have other last bits."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def golden_model() -> Callable[..., object]:
    """The NAS-Bench-201 network as written, dead edges included, with the golden weights."""
    return make_golden_model


def make_golden_model(
    arch: str,
    *,
    n_classes: int = 10,
    width: int = 8,
    depth: int = 1,
    dtype: str = "float32",
    hw: int = 16,
    classifier: bool = True,
) -> object:
    """Without `classifier` the network ends in its pooled features, and these are its logits."""
    import torch

    from untrained.graphs.module import GraphModule
    from untrained.proxies.model import Model

    graph = SPACE.graph(SPACE.parse(arch), Task((3, hw, hw), n_classes, width, depth))
    features, logits = graph.outputs
    watched = Graph(
        graph.nodes if classifier else graph.nodes[:logits], (*graph.stages, logits if classifier else features)
    )
    module = GraphModule(watched)
    weights = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    for k, node in enumerate(original_order(graph)):
        if f"node{node}.weight" not in weights:
            continue
        weight = weights[f"node{node}.weight"]
        shape = tuple(weight.shape)
        scale = 0.01 if len(shape) == 2 else float(np.sqrt(2 / (shape[0] * shape[2] * shape[3])) * np.sqrt(2))
        weights[f"node{node}.weight"] = torch.from_numpy(wave(shape, 0.3 * k, scale))
        if f"node{node}.bias" in weights:
            weights[f"node{node}.bias"] = torch.zeros_like(weights[f"node{node}.bias"])
    return Model(module, weights, dtype=dtype)


def original_order(graph: Graph) -> list[int]:
    """Nodes of convolutions and linear layers in the order of the original network's modules().

    Ours stand in the order of execution, cell by cell and edge by edge, as the original's modules do: edge (0, 1), then
    (0, 2), (1, 2), then (0, 3), (1, 3), (2, 3). In a residual block the shortcut comes last in both.
    """
    assert EDGES == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    return [i for i, node in enumerate(graph.nodes) if isinstance(node.operation, Conv | Linear)]


@pytest.fixture
def golden_batch() -> Batch:
    """wave((16, 3, 16, 16), 0, 1) with classes in turn."""
    return make_batch(wave((16, 3, 16, 16), 0, 1), "wave", np.arange(16) % 10)


@pytest.fixture
def network_of() -> Callable[..., Network]:
    """A network whose model is a user's own module."""

    def of(module: object, **settings: object) -> Network:
        from untrained.proxies.model import Model

        class Own(Network):
            def _build(self, init: str, seed: int, dtype: str, parts: str) -> Model:
                return Model.of_module(module, init=init, seed=seed, dtype=dtype, network=self)  # type: ignore[arg-type]

        return Own(SPACE.graph(SPACE[0]))

    return of
