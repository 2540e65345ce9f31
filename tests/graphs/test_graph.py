import copy
import pickle

import pytest
from hypothesis import given

from untrained.errors import GraphError
from untrained.graphs import graph as g
from untrained.graphs.graph import Graph, GraphBuilder, Node, infer_shape

from .helpers import REPEATABLE, graphs


def builder() -> GraphBuilder:
    return GraphBuilder((4, 9, 12))


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({"kernel": 3}, (8, 9, 12)),
        ({"kernel": 5}, (8, 9, 12)),
        ({"kernel": 3, "padding": 0}, (8, 7, 10)),
        ({"kernel": 3, "stride": 2}, (8, 5, 6)),
        ({"kernel": 2, "stride": 2, "padding": 0}, (8, 4, 6)),
        ({"kernel": 3, "dilation": 2}, (8, 9, 12)),
        ({"kernel": 3, "dilation": 2, "padding": 0}, (8, 5, 8)),
        ({"kernel": (1, 7)}, (8, 9, 12)),
        ({"kernel": (7, 1), "padding": (0, 0)}, (8, 3, 12)),
        ({"kernel": 1, "stride": 4}, (8, 3, 3)),
        ({"kernel": 3, "groups": 4}, (8, 9, 12)),
    ],
)
def test_shape_of_a_convolution(arguments: dict, shape: tuple[int, ...]) -> None:
    b = builder()
    assert b.shape(b.conv(b.input, 8, **arguments)) == shape


def test_shapes_of_the_other_operations() -> None:
    b = builder()
    x = b.input
    assert [b.shape(y) for y in (b.identity(x), b.zero(x), b.relu(x), b.batch_norm(x))] == [(4, 9, 12)] * 4
    assert b.shape(b.avg_pool(x, kernel=3, padding=1)) == (4, 9, 12)
    assert b.shape(b.avg_pool(x, kernel=2, stride=2)) == (4, 4, 6)
    assert b.shape(b.max_pool(x, kernel=3, stride=2, padding=1)) == (4, 5, 6)
    assert b.shape(b.sum([x, x, b.relu(x)])) == (4, 9, 12)
    assert b.shape(b.concat([x, b.conv(x, 3, kernel=1)])) == (7, 9, 12)
    features = b.global_avg_pool(x)
    assert b.shape(features) == (4,)
    assert b.shape(b.linear(features, 10)) == (10,)
    assert b.shape(b.concat([features, b.linear(features, 2)])) == (6,)
    assert [b.shape(y) for y in (b.leaky_relu(x), b.sigmoid(x), b.tanh(features))] == [(4, 9, 12), (4, 9, 12), (4,)]
    assert b.shape(b.product([features, features])) == (4,)
    assert b.shape(b.blend(x, x, b.relu(x))) == (4, 9, 12)
    assert b.shape(b.linear([features, b.linear(features, 2)], 7)) == (7,)


def test_padding_defaults_to_what_keeps_the_size() -> None:
    b = builder()
    b.conv(b.input, 8, kernel=(5, 3), dilation=2)
    operation = b.build([1]).nodes[1].operation
    assert operation == g.Conv(8, (5, 3), (1, 1), (4, 2), (2, 2), 1, False)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda b, x: b.sum([x, b.conv(x, 8, kernel=3)]), ("equal shapes", "(4, 9, 12)", "(8, 9, 12)", "(0, 1)")),
        (lambda b, x: b.concat([x, b.avg_pool(x, kernel=2, stride=2)]), ("equal heights", "(4, 4, 6)")),
        (lambda b, x: b.sum([]), ("at least one input",)),
        (lambda b, x: b.concat([]), ("at least one input",)),
        (lambda b, x: b.conv(x, 8, kernel=11, padding=0), ("window of 11", "padded input of 9", "kernel=(11, 11)")),
        (lambda b, x: b.conv(x, 8, kernel=3, dilation=5, padding=0), ("window of 11",)),
        (lambda b, x: b.max_pool(x, kernel=10), ("window of 10",)),
        (lambda b, x: b.conv(x, 8, kernel=3, groups=3), ("groups 3", "4 input", "8 output")),
        (lambda b, x: b.conv(x, 6, kernel=3, groups=4), ("groups 4",)),
        (lambda b, x: b.linear(x, 10), ("reads a vector", "(4, 9, 12)")),
        (lambda b, x: b.conv(b.global_avg_pool(x), 4, kernel=1), ("reads a feature map", "(4,)")),
        (lambda b, x: b.global_avg_pool(b.global_avg_pool(x)), ("reads a feature map",)),
        (lambda b, x: b.add(g.Input(), ()), ("an input cannot be added",)),
        (lambda b, x: b.add(g.ReLU(), (x, x)), ("takes one input, got 2",)),
        (lambda b, x: b.max_pool(x, kernel=2, padding=2), ("padding", "half")),
        (lambda b, x: b.shift(x, up=9, left=1), ("9x12", "9 rows")),
        (lambda b, x: b.avg_pool(x, kernel=3, padding=2), ("padding", "half")),
        (lambda b, x: b.product([x, b.conv(x, 8, kernel=3)]), ("a product needs equal shapes", "(8, 9, 12)")),
        (lambda b, x: b.blend(x, x, b.conv(x, 8, kernel=3)), ("a blend needs equal shapes", "(8, 9, 12)")),
        (lambda b, x: b.add(g.Blend(), (x, x)), ("takes three inputs, got 2",)),
        (lambda b, x: b.linear([b.global_avg_pool(x), x], 10), ("reads a vector", "(4, 9, 12)")),
        (lambda b, x: b.linear([], 10), ("at least one input",)),
        (lambda b, x: b.add(g.Tanh(), (x, x)), ("takes one input, got 2",)),
    ],
)
def test_errors_name_the_node(make, words: tuple[str, ...]) -> None:
    b = builder()
    with pytest.raises(GraphError) as error:
        make(b, b.input)
    built = len(b.build([0]).nodes)
    message = str(error.value)
    assert message.startswith(f"node {built} (")
    for word in words:
        assert word in message, message


