"""One network as proxies see it: read-only, with everything that several proxies read computed once."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from untrained.graphs.canonical import simplify
from untrained.graphs.graph import Graph
from untrained.types import Batch

if TYPE_CHECKING:
    from untrained.graphs.width1 import Program


class Network:
    """A network given by its graph.

    >>> from untrained.spaces.nasbench201 import SPACE
    >>> network = Network(SPACE.graph(SPACE[15624]))
    >>> len(network.graph.nodes) > len(network.live.nodes)
    True
    """

    def __init__(self, graph: Graph) -> None:
        """`graph` is the network as written, dead parts included."""
        self.graph = graph
        self._responses: dict[tuple[str, float, str], NDArray[Any]] = {}

    @cached_property
    def live(self) -> Graph:
        """The part that is computed and reaches an output."""
        return simplify(self.graph)

    @cached_property
    def width1(self) -> "Program":
        """The plane program of the first output."""
        from untrained.graphs.width1 import lower  # here, since counting parameters needs no compiler

        return lower(self.graph)

    def response(self, batch: Batch, weight: float, dtype: str = "float32") -> NDArray[np.floating]:
        """One number per image: the first output when every weight is `weight`, every bias 0.

        Raises:
            GraphError: the network has operations that constant weights do not reduce to planes.
        """
        key = (batch.digest, weight, dtype)
        if key not in self._responses:
            from untrained.graphs.width1 import respond

            self._responses[key] = respond(self.width1, batch.x.astype(dtype, copy=False), weight)
        return self._responses[key]
