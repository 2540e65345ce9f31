import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.errors import GraphError
from untrained.graphs.canonical import simplify, width1_key
from untrained.graphs.graph import Graph, GraphBuilder
from untrained.graphs.width1 import lower, respond
from untrained.seeds import seed_for
from untrained.spaces.nasbench201 import SPACE
from untrained.types import Arch, Scope, Task

from .helpers import REPEATABLE, graphs, rewritten

TINY = Task(input_shape=(3, 16, 16), n_classes=3, width=4, depth=1)
UNSUPPORTED = re.compile("differ under constant weights|concatenations with zeros|groups must be 1 or every channel")


@pytest.fixture(scope="module")
def full():
    """The response of the full network, every feature of it."""
    pytest.importorskip("torch")
    from untrained.graphs.module import respond as run

    return run


def images(
    n: int, shape: tuple[int, ...], dtype: type = np.float64, *, seed: int = 0, flat: bool = False
) -> np.ndarray:
    """Noise; if `flat`, one number for all pixels of a channel, as in the grey ramp."""
    channels, height, width = shape
    pixels = (1, 1) if flat else (height, width)
    noise = np.random.default_rng(seed).normal(0, 1, (n, channels, *pixels)).astype(dtype)
    return noise * np.ones((height, width), dtype)


def response(graph: Graph, x: np.ndarray, weight: float) -> np.ndarray:
    return respond(lower(graph), x, weight)


def refused(graph: Graph) -> str:
    """Why a graph cannot be evaluated at width 1; empty if it can."""
    try:
        lower(graph)
    except GraphError as error:
        return str(error)
    return ""


def assert_close(got: np.ndarray, expected: np.ndarray, relative: float) -> None:
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=relative, atol=relative * np.abs(expected).max())


# Against the full network ----------------------------------------------------------------------------------------

CELLS = SPACE.sample(np.random.default_rng(seed_for("test_width1")), 10)


@pytest.mark.parametrize("flat", [False, True], ids=["noise", "flat"])
@pytest.mark.parametrize("weight", [1e-7, 1e-4, 1.0, 3.0])
@pytest.mark.parametrize("arch", CELLS, ids=SPACE.format)
def test_nasbench201_equals_the_full_network(full, arch: Arch, weight: float, flat: bool) -> None:
    graph = SPACE.graph(arch, TINY)
    x = images(8, TINY.input_shape, flat=flat)
    expected = full(graph, x, weight)
    assert_close(response(graph, x, weight), expected[:, 0], 1e-9)
    np.testing.assert_allclose(expected, expected[:, :1] * np.ones(expected.shape[1]), rtol=1e-9)

    x = x.astype(np.float32)
    got, expected = response(graph, x, weight), full(graph, x, weight)[:, 0]
    assert_close(got, expected, 1e-4)
    if np.abs(expected).max() < 1e-30:  # what underflows is what underflows there
        np.testing.assert_array_equal(got == 0, expected == 0)


def test_nasbench201_logits_equal_the_full_network(full) -> None:
    graph = SPACE.graph(CELLS[0], TINY)
    logits = Graph(graph.nodes, graph.outputs[::-1])
    x = images(8, TINY.input_shape)
    assert_close(response(logits, x, 0.5), full(logits, x, 0.5)[:, 0], 1e-9)


@settings(REPEATABLE, max_examples=400)
@given(
    graph=graphs(),
    weight=st.sampled_from([1e-4, 0.3, 1.0, -0.7]),
    n=st.sampled_from([2, 5, 11, 43]),
    flat=st.booleans(),
    seed=st.integers(0, 9),
    sign=st.sampled_from([np.positive, np.abs, lambda x: -np.abs(x)]),  # of the values: either sign, or one
)
def test_random_graphs_equal_the_full_network(
    full, graph: Graph, weight: float, n: int, flat: bool, seed: int, sign: Any
) -> None:
    refusal = refused(graph)
    if refusal:
        assert UNSUPPORTED.search(refusal), refusal
        return
    x = sign(images(n, graph.nodes[0].shape, seed=seed, flat=flat))
    expected = full(graph, x, weight)
    assert_close(response(graph, x, weight), expected[:, 0], 1e-9)
    assert_close(expected, expected[:, :1] * np.ones(expected.shape[1]), 1e-9)


