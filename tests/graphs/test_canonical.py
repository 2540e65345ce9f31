import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.graphs.canonical import key, simplify, width1_key
from untrained.graphs.graph import Graph, GraphBuilder, Identity, Sum, Zero
from untrained.graphs.width1 import lower, respond
from untrained.seeds import seed_for
from untrained.spaces.nasbench201 import SPACE

from .helpers import REPEATABLE, graphs, isomorphism, layers, live_layers, rewritten

SEEDS = st.integers(0, 2**32 - 1)


def builder() -> GraphBuilder:
    return GraphBuilder((4, 8, 8))


def keys(*graphs: Graph) -> tuple[int, int]:
    """How many different keys and width-1 keys these graphs have."""
    return len({key(graph) for graph in graphs}), len({width1_key(graph) for graph in graphs})


# simplify ------------------------------------------------------------------------------------------------------------


@REPEATABLE
@given(graph=graphs())
def test_simplify_is_idempotent(graph: Graph) -> None:
    once = simplify(graph)
    assert simplify(once) == once


@REPEATABLE
@given(graph=graphs())
def test_simplify_leaves_nothing_to_resolve(graph: Graph) -> None:
    once = simplify(graph)
    read = {i for node in once.nodes for i in node.inputs} | set(once.outputs)
    assert read | {0} == set(range(len(once.nodes)))
    for node in once.nodes:
        assert not isinstance(node.operation, Identity)
        if isinstance(node.operation, Sum):
            assert len(node.inputs) > 1
            assert not any(isinstance(once.nodes[i].operation, Zero) for i in node.inputs)
    assert [once.nodes[o].shape for o in once.outputs] == [graph.nodes[o].shape for o in graph.outputs]


@settings(REPEATABLE, max_examples=150)
@given(graph=graphs(), seed=SEEDS)
def test_simplify_preserves_the_function(graph: Graph, seed: int) -> None:
    torch = pytest.importorskip("torch")
    from untrained.graphs.module import GraphModule

    small = simplify(graph)
    live = live_layers(graph)  # in the order in which simplify keeps them
    assert [graph.nodes[i].operation for i in live] == [small.nodes[i].operation for i in layers(small)]
    torch.manual_seed(seed)
    full, reduced = GraphModule(graph).double(), GraphModule(small).double()
    dead = {f"node{i}.bias" for i in set(layers(graph)) - set(live)}  # a bias on zeros: all that simplify may lose
    for name, parameter in full.named_parameters():
        torch.nn.init.zeros_(parameter) if name in dead else torch.nn.init.normal_(parameter)
    for i, j in zip(live, layers(small), strict=True):
        reduced.get_submodule(f"node{j}").load_state_dict(full.get_submodule(f"node{i}").state_dict())
    x = torch.from_numpy(np.random.default_rng(seed).normal(0, 1, (4, *graph.nodes[0].shape)))
    with torch.no_grad():
        for expected, got in zip(full(x), reduced(x), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-7, atol=1e-7 * float(expected.abs().max() + 1e-30))


def test_simplify_carries_zeros_through() -> None:
    b = builder()
    x = b.batch_norm(b.conv(b.relu(b.zero(b.input)), 4, kernel=3))
    y = b.avg_pool(b.max_pool(b.concat([x, b.zero(b.input)]), kernel=3), kernel=2)
    graph = simplify(b.build([b.linear(b.global_avg_pool(y), 3)]))
    assert [type(node.operation) for node in graph.nodes[1:]] == [Zero]
    assert graph.nodes[1].shape == (3,)


def test_simplify_keeps_the_place_of_zeros_in_a_concatenation() -> None:
    b = builder()
    first = b.build([b.concat([b.zero(b.input), b.relu(b.input)])])
    second = b.build([b.concat([b.relu(b.input), b.zero(b.input)])])
    assert keys(first, second) == (2, 2)