def test_a_failed_node_is_not_added() -> None:
    b = builder()
    with pytest.raises(GraphError):
        b.linear(b.input, 10)
    assert b.relu(b.input) == 1
    assert len(b.build([1]).nodes) == 2


def test_graphs_are_values() -> None:
    def build(channels: int) -> Graph:
        b = builder()
        return b.build([b.relu(b.conv(b.input, channels, kernel=3))])

    assert build(4) == build(4)
    assert hash(build(4)) == hash(build(4))
    assert build(4) != build(5)
    with pytest.raises(AttributeError):
        build(4).outputs = (1,)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        build(4).nodes[1].operation.kernel = (5, 5)  # type: ignore[misc, union-attr]


def test_operations_without_fields_differ_by_their_type() -> None:
    operations = [g.Input(), g.Identity(), g.Zero(), g.BatchNorm(), g.ReLU(), g.Sum(), g.Concat(), g.GlobalAvgPool()]
    assert len(set(operations)) == len(operations)
    assert g.AvgPool((3, 3), (1, 1), (1, 1), True) != g.AvgPool((3, 3), (1, 1), (1, 1), False)


def test_a_graph_built_on_does_not_change() -> None:
    b = builder()
    graph = b.build([b.input])
    b.relu(b.input)
    assert len(graph.nodes) == 1


def test_a_finished_graph_can_be_inserted() -> None:
    inner = GraphBuilder((4, 9, 12))
    x = inner.relu(inner.input)
    part = inner.build([inner.sum([inner.input, x]), x])
    b = GraphBuilder((3, 9, 12))
    stem = b.conv(b.input, 4, kernel=1)
    first = b.insert(part, stem)
    second = b.insert(part, first)
    graph = b.build([second])
    assert [node.inputs for node in graph.nodes] == [(), (0,), (1,), (1, 2), (3,), (3, 4)]
    assert {node.shape for node in graph.nodes[1:]} == {(4, 9, 12)}
    assert b.insert(Graph(part.nodes, (0,)), stem) == stem
    with pytest.raises(GraphError, match=r"nodes \(0,\) have shapes \[\(3, 9, 12\)\], the part reads \[\(4, 9, 12\)\]"):
        b.insert(part, b.input)


def test_a_part_may_read_several_maps() -> None:
    inner = GraphBuilder((4, 9, 12), (2, 9, 12))
    part = inner.build([inner.concat(inner.inputs), 1])
    assert part.n_inputs == 2
    b = GraphBuilder((3, 9, 12))
    x, y = b.conv(b.input, 4, kernel=1), b.conv(b.input, 2, kernel=1)
    graph = b.build([b.insert(part, x, y)])
    assert graph.nodes[-1] == Node(g.Concat(), (1, 2), (6, 9, 12))
    assert b.insert(Graph(part.nodes, (1,)), x, y) == y
    for wrong in ((x,), (y, x), (x, y, x)):
        with pytest.raises(GraphError, match="the part reads"):
            b.insert(part, *wrong)


def test_consumers_count_every_reading() -> None:
    b = builder()
    x = b.relu(b.input)
    b.sum([x, x, b.input])
    assert b.build([2]).consumers() == [[1, 2], [2, 2], []]


@REPEATABLE
@given(graph=graphs())
def test_every_node_has_the_shape_of_its_operation(graph: Graph) -> None:
    assert graph.nodes[0].operation == g.Input()
    for position, (operation, inputs, shape) in enumerate(graph.nodes):
        assert all(i < position for i in inputs)
        if position:
            assert infer_shape(operation, tuple(graph.nodes[i].shape for i in inputs)) == shape


@REPEATABLE
@given(graph=graphs())
def test_graphs_survive_copies_between_processes(graph: Graph) -> None:
    for twin in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph)):  # noqa: S301 - our own bytes
        assert twin == graph
        assert hash(twin) == hash(graph)