LINKS = {
    "conv 3x3": lambda b, x: b.conv(x, 3, kernel=3),
    "conv 1x1": lambda b, x: b.conv(x, 2, kernel=1),
    "conv 1x1 stride 2": lambda b, x: b.conv(x, 4, kernel=1, stride=2),
    "depthwise": lambda b, x: b.conv(x, b.shape(x)[0], kernel=(3, 1), groups=b.shape(x)[0]),
    "batch norm": lambda b, x: b.batch_norm(x),
    "relu": lambda b, x: b.relu(x),
    "avg pool": lambda b, x: b.avg_pool(x, kernel=3, padding=1),
    "avg pool padded": lambda b, x: b.avg_pool(x, kernel=2, padding=1, count_padding=True),
    "max pool": lambda b, x: b.max_pool(x, kernel=3, padding=1, stride=2),
    "twice": lambda b, x: b.sum([x, x]),
    "with its relu": lambda b, x: b.concat([x, b.relu(x)]),
    "plus its relu": lambda b, x: b.sum([x, b.relu(x)]),
}


@pytest.mark.parametrize("flat", [False, True], ids=["noise", "flat"])
@pytest.mark.parametrize("first", LINKS)
def test_all_chains_of_three_operations_equal_the_full_network(full, first: str, flat: bool) -> None:
    x = images(3, (2, 6, 5), flat=flat)
    for second, third in itertools.product(LINKS, repeat=2):
        b = GraphBuilder((2, 6, 5))
        out = b.conv(b.input, 3, kernel=3)
        for name in (first, second, third):
            out = LINKS[name](b, out)
        graph = b.build([b.linear(b.global_avg_pool(out), 1)])
        expected = full(graph, x, 0.5)[:, 0]
        scale = max(np.abs(expected).max(), 1e-3)  # batch norm of batch norm may end in zeros but for rounding
        np.testing.assert_allclose(response(graph, x, 0.5), expected, 1e-9, 1e-9 * scale, err_msg=f"{second}, {third}")


def dense_block(b: GraphBuilder) -> int:
    """A convolution that several batch norms read: alone, and as a part of concatenations."""
    x = b.conv(b.input, 4, kernel=3)
    for _ in range(3):
        x = b.concat([x, b.conv(b.relu(b.batch_norm(x)), 2, kernel=3)])
    return b.relu(b.batch_norm(x))


def linear_stack(b: GraphBuilder) -> int:
    x = b.global_avg_pool(b.relu(b.conv(b.concat([b.input, b.relu(b.input)]), 5, kernel=3)))
    return b.linear(b.linear(b.linear(x, 7), 4, bias=False), 2)


def inverted_bottleneck(b: GraphBuilder) -> int:
    x = b.conv(b.input, 4, kernel=3, stride=2)
    y = b.relu(b.batch_norm(b.conv(x, 12, kernel=1)))
    y = b.relu(b.batch_norm(b.conv(y, 12, kernel=5, groups=12)))
    return b.sum([x, b.batch_norm(b.conv(y, 4, kernel=1))])


def inception(b: GraphBuilder) -> int:
    x = b.relu(b.batch_norm(b.conv(b.input, 4, kernel=3)))
    wide = b.conv(b.conv(x, 3, kernel=(1, 7)), 5, kernel=(7, 1))
    pooled = b.conv(b.max_pool(x, kernel=3, padding=1), 2, kernel=1)
    spread = b.avg_pool(b.conv(x, 3, kernel=3, dilation=2), kernel=3, padding=1, count_padding=True)
    return b.conv(b.relu(b.concat([x, wide, pooled, spread])), 6, kernel=3, stride=2)


@pytest.mark.parametrize("block", [dense_block, linear_stack, inverted_bottleneck, inception])
@pytest.mark.parametrize("weight", [1e-3, 0.5])
def test_common_blocks_equal_the_full_network(full, block, weight: float) -> None:
    b = GraphBuilder((3, 10, 7))
    out = block(b)
    top = out if len(b.shape(out)) == 1 else b.linear(b.global_avg_pool(out), 3)
    graph = b.build([top])
    x = images(6, (3, 10, 7))
    assert_close(response(graph, x, weight), full(graph, x, weight)[:, 0], 1e-9)


# One function, one response ----------------------------------------------------------------------------------------