def test_simplify_folds_sums_of_sums_and_keeps_multiplicity() -> None:
    b = builder()
    x, y = b.relu(b.input), b.avg_pool(b.input, kernel=3, padding=1)
    graph = simplify(b.build([b.sum([b.sum([x, y]), b.identity(b.sum([x, b.zero(x)]))])]))
    assert [node.inputs for node in graph.nodes if isinstance(node.operation, Sum)] == [(1, 1, 2)]


# Invariance ----------------------------------------------------------------------------------------------------------


@REPEATABLE
@given(graph=graphs(), seed=SEEDS)
def test_keys_do_not_see_the_order_of_nodes_and_summands(graph: Graph, seed: int) -> None:
    twin = rewritten(graph, np.random.default_rng(seed))
    assert keys(graph, twin, simplify(graph), simplify(twin)) == (1, 1)


def test_keys_do_not_see_how_summands_are_associated() -> None:
    def build(*, nested: bool) -> Graph:
        b = builder()
        x, y, z = (b.conv(b.input, 4, kernel=kernel) for kernel in (1, 3, 5))
        part = b.sum([x, y])
        rest = b.sum([part, z]) if nested else b.sum([x, y, z])
        return b.build([b.sum([b.conv(part, 4, kernel=3), rest])])

    assert keys(build(nested=True), build(nested=False)) == (1, 1)


def test_equal_parts_without_weights_are_one() -> None:
    b = builder()
    pools = [b.avg_pool(b.relu(b.input), kernel=3, padding=1) for _ in range(2)]
    apart = b.build([b.sum([b.conv(pool, 4, kernel=3) for pool in pools])])
    shared = b.build([b.sum([b.conv(pools[0], 4, kernel=3) for _ in range(2)])])
    assert keys(apart, shared) == (1, 1)


def test_keys_are_short_texts() -> None:
    b = builder()
    graph = b.build([b.relu(b.input)])
    for text in (key(graph), width1_key(graph)):
        assert len(text) == 32
        assert set(text) <= set("0123456789abcdef")


# Near misses ---------------------------------------------------------------------------------------------------------


def test_the_place_of_two_kinds_matters() -> None:
    def build(first: int, second: int) -> Graph:
        b = builder()
        return b.build([b.conv(b.relu(b.conv(b.input, 4, kernel=first)), 4, kernel=second)])

    assert keys(build(1, 3), build(3, 1)) == (2, 2)


def test_every_field_of_a_convolution_matters() -> None:
    def build(**changes) -> Graph:
        b = builder()
        arguments = {"out_channels": 4, "kernel": 3, "padding": 2, "dilation": 1, "groups": 1, "bias": False} | changes
        return b.build([b.global_avg_pool(b.conv(b.input, **arguments))])

    changes = ({}, {"out_channels": 8}, {"kernel": 1}, {"padding": 1}, {"dilation": 2}, {"groups": 4}, {"bias": True})
    assert keys(*[build(**change) for change in changes])[0] == len(changes)


def test_a_skip_is_not_nothing() -> None:
    def build(*, skip: bool) -> Graph:
        b = builder()
        return b.build([b.sum([b.conv(b.input, 4, kernel=3), (b.identity if skip else b.zero)(b.input)])])

    assert keys(build(skip=True), build(skip=False)) == (2, 2)


def test_twice_is_not_once() -> None:
    b = builder()
    x = b.conv(b.input, 4, kernel=3)
    many = [b.build([b.sum([x] + [b.identity(b.input)] * n)]) for n in range(4)]
    assert keys(*many) == (4, 4)


def test_a_shared_convolution_is_not_two() -> None:
    b = builder()
    one, two = (b.batch_norm(b.conv(b.input, 4, kernel=3)) for _ in range(2))
    assert keys(b.build([b.sum([one, one])]), b.build([b.sum([one, two])])) == (2, 1)


def test_who_reads_which_twin_matters() -> None:
    def build(*, same: bool) -> Graph:
        b = builder()
        one, two = (b.conv(b.input, 4, kernel=3) for _ in range(2))
        return b.build([b.sum([one, two, b.relu(one), b.max_pool(one if same else two, kernel=3, padding=1)])])

    assert keys(build(same=True), build(same=False)) == (2, 1)


