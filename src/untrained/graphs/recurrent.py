"""Recurrent networks: word embedding, layers that repeat one cell over the words of a text, decoder."""

from dataclasses import dataclass

from untrained.errors import GraphError
from untrained.graphs.graph import Graph, Linear, Node, Shape, Zero


@dataclass(frozen=True, slots=True)
class Recurrent:
    """A language model of recurrent layers; the decoder has the weights of the embedding, and a bias.

    `cell` is what the first layer does at every step. Its inputs are x, the embedded word, and the layer's previous
    states; its outputs are the new states, in the same order. The first state is what the next layer reads as x. Only
    linear layers read x, which has a size of its own. Other layers are the same cell in other sizes: `sizes` are those
    of the embedded word and of the states of each layer, for instance (400, 600, 600, 400).

    Output is the first state of the last layer at all steps; the decoder makes words of it.

    >>> from untrained.graphs.graph import GraphBuilder
    >>> b = GraphBuilder((4,), (6,))
    >>> rnn = Recurrent(b.build([b.tanh(b.linear(b.inputs, 6))]), (4, 6, 4), vocabulary=10, steps=3)
    >>> [cell.nodes[-1].shape for cell in rnn.layers()]
    [(6,), (4,)]
    """

    cell: Graph
    sizes: tuple[int, ...]
    vocabulary: int
    steps: int

    def __post_init__(self) -> None:
        """Raises GraphError where the cell's inputs, outputs or sizes do not fit together."""
        sizes = self.sizes
        if len(sizes) < 2 or sizes[0] != sizes[-1] or min(*sizes, self.vocabulary, self.steps) < 1:
            raise GraphError(
                "a recurrent network has at least one layer, one word and one step, and in the last layer as many "
                f"units as numbers for a word; got sizes {sizes}, vocabulary {self.vocabulary}, steps {self.steps}"
            )
        nodes, outputs, n_inputs = self.cell.nodes, self.cell.outputs, self.cell.n_inputs
        if n_inputs != 1 + len(outputs):
            raise GraphError(f"a recurrent cell reads x and as many states as it gives: {n_inputs} and {len(outputs)}")
        x, state = (sizes[0],), (sizes[1],)
        if nodes[0].shape != x or 0 in outputs:
            raise GraphError(f"a recurrent cell reads x in shape {x} and gives states, got {nodes[0].shape}")
        for operation, inputs, shape in nodes[1:]:
            if shape != state:
                raise GraphError(f"{operation} of the cell must have the shape {state} of the states, got {shape}")
            if 0 in inputs and type(operation) not in _READERS_OF_X:
                raise GraphError(f"only linear layers of a recurrent cell can read x, not {operation}")

    @property
    def input_shape(self) -> Shape:
        """Shape of one text: (steps,)."""
        return (self.steps,)

    def layers(self) -> list[Graph]:
        """The cell of each layer, in its own sizes."""
        return [resized(self.cell, x, state) for x, state in zip(self.sizes, self.sizes[1:], strict=False)]


_READERS_OF_X = (Linear, Zero)  # zeros in its place read nothing


def resized(cell: Graph, x: int, state: int) -> Graph:
    """The cell for words and states of these sizes."""
    nodes = [cell.nodes[0]._replace(shape=(x,))]
    for operation, inputs, _ in cell.nodes[1:]:
        resized = Linear(state, operation.bias) if isinstance(operation, Linear) else operation
        nodes.append(Node(resized, inputs, (state,)))
    return Graph(tuple(nodes), cell.outputs)