def same_function_classes() -> list[list[Arch]]:
    """Some classes of equal width-1 key with several members, found among every seventh cell."""
    some = [SPACE[i] for i in range(0, len(SPACE), 7)]
    classes = [members for members in SPACE.unique(some, Scope.WIDTH1_KEY).values() if 3 <= len(members) <= 12]
    return classes[:: max(1, len(classes) // 12)][:12]


@pytest.mark.parametrize("weight", [1e-7, 1.0])
def test_equal_width1_keys_give_equal_bits(weight: float) -> None:
    x = images(4, TINY.input_shape, np.float32)
    classes = same_function_classes()
    assert len(classes) == 12
    for members in classes:
        bits = {response(SPACE.graph(arch, TINY), x, weight).tobytes() for arch in members}
        assert len(bits) == 1, [SPACE.format(arch) for arch in members]


@REPEATABLE
@given(graph=graphs(), seed=st.integers(0, 2**32 - 1))
def test_node_order_and_dead_parts_do_not_change_a_bit(graph: Graph, seed: int) -> None:
    twin = rewritten(graph, np.random.default_rng(seed))
    assert width1_key(twin) == width1_key(graph)
    x = images(3, graph.nodes[0].shape, np.float32)
    for other in (twin, simplify(graph), simplify(twin)):
        assert bool(refused(other)) == bool(refused(graph))
        if not refused(graph):
            assert response(other, x, 0.7).tobytes() == response(graph, x, 0.7).tobytes()


def test_only_the_first_output_matters() -> None:
    def build(*, head: bool) -> Graph:
        b = GraphBuilder((3, 8, 8))
        x = b.relu(b.conv(b.input, 4, kernel=3))
        if head:  # an auxiliary classifier, written before the main one
            side = b.linear(b.global_avg_pool(b.relu(b.conv(x, 4, kernel=5))), 3)
        main = b.global_avg_pool(b.relu(b.conv(x, 4, kernel=3)))
        return b.build([main, side] if head else [main])

    with_head, without = lower(build(head=True)), lower(build(head=False))
    np.testing.assert_array_equal(with_head.words, without.words)
    x = images(4, (3, 8, 8))
    np.testing.assert_array_equal(respond(with_head, x, 0.5), respond(without, x, 0.5))


# Edges of the input ------------------------------------------------------------------------------------------------


def chain(n: int) -> Graph:
    """Stem and `n` times ReLU, convolution, batch norm: at weight 1e-7 each step divides by about 10^11."""
    b = GraphBuilder((3, 8, 8))
    x = b.batch_norm(b.conv(b.input, 4, kernel=3))
    for _ in range(n):
        x = b.batch_norm(b.conv(b.relu(x), 4, kernel=3))
    return b.build([b.global_avg_pool(b.relu(x))])


@pytest.mark.parametrize("linear", [False, True])
def test_a_network_without_a_path_responds_zero(full, linear: bool) -> None:
    b = GraphBuilder((3, 8, 8))
    x = b.batch_norm(b.conv(b.sum([b.zero(b.input), b.zero(b.relu(b.input))]), 4, kernel=3))
    features = b.global_avg_pool(b.relu(x))
    graph = b.build([b.linear(features, 2) if linear else features])
    for dtype in (np.float32, np.float64):
        got = response(graph, images(5, (3, 8, 8), dtype), 1.0)
        assert got.shape == (5,)
        assert got.dtype == dtype
        assert not got.any()
    assert not full(graph, images(5, (3, 8, 8)), 1.0).any()


def test_zero_images_respond_zero() -> None:
    assert not respond(lower(chain(2)), np.zeros((4, 3, 8, 8)), 1.0).any()


def test_a_batch_of_one_image_equals_the_full_network(full) -> None:
    x = images(1, (3, 8, 8))
    assert_close(response(chain(2), x, 1.0), full(chain(2), x, 1.0)[:, 0], 1e-9)


def test_the_layout_of_the_images_does_not_matter() -> None:
    program = lower(chain(2))
    x = images(6, (3, 8, 8), np.float32)
    expected = respond(program, x, 1.0)
    wide = np.zeros((12, 3, 8, 16), np.float32)
    wide[::2, :, :, 1::2] = x
    for view in (wide[::2, :, :, 1::2], np.asfortranarray(x), x[::-1].copy()[::-1]):
        assert not view.flags.c_contiguous
        np.testing.assert_array_equal(respond(program, view, 1.0), expected)
    before = x.copy()
    respond(program, x, 3.0)
    np.testing.assert_array_equal(x, before)


def test_no_images_have_no_responses() -> None:
    assert respond(lower(chain(1)), np.ones((0, 3, 8, 8)), 1.0).shape == (0,)


def test_nothing_remains_from_other_images_and_programs() -> None:
    program, wide = lower(chain(2)), lower(SPACE.graph(CELLS[0], TINY))
    fresh = images(6, (3, 8, 8), seed=1)
    expected = respond(program, fresh, 1.0)
    respond(wide, np.full((20, *TINY.input_shape), np.nan), 1.0)
    np.testing.assert_array_equal(respond(program, fresh, 1.0), expected)
    assert np.isnan(respond(program, np.full((3, 3, 8, 8), np.nan), 1.0)).all()
    np.testing.assert_array_equal(respond(program, fresh, 1.0), expected)


def test_frozen_images_are_told_apart() -> None:
    program = lower(chain(2))
    for flat in (False, True):
        for dtype in (np.float32, np.float64):
            batches = [images(6, (3, 8, 8), dtype, seed=seed, flat=flat) for seed in range(3)]
            expected = [respond(program, x, 0.5) for x in batches]
            for x in batches:
                x.flags.writeable = False
            for i in (0, 0, 1, 2, 0, 1):
                np.testing.assert_array_equal(respond(program, batches[i], 0.5), expected[i])
                np.testing.assert_array_equal(
                    respond(program, batches[i][:4], 0.5), respond(program, batches[i][:4].copy(), 0.5)
                )


def test_threads_do_not_disturb_each_other() -> None:
    jobs = [(lower(SPACE.graph(arch, TINY)), images(5, TINY.input_shape, seed=i)) for i, arch in enumerate(CELLS)]
    expected = [respond(program, x, 1.0) for program, x in jobs]
    with ThreadPoolExecutor(4) as pool:
        for got, alone in zip(pool.map(lambda job: respond(*job, 1.0), jobs * 4), expected * 4, strict=True):
            np.testing.assert_array_equal(got, alone)


def test_one_image_that_is_not_flat_counts() -> None:
    x = images(6, (3, 8, 8), flat=True)
    expected = respond(lower(chain(1)), x, 1.0)
    x[3, 1, 7, 7] += 1e-3
    assert not np.array_equal(respond(lower(chain(1)), x, 1.0), expected)


def test_images_do_not_see_the_order_of_the_batch() -> None:
    x = images(6, (3, 8, 8))
    assert_close(response(chain(1), x[::-1], 1.0)[::-1], response(chain(1), x, 1.0), 1e-12)


@pytest.mark.parametrize(
    "x",
    [
        np.ones((4, 3, 8, 9)),
        np.ones((4, 1, 8, 8)),
        np.ones((3, 8, 8)),
        np.ones((4, 3, 8, 8), np.int64),
        np.ones((4, 3, 8, 8), np.float16),
    ],
    ids=["width", "channels", "no batch", "integers", "half precision"],
)
def test_images_that_do_not_fit_are_refused(x: np.ndarray) -> None:
    with pytest.raises(GraphError):
        respond(lower(chain(1)), x, 1.0)


# What constant weights do not reduce to planes -----------------------------------------------------------------------


def test_outputs_of_several_planes_are_refused() -> None:
    b = GraphBuilder((3, 8, 8))
    x = b.conv(b.input, 4, kernel=3)
    for features in (b.input, b.concat([x, b.relu(x)]), b.concat([b.zero(x), x])):
        with pytest.raises(GraphError, match="differ under constant weights"):
            lower(b.build([b.global_avg_pool(features)]))


def test_outputs_that_are_not_pooled_are_refused() -> None:
    b = GraphBuilder((3, 8, 8))
    with pytest.raises(GraphError, match="pooled features"):
        lower(b.build([b.conv(b.input, 4, kernel=3)]))


def test_groups_that_split_channels_are_refused() -> None:
    b = GraphBuilder((3, 8, 8))
    x = b.conv(b.input, 4, kernel=3)
    for channels, groups in ((4, 2), (8, 4)):
        with pytest.raises(GraphError, match="groups must be 1 or every channel"):
            lower(b.build([b.global_avg_pool(b.conv(x, channels, kernel=3, groups=groups))]))


def test_a_shifted_map_is_read_by_convolutions_alone() -> None:
    b = GraphBuilder((3, 8, 8))
    x = b.conv(b.input, 4, kernel=3)
    cut = b.shift(x, up=1, left=1)
    for read in (
        b.sum([cut, b.shift(b.relu(x), up=1, left=1)]),
        b.max_pool(cut, kernel=2),
        b.avg_pool(cut, kernel=2),
        b.conv(cut, 4, kernel=3),
        b.conv(b.concat([cut, x]), 4, kernel=1),
    ):
        with pytest.raises(GraphError, match="shifted"):
            lower(b.build([b.linear(b.global_avg_pool(read), 2)]))


@pytest.mark.parametrize("size", [(8, 8), (7, 6)])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 2), (2, 1), (3, 2), ((1, 3), (2, 1))])
def test_zeros_come_in_behind_a_shifted_map(full, kernel, stride, size: tuple[int, int]) -> None:
    b = GraphBuilder((3, *size))
    moved = b.shift(b.relu(b.conv(b.input, 4, kernel=3)), up=1, left=1)
    graph = b.build([b.global_avg_pool(b.batch_norm(b.conv(moved, 2, kernel=kernel, stride=stride, padding=0)))])
    if kernel in (1, (1, 3)) and size[0] % 2:  # the last row of windows would see nothing but these zeros
        assert "wholly in the padding" in refused(graph)
        return
    for flat in (False, True):
        x = images(4, (3, *size), flat=flat)
        assert_close(response(graph, x, 0.7), full(graph, x, 0.7)[:, 0], 1e-9)