def test_the_order_of_outputs_and_of_concatenations_matters() -> None:
    b = builder()
    x, y = b.conv(b.input, 4, kernel=3), b.conv(b.input, 4, kernel=1)
    assert keys(b.build([x, y]), b.build([y, x]), b.build([x, x])) == (3, 3)
    assert keys(b.build([b.concat([x, y])]), b.build([b.concat([y, x])])) == (2, 2)


def test_a_dead_layer_does_not_matter_and_a_live_one_does() -> None:
    def build(*, dead: bool, live: bool) -> Graph:
        b = builder()
        x = b.conv(b.input, 4, kernel=3)
        if dead:
            b.batch_norm(b.conv(x, 4, kernel=3))
            x = b.sum([x, b.conv(b.zero(x), 4, kernel=3)])
        return b.build([b.batch_norm(x) if live else x])

    assert keys(build(dead=True, live=True), build(dead=False, live=True)) == (1, 1)
    assert keys(build(dead=False, live=True), build(dead=False, live=False)) == (2, 2)


# Against brute force and hard cases ----------------------------------------------------------------------------------


def test_keys_are_equal_exactly_for_isomorphic_cells() -> None:
    rng = np.random.default_rng(seed_for("test_canonical"))
    alike: dict[tuple, list[Graph]] = {}
    for arch in SPACE.sample(rng, 2500):
        graph = simplify(SPACE.cell(arch))
        alike.setdefault(tuple(sorted(str(node.operation) for node in graph.nodes)), []).append(graph)
    verdicts = {True: 0, False: 0}
    for members in alike.values():
        for one, other in itertools.combinations(members[:12], 2):
            found = isomorphism(one, other) is not None
            assert (key(one) == key(other)) == found
            verdicts[found] += 1
    assert min(verdicts.values()) > 100, verdicts


def from_edges(edges: list[tuple[int, int]], rng: np.random.Generator | None = None) -> Graph:
    """A convolution for every vertex; for every edge one that reads the sum of its ends; the sum of these."""
    edges = [edges[i] for i in rng.permutation(len(edges))] if rng else edges
    vertices = sorted({v for edge in edges for v in edge})
    vertices = [vertices[i] for i in rng.permutation(len(vertices))] if rng else vertices
    b = builder()
    convs = {v: b.conv(b.input, 4, kernel=3) for v in vertices}
    return b.build([b.sum([b.conv(b.sum([convs[u], convs[v]]), 4, kernel=3) for u, v in edges])])


def ring(*vertices: int) -> list[tuple[int, int]]:
    return list(zip(vertices, (*vertices[1:], vertices[0]), strict=True))


