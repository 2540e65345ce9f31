"""A network of the user's own: an nn.Module, seen as a graph where it can be traced."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from untrained.errors import GraphError
from untrained.graphs import foreign, width1
from untrained.graphs.fx import trace
from untrained.graphs.graph import Graph, Shape
from untrained.proxies.model import Model
from untrained.proxies.network import Network
from untrained.types import Batch

if TYPE_CHECKING:
    from untrained.graphs.width1 import Program


class ForeignNetwork(Network):
    """A network given by a module. What is asked of its graph raises GraphError where it has none.

    >>> network = ForeignNetwork(nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), (3, 8, 8))
    >>> network.n_params, network.n_flops
    (224, 8064)
    """

    full_responses = True

    def __init__(self, module: nn.Module | Callable[[], nn.Module], input_shape: Shape) -> None:
        """A module with the weights to be scored, which is never changed, or what builds it."""
        super().__init__(Graph((), ()))
        del self.graph
        self._source = module
        self._input_shape = input_shape

    @cached_property
    def module(self) -> nn.Module:
        """The module, built if need be."""
        return self._source if isinstance(self._source, nn.Module) else self._source()

    @cached_property
    def graph(self) -> Graph:  # type: ignore[override]
        """The module as a graph.

        Raises:
            GraphError: it cannot be traced, or does something that no operation expresses.
        """
        return trace(self.module, self._input_shape).graph

    @property
    def n_params(self) -> int:
        """Parameters of the module, those that are shared or frozen counted once as well."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    @property
    def n_flops(self) -> int:
        """Multiply-accumulates of convolutions and linear layers for one input, biases included.

        Of the graph, or else of the layers that a forward pass calls.

        Raises:
            GraphError: there are layers of which a forward pass does not show what they multiply.
        """
        try:
            return super().n_flops
        except GraphError:
            return self._called_flops()

    def _called_flops(self) -> int:
        for name, layer in self.module.named_modules():
            if isinstance(layer, _OPAQUE):
                raise GraphError(f"multiply-accumulates of {type(layer).__name__} {name} are not counted")
        kind = torch.float32 if len(self._input_shape) == 3 else torch.int64
        model = self._build("default", 0, "float32", "live")
        with torch.no_grad():
            calls = model.record(torch.zeros(2, *self._input_shape, dtype=kind)).calls  # two, for batch norm's sake
        total = 0
        for call in calls:
            if call.kind not in ("conv", "linear"):
                continue
            if call.weight is None:
                raise GraphError(f"a {call.kind} layer has computed weights; its multiply-accumulates are not counted")
            weight, has_bias = model.weights[call.weight], call.weight.removesuffix("weight") + "bias" in model.weights
            total += call.y.numel() // 2 * (weight[0].numel() + has_bias)
        return total

    def _build(self, init: str, seed: int, dtype: str, parts: str) -> Model:  # noqa: ARG002 - a module has no dead parts to leave out
        content = foreign.structure(self.module)
        return Model.of_module(self.module, init=init, seed=seed, dtype=dtype, name=content, network=self)

    @cached_property
    def _program(self) -> "Program | None":
        try:
            return width1.lower(self.graph)
        except GraphError:
            return None

    @property
    def connected(self) -> bool:
        """Whether a path leads from the input to the first output, as far as that is known."""
        return self._program is None or self._program.connected

    def _respond(self, batch: Batch, weight: float, dtype: str) -> NDArray[Any]:
        if self._program is not None:
            return width1.respond(self._program, batch.x.astype(dtype, copy=False), weight)
        response: NDArray[np.floating] = foreign.respond_module(self.module, batch.x, weight, dtype, batch.embedding)
        return response


_OPAQUE = (
    nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention, nn.Bilinear,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