@pytest.mark.parametrize(("kernel", "padding"), [(1, 1), (3, 3), ((1, 7), (1, 3))])
def test_windows_that_lie_in_the_padding_are_refused(kernel, padding) -> None:
    b = GraphBuilder((3, 8, 8))
    for x in (b.input, b.relu(b.conv(b.input, 4, kernel=3))):
        with pytest.raises(GraphError, match="wholly in the padding"):
            lower(b.build([b.global_avg_pool(b.conv(x, 4, kernel=kernel, padding=padding))]))


# Underflow -----------------------------------------------------------------------------------------------------------


def test_denormal_numbers_survive(full) -> None:
    x = images(4, (3, 8, 8), np.float32)
    got = response(chain(3), x, 1e-7)
    assert (got > 0).all()
    assert (got < np.finfo(np.float32).tiny).all()
    expected = full(chain(3), x, 1e-7)[:, 0]
    np.testing.assert_allclose(got, expected, rtol=0, atol=3 * np.finfo(np.float32).smallest_subnormal)


def test_underflow_ends_in_exact_zeros(full) -> None:
    x = images(4, (3, 8, 8), np.float32)
    for n in (4, 6):
        np.testing.assert_array_equal(full(chain(n), x, 1e-7)[:, 0], np.zeros(4))
        np.testing.assert_array_equal(response(chain(n), x, 1e-7), np.zeros(4, np.float32))