def grid(differences: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Vertices of a 4 x 4 torus, joined when they differ by one of these."""
    pairs = itertools.combinations(range(16), 2)
    return [(u, v) for u, v in pairs if ((u // 4 - v // 4) % 4, (u % 4 - v % 4) % 4) in differences]


SPOKES = [(i, i + 5) for i in range(5)]
ALONG = {(0, 1), (0, 3), (1, 0), (3, 0)}
REGULAR_PAIRS = {
    "hexagon, two triangles": (ring(0, 1, 2, 3, 4, 5), ring(0, 1, 2) + ring(3, 4, 5)),
    "Petersen graph, prism": (
        ring(0, 1, 2, 3, 4) + SPOKES + ring(5, 7, 9, 6, 8),
        ring(0, 1, 2, 3, 4) + SPOKES + ring(5, 6, 7, 8, 9),
    ),
    # Strongly regular with equal parameters: alike even after singling out a vertex.
    "rook's graph, Shrikhande graph": (
        grid(ALONG | {(0, 2), (2, 0)}),
        grid(ALONG | {(1, 1), (3, 3)}),
    ),
}


@pytest.mark.parametrize("pair", REGULAR_PAIRS.values(), ids=REGULAR_PAIRS)
def test_regular_graphs_are_told_apart(pair: tuple[list[tuple[int, int]], list[tuple[int, int]]]) -> None:
    one, other = pair
    assert len(one) == len(other)
    rng = np.random.default_rng(0)
    assert {key(from_edges(one, rng)) for _ in range(4)} == {key(from_edges(one))}
    assert {key(from_edges(other, rng)) for _ in range(4)} == {key(from_edges(other))}
    assert keys(from_edges(one), from_edges(other)) == (2, 1)


def twins(n: int) -> Graph:
    b = builder()
    return b.build([b.sum([b.batch_norm(b.conv(b.relu(b.input), 4, kernel=3)) for _ in range(n)])])


def chain_of_twins(n: int) -> Graph:
    b = builder()
    x = b.input
    for _ in range(n):
        x = b.sum([b.batch_norm(b.conv(b.relu(x), 4, kernel=3)) for _ in range(2)])
    return b.build([x])


def tree(n: int) -> Graph:
    b = builder()
    leaves = [b.input]
    for _ in range(n):
        leaves = [b.conv(x, 4, kernel=3) for x in leaves for _ in range(2)]
    return b.build([b.sum(leaves)])


@pytest.mark.parametrize(("build", "n"), [(twins, 12), (chain_of_twins, 12), (tree, 4)])
def test_symmetry_costs_little(build, n: int) -> None:
    graph, smaller = build(n), build(n - 1)
    rng = np.random.default_rng(0)
    shuffled = [rewritten(graph, rng) for _ in range(3)]
    start = time.process_time()
    texts = {key(other) for other in shuffled}
    assert (time.process_time() - start) / len(shuffled) < 1
    assert texts == {key(graph)}
    assert key(graph) != key(smaller)


def concatenated(order: list[int], read: str) -> Graph:
    """Three maps side by side in some order, and what reads them."""
    b = GraphBuilder((3, 8, 8))
    maps = [b.conv(b.input, 2, kernel=1), b.conv(b.input, 2, kernel=3), b.relu(b.conv(b.input, 2, kernel=5))]
    x = b.max_pool(b.batch_norm(b.concat([maps[i] for i in order])), kernel=2)
    channels = b.shape(x)[0]
    match read:
        case "convolution":
            x = b.conv(x, 4, kernel=3)
        case "two, through a depthwise one":
            wide = b.conv(x, channels, kernel=3, groups=channels)
            x = b.sum([b.conv(wide, 4, kernel=1), b.conv(b.relu(x), 4, kernel=1)])
        case "part of them":
            x = b.conv(b.truncate(x, 2), 4, kernel=1)
        case "groups":
            x = b.conv(x, 6, kernel=1, groups=2)
        case "a sum with a projection":
            x = b.sum([x, b.relu(b.batch_norm(b.conv(x, channels, kernel=1)))])
        case "a sum with what is read elsewhere":
            side = b.conv(x, channels, kernel=1)
            x = b.sum([x, side, b.conv(b.truncate(side, 2), channels, kernel=1)])
        case "a sum with channels apart":
            x = b.sum([x, b.max_pool(b.concat([maps[0], maps[2], maps[0]]), kernel=2)])
    features = b.global_avg_pool(x)
    return b.build([features] if read == "an output" else [b.linear(features, 2)])


@pytest.mark.parametrize(
    "read", ["convolution", "two, through a depthwise one", "a sum with a projection", "a linear layer"]
)
def test_the_order_of_a_concatenation_that_only_full_layers_read_does_not_matter(read: str) -> None:
    graphs = [concatenated(order, read) for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0])]
    assert len({key(graph) for graph in graphs}) == len({width1_key(graph) for graph in graphs}) == 1
    x = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
    responses = {respond(lower(graph), x, 0.3).tobytes() for graph in graphs}
    assert len(responses) == 1
    simple = simplify(graphs[0])
    assert simplify(simple) == simple


@pytest.mark.parametrize(
    "read", ["part of them", "groups", "a sum with what is read elsewhere", "a sum with channels apart", "an output"]
)
def test_elsewhere_the_order_of_a_concatenation_matters(read: str) -> None:
    graphs = [concatenated(order, read) for order in ([0, 1, 2], [2, 0, 1])]
    assert len({key(graph) for graph in graphs}) == len({width1_key(graph) for graph in graphs}) == 2
