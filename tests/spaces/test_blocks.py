import pytest

from untrained.errors import GraphError
from untrained.graphs.graph import BatchNorm, Conv, GraphBuilder, ReLU
from untrained.spaces import blocks


def test_cells_that_change_the_channels() -> None:
    names = ["nor_conv_1x1", "nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1"]
    graph = blocks.cell((4, 8, 8), names, 6)
    assert graph.nodes[graph.outputs[0]].shape == (6, 8, 8)
    assert [node.operation.kernel for node in graph.nodes if isinstance(node.operation, Conv)] == [
        (1, 1),
        (3, 3),
        (1, 1),
        (1, 1),
    ]
    for name in ("none", "avg_pool_3x3", "max_pool"):
        with pytest.raises(GraphError, match=f"no edge '{name}' leads from 4 to 6 channels"):
            blocks.cell((4, 8, 8), [name, *names[1:]], 6)
    with pytest.raises(GraphError, match="no edge 'max_pool' leads from 4 to 4 channels"):
        blocks.cell((4, 8, 8), ["max_pool", *names[1:]], 4)
    b = GraphBuilder((4, 8, 8))
    assert b.shape(blocks.residual_block(b, b.input, 6)) == (6, 4, 4)


def test_a_skip_that_changes_the_channels_has_no_activation() -> None:
    b = GraphBuilder((4, 8, 8))
    x = b.insert(blocks.cell((4, 8, 8), ["nor_conv_1x1"] * 3 + ["skip_connect"] + ["nor_conv_1x1"] * 2, 6), b.input)
    graph = b.build([x])
    readers = [graph.nodes[i].operation for i in graph.consumers()[0]]
    assert [type(operation) for operation in readers] == [ReLU, ReLU, Conv]
    (skip,) = [i for i in graph.consumers()[0] if isinstance(graph.nodes[i].operation, Conv)]
    assert [type(graph.nodes[i].operation) for i in graph.consumers()[skip]] == [BatchNorm]