@pytest.mark.parametrize("n", [10, 15, 18, 24])
def test_double_precision_keeps_what_single_precision_loses(full, n: int) -> None:
    # The squares of these values underflow before they do: 1e-170 squared is 0.
    x = images(32, (3, 8, 8))
    got, expected = response(chain(n), x, 1e-7), full(chain(n), x, 1e-7)[:, 0]
    assert 0 < expected.max() < 1e-100
    assert_close(got, expected, 1e-9)


def test_a_linear_layer_on_several_vectors_is_refused() -> None:
    b = GraphBuilder((3, 8, 8))
    features = [b.global_avg_pool(b.conv(b.input, 4, kernel=k)) for k in (1, 3)]
    with pytest.raises(GraphError, match="several vectors"):
        lower(b.build([b.linear(features, 2)]))


@pytest.mark.parametrize("weight", [0.3, -0.3])
@pytest.mark.parametrize("sign", [1, -1])
def test_planes_of_one_sign_are_foreseen_and_nothing_old_is_read(full, weight: float, sign: int) -> None:
    """Where rectification leaves nothing, a plane is never computed, and what is in its place must not be read."""
    b = GraphBuilder((3, 8, 8))
    x, y = b.conv(b.input, 4, kernel=3), b.conv(b.input, 4, kernel=5)
    total = b.sum([b.relu(x), b.relu(y)])
    both = b.sum([total, b.max_pool(total, kernel=3, padding=1), b.conv(b.relu(total), 4, kernel=1)])
    graph = b.build([b.linear(b.global_avg_pool(b.sum([both, x])), 2)])
    images_ = sign * np.abs(images(5, (3, 8, 8)))
    respond(lower(graph), images(5, (3, 8, 8)), 7.0)  # fills the work space with other numbers
    assert_close(response(graph, images_, weight), full(graph, images_, weight)[:, 0], 1e-9)
