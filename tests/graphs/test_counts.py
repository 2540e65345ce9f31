"""Counts against other ways to count, and equal for all ways to write one network."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from untrained.graphs import cost
from untrained.graphs.canonical import flatten, key, simplify
from untrained.graphs.counts import (
    FRACTIONS,
    MEANINGS,
    TOTALS,
    absent,
    counts,
    is_count,
    meaning,
    parts_of,
    value_of,
)
from untrained.graphs.graph import (
    AvgPool,
    Concat,
    Conv,
    Graph,
    GraphBuilder,
    Input,
    Linear,
    MaxPool,
    Sum,
    Truncate,
    Zero,
)
from untrained.spaces import SPACES, FiniteSpace, Space
from untrained.types import Arch

from .helpers import REPEATABLE, graphs, live_layers, recurrent, restated, rewritten

SEEDS = st.integers(0, 2**32 - 1)


def first_output(graph: Graph) -> Graph:
    return Graph(graph.nodes, graph.outputs[:1])


def truncates(graph: Graph) -> bool:
    return any(isinstance(node.operation, Truncate) for node in graph.nodes)


# Paths ---------------------------------------------------------------------------------------------------------------


def walked(graph: Graph) -> list[tuple[int, int]]:
    """Of every path from the input to the first output of a network as written, its layers and pools, walk by walk."""
    found = []
    todo = [(graph.outputs[0], 0, 0)]
    while todo:
        position, depth, pools = todo.pop()
        operation, inputs, _ = graph.nodes[position]
        depth, pools = depth + isinstance(operation, Conv | Linear), pools + isinstance(operation, AvgPool | MaxPool)
        if isinstance(operation, Input):
            found.append((depth, pools))
        elif not isinstance(operation, Zero):
            todo += [(i, depth, pools) for i in inputs]
    return found


@REPEATABLE
@given(graph=graphs())
def test_paths_are_those_of_the_graph_as_written(graph: Graph) -> None:
    found, paths = counts(graph), walked(graph)
    if not paths:
        assert not {"longest_conv_path", "shortest_conv_path", *FRACTIONS} & found.keys()
        return
    convs, pools = np.array(paths).T
    assert (found["shortest_conv_path"], found["longest_conv_path"]) == (convs.min(), convs.max())
    assert found["log_paths"] == math.log(len(paths))
    assert found["conv_path_mean"] == pytest.approx(convs.mean(), rel=1e-12)
    assert found["conv_path_sd"] == pytest.approx(convs.std(), rel=1e-9, abs=1e-9)
    assert found["pool_path_mean"] == pytest.approx(pools.mean(), rel=1e-12)


def test_the_number_of_paths_is_exact_beyond_the_range_of_floats() -> None:
    b = GraphBuilder((2, 4, 4))
    x = b.input
    for _ in range(1100):
        x = b.relu(b.sum([x, b.conv(x, 2, kernel=3)]))
    found = counts(b.build([b.global_avg_pool(x)]))
    assert found["log_paths"] == pytest.approx(1100 * math.log(2), rel=1e-15)
    assert (found["live_conv3x3"], found["longest_conv_path"], found["shortest_conv_path"]) == (1100, 1100, 0)
    assert found["conv_path_mean"] == 550
    assert found["conv_path_sd"] == pytest.approx(math.sqrt(275), rel=1e-12)


def test_an_input_read_twice_is_two_ways() -> None:
    b = GraphBuilder((2, 4, 4))
    doubled = b.relu(b.sum([b.input, b.input]))
    assert counts(b.build([b.sum([doubled, doubled, b.input])]))["log_paths"] == math.log(5)


# Operations ----------------------------------------------------------------------------------------------------------


@REPEATABLE
@given(graph=graphs())
def test_layers_are_those_that_are_fed_and_reach_the_first_output(graph: Graph) -> None:
    graph = first_output(graph)
    expected: Counter[str] = Counter()
    for i in live_layers(graph):
        operation = graph.nodes[i].operation
        if isinstance(operation, Conv):
            read = graph.nodes[graph.nodes[i].inputs[0]].shape[0]
            way = "" if operation.groups == 1 else "dw" if operation.groups == read else "g"
            expected[f"live_{way}conv{operation.kernel[0]}x{operation.kernel[1]}"] += 1
        elif isinstance(operation, Linear):
            expected["live_linear"] += 1
    found = {name: n for name, n in counts(graph).items() if "conv" in name and "path" not in name}
    assert found == {name: n for name, n in expected.items() if "conv" in name}
    assert counts(graph).get("live_linear", 0) == expected["live_linear"]


@REPEATABLE
@given(graph=graphs())
def test_pools_are_those_of_the_flattened_graph(graph: Graph) -> None:
    assume(not truncates(graph))
    flat = flatten(simplify(first_output(graph)))
    found = counts(graph)
    for kind, name in ((AvgPool, "live_avg_pool"), (MaxPool, "live_max_pool")):
        fed = [node for node in flat.nodes if isinstance(node.operation, kind)]
        assert found.get(name, 0) == len(fed)


@REPEATABLE
@given(graph=graphs())
def test_size_and_depth_are_those_of_the_proxies(graph: Graph) -> None:
    live, found = simplify(graph), counts(graph)
    assert (found["live_params"], found["live_flops"]) == (cost.n_params(live), cost.n_flops(live))
    assert found["depth"] == cost.depth(live)


def test_kinds_of_convolutions() -> None:
    b = GraphBuilder((4, 9, 9))
    x = b.conv(b.conv(b.input, 4, kernel=(1, 7)), 8, kernel=3, stride=2, dilation=2)
    x = b.conv(b.conv(x, 8, kernel=5, groups=8), 8, kernel=3, groups=4)
    b.conv(x, 8, kernel=1)  # leads nowhere
    found = counts(b.build([b.linear(b.global_avg_pool(x), 3)]))
    kinds = ("live_conv1x7", "live_conv3x3", "live_dwconv5x5", "live_gconv3x3", "live_linear")
    assert {name: found[name] for name in found if name.startswith("live_") and name not in MEANINGS} | {
        "live_linear": found["live_linear"]
    } == dict.fromkeys(kinds, 1)


def test_pools_of_first_channels_are_one_pool() -> None:
    def build(*, pooled_first: bool) -> Graph:
        b = GraphBuilder((4, 8, 8))
        if pooled_first:
            pool = b.max_pool(b.input, kernel=3, padding=1)
            pools = [b.truncate(pool, n) for n in (3, 2)]
        else:
            pools = [b.max_pool(b.truncate(b.input, n), kernel=3, padding=1) for n in (3, 2)]
        return b.build([b.concat([b.conv(pools[0], 2, kernel=3), pools[1]])])

    found = counts(build(pooled_first=True))
    assert found == counts(build(pooled_first=False))
    assert (found["live_max_pool"], found["live_skip"]) == (1, 1)


def test_a_convolution_of_one_channel_is_no_depthwise_one() -> None:
    b = GraphBuilder((1, 4, 4))
    assert "live_conv3x3" in counts(b.build([b.conv(b.input, 1, kernel=3)]))


def test_without_a_path_there_is_nothing_to_count() -> None:
    b = GraphBuilder((3, 4, 4))
    found = counts(b.build([b.global_avg_pool(b.conv(b.zero(b.input), 3, kernel=3))]))
    assert found == {"live_params": 0, "live_flops": 0, "depth": 0}


def test_only_the_first_output_counts_for_layers_and_paths() -> None:
    b = GraphBuilder((3, 4, 4))
    features = b.global_avg_pool(b.conv(b.input, 4, kernel=3))
    found = counts(b.build([features, b.linear(features, 2)]))
    assert "live_linear" not in found
    assert (found["longest_conv_path"], found["depth"]) == (1, 2)


# Skips ---------------------------------------------------------------------------------------------------------------


def skips(graph: Graph) -> int:
    """Pairs that a skip joins, by walking the flattened graph."""
    flat = flatten(simplify(first_output(graph)))

    def summands(i: int) -> list[int]:
        node = flat.nodes[i]
        if isinstance(node.operation, Zero):
            return []
        return list(node.inputs) if isinstance(node.operation, Sum) else [i]

    def reaches(source: int, target: int) -> bool:
        return source == target or any(reaches(source, i) for i in flat.nodes[target].inputs)

    joints = set()
    for node in flat.nodes:
        if isinstance(node.operation, Sum | Concat):
            joints.add(tuple(sorted(leaf for j in node.inputs for leaf in summands(j))))
    return sum(
        joint.count(u) > 1 or any(v != u and reaches(u, v) for v in joint) for joint in joints for u in set(joint)
    )


@REPEATABLE
@given(graph=graphs())
def test_skips_are_shortcuts_of_the_flattened_graph(graph: Graph) -> None:
    assume(not truncates(graph))
    assert counts(graph).get("live_skip", 0) == skips(graph)


def test_skips_do_not_depend_on_how_they_are_written() -> None:
    def build(*, nested: bool) -> Graph:
        b = GraphBuilder((4, 8, 8))
        x = b.relu(b.input)
        part = b.sum([b.identity(x), b.conv(x, 4, kernel=3)])
        rest = b.conv(part, 4, kernel=1)
        written = [b.identity(part)] if nested else [b.identity(i) for i in (x, part - 1)]
        return b.build([b.global_avg_pool(b.sum([*written, rest]))])

    one, other = build(nested=True), build(nested=False)
    assert key(one) == key(other)
    assert counts(one) == counts(other)
    assert counts(one)["live_skip"] == 3  # x into both sums, the first convolution into the second


def test_a_chain_of_residual_blocks() -> None:
    b = GraphBuilder((4, 8, 8))
    x = b.conv(b.input, 4, kernel=1)
    for _ in range(3):
        x = b.relu(b.sum([x, b.conv(x, 4, kernel=3)]))
    found = counts(b.build([b.global_avg_pool(x)]))
    assert (found["live_skip"], found["longest_conv_path"], found["shortest_conv_path"]) == (3, 4, 1)
    assert found["log_paths"] == math.log(8)


def test_skips_alone_are_no_skips() -> None:
    b = GraphBuilder((4, 8, 8))
    x = b.identity(b.identity(b.conv(b.input, 4, kernel=1)))
    assert "live_skip" not in counts(b.build([b.global_avg_pool(x)]))


# Equal networks ------------------------------------------------------------------------------------------------------


@REPEATABLE
@given(graph=graphs(), seed=SEEDS)
def test_counts_do_not_see_how_a_network_is_written(graph: Graph, seed: int) -> None:
    found = counts(graph)
    assert counts(rewritten(graph, np.random.default_rng(seed))) == found
    assert counts(simplify(graph)) == found
    assert counts(flatten(simplify(graph))) == found


@REPEATABLE
@given(seed=SEEDS)
def test_counts_of_recurrent_networks(seed: int) -> None:
    network = recurrent(seed)
    live, found = simplify(network), counts(network)
    assert (found["live_params"], found["depth"]) == (cost.n_params(live), cost.depth(live))
    kinds = Counter(type(node.operation).__name__ for node in flatten(live.cell).nodes)
    layers = len(live.sizes) - 1
    assert found.get("live_linear", 0) == layers * kinds["Linear"]
    assert found.get("live_product", 0) == layers * kinds["Product"]
    assert found.get("live_blend", 0) == layers * kinds["Blend"]
    activations = [n for kind, n in kinds.items() if kind in ("Sigmoid", "Tanh", "LeakyReLU")]
    assert found.get("live_activation", 0) == layers * sum(activations)
    assert not any("conv" in name or "path" in name for name in found)
    assert counts(restated(network, np.random.default_rng(seed))) == found


def members(space: Space, archs: Any) -> list[list[Arch]]:
    return [group for group in space.unique(archs).values() if len(group) > 1]


def differing(space: Space, groups: list[list[Arch]]) -> list[str]:
    """Architectures whose counts are not those of the first of their class."""
    return [
        space.format(arch)
        for group in groups
        for first in [counts(space.graph(group[0]))]
        for arch in group[1:]
        if counts(space.graph(arch)) != first
    ]


def test_counts_of_nasbench201_are_functions_of_the_key() -> None:
    space = SPACES["nasbench201"]
    groups = members(space, space.sample(np.random.default_rng(0), 700))
    assert len(groups) > 30
    assert differing(space, groups) == []


@pytest.mark.slow
def test_counts_of_all_of_nasbench201_are_functions_of_the_key() -> None:
    space = SPACES["nasbench201"]
    groups = members(space, space)
    assert sum(map(len, groups)) > 10_000
    assert differing(space, groups) == []


NASBENCH101_CLASSES = [  # 24 of the 3,690 keys that several cells share, drawn at random
    [61121, 359354, 410537],
    [36062, 270518],
    [57878, 347042, 403193],
    [356269, 356755],
    [39465, 279861],
    [6279, 105981],
    [28930, 248221],
    [44904, 297171],
    [44131, 286372],
    [37358, 276593],
    [58497, 406188],
    [59784, 356652],
    [30219, 245001, 256005, 256665],
    [43628, 296930],
    [33557, 266393],
    [47551, 311779, 319393],
    [356275, 356761],
    [26739, 234069],
    [44526, 289989],
    [18144, 193551],
    [29465, 242978, 249446, 253427],
    [18146, 193553],
    [57770, 346961, 402734],
    [8305, 123205],
]


def test_counts_of_nasbench101_are_functions_of_the_key() -> None:
    space = SPACES["nasbench101"]
    assert isinstance(space, FiniteSpace)
    groups = [[space[i] for i in positions] for positions in NASBENCH101_CLASSES]
    assert [len(space.unique(group)) for group in groups] == [1] * len(groups)
    assert differing(space, groups) == []


def test_the_meanings_of_names() -> None:
    assert meaning("live_conv1x7") == "convolutions with a 1x7 kernel"
    assert meaning("live_gconv3x3").startswith("grouped")
    assert all(meaning(name) == text for name, text in MEANINGS.items())


# --- names


def test_every_count_is_known_by_its_name_and_adds_up() -> None:
    for name in ("nasbench201", "nds_darts", "nasbench_nlp"):
        space = SPACES[name]
        for arch in space.sample(np.random.default_rng(0), 5):
            found = counts(space.graph(arch))
            assert all(is_count(count) and meaning(count) for count in found)
            assert value_of(found, "live_pools") == found.get("live_avg_pool", 0) + found.get("live_max_pool", 0)
            convs = sum([number for count, number in found.items() if "conv" in count and count.startswith("live_")])
            assert value_of(found, "live_convs") == convs
            assert value_of(found, "live_conv9x9") == 0
    assert not any(is_count(name) for name in (*TOTALS, "live_", "live_conv3", "params", "live_xconv3x3"))
    assert parts_of("live_pools", ["live_max_pool", "live_conv1x1"]) == ["live_max_pool"]
    assert (absent("live_conv1x1"), math.isnan(absent("log_paths"))) == (0.0, True)
