"""One network as proxies see it: read-only, with everything that several proxies read computed once."""

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from untrained.errors import MissingDependencyError
from untrained.graphs import cost, counts
from untrained.graphs.canonical import simplify
from untrained.graphs.graph import Graph
from untrained.graphs.recurrent import Recurrent
from untrained.types import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

    from untrained.graphs.modes import Mode, Response
    from untrained.graphs.recurrence import Recurrence
    from untrained.graphs.width1 import Program
    from untrained.proxies.model import Model


class Network:
    """A network given by its graph.

    >>> from untrained.spaces.nasbench201 import SPACE
    >>> network = Network(SPACE.graph(SPACE[15624]))
    >>> len(network.graph.nodes) > len(network.live.nodes)
    True
    """

    full_responses = False  # whether responses come from the full network where there is no program of planes

    def __init__(self, graph: Graph | Recurrent) -> None:
        """`graph` is the network as written, dead parts included.

        `borrowed_seconds` adds up what passes cost that a proxy found already done for another one. Who is going to
        read gradients of activations as well as of weights sets `expects_activation_grads`: one pass then gives both.
        """
        self.graph = graph
        self.borrowed_seconds = 0.0
        self.expects_activation_grads = False
        self._responses: dict[tuple[str, float, str], tuple[NDArray[Any], float]] = {}  # with the seconds they took
        self._mode_responses: dict[tuple[str, Mode], Response] = {}
        self._models: dict[tuple[str, int, str, str], Model] = {}

    def model(self, init: str = "default", seed: float = 0, dtype: str = "float32", parts: str = "live") -> "Model":
        """The full network with these weights. Whoever asks for the same weights gets the same model.

        Args:
            init: one of INITS, or constant(w).
            seed: of the draw.
            dtype: float32 or float64.
            parts: "live" is what reaches the logits, "written" the network with its dead parts.

        Raises:
            MissingDependencyError: torch is not installed.
            GraphError: the network cannot be built.
        """
        key = (init, int(seed), dtype, parts)
        if key not in self._models:
            self._models[key] = self._build(*key)
        return self._models[key]

    def _build(self, init: str, seed: int, dtype: str, parts: str) -> "Model":
        try:
            from untrained.proxies.model import Model  # here, since most that is asked of a network needs no torch
        except ModuleNotFoundError as error:
            raise MissingDependencyError.of("torch", "torch", "building full networks") from error
        return Model.of_graph(self.graph, init=init, seed=seed, dtype=dtype, parts=parts, network=self)

    def release(self) -> None:
        """Forget models and their passes, which can be gigabytes."""
        for model in self._models.values():
            model.forget()
        self._models.clear()

    @classmethod
    def of_module(cls, module: "nn.Module | Callable[[], nn.Module]", input_shape: tuple[int, ...]) -> "Network":
        """A network of the user's own, see `proxies/foreign.py`.

        Args:
            module: with the weights to be scored, or what builds it.
            input_shape: (channels, height, width) of the images, or (steps,) of the texts that it reads.
        """
        from untrained.proxies.foreign import ForeignNetwork

        return ForeignNetwork(module, input_shape)

    @cached_property
    def live(self) -> Graph | Recurrent:
        """The part that is computed and reaches an output."""
        return simplify(self.graph)

    @cached_property
    def width1(self) -> "Program | Recurrence":
        """The program of the first output under constant weights: of planes, or of numbers for each step."""
        if isinstance(self.graph, Recurrent):
            from untrained.graphs import recurrence  # here, since counting parameters needs no compiler

            return recurrence.lower(self.graph)
        from untrained.graphs import width1

        return width1.lower(self.graph)

    @cached_property
    def counts(self) -> "dict[str, float]":
        """What the live part is made of, see `counts.counts`."""
        return counts.counts(self.graph)

    @property
    def n_params(self) -> int:
        """Trainable numbers of the network as written."""
        return cost.n_params(self.graph)

    @property
    def n_flops(self) -> int:
        """Multiply-accumulates of the network as written for one image or text, see `cost.n_flops`."""
        return cost.n_flops(self.graph)

    @property
    def connected(self) -> bool:
        """Whether a path leads from the input to the first output."""
        return self.width1.connected

    def response(self, batch: Batch, weight: float, dtype: str = "float32") -> NDArray[np.floating]:
        """The first output when every weight is `weight`: one number per image, biases being 0.

        Of a recurrent network one number per step and text, biases being `weight` too, as in the published program.

        Raises:
            GraphError: the network has operations that constant weights do not reduce to planes or numbers, or reads
                another kind or size of input.
        """
        key = (batch.digest, weight, dtype)
        if key in self._responses:
            self.borrowed_seconds += self._responses[key][1]
        else:
            start = time.perf_counter()
            self._responses[key] = self._respond(batch, weight, dtype), time.perf_counter() - start
        return self._responses[key][0]

    def mode_responses(self, batch: Batch, modes: "Iterable[Mode]") -> "dict[Mode, Response]":
        """The first output in each mode, see `modes.respond`: one number per image.

        Raises:
            GraphError: the network has operations that mean filters do not reduce to planes or numbers, or reads
                another kind or size of input.
        """
        wanted = tuple(modes)
        missing = [mode for mode in wanted if (batch.digest, mode) not in self._mode_responses]
        if missing:
            from untrained.graphs.modes import respond

            found = respond(self.graph, batch, missing)
            self._mode_responses |= {(batch.digest, mode): found[mode] for mode in missing}
        return {mode: self._mode_responses[batch.digest, mode] for mode in wanted}

    def _respond(self, batch: Batch, weight: float, dtype: str) -> NDArray[np.floating]:
        from untrained.graphs import recurrence, width1

        if isinstance(self.width1, recurrence.Recurrence):
            return recurrence.respond(self.width1, batch, weight, dtype)
        return width1.respond(self.width1, batch.x.astype(dtype, copy=False), weight)
